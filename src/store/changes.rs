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

    /// Commits a write after which everything is as before: whatever keeps writes from becoming durable shows.
    ///
    /// # Errors
    /// The database does not take writes, such as on a full disk.
    pub async fn try_writing(&self) -> Result<(), StoreError> {
        writing!(self, tx => {
            // There and back: SQLite writes nothing when the new value of a row is the old one.
            for step in [1, -1] {
                let query = sqlx::query("UPDATE revisions SET revision = revision + $1 WHERE id = 1").bind(step);
                query.execute(&mut *tx).await?;
            }
        });
        Ok(())
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

#[cfg(test)]
mod tests {
    use crate::store::{DatabaseUrl, Store};

    #[tokio::test]
    async fn a_write_that_is_tried_reaches_the_log_of_sqlite_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grantor.db");
        let store = Store::open(&DatabaseUrl::Sqlite(path.clone())).await.unwrap();
        let log = path.with_extension("db-wal");
        let (revision, length) = (store.revision().await.unwrap(), std::fs::metadata(&log).unwrap().len());
        store.try_writing().await.unwrap();
        assert_eq!(store.revision().await.unwrap(), revision);
        assert!(std::fs::metadata(&log).unwrap().len() > length, "nothing was written");
    }
}
