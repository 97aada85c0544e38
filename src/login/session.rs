//! Sessions of people: opened at a login, resumed by a cookie, ended by idleness, age or a logout.

use super::password::Proven;
use crate::app::App;
use crate::error::OAuthError;
use crate::store::sessions::{NewSession, Session};
use crate::store::tenants::Tenant;
use crate::types::clock::UnixTime;
use crate::types::id::SessionId;
use crate::types::secret::{SESSION_PREFIX, Secret, sha256};
use std::net::IpAddr;

/// A session's use is written down when the last note of it is this old, or earlier where it would end soon.
const NOTED_EVERY: i64 = 60;

/// What of a browser's name is kept.
const NAME_KEPT: usize = 200;

/// The browser of a login.
#[derive(Debug, Clone, Copy)]
pub struct Device<'a> {
    /// Its address.
    pub address: IpAddr,
    /// What it calls itself.
    pub user_agent: &'a str,
}

/// Opens a session after a login and hands back the value of its cookie; nothing when the proof is not worth anything any
/// more. `previous` is the session that the browser had:
/// its cookie is worth nothing from now on.
///
/// # Errors
/// The database does not answer.
pub async fn open(
    app: &App,
    tenant: &Tenant,
    who: (&Proven, Device<'_>),
    previous: Option<&Session>,
) -> Result<Option<Secret>, OAuthError> {
    let (proven, device) = who;
    let now = app.clock.now();
    let token = Secret::generate(SESSION_PREFIX, &app.random);
    let ends_at = now + app.config.sessions.lifetime;
    let user_agent: String = device.user_agent.chars().filter(|c| !c.is_control()).take(NAME_KEPT).collect();
    let new = NewSession {
        id: SessionId::from(app.random.uuid_v7(&app.clock)),
        user: proven.user.id,
        password: &proven.password,
        token_hash: sha256(token.expose().as_bytes()),
        ends_at,
        expires_at: expiry(app, now, ends_at),
        address: &device.address.to_string(),
        user_agent: &user_agent,
    };
    let opened = app.store.create_session(tenant.id, &new, previous, now).await?;
    let outcome = if opened.is_some() { "signed_in" } else { "wrong" };
    metrics::counter!("grantor_logins_total", "outcome" => outcome).increment(1);
    Ok(opened.map(|_| token))
}

/// The session of a cookie, if it has not ended.
///
/// # Errors
/// The database does not answer.
pub async fn resume(app: &App, tenant: &Tenant, cookie: Option<&Secret>) -> Result<Option<Session>, OAuthError> {
    let Some(cookie) = cookie.filter(|cookie| cookie.expose().starts_with(SESSION_PREFIX)) else { return Ok(None) };
    let now = app.clock.now();
    let Some(session) = app.store.find_session(tenant.id, sha256(cookie.expose().as_bytes()), now).await? else {
        return Ok(None);
    };
    let noted_every = NOTED_EVERY.min(app.config.sessions.idle / 10).max(1);
    if session.last_seen_at + noted_every <= now {
        app.store.touch_session(session.id, expiry(app, now, session.ends_at), now).await?;
    }
    Ok(Some(session))
}

fn expiry(app: &App, now: UnixTime, ends_at: UnixTime) -> UnixTime {
    (now + app.config.sessions.idle).min(ends_at)
}
