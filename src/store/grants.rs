//! Authorizations: who let whom do what, and everything that falls with one.

/// Revokes every grant that hangs on a grant, user or client (their ids share one space of UUIDs), with the access
/// tokens that came from it. The grants' rows are locked first: a token that is issued meanwhile is seen or refused.
macro_rules! revoke_grants {
    ($tx:ident, $of:expr, $now:expr) => {{
        let revoked = sqlx::query(
            "UPDATE grants SET revoked_at = $2 WHERE (id = $1 OR user_id = $1 OR client_id = $1) AND revoked_at IS NULL",
        )
        .bind($of)
        .bind($now)
        .execute(&mut *$tx)
        .await?
        .rows_affected();
        sqlx::query(
            "INSERT INTO revocations (tenant_id, jti, list_id, list_index, revoked_at, expires_at) \
             SELECT g.tenant_id, t.jti, t.list_id, t.list_index, $2, t.expires_at FROM grant_tokens t \
             JOIN grants g ON g.id = t.grant_id \
             WHERE (g.id = $1 OR g.user_id = $1 OR g.client_id = $1) AND t.expires_at > $2 \
             ON CONFLICT (tenant_id, jti) DO NOTHING",
        )
        .bind($of)
        .bind($now)
        .execute(&mut *$tx)
        .await?;
        revoked
    }};
}
pub(super) use revoke_grants;
