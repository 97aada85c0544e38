//! What a client consists of, row by row: written together with it.

/// Applies [`ClientParts`](super::clients::ClientParts) to a client inside a transaction.
macro_rules! apply_parts {
    ($tx:ident, $oid:expr, $parts:expr) => {{
        for grant in &$parts.remove_grants {
            sqlx::query("DELETE FROM client_grants WHERE client_id = $1 AND grant_type = $2")
                .bind($oid.uuid())
                .bind(grant)
                .execute(&mut *$tx)
                .await?;
        }
        for grant in &$parts.add_grants {
            sqlx::query("INSERT INTO client_grants (client_id, grant_type) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind($oid.uuid())
                .bind(grant)
                .execute(&mut *$tx)
                .await?;
        }
        for uri in &$parts.remove_redirect_uris {
            sqlx::query("DELETE FROM client_redirect_uris WHERE client_id = $1 AND uri = $2")
                .bind($oid.uuid())
                .bind(uri.as_str())
                .execute(&mut *$tx)
                .await?;
        }
        for uri in &$parts.add_redirect_uris {
            sqlx::query("INSERT INTO client_redirect_uris (client_id, uri) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind($oid.uuid())
                .bind(uri.as_str())
                .execute(&mut *$tx)
                .await?;
        }
        for uri in &$parts.remove_logout_uris {
            sqlx::query("DELETE FROM client_logout_uris WHERE client_id = $1 AND uri = $2")
                .bind($oid.uuid())
                .bind(uri.as_str())
                .execute(&mut *$tx)
                .await?;
        }
        for uri in &$parts.add_logout_uris {
            sqlx::query("INSERT INTO client_logout_uris (client_id, uri) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind($oid.uuid())
                .bind(uri.as_str())
                .execute(&mut *$tx)
                .await?;
        }
        for origin in &$parts.remove_origins {
            sqlx::query("DELETE FROM client_origins WHERE client_id = $1 AND origin = $2")
                .bind($oid.uuid())
                .bind(origin.as_str())
                .execute(&mut *$tx)
                .await?;
        }
        for origin in &$parts.add_origins {
            sqlx::query("INSERT INTO client_origins (client_id, origin) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind($oid.uuid())
                .bind(origin.as_str())
                .execute(&mut *$tx)
                .await?;
        }
        for resource in &$parts.remove_serves {
            sqlx::query("DELETE FROM client_serves WHERE client_id = $1 AND resource_id = $2")
                .bind($oid.uuid())
                .bind(resource.uuid())
                .execute(&mut *$tx)
                .await?;
        }
        for resource in &$parts.add_serves {
            sqlx::query("INSERT INTO client_serves (client_id, resource_id) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind($oid.uuid())
                .bind(resource.uuid())
                .execute(&mut *$tx)
                .await?;
        }
        apply_settings!($tx, $oid, &$parts.settings);
    }};
}
pub(super) use apply_parts;
