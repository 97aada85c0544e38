-- Access tokens that are kept: opaque ones, and those that an operator issued so that they are listed.

ALTER TABLE resources ADD COLUMN token_format TEXT NOT NULL DEFAULT 'jwt';

-- hash is that of an opaque token; a JWT speaks for itself. Without scopes the token stands for all that the client may
-- have at the resource, as long as it may.
CREATE TABLE kept_tokens (
    jti UUID PRIMARY KEY NOT NULL,
    tenant_id UUID NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    client_id UUID NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    resource_id UUID NOT NULL REFERENCES resources (id) ON DELETE CASCADE,
    user_id UUID REFERENCES users (id) ON DELETE CASCADE,
    session_id UUID,
    auth_time BIGINT,
    hash BYTEA UNIQUE,
    scopes TEXT,
    list_id UUID NOT NULL,
    list_index BIGINT NOT NULL,
    by_operator BOOLEAN NOT NULL,
    issued_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    last_used_at BIGINT
);
CREATE INDEX kept_tokens_tenant ON kept_tokens (tenant_id, by_operator, jti);
CREATE INDEX kept_tokens_client ON kept_tokens (client_id);
CREATE INDEX kept_tokens_resource ON kept_tokens (resource_id);
CREATE INDEX kept_tokens_user ON kept_tokens (user_id);
CREATE INDEX kept_tokens_expiry ON kept_tokens (expires_at);

-- Origins of web pages that may call the token endpoint as this client.
CREATE TABLE client_origins (
    client_id UUID NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    origin TEXT NOT NULL,
    PRIMARY KEY (client_id, origin)
);
CREATE INDEX client_origins_origin ON client_origins (origin);
