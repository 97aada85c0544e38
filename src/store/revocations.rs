//! Revoked access tokens. Never answered from a cache.

use super::{Store, StoreError, reading, writing};
use crate::types::clock::UnixTime;
use crate::types::id::{StatusListId, TenantId};
use crate::types::status::StatusIndex;
use uuid::Uuid;

/// A token that is to be revoked.
#[derive(Debug, Clone, Copy)]
pub struct Revocation {
    /// Its `jti`.
    pub jti: Uuid,
    /// Its place in a status list.
    pub status: StatusIndex,
    /// Its `exp`: after it the row is of no use.
    pub expires_at: UnixTime,
}

impl Store {
    /// Revokes a token with one row; a second time changes nothing. Answers whether it was new.
    ///
    /// # Errors
    /// The database does not answer: then the token is not revoked.
    pub async fn revoke_token(
        &self,
        tenant: TenantId,
        revocation: &Revocation,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        Ok(writing!(self, tx =>
            sqlx::query(
                "INSERT INTO revocations (tenant_id, jti, list_id, list_index, revoked_at, expires_at) \
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant_id, jti) DO NOTHING",
            )
            .bind(tenant.uuid())
            .bind(revocation.jti)
            .bind(revocation.status.list.uuid())
            .bind(i64::from(revocation.status.index))
            .bind(now)
            .bind(revocation.expires_at)
            .execute(tx)
            .await?
            .rows_affected())
            > 0)
    }

    /// The set bits of a status list.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn revoked_indexes(&self, list: StatusListId) -> Result<Vec<i64>, StoreError> {
        let rows: Vec<(i64,)> = reading!(self, conn =>
            sqlx::query_as("SELECT list_index FROM revocations WHERE list_id = $1")
                .bind(list.uuid())
                .fetch_all(conn)
                .await?);
        Ok(rows.into_iter().map(|(index,)| index).collect())
    }

    /// Removes revocations of tokens that expired before `before`, at most one batch; answers how many.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn purge_revocations(&self, before: UnixTime) -> Result<u64, StoreError> {
        Ok(writing!(self, tx =>
            sqlx::query(
                "DELETE FROM revocations WHERE (tenant_id, jti) IN \
                 (SELECT tenant_id, jti FROM revocations WHERE expires_at < $1 LIMIT 500)",
            )
            .bind(before)
            .execute(tx)
            .await?
            .rows_affected()))
    }

    /// How many rows have expired and are still there.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn count_expired(&self, now: UnixTime) -> Result<i64, StoreError> {
        let (count,): (i64,) = reading!(self, conn =>
            sqlx::query_as(
                "SELECT (SELECT COUNT(*) FROM revocations WHERE expires_at < $1) + \
                 (SELECT COUNT(*) FROM status_lists WHERE keep_until < $1) + \
                 (SELECT COUNT(*) FROM signing_keys WHERE expires_at < $1) + \
                 (SELECT COUNT(*) FROM sessions WHERE expires_at < $1) + \
                 (SELECT COUNT(*) FROM codes WHERE expires_at < $1) + \
                 (SELECT COUNT(*) FROM device_codes WHERE expires_at < $1) + \
                 (SELECT COUNT(*) FROM grant_tokens WHERE expires_at < $1) + \
                 (SELECT COUNT(*) FROM kept_tokens WHERE expires_at < $1) + \
                 (SELECT COUNT(*) FROM grants WHERE expires_at < $1)",
            )
            .bind(now)
            .fetch_one(conn)
            .await?);
        Ok(count)
    }
}
