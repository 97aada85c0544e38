//! Status lists: indexes are leased to servers in blocks, so that issuing a token writes nothing.

use super::{Store, StoreError, reading, writing};
use crate::types::clock::UnixTime;
use crate::types::id::{StatusListId, TenantId};
use uuid::Uuid;

/// Bits in one list: 128 KiB before compression.
pub const LIST_CAPACITY: i64 = 1 << 20;

/// A run of indexes that belongs to one server alone.
#[derive(Debug, Clone, Copy)]
pub struct Lease {
    /// The list.
    pub list: StatusListId,
    /// The first index.
    pub first: u32,
    /// The list is kept until then; tokens that live longer need another lease.
    pub covers_until: UnixTime,
}

impl Store {
    /// Leases `size` indexes for tokens that expire at or before `covers_until`. `fresh` is the id of the list that
    /// is opened when none has room.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn lease_indexes(
        &self,
        tenant: TenantId,
        wanted: (u32, UnixTime),
        fresh: StatusListId,
        now: UnixTime,
    ) -> Result<Lease, StoreError> {
        let (size, covers_until) = wanted;
        let (list, next): (Uuid, i64) = writing!(self, tx => {
            // The outer condition is checked again on the locked row: of two servers after the last room, one gets it.
            let leased: Option<(Uuid, i64)> = sqlx::query_as(
                "UPDATE status_lists SET next_index = next_index + $2, \
                 keep_until = CASE WHEN keep_until < $3 THEN $3 ELSE keep_until END \
                 WHERE id = (SELECT id FROM status_lists WHERE tenant_id = $1 AND next_index + $2 <= capacity ORDER BY id LIMIT 1) \
                 AND next_index + $2 <= capacity RETURNING id, next_index",
            )
            .bind(tenant.uuid())
            .bind(i64::from(size))
            .bind(covers_until)
            .fetch_optional(&mut *tx)
            .await?;
            match leased {
                Some(leased) => leased,
                None => sqlx::query_as(
                    "INSERT INTO status_lists (id, tenant_id, next_index, capacity, keep_until, created_at) \
                     VALUES ($1, $2, $3, $4, $5, $6) RETURNING id, next_index",
                )
                .bind(fresh.uuid())
                .bind(tenant.uuid())
                .bind(i64::from(size))
                .bind(LIST_CAPACITY)
                .bind(covers_until)
                .bind(now)
                .fetch_one(&mut *tx)
                .await?,
            }
        });
        let first = u32::try_from(next - i64::from(size)).map_err(|_| super::unreadable("status list"))?;
        Ok(Lease { list: list.into(), first, covers_until })
    }

    /// The number of bits of a list of the tenant; `None` when it has no such list.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn status_list_size(&self, tenant: TenantId, list: StatusListId) -> Result<Option<i64>, StoreError> {
        let row: Option<(i64,)> = reading!(self, conn =>
            sqlx::query_as("SELECT capacity FROM status_lists WHERE tenant_id = $1 AND id = $2")
                .bind(tenant.uuid())
                .bind(list.uuid())
                .fetch_optional(conn)
                .await?);
        Ok(row.map(|(capacity,)| capacity))
    }

    /// Removes lists none of whose tokens can still be valid, at most one batch; answers how many.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn purge_status_lists(&self, before: UnixTime) -> Result<u64, StoreError> {
        Ok(writing!(self, tx =>
            sqlx::query("DELETE FROM status_lists WHERE id IN (SELECT id FROM status_lists WHERE keep_until < $1 LIMIT 500)")
                .bind(before)
                .execute(tx)
                .await?
                .rows_affected()))
    }
}
