//! Status list indexes in hand: blocks leased from the database and given out without it.
//!
//! What is in hand lasts for as long as memory is believed at the rate of the last seconds, so tokens go on being issued
//! while the database is away. A tenant that is idle has nothing leased ahead. What is left when the server stops stays
//! unused, which costs a few zero bits in a list.

use super::joint::Joint;
use super::status::Lease;
use super::{Store, StoreError};
use crate::types::clock::{Clock, UnixTime};
use crate::types::id::TenantId;
use crate::types::random::Random;
use crate::types::status::StatusIndex;
use arc_swap::ArcSwapOption;
use moka::sync::Cache;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Indexes in the smallest and in the largest lease. Sizes are powers of two.
const SMALLEST: u32 = 4096;
const LARGEST: u32 = 1 << 18;

/// The most indexes in hand for one tenant and one kind of lifetime.
const MOST: u64 = 1 << 24;

/// A block that was used up faster than this is followed by one of twice its size.
const LASTS: i64 = 10;

const DAY: i64 = 86_400;

/// A lease covers tokens that expire this much later than the first ones, so that it can be used up.
const COVER: i64 = DAY;

/// Hands that are kept.
const HANDS: u64 = 10_000;

/// Tokens of about the same lifetime share blocks: one that lives for a year does not have the lists of all others kept
/// for a year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Kind(u32);

impl Kind {
    /// Up to a day, up to four, up to sixteen, and so on.
    fn of(lifetime: i64) -> Self {
        Self((0..).find(|kind| lifetime <= Self(*kind).longest()).unwrap_or_default())
    }

    fn longest(self) -> i64 {
        DAY.saturating_mul(4_i64.saturating_pow(self.0))
    }
}

struct Block {
    lease: Lease,
    size: u32,
    leased_at: UnixTime,
    taken: AtomicU32,
    // The order within a block is shuffled: neighbouring indexes do not tell which tokens were issued together.
    step: u32,
    start: u32,
}

impl Block {
    fn take(&self) -> Option<StatusIndex> {
        let turn = self.taken.fetch_add(1, Ordering::Relaxed);
        if turn >= self.size {
            // Stay at the end, so that the counter never comes round.
            self.taken.store(self.size, Ordering::Relaxed);
            return None;
        }
        let place = turn.wrapping_mul(self.step).wrapping_add(self.start) % self.size;
        Some(StatusIndex { list: self.lease.list, index: self.lease.first + place })
    }

    fn left(&self) -> u64 {
        self.size.saturating_sub(self.taken.load(Ordering::Relaxed)).into()
    }
}

/// How fast a hand is used.
#[derive(Default)]
struct Pace {
    used: u64,
    at: UnixTime,
    per_second: u64,
}

/// What is in hand for one tenant and one kind of lifetime.
#[derive(Default)]
struct Hand {
    current: ArcSwapOption<Block>,
    reserve: Mutex<VecDeque<Arc<Block>>>,
    /// Indexes that were leased, without those that grew too old in hand.
    leased: AtomicU64,
    /// The longest lifetime that was asked for. Lists are kept for no longer than that needs, and keys with them.
    longest: AtomicI64,
    pace: Mutex<Pace>,
    leasing: Joint,
}

impl Hand {
    /// Empty.
    fn new(now: UnixTime) -> Self {
        Self { pace: Mutex::new(Pace { at: now, ..Pace::default() }), ..Self::default() }
    }

    /// An atomic addition, but for the one in thousands that goes on to the next block.
    fn take(&self, expires_at: UnixTime) -> Option<StatusIndex> {
        loop {
            let current = self.current.load();
            if let Some(block) = current.as_ref().filter(|block| expires_at <= block.lease.covers_until)
                && let Some(index) = block.take()
            {
                return Some(index);
            }
            let mut reserve = self.reserve();
            let now = self.current.load();
            if now.as_ref().map(Arc::as_ptr) == current.as_ref().map(Arc::as_ptr) {
                // Nothing is left of it, or its list will not be kept for long enough.
                let next = reserve.pop_front()?;
                if let Some(old) = self.current.swap(Some(next)) {
                    self.leased.fetch_sub(old.left(), Ordering::Relaxed);
                }
            }
        }
    }

    fn add(&self, block: Block) {
        self.leased.fetch_add(block.size.into(), Ordering::Relaxed);
        self.reserve().push_back(Arc::new(block));
    }

    fn reserve(&self) -> MutexGuard<'_, VecDeque<Arc<Block>>> {
        self.reserve.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_hand(&self) -> u64 {
        let reserve: u64 = self.reserve().iter().map(|block| block.left()).sum();
        self.current.load().as_ref().map_or(0, |block| block.left()) + reserve
    }

    /// How many are missing to last for `seconds`; none when nothing was used since the last look.
    fn missing(&self, now: UnixTime, seconds: u64) -> u64 {
        let in_hand = self.in_hand();
        let used = self.leased.load(Ordering::Relaxed).saturating_sub(in_hand);
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = used.saturating_sub(pace.used);
        let elapsed = u64::try_from(now - pace.at).unwrap_or(0).max(1);
        (pace.used, pace.at) = (used, now);
        if fresh == 0 {
            return 0;
        }
        // A pause between two bursts is not the end of them.
        pace.per_second = fresh.div_ceil(elapsed).max(pace.per_second / 8 * 7);
        let wanted = pace.per_second.saturating_mul(seconds).min(MOST);
        // A quarter more, so that not every look has to lease.
        let filled = (wanted + wanted / 4).min(MOST);
        if in_hand < wanted { filled - in_hand } else { 0 }
    }
}

/// Every block in hand.
pub struct StatusLeases {
    store: Store,
    clock: Clock,
    random: Random,
    // What is in hand is to last so long.
    seconds: u64,
    hands: Cache<(TenantId, Kind), Arc<Hand>>,
}

impl StatusLeases {
    /// Nothing in hand yet; what will be is to last for `seconds`.
    pub fn new(store: Store, sources: (Clock, Random), seconds: i64) -> Self {
        let (clock, random) = sources;
        Self { store, clock, random, seconds: seconds.unsigned_abs(), hands: Cache::new(HANDS) }
    }

    /// An index that no other token has, in a list that is kept until `expires_at`.
    ///
    /// # Errors
    /// Everything in hand is used up and the database does not answer.
    pub async fn allocate(&self, tenant: TenantId, expires_at: UnixTime) -> Result<StatusIndex, StoreError> {
        let lifetime = expires_at - self.clock.now();
        let kind = Kind::of(lifetime);
        let hand = match self.hands.get(&(tenant, kind)) {
            Some(hand) => hand,
            None => self.hands.get_with((tenant, kind), || Arc::new(Hand::new(self.clock.now()))),
        };
        if hand.longest.load(Ordering::Relaxed) < lifetime {
            hand.longest.fetch_max(lifetime, Ordering::Relaxed);
        }
        // More than one turn only where a crowd took a whole block before this one of it came.
        for _ in 0..100 {
            if let Some(index) = hand.take(expires_at) {
                return Ok(index);
            }
            // In a box of its own: what is seldom done must not make every request carry room for it.
            Box::pin(hand.leasing.run(|| self.follow_up(tenant, &hand))).await?;
        }
        Err(StoreError::Unavailable("status list indexes are used up faster than they are leased".into()))
    }

    /// Leases ahead what is missing everywhere. Called once a second, beside the requests.
    ///
    /// # Errors
    /// The database does not answer; what is in hand stays good.
    pub async fn top_up(&self) -> Result<(), StoreError> {
        for (key, hand) in &self.hands {
            let (tenant, _) = *key;
            let mut missing = hand.missing(self.clock.now(), self.seconds);
            while missing > 0 {
                let size = u32::try_from(missing).unwrap_or(LARGEST).min(LARGEST).next_power_of_two().max(SMALLEST);
                hand.add(self.lease(tenant, &hand, size).await?);
                missing = missing.saturating_sub(size.into());
            }
        }
        Ok(())
    }

    /// The next block for a hand that is empty, unless somebody else leased one meanwhile.
    async fn follow_up(&self, tenant: TenantId, hand: &Hand) -> Result<(), StoreError> {
        if !hand.reserve().is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let last = hand.current.load_full();
        if last.as_ref().is_some_and(|block| {
            block.left() > 0 && now + hand.longest.load(Ordering::Relaxed) <= block.lease.covers_until
        }) {
            return Ok(());
        }
        let fast = last.filter(|block| now - block.leased_at < LASTS);
        let size = fast.map_or(SMALLEST, |block| (block.size * 2).min(LARGEST));
        hand.add(self.lease(tenant, hand, size).await?);
        Ok(())
    }

    async fn lease(&self, tenant: TenantId, hand: &Hand, size: u32) -> Result<Block, StoreError> {
        let now = self.clock.now();
        let fresh = self.random.uuid_v7(&self.clock).into();
        let covers_until = now.saturating_add(hand.longest.load(Ordering::Relaxed)).saturating_add(COVER);
        let lease = self.store.lease_indexes(tenant, (size, covers_until), fresh, now).await?;
        let step = u32::from_le_bytes(self.random.bytes()) | 1;
        let start = u32::from_le_bytes(self.random.bytes());
        Ok(Block { lease, size, leased_at: now, taken: AtomicU32::new(0), step, start })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::id::StatusListId;
    use std::collections::HashSet;
    use uuid::Uuid;

    fn block(first: u32, size: u32, covers_until: UnixTime) -> Block {
        let lease = Lease { list: StatusListId::from(Uuid::nil()), first, covers_until };
        Block { lease, size, leased_at: 0, taken: AtomicU32::new(0), step: 0xdead_beef, start: 77 }
    }

    #[test]
    fn a_block_gives_every_index_once() {
        for size in [SMALLEST, LARGEST] {
            let block = block(8192, size, 0);
            let given: HashSet<u32> = std::iter::from_fn(|| block.take()).map(|place| place.index).collect();
            assert_eq!(given.len(), size as usize);
            assert!(given.iter().all(|index| (8192..8192 + size).contains(index)));
            assert!(block.take().is_none());
        }
    }

    #[test]
    fn threads_that_take_from_one_hand_get_every_index_once() {
        let hand = Hand::new(0);
        for at in 0..64 {
            hand.add(block(at * 256, 256, 100));
        }
        let given: Vec<u32> = std::thread::scope(|scope| {
            let take = || std::iter::from_fn(|| hand.take(100)).map(|place| place.index).collect::<Vec<_>>();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(take)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(given.len(), 64 * 256);
        assert_eq!(given.iter().collect::<HashSet<_>>().len(), 64 * 256);
        assert_eq!(hand.in_hand(), 0);
    }

    #[test]
    fn a_block_whose_list_is_not_kept_for_long_enough_is_passed_over_and_does_not_count_as_used() {
        let hand = Hand::new(0);
        hand.add(block(0, 256, 100));
        hand.add(block(256, 256, 200));
        assert!(hand.take(100).is_some_and(|place| place.index < 256));
        assert!(hand.take(101).is_some_and(|place| place.index >= 256));
        assert!(hand.take(201).is_none());
        assert_eq!((hand.in_hand(), hand.leased.load(Ordering::Relaxed)), (255, 257));
    }

    #[test]
    fn what_is_missing_follows_the_rate_of_the_last_seconds() {
        let hand = Hand::new(0);
        hand.add(block(0, LARGEST, 100));
        let take = |count: usize| assert_eq!(std::iter::from_fn(|| hand.take(100)).take(count).count(), count);
        assert_eq!(hand.missing(0, 600), 0, "nothing was used");
        take(1000);
        // A thousand in ten seconds: for 600 seconds they are there.
        assert_eq!(hand.missing(10, 600), 0);
        take(4000);
        let in_hand = u64::from(LARGEST) - 5000;
        assert_eq!(hand.missing(14, 600), 750_000 - in_hand);
        assert_eq!(hand.missing(15, 600), 0, "it is idle");
        take(1);
        assert_eq!(hand.missing(16, 600), 875 * 600 / 4 * 5 - (in_hand - 1), "and was only for a moment");
        take(100_000);
        assert_eq!(hand.missing(17, 600), MOST - (in_hand - 100_001));
    }

    #[test]
    fn kinds_of_lifetime_are_few_and_never_too_short() {
        for (lifetime, kind) in [(-5, 0), (1, 0), (3600, 0), (DAY, 0), (DAY + 1, 1), (30 * DAY, 3), (365 * DAY, 5)] {
            assert_eq!(Kind::of(lifetime), Kind(kind), "{lifetime}");
        }
        for lifetime in [100 * 366 * DAY, i64::MAX] {
            assert!(Kind::of(lifetime).longest() >= lifetime);
        }
    }
}
