//! The gateway check in a process of its own, beside a gateway: JWTs are validated here (RFC 9068 §4) from the server's
//! JWKS and status lists, opaque tokens by introspection. While the server is away, what is known goes on counting for
//! as long as it says itself.

mod lists;
mod server;

pub use server::{Credentials, Server};

use crate::error::{OAuthError, reason};
use crate::gateway::{Requirement, Shown};
use crate::types::clock::Clock;
use crate::types::secret::{ACCESS_TOKEN_PREFIX, sha256};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use lists::Lists;
use moka::sync::Cache;
use serde_json::{Map, Value};
use std::str::FromStr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How long an answer of introspection is believed. With the server's own delays under 10 seconds.
const BELIEVED: Duration = Duration::from_secs(3);

/// A key that an operator retired after a break-in must not be believed for as long as its lifetime in caches says.
const FRESH: Duration = Duration::from_secs(5);

/// Opaque tokens that are remembered.
const REMEMBERED: u64 = 10_000;

/// An unknown key is asked for at most this often, and so is a server that is away.
const ASKED_AGAIN: Duration = Duration::from_secs(1);

/// The longest token that is looked at.
const LONGEST: usize = 64 * 1024;

/// What was learned from the server.
struct Known {
    issuer: String,
    keys: JwkSet,
    // The server's Cache-Control says until when.
    fresh_until: Instant,
    fetched_at: Instant,
}

/// The check.
pub struct Guard {
    server: Server,
    clock: Clock,
    known: RwLock<Option<Arc<Known>>>,
    // When the server was last asked in vain.
    learning: Mutex<Option<Instant>>,
    lists: Lists,
    opaque: Cache<[u8; 32], Arc<Map<String, Value>>>,
    /// True once the guard was asked to stop: it is not ready any more, and still answers.
    pub stopping: Arc<AtomicBool>,
}

impl Guard {
    /// Before a server that nothing is known of yet.
    pub fn new(server: Server, clock: Clock) -> Self {
        Self {
            server,
            clock,
            known: RwLock::default(),
            learning: Mutex::default(),
            lists: Lists::new(),
            opaque: Cache::builder().max_capacity(REMEMBERED).time_to_live(BELIEVED).build(),
            stopping: Arc::default(),
        }
    }

    /// Learns the issuer and the keys, unless they are known. Answers whether the guard can decide.
    pub async fn is_ready(&self) -> bool {
        self.learn(|known| known.fresh_until > Instant::now(), |_| true).await.is_some()
    }

    /// Decides about a request: the claims of the token that came along, when it may pass.
    ///
    /// # Errors
    /// 401, 403, or 503 when nobody can say.
    pub async fn check(&self, shown: Shown<'_>) -> Result<Map<String, Value>, OAuthError> {
        let token = shown.token()?;
        let mut claims =
            if token.starts_with(ACCESS_TOKEN_PREFIX) { self.ask(&token).await? } else { self.read(&token).await? };
        let required = Requirement::of(&shown)?;
        if required.lacks_groups(&claims) {
            let groups = self.server.groups(&token).await?;
            claims.insert("groups".into(), groups);
        }
        required.check(&claims)?;
        Ok(claims)
    }

    /// An opaque token: the server knows what it stands for (RFC 7662).
    async fn ask(&self, token: &str) -> Result<Map<String, Value>, OAuthError> {
        let hash = sha256(token.as_bytes());
        if let Some(claims) = self.opaque.get(&hash) {
            let now = self.clock.now();
            let lives = claims.get("exp").and_then(Value::as_i64).is_some_and(|end| now < end);
            return if lives { Ok(Map::clone(&claims)) } else { Err(reason::TOKEN_INVALID.into()) };
        }
        let claims = self.server.introspect(token).await?.ok_or(reason::TOKEN_INVALID)?;
        self.opaque.insert(hash, Arc::new(claims.clone()));
        Ok(claims)
    }

    /// A JWT: signature, type, issuer, expiry, and its bit in the status list.
    async fn read(&self, token: &str) -> Result<Map<String, Value>, OAuthError> {
        let invalid = || OAuthError::from(reason::TOKEN_INVALID);
        if token.len() > LONGEST {
            return Err(invalid());
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| invalid())?;
        // RFC 9068 §4: a JWT of another type is no access token.
        if !header.typ.as_ref().is_some_and(|typ| typ.eq_ignore_ascii_case("at+jwt")) {
            return Err(invalid());
        }
        let kid = header.kid.as_deref().ok_or_else(invalid)?;
        let known = self.knowing(kid).await?;
        let key = known.keys.find(kid).ok_or_else(invalid)?;
        let claims = verify(token, key).ok_or_else(invalid)?;
        let now = self.clock.now();
        let expires_at = claims.get("exp").and_then(Value::as_i64).ok_or_else(invalid)?;
        if claims.get("iss").and_then(Value::as_str) != Some(known.issuer.as_str()) || expires_at <= now {
            return Err(invalid());
        }
        if self.lists.is_revoked(&self.server, (&known.issuer, &known.keys), &claims, now).await? {
            return Err(invalid());
        }
        Ok(claims)
    }

    /// What is known, with a key of that id if the server has one.
    async fn knowing(&self, kid: &str) -> Result<Arc<Known>, OAuthError> {
        let has_key = |known: &Known| known.keys.find(kid).is_some();
        let enough = |known: &Known| {
            let now = Instant::now();
            known.fresh_until > now && (has_key(known) || now < known.fetched_at + ASKED_AGAIN)
        };
        let known = self.learn(enough, has_key).await;
        let known =
            known.ok_or_else(|| OAuthError::from(reason::GUARD_BLIND).because("nothing is known of the server"))?;
        // The key may be a new one: with the server away nobody can say.
        if !has_key(&known) && known.fetched_at + ASKED_AGAIN < Instant::now() {
            return Err(OAuthError::from(reason::GUARD_BLIND).because("the key is not known"));
        }
        Ok(known)
    }

    /// What is known, learned anew unless it is enough. When the server is away, what was known; while somebody else
    /// asks already, too, as far as it serves meanwhile.
    async fn learn(&self, enough: impl Fn(&Known) -> bool, serves: impl Fn(&Known) -> bool) -> Option<Arc<Known>> {
        let known = || self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known().filter(|known| enough(known)) {
            return Some(known);
        }
        let mut failed_at = match self.learning.try_lock() {
            Ok(turn) => turn,
            Err(_) => match known().filter(|known| serves(known)) {
                Some(known) => return Some(known),
                None => self.learning.lock().await,
            },
        };
        if let Some(known) = known().filter(|known| enough(known)) {
            return Some(known);
        }
        // Otherwise all requests would wait in line for a server that does not answer.
        if failed_at.is_some_and(|at| Instant::now() < at + ASKED_AGAIN) {
            return known();
        }
        match self.server.learn().await {
            Ok((issuer, keys, fresh_for)) => {
                let now = Instant::now();
                let fresh_until = now + fresh_for.min(FRESH);
                let learned = Arc::new(Known { issuer, keys, fresh_until, fetched_at: now });
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(learned.clone());
                *failed_at = None;
                Some(learned)
            }
            Err(error) => {
                *failed_at = Some(Instant::now());
                tracing::warn!(cause = error.cause(), "the server's keys could not be fetched");
                known()
            }
        }
    }
}

/// Claims of a JWT that a key signed, with the algorithm of the key and not the one that the token names.
fn verify(token: &str, key: &Jwk) -> Option<Map<String, Value>> {
    let algorithm = Algorithm::from_str(&key.common.key_algorithm?.to_string()).ok()?;
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let key = DecodingKey::from_jwk(key).ok()?;
    jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation).ok().map(|data| data.claims)
}
