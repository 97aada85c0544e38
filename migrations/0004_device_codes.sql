-- Devices without a browser (RFC 8628). hash is of the device code, user_hash of the code that a person types. decided_at
-- with a grant is a yes, without one a no. polled_at and poll_interval say whether the device asks too often.
CREATE TABLE device_codes (
    hash BYTEA PRIMARY KEY NOT NULL,
    tenant_id UUID NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    client_id UUID NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    user_hash BYTEA NOT NULL,
    authorized TEXT NOT NULL,
    poll_interval BIGINT NOT NULL,
    polled_at BIGINT,
    decided_at BIGINT,
    grant_id UUID REFERENCES grants (id) ON DELETE CASCADE,
    spent_at BIGINT,
    expires_at BIGINT NOT NULL,
    UNIQUE (tenant_id, user_hash)
);
CREATE INDEX device_codes_client ON device_codes (client_id);
CREATE INDEX device_codes_grant ON device_codes (grant_id);
CREATE INDEX device_codes_expiry ON device_codes (expires_at);
