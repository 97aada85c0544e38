//! Status list indexes in hand: blocks leased from the database and given out without it.

use super::status::Lease;
use super::{Store, StoreError};
use crate::types::clock::{Clock, UnixTime};
use crate::types::id::TenantId;
use crate::types::random::Random;
use crate::types::status::StatusIndex;
use moka::sync::Cache;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::Mutex;

/// Indexes in one lease; a power of two. What is left of it when the server stops stays unused, which costs a few
/// zero bits.
const BLOCK: u32 = 4096;

/// A lease covers tokens that expire this much later than the first one, so that it can be used up.
const COVER: i64 = 86_400;

/// Tenants whose block is kept in hand.
const TENANTS: u64 = 10_000;

struct Block {
    lease: Lease,
    taken: AtomicU32,
    // The order within a block is shuffled: neighbouring indexes do not tell which tokens were issued together.
    step: u32,
    start: u32,
}

impl Block {
    fn take(&self) -> Option<StatusIndex> {
        let turn = self.taken.fetch_add(1, Ordering::Relaxed);
        if turn >= BLOCK {
            // Stay at the end, so that the counter never comes round.
            self.taken.store(BLOCK, Ordering::Relaxed);
            return None;
        }
        let place = turn.wrapping_mul(self.step).wrapping_add(self.start) % BLOCK;
        Some(StatusIndex { list: self.lease.list, index: self.lease.first + place })
    }
}

/// Every block in hand.
pub struct StatusLeases {
    store: Store,
    clock: Clock,
    random: Random,
    blocks: Cache<TenantId, Arc<Block>>,
    leasing: Mutex<()>,
}

impl StatusLeases {
    /// Nothing in hand yet.
    pub fn new(store: Store, clock: Clock, random: Random) -> Self {
        Self { store, clock, random, blocks: Cache::new(TENANTS), leasing: Mutex::new(()) }
    }

    /// An index that no other token has, in a list that is kept until `expires_at`.
    ///
    /// # Errors
    /// A new block is needed and the database does not answer.
    pub async fn allocate(&self, tenant: TenantId, expires_at: UnixTime) -> Result<StatusIndex, StoreError> {
        if let Some(index) = self.in_hand(tenant, expires_at) {
            return Ok(index);
        }
        let _turn = self.leasing.lock().await;
        if let Some(index) = self.in_hand(tenant, expires_at) {
            return Ok(index);
        }
        let fresh = self.random.uuid_v7(&self.clock).into();
        let lease = self.store.lease_indexes(tenant, (BLOCK, expires_at + COVER), fresh, self.clock.now()).await?;
        let step = u32::from_le_bytes(self.random.bytes()) | 1;
        let start = u32::from_le_bytes(self.random.bytes());
        let block = Arc::new(Block { lease, taken: AtomicU32::new(0), step, start });
        let first = block.take();
        self.blocks.insert(tenant, block);
        first.ok_or_else(|| super::unreadable("status list"))
    }

    fn in_hand(&self, tenant: TenantId, expires_at: UnixTime) -> Option<StatusIndex> {
        self.blocks.get(&tenant).filter(|block| expires_at <= block.lease.covers_until)?.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::id::StatusListId;
    use std::collections::HashSet;
    use uuid::Uuid;

    #[test]
    fn a_block_gives_every_index_once() {
        let lease = Lease { list: StatusListId::from(Uuid::nil()), first: 8192, covers_until: 0 };
        let block = Block { lease, taken: AtomicU32::new(0), step: 0xdead_beef, start: 77 };
        let given: HashSet<u32> = std::iter::from_fn(|| block.take()).map(|place| place.index).collect();
        assert_eq!(given.len(), BLOCK as usize);
        assert!(given.iter().all(|index| (8192..8192 + BLOCK).contains(index)));
        assert!(block.take().is_none());
    }
}
