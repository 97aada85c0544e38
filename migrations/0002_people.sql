-- People: their sessions and consents, and what they authorized clients to do.

-- What people read on the consent page; without one they read the scope itself.
ALTER TABLE scopes ADD COLUMN description TEXT NOT NULL DEFAULT '';

ALTER TABLE clients ADD COLUMN first_party BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE clients ADD COLUMN require_pkce BOOLEAN NOT NULL DEFAULT TRUE;
ALTER TABLE clients ADD COLUMN refresh_policy TEXT NOT NULL DEFAULT 'offline-access';
ALTER TABLE clients ADD COLUMN refresh_rotation BOOLEAN NOT NULL DEFAULT TRUE;
ALTER TABLE clients ADD COLUMN refresh_idle BIGINT NOT NULL DEFAULT 1209600;
ALTER TABLE clients ADD COLUMN refresh_lifetime BIGINT NOT NULL DEFAULT 7776000;

CREATE TABLE client_logout_uris (
    client_id UUID NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    uri TEXT NOT NULL,
    PRIMARY KEY (client_id, uri)
);

ALTER TABLE users ADD COLUMN last_login_at BIGINT;

-- token_hash is of the cookie's value. expires_at is the earlier of the idle and the absolute end.
CREATE TABLE sessions (
    id UUID PRIMARY KEY NOT NULL,
    tenant_id UUID NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash BYTEA NOT NULL UNIQUE,
    auth_time BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    address TEXT NOT NULL,
    user_agent TEXT NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_tenant ON sessions (tenant_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- resource_id is the nil UUID for OpenID Connect's own scopes, so it is no reference.
CREATE TABLE consents (
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id UUID NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    resource_id UUID NOT NULL,
    value TEXT NOT NULL,
    granted_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, client_id, resource_id, value)
);
CREATE INDEX consents_client ON consents (client_id);
CREATE INDEX consents_resource ON consents (resource_id);

-- One authorization: who let whom do what. generation and current say how far its line of refresh tokens was used.
CREATE TABLE grants (
    id UUID PRIMARY KEY NOT NULL,
    tenant_id UUID NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    client_id UUID NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    session_id UUID NOT NULL,
    authorized TEXT NOT NULL,
    offline BOOLEAN NOT NULL,
    auth_time BIGINT NOT NULL,
    family BYTEA,
    generation BIGINT NOT NULL,
    current BYTEA,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX grants_tenant ON grants (tenant_id);
CREATE INDEX grants_client ON grants (client_id);
CREATE INDEX grants_user ON grants (user_id);
CREATE INDEX grants_session ON grants (session_id);
CREATE INDEX grants_expiry ON grants (expires_at);

CREATE TABLE codes (
    hash BYTEA PRIMARY KEY NOT NULL,
    grant_id UUID NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
    redirect_uri TEXT NOT NULL,
    redirect_uri_sent BOOLEAN NOT NULL,
    challenge TEXT,
    nonce TEXT,
    expires_at BIGINT NOT NULL,
    spent_at BIGINT
);
CREATE INDEX codes_grant ON codes (grant_id);
CREATE INDEX codes_expiry ON codes (expires_at);

-- Only those that can still be used without being a replay that ends the family.
CREATE TABLE refresh_tokens (
    hash BYTEA PRIMARY KEY NOT NULL,
    grant_id UUID NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
    generation BIGINT NOT NULL,
    issued_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX refresh_tokens_grant ON refresh_tokens (grant_id);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);

-- Access tokens that came from a grant, so that they fall with it.
CREATE TABLE grant_tokens (
    jti UUID PRIMARY KEY NOT NULL,
    grant_id UUID NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
    list_id UUID NOT NULL,
    list_index BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX grant_tokens_grant ON grant_tokens (grant_id);
CREATE INDEX grant_tokens_expiry ON grant_tokens (expires_at);
