-- Indexes for what grows with the directory.

-- A new user's name must mean no client, in whatever case the client id is written.
CREATE INDEX clients_lower ON clients (tenant_id, LOWER(client_id));

-- Keys without a successor whose time has come, and the oldest key of all tenants.
CREATE INDEX signing_keys_due ON signing_keys (activates_at) WHERE retires_at IS NULL;
CREATE INDEX signing_keys_age ON signing_keys (created_at, kid);

-- Tokens that operators issued to one client, however many others it has.
CREATE INDEX kept_tokens_listed ON kept_tokens (client_id, by_operator, jti);

-- Changes that are old enough to be removed.
CREATE INDEX changes_age ON changes (changed_at);

-- Authorizations that fell long enough ago to be removed.
CREATE INDEX grants_revoked ON grants (revoked_at) WHERE revoked_at IS NOT NULL;
