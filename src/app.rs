//! The application: configuration, store, keys, clock and what is kept in memory. One constructor for the binary and
//! for tests.

use crate::config::Config;
use crate::error::OAuthError;
use crate::hashing::Hashing;
use crate::keys::rotation::{Keysmith, RotationError};
use crate::keys::seal::Kek;
use crate::keys::{self, KeyError, KeyRing};
use crate::store::cache::{Applied, Cached, Directory};
use crate::store::clients::Client;
use crate::store::joint::Joint;
use crate::store::leases::StatusLeases;
use crate::store::members::Membership;
use crate::store::resources::Resource;
use crate::store::tenants::Tenant;
use crate::store::{AdminError, Store, StoreError};
use crate::telemetry;
use crate::types::alg::Alg;
use crate::types::clock::{Clock, UnixTime};
use crate::types::id::{ClientOid, ResourceId, SecretId, StatusListId, TenantId};
use crate::types::name::TenantName;
use crate::types::random::Random;
use crate::types::secret::Fingerprints;
use crate::types::status::PublishedList;
use crate::types::template::Template;
use crate::types::uri::PublicUrl;
use metrics::Counter;
use moka::sync::Cache;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// The environment variable that may hold the key-encryption key instead of the file.
pub const KEK_VARIABLE: &str = "GRANTOR_KEY_ENCRYPTION_KEY";

const TENANTS: u64 = 10_000;
const REMEMBERED: u64 = 20_000;

/// Bytes for decisions in memory, with what they hold on to: about so many for a client and for a group of it.
const DECISIONS: u64 = 16 << 20;
const CLIENT: usize = 1024;
const GROUP: usize = 128;
/// Answers that are held back at once.
const HELD_BACK: usize = 512;

/// Why the application cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An administrative write.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The key-encryption key or a signing key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The first key of the default tenant.
    #[error(transparent)]
    Rotation(#[from] RotationError),
}

/// Wrong attempts at one thing, and the turn to try: one at a time, so that what is right is known before the next one
/// looks, and no guess slips past the count.
#[derive(Debug, Default)]
pub struct Guesses {
    /// Since when they are counted, and how many there were.
    pub wrong: Mutex<(UnixTime, u32)>,
    /// Whoever holds it may try.
    pub turn: tokio::sync::Mutex<()>,
}

/// When things were last used, until it is written down.
struct Uses<K>(Mutex<HashMap<K, UnixTime>>);

impl<K: Copy + Eq + Hash> Uses<K> {
    fn note(&self, key: K, now: UnixTime) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, now);
    }

    /// What was noted, in batches that one write takes.
    fn take(&self) -> Vec<Vec<(K, UnixTime)>> {
        let uses = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        uses.into_iter().collect::<Vec<_>>().chunks(500).map(<[_]>::to_vec).collect()
    }

    /// Takes back what could not be written down.
    fn keep(&self, batches: &[Vec<(K, UnixTime)>]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, at) in batches.iter().flatten() {
            kept.entry(*key).or_insert(*at);
        }
    }
}

/// What is remembered of slow (Argon2id) secret checks.
pub struct SlowSecrets {
    /// The key under which right secrets are remembered; dies with the process.
    pub fingerprints: Fingerprints,
    /// Fingerprints of secrets that were right.
    pub known: Cache<[u8; 32], ()>,
    /// Wrong secrets per client and address.
    pub failures: Cache<(TenantId, String, IpAddr), Arc<Guesses>>,
    /// Makes them.
    pub hashing: Hashing,
}

/// What wrong logins are counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LoginKey {
    /// One account from one address.
    Both(TenantId, String, IpAddr),
    /// One account from everywhere.
    Account(TenantId, String),
    /// One address for all accounts.
    Address(IpAddr),
    /// One address for all codes that people type for a device.
    UserCode(IpAddr),
}

/// What is remembered of logins.
pub struct Logins {
    /// Wrong ones.
    pub failures: Cache<LoginKey, Arc<Guesses>>,
    /// Addresses from which an account was signed in to lately: an attack from elsewhere does not keep its owner out.
    pub known: Cache<(TenantId, String, IpAddr), ()>,
}

/// What a decision was made from. Memory holds each of them once, so the same things are at the same place.
pub struct Decided {
    /// The client.
    pub client: Arc<Client>,
    /// The tenant's resources.
    pub resources: Arc<Vec<Resource>>,
    /// The client's groups.
    pub membership: Arc<(u64, Membership)>,
    /// The tenant's keys.
    pub keys: Arc<KeyRing>,
}

impl Decided {
    /// True when all of it is what it was.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.client, &other.client)
            && Arc::ptr_eq(&self.resources, &other.resources)
            && Arc::ptr_eq(&self.membership, &other.membership)
            && Arc::ptr_eq(&self.keys, &other.keys)
    }
}

/// What a client gets for one request, but for what differs from token to token.
pub struct Decision {
    /// What it was decided from.
    pub from: Decided,
    /// The last settled revision of the directory at which all of that was looked at: while it stands, nothing changed.
    pub seen_at: AtomicI64,
    /// The audience.
    pub resource: ResourceId,
    /// The claims.
    pub template: Template,
    /// What signs.
    pub alg: Alg,
    /// Seconds that a token lives.
    pub lifetime: i64,
    /// The answer up to the token.
    pub head: String,
    /// The number of groups, when they are too many for the token.
    pub overage: Option<usize>,
}

impl Decision {
    /// True while nothing changed that it was made from, for a client that was looked up just now.
    pub fn stands(&self, client: &Arc<Client>, settled: i64) -> bool {
        self.seen_at.load(Ordering::SeqCst) == settled && Arc::ptr_eq(&self.from.client, client)
    }

    /// Bytes of an answer that are decided, about.
    pub fn size(&self) -> usize {
        self.head.len() + self.template.size()
    }

    /// Bytes in memory, about, with what it holds on to.
    pub fn weight(&self) -> usize {
        self.size() + self.from.membership.1.groups.len() * GROUP + CLIENT
    }
}

/// A client, and the `scope` and `resource` parameters that it sends.
pub type DecisionKey = (ClientOid, String, Vec<String>);

/// Everything a request needs.
pub struct App {
    /// Settled configuration.
    pub config: Config,
    /// Where clients reach the server.
    pub public_url: PublicUrl,
    /// The database.
    pub store: Store,
    /// The database through memory.
    pub directory: Directory,
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
    /// What clients get for what they ask, as it was decided lately.
    pub decisions: Cache<DecisionKey, Arc<Decision>>,
    /// Status list indexes in hand.
    pub leases: StatusLeases,
    /// Tokens issued, for the metrics: at hand, because looking a counter up costs more than counting. Commands count nothing
    /// and set up no metrics.
    pub issued: LazyLock<Counter>,
    /// Signed status lists.
    pub published: Cache<StatusListId, Arc<PublishedList>>,
    /// Slow secret checks.
    pub slow_secrets: SlowSecrets,
    /// Logins of people.
    pub logins: Logins,
    /// Places for answers that are held back, because there were too many attempts.
    pub held_back: Semaphore,
    /// Subjects whose groups did not fit into a token, so that each is warned of once in a while.
    pub overage_warned: Cache<(ClientOid, ResourceId), ()>,
    kek: Option<Kek>,
    kek_fits: bool,
    key_rings: Cached<TenantId, KeyRing>,
    secret_uses: Uses<SecretId>,
    token_uses: Uses<Uuid>,
    syncing: Joint,
    /// True once the server was asked to stop: it is not ready any more, and still answers.
    pub stopping: Arc<AtomicBool>,
}

impl App {
    /// Opens the database and the keys; on a new database makes the default tenant.
    ///
    /// # Errors
    /// The database or the keys cannot be used.
    pub async fn open(
        config: Config,
        public_url: PublicUrl,
        clock: Clock,
        random: Random,
    ) -> Result<Arc<Self>, StartError> {
        let store = Store::open(&config.database).await?;
        let kek = match std::env::var(KEK_VARIABLE) {
            Ok(text) => Some(Kek::from_base64(&text)?),
            Err(_) => Kek::load(&config.keys)?,
        };
        let oldest = store.oldest_key().await?;
        // Making a new one while sealed keys exist would only hide that the right one is missing.
        let kek = match kek {
            None if oldest.is_none() => Some(Kek::create(&config.keys, &random)?),
            // Another process that started at the same moment may have made key and keys since the first look.
            None => Kek::load(&config.keys)?,
            found => found,
        };
        // And a key sealed under another one beside those that are there would be of no use to any server.
        // A damaged key says nothing about that.
        let opened = |kek: &Kek| oldest.as_ref().map_or(Ok(()), |(tenant, key)| keys::check(*tenant, key, kek));
        let fits = |kek: &Kek| !matches!(opened(kek), Err(KeyError::OtherKek));
        let kek_fits = kek.as_ref().is_some_and(fits);
        let max_age = Duration::from_secs(config.cache_max_age.get().unsigned_abs());
        let applied = Applied::new(store.revision().await?, max_age);
        let app = Arc::new(Self {
            public_url,
            directory: Directory::new(store.clone(), applied.clone()),
            decisions: Cache::builder()
                .weigher(|(_, scope, targets): &DecisionKey, decision: &Arc<Decision>| {
                    let targets: usize = targets.iter().map(String::len).sum();
                    (scope.len() + targets + decision.weight()).try_into().unwrap_or(u32::MAX)
                })
                .max_capacity(DECISIONS)
                .build(),
            issued: LazyLock::new(telemetry::tokens_issued),
            leases: StatusLeases::new(store.clone(), (clock.clone(), random.clone()), config.cache_max_age.get()),
            published: Cache::new(1000),
            slow_secrets: SlowSecrets {
                fingerprints: Fingerprints::new(&random),
                known: Cache::new(REMEMBERED),
                failures: Cache::new(REMEMBERED),
                hashing: Hashing::default(),
            },
            logins: Logins { failures: Cache::new(REMEMBERED), known: Cache::new(REMEMBERED) },
            held_back: Semaphore::new(HELD_BACK),
            overage_warned: Cache::builder().max_capacity(REMEMBERED).time_to_live(Duration::from_secs(600)).build(),
            kek,
            kek_fits,
            key_rings: Cached::new(TENANTS, applied),
            secret_uses: Uses(Mutex::default()),
            token_uses: Uses(Mutex::default()),
            syncing: Joint::default(),
            stopping: Arc::default(),
            config,
            store,
            clock,
            random,
        });
        app.ensure_default_tenant().await?;
        Ok(app)
    }

    async fn ensure_default_tenant(&self) -> Result<(), StartError> {
        if self.store.find_tenant(TenantName::DEFAULT).await?.is_some() {
            return Ok(());
        }
        let name = TenantName::stored(TenantName::DEFAULT.to_owned());
        match self.create_tenant(&name).await {
            // Another process was faster.
            Err(RotationError::Admin(AdminError::Refused(_))) => Ok(()),
            other => Ok(other.map(drop)?),
        }
    }

    /// Makes a tenant with its RS256 key.
    ///
    /// # Errors
    /// Refused when the name is taken.
    pub async fn create_tenant(&self, name: &TenantName) -> Result<TenantId, RotationError> {
        let (now, id) = (self.clock.now(), TenantId::from(self.random.uuid_v7(&self.clock)));
        let key = self.keysmith()?.forge(id, Alg::Rs256, (now, now)).await?;
        self.store.create_tenant(id, name, &key, now).await?;
        Ok(id)
    }

    /// What makes keys.
    ///
    /// # Errors
    /// The key-encryption key is missing, or not the one under which the stored keys are sealed.
    pub fn keysmith(&self) -> Result<Keysmith<'_>, KeyError> {
        let kek = self.kek()?;
        Ok(Keysmith { store: &self.store, kek, random: &self.random, schedule: self.config.rotation })
    }

    fn kek(&self) -> Result<&Kek, KeyError> {
        match &self.kek {
            None => Err(KeyError::KekMissing),
            Some(_) if !self.kek_fits => Err(KeyError::OtherKek),
            Some(kek) => Ok(kek),
        }
    }

    /// The tenant's keys.
    ///
    /// # Errors
    /// The database does not answer, or a key cannot be opened.
    pub async fn key_ring(&self, tenant: TenantId) -> Result<Arc<KeyRing>, OAuthError> {
        let load = || async {
            let kek = self.kek()?;
            let stored = self.store.list_keys(tenant, self.clock.now()).await?;
            Ok::<_, OAuthError>(Some(KeyRing::open(tenant, &stored, kek)?))
        };
        self.key_rings.get(&tenant, load).await?.ok_or_else(|| KeyError::NoSigner(Alg::Rs256).into())
    }

    /// The issuer of a tenant (RFC 8414 §2): the public URL for the default tenant, below it for the others.
    pub fn issuer(&self, tenant: &Tenant) -> String {
        if tenant.name.as_str() == TenantName::DEFAULT {
            self.public_url.to_string()
        } else {
            format!("{}/{}", self.public_url, tenant.name)
        }
    }

    /// Follows the log of changes to its end and drops from memory what became stale. Who asks while a look is under way
    /// waits for the next one, and shares it with everybody else who does.
    ///
    /// # Errors
    /// The database does not answer; what was not followed is followed the next time.
    pub async fn sync(&self) -> Result<(), StoreError> {
        self.syncing.run(|| self.look()).await
    }

    async fn look(&self) -> Result<(), StoreError> {
        let applied = self.directory.applied();
        loop {
            let from = applied.revision();
            let changes = self.store.changes_after(from).await?;
            let Some(last) = changes.last() else { break };
            // First the number, then the entries: a load that runs meanwhile sees the number and drops its own.
            applied.advance(last.revision);
            // Anywhere in it: a sweep goes by time, and a server whose clock is behind writes changes that look old.
            let every = i64::try_from(changes.len()).unwrap_or(i64::MAX);
            if last.revision != from + every {
                tracing::info!(from, to = last.revision, "the log of changes has a gap; memory is emptied");
                self.directory.clear();
                self.key_rings.clear();
            }
            for change in &changes {
                self.directory.apply(change);
                if change.noun == crate::store::changes::Noun::Key {
                    self.key_rings.forget(&change.tenant);
                }
            }
            applied.settle(last.revision);
        }
        applied.seen_now();
        Ok(())
    }

    /// Makes sure that a refusal which rests on memory is still true: looks at the log once more, and answers whether
    /// anything changed, so that the request is worth another try.
    ///
    /// # Errors
    /// The database does not answer: then nobody can say whether the refusal is right.
    pub async fn catch_up(&self) -> Result<bool, StoreError> {
        let applied = self.directory.applied();
        let before = applied.revision();
        self.sync().await?;
        Ok(applied.revision() != before)
    }

    /// Remembers that a secret was used; written down later by [`App::flush_uses`].
    pub fn note_secret_use(&self, secret: SecretId, now: UnixTime) {
        self.secret_uses.note(secret, now);
    }

    /// Remembers that a token which an operator issued was used.
    pub fn note_token_use(&self, jti: Uuid, now: UnixTime) {
        self.token_uses.note(jti, now);
    }

    /// Writes down when secrets and tokens were last used.
    ///
    /// # Errors
    /// The database does not answer; then they are kept for the next time.
    pub async fn flush_uses(&self) -> Result<(), StoreError> {
        let secrets = self.secret_uses.take();
        for (at, batch) in secrets.iter().enumerate() {
            let written = self.store.record_secret_uses(batch).await;
            written.inspect_err(|_| self.secret_uses.keep(&secrets[at..]))?;
        }
        let tokens = self.token_uses.take();
        for (at, batch) in tokens.iter().enumerate() {
            let written = self.store.record_token_uses(batch).await;
            written.inspect_err(|_| self.token_uses.keep(&tokens[at..]))?;
        }
        Ok(())
    }

    /// True once the server is about to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}
