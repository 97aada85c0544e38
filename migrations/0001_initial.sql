-- One text for SQLite and PostgreSQL. Times are Unix seconds, ids are UUIDs made by the program.

-- The one row that every administrative write locks: it orders them, and their numbers tell servers what changed.
CREATE TABLE revisions (
    id BIGINT PRIMARY KEY NOT NULL,
    revision BIGINT NOT NULL
);
INSERT INTO revisions (id, revision) VALUES (1, 0);

CREATE TABLE changes (
    revision BIGINT PRIMARY KEY NOT NULL,
    tenant_id UUID NOT NULL,
    noun TEXT NOT NULL,
    subject TEXT NOT NULL,
    changed_at BIGINT NOT NULL
);

CREATE TABLE tenants (
    id UUID PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    enabled BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE signing_keys (
    kid TEXT PRIMARY KEY NOT NULL,
    tenant_id UUID NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    alg TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    activates_at BIGINT NOT NULL,
    retires_at BIGINT,
    expires_at BIGINT
);
CREATE INDEX signing_keys_tenant ON signing_keys (tenant_id);
CREATE INDEX signing_keys_expiry ON signing_keys (expires_at);

CREATE TABLE resources (
    id UUID PRIMARY KEY NOT NULL,
    tenant_id UUID NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    identifier TEXT NOT NULL,
    is_default BOOLEAN NOT NULL,
    alg TEXT NOT NULL,
    lifetime BIGINT NOT NULL,
    groups_policy TEXT NOT NULL,
    group_format TEXT NOT NULL,
    group_limit BIGINT NOT NULL,
    claims_profile TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (tenant_id, identifier)
);
CREATE UNIQUE INDEX resources_default ON resources (tenant_id) WHERE is_default;

CREATE TABLE scopes (
    resource_id UUID NOT NULL REFERENCES resources (id) ON DELETE CASCADE,
    value TEXT NOT NULL,
    PRIMARY KEY (resource_id, value)
);

CREATE TABLE roles (
    id UUID PRIMARY KEY NOT NULL,
    resource_id UUID NOT NULL REFERENCES resources (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    UNIQUE (resource_id, name)
);

CREATE TABLE clients (
    id UUID PRIMARY KEY NOT NULL,
    tenant_id UUID NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    client_id TEXT NOT NULL,
    name TEXT NOT NULL,
    is_public BOOLEAN NOT NULL,
    enabled BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (tenant_id, client_id)
);

CREATE TABLE client_secrets (
    id UUID PRIMARY KEY NOT NULL,
    client_id UUID NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    hash TEXT NOT NULL,
    hint TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    last_used_at BIGINT
);
CREATE INDEX client_secrets_client ON client_secrets (client_id);
CREATE INDEX client_secrets_expiry ON client_secrets (expires_at);

CREATE TABLE client_grants (
    client_id UUID NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    grant_type TEXT NOT NULL,
    PRIMARY KEY (client_id, grant_type)
);

CREATE TABLE client_redirect_uris (
    client_id UUID NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    uri TEXT NOT NULL,
    PRIMARY KEY (client_id, uri)
);

-- value is a scope of the resource, or '.default' for all of them.
CREATE TABLE client_scopes (
    client_id UUID NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    resource_id UUID NOT NULL REFERENCES resources (id) ON DELETE CASCADE,
    value TEXT NOT NULL,
    PRIMARY KEY (client_id, resource_id, value)
);
CREATE INDEX client_scopes_resource ON client_scopes (resource_id);

CREATE TABLE client_serves (
    client_id UUID NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    resource_id UUID NOT NULL REFERENCES resources (id) ON DELETE CASCADE,
    PRIMARY KEY (client_id, resource_id)
);
CREATE INDEX client_serves_resource ON client_serves (resource_id);

CREATE TABLE users (
    id UUID PRIMARY KEY NOT NULL,
    tenant_id UUID NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    username TEXT NOT NULL,
    display_name TEXT,
    email TEXT,
    password_hash TEXT,
    enabled BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (tenant_id, username)
);

CREATE TABLE groups (
    id UUID PRIMARY KEY NOT NULL,
    tenant_id UUID NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (tenant_id, name)
);

CREATE TABLE group_clients (
    group_id UUID NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    client_id UUID NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, client_id)
);
CREATE INDEX group_clients_client ON group_clients (client_id);

CREATE TABLE group_users (
    group_id UUID NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, user_id)
);
CREATE INDEX group_users_user ON group_users (user_id);

CREATE TABLE group_groups (
    group_id UUID NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    member_id UUID NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, member_id)
);
CREATE INDEX group_groups_member ON group_groups (member_id);

CREATE TABLE group_owner_clients (
    group_id UUID NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    client_id UUID NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, client_id)
);
CREATE INDEX group_owner_clients_client ON group_owner_clients (client_id);

CREATE TABLE group_owner_users (
    group_id UUID NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, user_id)
);
CREATE INDEX group_owner_users_user ON group_owner_users (user_id);

CREATE TABLE group_claims (
    group_id UUID NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (group_id, name)
);

CREATE TABLE group_roles (
    group_id UUID NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    role_id UUID NOT NULL REFERENCES roles (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, role_id)
);
CREATE INDEX group_roles_role ON group_roles (role_id);

CREATE TABLE resource_required_groups (
    resource_id UUID NOT NULL REFERENCES resources (id) ON DELETE CASCADE,
    group_id UUID NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    PRIMARY KEY (resource_id, group_id)
);
CREATE INDEX resource_required_groups_group ON resource_required_groups (group_id);

-- Servers lease blocks of indexes, so that issuing a token writes nothing.
CREATE TABLE status_lists (
    id UUID PRIMARY KEY NOT NULL,
    tenant_id UUID NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    next_index BIGINT NOT NULL,
    capacity BIGINT NOT NULL,
    keep_until BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX status_lists_tenant ON status_lists (tenant_id);
CREATE INDEX status_lists_keep_until ON status_lists (keep_until);

CREATE TABLE revocations (
    tenant_id UUID NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    jti UUID NOT NULL,
    list_id UUID NOT NULL,
    list_index BIGINT NOT NULL,
    revoked_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, jti)
);
CREATE INDEX revocations_list ON revocations (list_id);
CREATE INDEX revocations_expiry ON revocations (expires_at);
