//! Client secrets (RFC 6749 §2.3.1): generated ones cost one SHA-256, chosen ones Argon2id under bounds (§10.10).

use crate::app::{App, Attempts};
use crate::error::{OAuthError, reason};
use crate::store::clients::Client;
use crate::store::secrets::StoredSecret;
use crate::store::tenants::Tenant;
use crate::types::clock::UnixTime;
use crate::types::secret::{Secret, SecretHash};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError};

/// Seconds over which wrong secrets are counted.
const WINDOW: i64 = 60;

/// Wrong chosen secrets for one client from one address within the window before more are refused unread. Secrets that
/// were right before are still taken: throttling locks nobody out who is already at work.
const FAILURES: u32 = 10;

/// Slow checks that may wait for their turn; more are told to come back.
const WAITING: u32 = 64;

/// Refuses unless one of the readings of what was presented is one of the client's live secrets.
pub(super) async fn check(
    app: &App,
    tenant: &Tenant,
    client: &Arc<Client>,
    readings: &[Secret],
    peer: IpAddr,
) -> Result<(), OAuthError> {
    let now = app.clock.now();
    let (slow, fast): (Vec<&StoredSecret>, Vec<&StoredSecret>) =
        client.secrets.iter().partition(|secret| matches!(secret.hash, SecretHash::Argon2id(_)));
    let mut matched = fast.into_iter().find(|secret| readings.iter().any(|reading| secret.hash.verify(reading)));
    if matched.is_none() && !slow.is_empty() {
        matched = check_slow(app, (tenant, client, peer), &slow, readings).await?;
    }
    let Some(secret) = matched else { return Err(reason::CREDENTIALS_WRONG.into()) };
    if !secret.is_live(now) {
        return Err(reason::SECRET_EXPIRED.into());
    }
    app.note_secret_use(secret.id, now);
    Ok(())
}

async fn check_slow<'s>(
    app: &App,
    who: (&Tenant, &Client, IpAddr),
    secrets: &[&'s StoredSecret],
    readings: &[Secret],
) -> Result<Option<&'s StoredSecret>, OAuthError> {
    let memory = &app.slow_secrets;
    let fingerprint = |secret: &StoredSecret, reading| memory.fingerprints.of(&secret.hash, reading);
    let is_known = |secret: &StoredSecret, reading| memory.known.contains_key(&fingerprint(secret, reading));
    if let Some(known) = secrets.iter().find(|secret| readings.iter().any(|reading| is_known(secret, reading))) {
        return Ok(Some(known));
    }
    let (tenant, client, peer) = who;
    let key = (tenant.id, client.client_id.as_str().to_owned(), peer);
    let failures = memory.failures.get_with(key, Arc::default);
    // Counted before the check and given back when it was right: parallel guesses do not slip past.
    count(&failures, app.clock.now())?;
    let found = hash_in_turn(app, secrets, readings).await;
    if !matches!(found, Ok(None)) {
        let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.1 = failures.1.saturating_sub(1);
    }
    let Some((secret, reading)) = found? else { return Ok(None) };
    let (Some(secret), Some(reading)) = (secrets.get(secret), readings.get(reading)) else { return Ok(None) };
    memory.known.insert(fingerprint(secret, reading), ());
    Ok(Some(secret))
}

/// Counts one more attempt within the window that runs, or refuses it.
fn count(failures: &Attempts, now: UnixTime) -> Result<(), OAuthError> {
    let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
    let (since, attempts) = &mut *failures;
    if !(*since..*since + WINDOW).contains(&now) {
        (*since, *attempts) = (now, 0);
    }
    if *attempts >= FAILURES {
        return Err(reason::THROTTLED.into());
    }
    *attempts += 1;
    Ok(())
}

/// Runs the slow hash beside the async threads, a bounded number at once. Answers the positions of the secret and of
/// the reading that is right.
async fn hash_in_turn(
    app: &App,
    secrets: &[&StoredSecret],
    readings: &[Secret],
) -> Result<Option<(usize, usize)>, OAuthError> {
    let memory = &app.slow_secrets;
    let _place = Place::take(&memory.waiting)?;
    let internal = |error: String| OAuthError::from(reason::INTERNAL).because(error);
    let _turn = memory.running.acquire().await.map_err(|error| internal(error.to_string()))?;
    let hashes: Vec<SecretHash> = secrets.iter().map(|secret| secret.hash.clone()).collect();
    let readings = readings.to_vec();
    tokio::task::spawn_blocking(move || {
        let right = |hash: &SecretHash| readings.iter().position(|reading| hash.verify(reading));
        hashes.iter().enumerate().find_map(|(at, hash)| right(hash).map(|reading| (at, reading)))
    })
    .await
    .map_err(|error| internal(error.to_string()))
}

/// A place in the queue, given back when dropped.
struct Place<'a>(&'a AtomicU32);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicU32) -> Result<Self, OAuthError> {
        let place = Self(waiting);
        if waiting.fetch_add(1, Ordering::SeqCst) >= WAITING {
            return Err(reason::OVERLOADED.into());
        }
        Ok(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
