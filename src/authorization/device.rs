//! A device's way to an authorization (RFC 8628): it asks, a person answers somewhere else, it polls.

use super::checks;
use super::decision;
use crate::app::{App, LoginKey};
use crate::error::{OAuthError, reason};
use crate::guessing::Limit;
use crate::store::clients::Client;
use crate::store::device_codes::{NewDeviceCode, WaitingDevice};
use crate::store::grants::NewAuthorization;
use crate::store::sessions::Session;
use crate::store::tenants::Tenant;
use crate::types::form::Form;
use crate::types::id::GrantId;
use crate::types::secret::{DEVICE_CODE_PREFIX, Secret, sha256};
use crate::types::user_code::UserCode;
use std::net::IpAddr;
use std::sync::Arc;

/// Seconds within which a person must have answered and the device have polled.
pub const LIFETIME: i64 = 900;

/// Seconds between two polls, to begin with.
pub const INTERVAL: i64 = 5;

/// Wrong user codes from one address (RFC 8628 §5.1): of 20^8 codes, what is guessed at this pace is none.
const WRONG_CODES: Limit = Limit { window: 300, attempts: 50 };

/// User codes that are tried until one is free.
const TRIES: u32 = 8;

/// The two codes of a device that asked.
#[derive(Debug)]
pub struct Codes {
    /// For the device alone.
    pub device: Secret,
    /// For a person to type.
    pub user: UserCode,
}

/// Checks what a device asks for and gives it its codes (RFC 8628 §3.2).
///
/// # Errors
/// The check that says no, or the database does not answer.
pub async fn begin(app: &App, tenant: &Tenant, client: &Client, form: &Form) -> Result<Codes, OAuthError> {
    let authorized = checks::read_of_device(app, tenant, client, form).await?;
    let device = Secret::generate(DEVICE_CODE_PREFIX, &app.random);
    for _ in 0..TRIES {
        let user = UserCode::generate(&app.random);
        let new = NewDeviceCode {
            hash: sha256(device.expose().as_bytes()),
            user_hash: user.hash(tenant.id),
            client: client.oid,
            authorized: &authorized,
            interval: INTERVAL,
            expires_at: app.clock.now() + LIFETIME,
        };
        if app.store.create_device_code(tenant.id, &new).await? {
            return Ok(Codes { device, user });
        }
    }
    Err(OAuthError::from(reason::OVERLOADED).because("no user code is free"))
}

/// A device that waits behind a code that a person typed.
#[derive(Debug)]
pub struct Waiting {
    /// Its row.
    pub device: WaitingDevice,
    /// Whose device it is.
    pub client: Arc<Client>,
}

/// What became of a typed code.
#[derive(Debug)]
pub enum Found {
    /// A device waits for an answer.
    Waiting(Waiting),
    /// None does: it was mistyped, has expired, or was answered.
    Nothing,
    /// Too many wrong ones from this address; nothing was looked at.
    Throttled,
}

/// Looks up what a person typed. Wrong codes count, right ones do not.
///
/// # Errors
/// The database does not answer.
pub async fn find(app: &App, tenant: &Tenant, typed: &str, address: IpAddr) -> Result<Found, OAuthError> {
    let now = app.clock.now();
    let guesses = app.logins.failures.get_with(LoginKey::UserCode(address), Arc::default);
    let _turn = guesses.turn.lock().await;
    if !WRONG_CODES.allows(&guesses, now) {
        return Ok(Found::Throttled);
    }
    let found = look_up(app, tenant, typed).await;
    // What could not be looked at was no guess.
    if matches!(found, Ok(None)) {
        WRONG_CODES.count(&guesses, now);
    }
    Ok(found?.map_or(Found::Nothing, Found::Waiting))
}

async fn look_up(app: &App, tenant: &Tenant, typed: &str) -> Result<Option<Waiting>, OAuthError> {
    let Ok(code) = typed.parse::<UserCode>() else { return Ok(None) };
    let now = app.clock.now();
    let Some(device) = app.store.find_waiting_device(tenant.id, code.hash(tenant.id), now).await? else {
        return Ok(None);
    };
    let client = app.directory.client(tenant.id, &device.client_id).await?.filter(|client| client.enabled);
    Ok(client.map(|client| Waiting { device, client }))
}

/// Says yes for the person of a session; answers false when it was too late.
///
/// # Errors
/// The database does not answer.
pub async fn approve(app: &App, tenant: &Tenant, waiting: &Waiting, session: &Session) -> Result<bool, OAuthError> {
    let Waiting { device, client } = waiting;
    let new = NewAuthorization {
        id: GrantId::from(app.random.uuid_v7(&app.clock)),
        client: client.oid,
        user: session.user.id,
        session: session.id,
        authorized: &device.authorized,
        auth_time: session.auth_time,
        rests_on: &[],
    };
    let consents = decision::asked(&device.authorized);
    let approved = app.store.approve_device(tenant.id, device, &new, (&consents, app.clock.now())).await?;
    if approved {
        metrics::counter!("grantor_authorizations_total", "outcome" => "device").increment(1);
    }
    Ok(approved)
}

/// Says no; answers false when it was too late.
///
/// # Errors
/// The database does not answer.
pub async fn deny(app: &App, tenant: &Tenant, waiting: &Waiting) -> Result<bool, OAuthError> {
    Ok(app.store.deny_device(tenant.id, &waiting.device, app.clock.now()).await?)
}
