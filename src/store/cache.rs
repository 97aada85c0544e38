//! Reads from memory (tenants, resources, clients, memberships), kept true by the log of changes.
//!
//! A loaded value may be older than a change that was applied while it was being loaded. So every load remembers the
//! revision applied before it, and takes its own entry out again when another revision was applied meanwhile: an
//! entry that stays was read after every change that this process knows of.

use super::changes::{Change, Noun};
use super::clients::Client;
use super::members::Membership;
use super::resources::Resource;
use super::tenants::Tenant;
use super::{Store, StoreError};
use crate::types::id::{MemberId, TenantId};
use crate::types::name::{ClientId, TenantName};
use crate::types::uri::Origin;
use arc_swap::ArcSwap;
use moka::sync::Cache;
use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use uuid::Uuid;

const TENANTS: u64 = 10_000;
const CLIENTS: u64 = 20_000;

/// No origin of a web page is longer: scheme, the name of a host (RFC 1035 §2.3.4) and a port.
const LONGEST_ORIGIN: usize = 8 + 255 + 6;

/// How far this process has followed the log of changes.
#[derive(Debug)]
pub struct Applied {
    revision: AtomicI64,
    settled: AtomicI64,
    seen: ArcSwap<Instant>,
    max_age: Duration,
}

impl Applied {
    /// Starts at `revision`, believed for `max_age` after each look at the log.
    pub fn new(revision: i64, max_age: Duration) -> Arc<Self> {
        let (settled, revision) = (AtomicI64::new(revision), AtomicI64::new(revision));
        Arc::new(Self { revision, settled, seen: ArcSwap::from_pointee(Instant::now()), max_age })
    }

    /// The last applied revision.
    pub fn revision(&self) -> i64 {
        self.revision.load(Ordering::SeqCst)
    }

    /// Says that the log was read to `revision`. Call it before the entries are dropped.
    pub fn advance(&self, revision: i64) {
        self.revision.store(revision, Ordering::SeqCst);
    }

    /// The last revision whose entries were dropped: what was read from memory after a look at this number, and the number
    /// still stands, is as good as what memory holds now.
    pub fn settled(&self) -> i64 {
        self.settled.load(Ordering::SeqCst)
    }

    /// Says that the entries up to `revision` were dropped.
    pub fn settle(&self, revision: i64) {
        self.settled.store(revision, Ordering::SeqCst);
    }

    /// Says that the log was looked at and nothing is left to apply.
    pub fn seen_now(&self) {
        self.seen.store(Arc::new(Instant::now()));
    }

    /// With the log out of reach for long, memory may hold a client that was disabled since.
    ///
    /// # Errors
    /// Memory cannot be trusted any more.
    pub fn check(&self) -> Result<(), StoreError> {
        if self.seen.load().elapsed() > self.max_age {
            return Err(StoreError::Unavailable("the log of changes could not be read for too long".into()));
        }
        Ok(())
    }
}

/// A bounded map from keys to values read from the database.
pub struct Cached<K, V> {
    entries: Cache<K, Arc<V>>,
    applied: Arc<Applied>,
}

impl<K, V> Cached<K, V>
where
    K: Hash + Eq + Send + Sync + Clone + 'static,
    V: Send + Sync + 'static,
{
    /// Holds at most `capacity` entries.
    pub fn new(capacity: u64, applied: Arc<Applied>) -> Self {
        Self { entries: Cache::new(capacity), applied }
    }

    /// From memory, or loaded. Nothing is remembered about what does not exist.
    ///
    /// # Errors
    /// The load failed, or memory can no longer be trusted.
    pub async fn get<F, E>(&self, key: &K, load: impl FnOnce() -> F) -> Result<Option<Arc<V>>, E>
    where
        F: Future<Output = Result<Option<V>, E>>,
        E: From<StoreError>,
    {
        self.applied.check()?;
        if let Some(value) = self.entries.get(key) {
            return Ok(Some(value));
        }
        // In a box of its own: what is seldom done must not make every request carry room for it.
        Box::pin(async {
            let before = self.applied.revision();
            let Some(value) = load().await?.map(Arc::new) else { return Ok(None) };
            self.entries.insert(key.clone(), value.clone());
            if self.applied.revision() != before {
                self.entries.invalidate(key);
            }
            Ok(Some(value))
        })
        .await
    }

    /// Forgets one entry.
    pub fn forget(&self, key: &K) {
        self.entries.invalidate(key);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.entries.invalidate_all();
    }
}

/// How often something of a tenant changed: what was read under another number is not used any more. A change drops so
/// all that may depend on it, without looking for it.
#[derive(Default)]
struct Epochs(RwLock<HashMap<TenantId, u64>>);

impl Epochs {
    fn of(&self, tenant: TenantId) -> u64 {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&tenant).copied().unwrap_or(0)
    }

    fn advance(&self, tenant: TenantId) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner).entry(tenant).or_default() += 1;
    }
}

/// Every cache over the store, and the reads that go through them.
pub struct Directory {
    store: Store,
    applied: Arc<Applied>,
    tenants: Cached<String, Tenant>,
    resources: Cached<TenantId, Vec<Resource>>,
    clients: Cached<(TenantId, String), Client>,
    origins: Cached<(TenantId, String), (u64, bool)>,
    client_epochs: Epochs,
    members: Cached<(TenantId, MemberId), (u64, Membership)>,
    group_epochs: Epochs,
}

impl Directory {
    /// Over `store`, following the log from `applied`.
    pub fn new(store: Store, applied: Arc<Applied>) -> Self {
        Self {
            store,
            tenants: Cached::new(TENANTS, applied.clone()),
            resources: Cached::new(TENANTS, applied.clone()),
            clients: Cached::new(CLIENTS, applied.clone()),
            origins: Cached::new(CLIENTS, applied.clone()),
            client_epochs: Epochs::default(),
            members: Cached::new(CLIENTS, applied.clone()),
            group_epochs: Epochs::default(),
            applied,
        }
    }

    /// The tenant of that name or UUID.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn tenant(&self, word: &str) -> Result<Option<Arc<Tenant>>, StoreError> {
        self.applied.check()?;
        // What is there was put there under its one right spelling.
        if let Some(tenant) = self.tenants.entries.get(word) {
            return Ok(Some(tenant));
        }
        // A UUID has many spellings; one entry serves them all and is found again when the tenant changes.
        let key = match Uuid::try_parse(word) {
            Ok(id) => id.to_string(),
            Err(_) if word.parse::<TenantName>().is_ok() => word.to_owned(),
            // What cannot be a name is nobody's; PostgreSQL fails on a query that holds a NUL.
            Err(_) => return Ok(None),
        };
        self.tenants.get(&key, || self.store.find_tenant(&key)).await
    }

    /// Every resource of the tenant.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn resources(&self, tenant: TenantId) -> Result<Arc<Vec<Resource>>, StoreError> {
        let load = || async { self.store.list_resources(tenant).await.map(Some) };
        Ok(self.resources.get(&tenant, load).await?.unwrap_or_default())
    }

    /// The client of that client id.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn client(&self, tenant: TenantId, client_id: &str) -> Result<Option<Arc<Client>>, StoreError> {
        if client_id.parse::<ClientId>().is_err() {
            return Ok(None);
        }
        self.clients.get(&(tenant, client_id.to_owned()), || self.store.find_client(tenant, client_id)).await
    }

    /// True when an enabled client of the tenant registered the origin. That none did is remembered as well: anybody may ask.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn knows_origin(&self, tenant: TenantId, origin: &str) -> Result<bool, StoreError> {
        if origin.len() > LONGEST_ORIGIN || !origin.parse::<Origin>().is_ok_and(|parsed| parsed.as_str() == origin) {
            return Ok(false);
        }
        let load = || self.store.knows_origin(tenant, origin);
        let key = (tenant, origin.to_owned());
        Ok(Self::of_epoch((&self.origins, &key), self.client_epochs.of(tenant), load).await?.1)
    }

    /// The groups that `member` is in, at any depth.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn membership(&self, tenant: TenantId, member: MemberId) -> Result<Arc<(u64, Membership)>, StoreError> {
        let load = || self.store.membership(tenant, member);
        Self::of_epoch((&self.members, &(tenant, member)), self.group_epochs.of(tenant), load).await
    }

    /// From memory if it was read in this epoch, or loaded.
    async fn of_epoch<K, V, F>(
        (cached, key): (&Cached<K, (u64, V)>, &K),
        epoch: u64,
        load: impl Fn() -> F,
    ) -> Result<Arc<(u64, V)>, StoreError>
    where
        K: Hash + Eq + Send + Sync + Clone + 'static,
        V: Send + Sync + 'static,
        F: Future<Output = Result<V, StoreError>>,
    {
        for _ in 0..2 {
            let load = || async { load().await.map(|found| Some((epoch, found))) };
            match cached.get(key, load).await? {
                Some(found) if found.0 == epoch => return Ok(found),
                _ => cached.forget(key),
            }
        }
        Ok(Arc::new((epoch, Box::pin(load()).await?)))
    }

    /// Drops what a change made stale.
    pub fn apply(&self, change: &Change) {
        match change.noun {
            Noun::Tenant => {
                self.tenants.forget(&change.subject);
                self.tenants.forget(&change.tenant.to_string());
            }
            Noun::Resource => self.resources.forget(&change.tenant),
            Noun::Client => {
                self.clients.forget(&(change.tenant, change.subject.clone()));
                self.client_epochs.advance(change.tenant);
            }
            Noun::Group => self.group_epochs.advance(change.tenant),
            Noun::Key => {}
        }
    }

    /// Forgets everything, when the log has a gap.
    pub fn clear(&self) {
        self.tenants.clear();
        self.resources.clear();
        self.clients.clear();
        self.origins.clear();
        self.members.clear();
    }

    /// How far the log was followed.
    pub fn applied(&self) -> &Arc<Applied> {
        &self.applied
    }
}
