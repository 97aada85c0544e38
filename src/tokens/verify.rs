//! Our own tokens read back: signature, type, issuer; then what the database knows of them.

use super::opaque::{self, Opaque};
use crate::app::App;
use crate::error::OAuthError;
use crate::keys::{ACCESS_TOKEN_TYPE, KeyRing};
use crate::store::revocations::Revocation;
use crate::store::tenants::Tenant;
use crate::types::alg::Alg;
use crate::types::clock::UnixTime;
use crate::types::id::MemberId;
use crate::types::secret::ACCESS_TOKEN_PREFIX;
use crate::types::status::StatusIndex;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};
use uuid::Uuid;

/// Longer than any token of ours.
const LONGEST: usize = 64 * 1024;

/// What a string turned out to be.
#[derive(Debug)]
pub enum Read {
    /// An access token that this tenant signed; it may have expired or been revoked.
    AccessToken(Box<AccessToken>),
    /// A JWT that this tenant signed and that is no access token.
    OtherJwt,
    /// Anything else.
    Unknown,
}

/// A token that we issued. `Debug` shows its `jti` alone.
pub struct AccessToken {
    /// Every claim; none when it is opaque and stands for nothing any more.
    pub claims: Map<String, Value>,
    /// Token id.
    pub jti: Uuid,
    /// The client it was issued to.
    pub client_id: String,
    /// The directory object of its subject: a person, or that client.
    pub subject: MemberId,
    /// Audience.
    pub audience: String,
    /// Expiry.
    pub expires_at: UnixTime,
    /// Its bit.
    pub status: StatusIndex,
}

impl AccessToken {
    /// The row that revokes it.
    pub fn revocation(&self) -> Revocation {
        Revocation { jti: self.jti, status: self.status, expires_at: self.expires_at }
    }

    fn opaque(found: Opaque) -> Self {
        let Opaque { kept, claims } = found;
        let claims = claims.unwrap_or_default();
        let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
        Self {
            jti: kept.record.jti,
            subject: kept.person.map_or(MemberId::Client(kept.client), |(user, ..)| MemberId::User(user.id)),
            client_id: kept.client_id,
            audience: text("aud").to_owned(),
            expires_at: kept.record.expires_at,
            status: kept.record.status,
            claims,
        }
    }

    fn new(claims: Map<String, Value>) -> Option<Self> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let uuid = |name: &str| text(name).and_then(|text| Uuid::try_parse(text).ok());
        let place = claims.get("status")?.get("status_list")?;
        let list = place.get("uri")?.as_str()?.rsplit('/').next()?;
        let oid = uuid("oid")?;
        // RFC 9068 §2.2.1: only where a person signed in is there a time of it.
        let is_user = claims.contains_key("auth_time");
        Some(Self {
            jti: uuid("jti")?,
            client_id: text("client_id")?.to_owned(),
            subject: if is_user { MemberId::User(oid.into()) } else { MemberId::Client(oid.into()) },
            audience: text("aud")?.to_owned(),
            expires_at: claims.get("exp")?.as_i64()?,
            status: StatusIndex {
                list: Uuid::try_parse(list).ok()?.into(),
                index: place.get("idx")?.as_u64()?.try_into().ok()?,
            },
            claims,
        })
    }
}

impl std::fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessToken").field("jti", &self.jti).finish_non_exhaustive()
    }
}

/// Finds out what a token is. Says nothing about expiry, issuer or revocation.
///
/// # Errors
/// The keys or the database cannot be asked.
pub async fn read(app: &App, tenant: &Tenant, token: &str) -> Result<Read, OAuthError> {
    if token.starts_with(ACCESS_TOKEN_PREFIX) {
        let found = opaque::find(app, tenant, token).await?;
        return Ok(found.map_or(Read::Unknown, |found| Read::AccessToken(Box::new(AccessToken::opaque(found)))));
    }
    let now = app.clock.now();
    let mut ring = app.key_ring(tenant.id).await?;
    if names_unknown_key(&ring, token, now) && app.catch_up().await? {
        ring = app.key_ring(tenant.id).await?;
    }
    let Some((typ, claims)) = read_jwt(&ring, token, now) else { return Ok(Read::Unknown) };
    // RFC 9068 §4: a JWT of another type, though signed by us, is no access token.
    if !typ.is_some_and(|typ| typ.eq_ignore_ascii_case(ACCESS_TOKEN_TYPE)) {
        return Ok(Read::OtherJwt);
    }
    Ok(AccessToken::new(claims).map_or(Read::Unknown, |token| Read::AccessToken(Box::new(token))))
}

/// The claims of an ID token of ours, expired or not: a hint at who the person is (OpenID Connect Core §3.1.2.1,
/// RP-Initiated Logout §2).
///
/// # Errors
/// The keys cannot be used.
pub async fn id_token_hint(app: &App, tenant: &Tenant, token: &str) -> Result<Option<Map<String, Value>>, OAuthError> {
    let ring = app.key_ring(tenant.id).await?;
    let read = read_jwt(&ring, token, app.clock.now());
    let issuer = app.issuer(tenant);
    Ok(read.and_then(|(typ, claims)| {
        let ours = claims.get("iss").and_then(Value::as_str) == Some(issuer.as_str());
        (ours && typ.is_some_and(|typ| typ.eq_ignore_ascii_case("jwt"))).then_some(claims)
    }))
}

/// True when the key may be one that another server has made a moment ago.
fn names_unknown_key(ring: &KeyRing, token: &str, now: UnixTime) -> bool {
    let unknown = |kid: String| ring.find(&kid, now).is_none();
    token.len() <= LONGEST
        && ring.of_access_token(token, now).is_none()
        && jsonwebtoken::decode_header(token).is_ok_and(|header| header.kid.is_some_and(unknown))
}

/// The type and the claims of a JWT that one of `ring`'s published keys signed. Says nothing about expiry.
fn read_jwt(ring: &KeyRing, token: &str, now: UnixTime) -> Option<(Option<String>, Map<String, Value>)> {
    if token.len() > LONGEST {
        return None;
    }
    let (key, typ) = match ring.of_access_token(token, now) {
        Some(key) => (key, Some(ACCESS_TOKEN_TYPE.to_owned())),
        None => {
            let header = jsonwebtoken::decode_header(token).ok()?;
            let key = header.kid.as_deref().and_then(|kid| ring.find(kid, now))?;
            // The algorithm is the key's, not one that the token chooses (RFC 8725 §3.1).
            (header.alg == algorithm(key.jwk.alg)).then_some((key, header.typ))?
        }
    };
    let (signed, signature) = token.rsplit_once('.')?;
    let (_, payload) = signed.split_once('.')?;
    if !key.verifies(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?) {
        return None;
    }
    let claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    Some((typ, claims))
}

fn algorithm(alg: Alg) -> Algorithm {
    match alg {
        Alg::Rs256 => Algorithm::RS256,
        Alg::Ps256 => Algorithm::PS256,
        Alg::Es256 => Algorithm::ES256,
        Alg::EdDsa => Algorithm::EdDSA,
    }
}

/// The token when it may be used now: signed by us, for this issuer, not expired, not revoked, its client and tenant
/// enabled. All of it is looked at on every call.
///
/// # Errors
/// The keys or the database cannot be asked.
pub async fn active(app: &App, tenant: &Tenant, token: &str) -> Result<Option<Box<AccessToken>>, OAuthError> {
    let now = app.clock.now();
    let why_not = |why: &str| tracing::debug!(tenant = %tenant.name, why, "a token is inactive");
    let Read::AccessToken(token) = read(app, tenant, token).await? else {
        why_not("unknown, malformed, of another type, or not signed by a published key of the tenant");
        return Ok(None);
    };
    if token.claims.is_empty() {
        why_not("of a kind that its resource or its client may not have any more");
        return Ok(None);
    }
    if token.claims.get("iss").and_then(Value::as_str) != Some(app.issuer(tenant).as_str()) {
        why_not("of another issuer");
        return Ok(None);
    }
    if token.expires_at <= now {
        why_not("expired");
        return Ok(None);
    }
    let state = app.store.token_state(tenant.id, token.jti, token.subject, &token.client_id).await?;
    if state.revoked || !state.subject_enabled || !state.tenant_enabled {
        why_not(if state.revoked { "revoked" } else { "its client, its person or its tenant is disabled or deleted" });
        return Ok(None);
    }
    if state.listed {
        app.note_token_use(token.jti, now);
    }
    Ok(Some(token))
}
