//! Status lists as the guard keeps them (draft-ietf-oauth-status-list §8.3): fetched again when their `ttl` is over,
//! believed until their `exp` while the server is away.

use super::server::Server;
use super::verify;
use crate::error::{OAuthError, reason};
use crate::types::clock::UnixTime;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::read::ZlibDecoder;
use jsonwebtoken::jwk::JwkSet;
use moka::sync::Cache;
use serde_json::{Map, Value};
use std::io::Read;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use uuid::Uuid;

/// Lists that are kept, 128 KiB each.
const KEPT: u64 = 256;

/// The most bits of a list, in bytes.
const LARGEST: u64 = 1 << 20;

/// While the server is away, it is asked this often and not at every request.
const ASKED_AGAIN: Duration = Duration::from_secs(1);

struct List {
    bits: Vec<u8>,
    fresh_until: Instant,
    expires_at: UnixTime,
}

/// One list and who fetches it.
#[derive(Default)]
struct Slot {
    list: RwLock<Option<Arc<List>>>,
    fetching: Mutex<Option<Instant>>,
}

impl Slot {
    fn held(&self) -> Option<Arc<List>> {
        self.list.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Every list that was needed lately.
pub(super) struct Lists(Cache<Uuid, Arc<Slot>>);

impl Lists {
    pub(super) fn new() -> Self {
        Self(Cache::new(KEPT))
    }

    /// Looks up the bit of a token.
    ///
    /// # Errors
    /// The claims name no place in a list of this issuer, or the list cannot be had.
    pub(super) async fn is_revoked(
        &self,
        server: &Server,
        issuer: (&str, &JwkSet),
        claims: &Map<String, Value>,
        now: UnixTime,
    ) -> Result<bool, OAuthError> {
        let invalid = || OAuthError::from(reason::TOKEN_INVALID);
        let place = claims.get("status").and_then(|status| status.get("status_list")).ok_or_else(invalid)?;
        let uri = place.get("uri").and_then(Value::as_str).ok_or_else(invalid)?;
        let index = place.get("idx").and_then(Value::as_u64).ok_or_else(invalid)?;
        let id = uri.strip_prefix(issuer.0).and_then(|rest| rest.strip_prefix("/statuslists/"));
        let id = id.and_then(|id| Uuid::try_parse(id).ok()).ok_or_else(invalid)?;
        let list = self.list(server, issuer.1, (id, uri), now).await?;
        let index = usize::try_from(index).map_err(|_| invalid())?;
        let byte = list.bits.get(index / 8).ok_or_else(invalid)?;
        Ok(byte >> (index % 8) & 1 == 1)
    }

    async fn list(
        &self,
        server: &Server,
        keys: &JwkSet,
        which: (Uuid, &str),
        now: UnixTime,
    ) -> Result<Arc<List>, OAuthError> {
        let slot = self.0.get_with(which.0, Arc::default);
        let fresh = |list: &Arc<List>| Instant::now() < list.fresh_until;
        if let Some(list) = slot.held().filter(fresh) {
            return Ok(list);
        }
        let mut failed_at = match slot.fetching.try_lock() {
            Ok(turn) => turn,
            // Somebody asks already: nobody waits for a server that may be away as long as there is something to go by.
            Err(_) => match slot.held().filter(|list| now < list.expires_at) {
                Some(list) => return Ok(list),
                None => slot.fetching.lock().await,
            },
        };
        if let Some(list) = slot.held().filter(fresh) {
            return Ok(list);
        }
        let blind = |cause: &str| OAuthError::from(reason::GUARD_BLIND).because(cause);
        let stale = slot.held().filter(|list| now < list.expires_at);
        if failed_at.is_some_and(|at| Instant::now() < at + ASKED_AGAIN) {
            return stale.ok_or_else(|| blind("the status list could not be fetched a moment ago"));
        }
        let fetched = server.status_list(which.0).await;
        match fetched.and_then(|jwt| read(&jwt, keys, which.1, now).ok_or_else(|| blind("no status list of ours"))) {
            Ok(list) => {
                let list = Arc::new(list);
                *slot.list.write().unwrap_or_else(PoisonError::into_inner) = Some(list.clone());
                *failed_at = None;
                Ok(list)
            }
            Err(error) => {
                *failed_at = Some(Instant::now());
                tracing::warn!(cause = error.cause(), "a status list could not be fetched");
                stale.ok_or(error)
            }
        }
    }
}

/// Signature, type, subject and expiry of a status list token (§5.1, §8.3), and its bits.
fn read(jwt: &str, keys: &JwkSet, uri: &str, now: UnixTime) -> Option<List> {
    let header = jsonwebtoken::decode_header(jwt.trim()).ok()?;
    if header.typ.as_deref() != Some("statuslist+jwt") {
        return None;
    }
    let claims = verify(jwt.trim(), keys.find(header.kid.as_deref()?)?)?;
    let expires_at = claims.get("exp")?.as_i64().filter(|end| now < *end)?;
    if claims.get("sub")?.as_str()? != uri {
        return None;
    }
    let ttl = claims.get("ttl").and_then(Value::as_u64).unwrap_or(0);
    let packed = URL_SAFE_NO_PAD.decode(claims.get("status_list")?.get("lst")?.as_str()?).ok()?;
    let mut bits = Vec::new();
    ZlibDecoder::new(packed.as_slice()).take(LARGEST).read_to_end(&mut bits).ok()?;
    Some(List { bits, fresh_until: Instant::now() + Duration::from_secs(ttl), expires_at })
}
