//! Client secrets (RFC 6749 §2.3.1): generated ones cost one SHA-256, chosen ones Argon2id under bounds (§10.10).

use super::Proof;
use crate::app::App;
use crate::error::{OAuthError, reason};
use crate::guessing::{self, Limit};
use crate::store::clients::Client;
use crate::store::secrets::StoredSecret;
use crate::store::tenants::Tenant;
use crate::types::secret::{Secret, SecretHash};
use std::net::IpAddr;
use std::sync::Arc;

/// Wrong chosen secrets for one client from one address before more are refused unread. Secrets that were right before
/// are still taken: throttling locks nobody out who is already at work.
const WRONG_SECRETS: Limit = Limit { window: 60, attempts: 10 };

/// Refuses unless one of the readings of what was presented is one of the client's live secrets.
pub(super) async fn check(
    app: &App,
    tenant: &Tenant,
    client: &Arc<Client>,
    readings: &[Secret],
    peer: IpAddr,
) -> Result<Proof, OAuthError> {
    let now = app.clock.now();
    let (slow, fast): (Vec<&StoredSecret>, Vec<&StoredSecret>) =
        client.secrets.iter().partition(|secret| matches!(secret.hash, SecretHash::Argon2id(_)));
    let mut matched = fast.into_iter().find(|secret| readings.iter().any(|reading| secret.hash.verify(reading)));
    if matched.is_none() && !slow.is_empty() {
        matched = Box::pin(check_slow(app, (tenant, client, peer), &slow, readings)).await?;
    }
    let Some(secret) = matched else { return Err(reason::CREDENTIALS_WRONG.into()) };
    if !secret.is_live(now) {
        return Err(reason::SECRET_EXPIRED.into());
    }
    app.note_secret_use(secret.id, now);
    Ok(Proof { secret: secret.id, expires_at: secret.expires_at })
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
    let known = || secrets.iter().find(|secret| readings.iter().any(|reading| is_known(secret, reading)));
    if let Some(known) = known() {
        return Ok(Some(known));
    }
    let (tenant, client, peer) = who;
    let key = (tenant.id, client.client_id.as_str().to_owned(), peer);
    let guesses = memory.failures.get_with(key, Arc::default);
    // Nothing is looked up and nothing is hashed for who guessed too often.
    let throttled = || !WRONG_SECRETS.allows(&guesses, app.clock.now());
    if throttled() {
        guessing::hold_back(app).await;
        return Err(reason::THROTTLED.into());
    }
    // Of many requests that come at once with the right secret the first is checked and the others find it known.
    let turn = guesses.turn.lock().await;
    if let Some(known) = known() {
        return Ok(Some(known));
    }
    if throttled() {
        drop(turn);
        guessing::hold_back(app).await;
        return Err(reason::THROTTLED.into());
    }
    let hashes = secrets.iter().map(|secret| secret.hash.clone()).collect();
    let found = guessing::verify_in_turn(app, hashes, readings.to_vec()).await;
    if matches!(found, Ok(None)) {
        WRONG_SECRETS.count(&guesses, app.clock.now());
    }
    let Some((secret, reading)) = found? else { return Ok(None) };
    let (Some(secret), Some(reading)) = (secrets.get(secret), readings.get(reading)) else { return Ok(None) };
    memory.known.insert(fingerprint(secret, reading), ());
    Ok(Some(secret))
}
