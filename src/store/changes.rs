//! What changed: the numbered log by which running servers learn of administrative writes.

use super::{Store, StoreError, reading, writing};
use crate::types::clock::UnixTime;
use crate::types::id::TenantId;
use crate::types::word_enum;
use uuid::Uuid;

/// The most changes that one look brings; more come with the next.
const BATCH: i64 = 1000;

word_enum! {
    /// What kind of thing changed.
    Noun, "noun" {
        /// The tenant itself.
        Tenant = "tenant",
        /// A resource of the tenant.
        Resource = "resource",
        /// One client; the subject is its client id.
        Client = "client",
        /// Membership, roles or claims of groups: touches every subject of the tenant.
        Group = "group",
        /// A signing key.
        Key = "key",
    }
}

/// One administrative write.
#[derive(Debug, Clone)]
pub struct Change {
    /// Its number; gapless.
    pub revision: i64,
    /// Whose.
    pub tenant: TenantId,
    /// What kind of thing.
    pub noun: Noun,
    /// Which one, where that matters.
    pub subject: String,
}

impl Store {
    /// The number of the newest change.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn revision(&self) -> Result<i64, StoreError> {
        let (revision,): (i64,) = reading!(self, conn =>
            sqlx::query_as("SELECT revision FROM revisions WHERE id = 1").fetch_one(conn).await?);
        Ok(revision)
    }

    /// Changes after `revision`, oldest first, a bounded number of them.
    ///
    /// # Errors
    /// The database does not answer, or holds a noun of a newer version.
    pub async fn changes_after(&self, revision: i64) -> Result<Vec<Change>, StoreError> {
        let rows: Vec<(i64, Uuid, String, String)> = reading!(self, conn =>
            sqlx::query_as("SELECT revision, tenant_id, noun, subject FROM changes WHERE revision > $1 ORDER BY revision LIMIT $2")
                .bind(revision)
                .bind(BATCH)
                .fetch_all(conn)
                .await?);
        rows.into_iter()
            .map(|(revision, tenant, noun, subject)| {
                let noun = noun.parse().map_err(|_| super::unreadable("change"))?;
                Ok(Change { revision, tenant: tenant.into(), noun, subject })
            })
            .collect()
    }

    /// Removes changes made before `before`, at most one batch; answers how many. The newest stays, so that a server
    /// that slept sees the gap.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn purge_changes(&self, before: UnixTime) -> Result<u64, StoreError> {
        Ok(writing!(self, tx =>
            sqlx::query(
                "DELETE FROM changes WHERE revision IN (SELECT revision FROM changes WHERE changed_at < $1 \
                 AND revision < (SELECT revision FROM revisions WHERE id = 1) ORDER BY changed_at LIMIT 500)",
            )
            .bind(before)
            .execute(tx)
            .await?
            .rows_affected()))
    }
}
