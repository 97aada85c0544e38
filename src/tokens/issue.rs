//! The only place where an access token is minted (RFC 9068).

use super::claims::{Login, Stamp, Stamped};
use super::scopes::Granted;
use crate::app::{App, Decided, Decision};
use crate::error::{OAuthError, reason};
use crate::keys::KeyRing;
use crate::store::clients::Client;
use crate::store::grants::TokenRecord;
use crate::store::kept_tokens::NewKeptToken;
use crate::store::members::Membership;
use crate::store::resources::Resource;
use crate::store::tenants::Tenant;
use crate::types::alg::Alg;
use crate::types::clock::UnixTime;
use crate::types::id::TenantId;
use crate::types::policy::{ClaimsProfile, TokenFormat};
use crate::types::secret::{ACCESS_TOKEN_PREFIX, Secret, sha256};
use crate::types::template::{Particulars, Template};
use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

/// What a grant decided is to be issued. There is no token without a resource, so none without an audience.
#[derive(Debug)]
pub struct Issuance<'a> {
    /// The tenant.
    pub tenant: &'a Tenant,
    /// The client.
    pub client: &'a Client,
    /// The person for whom it acts; without one it acts for itself.
    pub login: Option<Login<'a>>,
    /// The audience.
    pub resource: &'a Resource,
    /// Scopes.
    pub granted: Granted,
    /// The subject's groups.
    pub membership: Arc<(u64, Membership)>,
}

/// The token endpoint's answer (RFC 6749 §5.1). Members without a value are left out, never null.
#[derive(Serialize)]
pub struct TokenAnswer {
    /// Exactly `Bearer`: some clients repeat it as it is.
    pub token_type: &'static str,
    /// Always present and a number: clients fail or stop caching without it.
    pub expires_in: i64,
    /// What was asked for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// The token; [`TokenAnswer::to_json`] writes it.
    #[serde(skip)]
    pub access_token: String,
    /// The next refresh token (RFC 6749 §6).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// OpenID Connect Core §3.1.3.3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
    /// Ids of person and tenant, as MSAL asks for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_info: Option<String>,
}

impl TokenAnswer {
    fn new(access_token: String, expires_in: i64, scope: String) -> Self {
        let (refresh_token, id_token, client_info) = (None, None, None);
        Self { token_type: "Bearer", expires_in, scope, access_token, refresh_token, id_token, client_info }
    }

    /// The answer as it is sent.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn issued(&self) -> Result<Issued, OAuthError> {
        let mut json = self.head()?;
        json.push_str(&self.access_token);
        json.push_str(END);
        Ok(Issued { json, decision: None })
    }

    /// The answer up to the token, which comes last: it is by far the longest member, and as it has no character that JSON
    /// would escape it is not looked through for any.
    fn head(&self) -> Result<String, OAuthError> {
        let mut json = serde_json::to_string(self).map_err(unwritable)?;
        json.pop();
        json.push_str(",\"access_token\":\"");
        Ok(json)
    }
}

/// Room for what differs from token to token, with the signature of an RSA key of 2,048 bits and the header.
const LONGEST_REST: usize = 1024;

/// What follows the token in an answer.
const END: &str = "\"}";

/// An answer of the token endpoint.
pub struct Issued {
    /// As it is sent.
    pub json: String,
    /// What the next token for the same request is made from.
    pub decision: Option<Arc<Decision>>,
}

/// A token that was made, with what is remembered of it.
pub struct Minted {
    /// The token.
    pub access_token: String,
    /// Its row, where a grant keeps one.
    pub record: TokenRecord,
    /// Seconds that it lives.
    pub expires_in: i64,
    /// The `scope` of the answer.
    pub scope: String,
}

impl From<Minted> for TokenAnswer {
    fn from(minted: Minted) -> Self {
        Self::new(minted.access_token, minted.expires_in, minted.scope)
    }
}

/// The claims that a token for this issuance would carry, or the rule that says no.
///
/// # Errors
/// `access_denied` when the resource requires a group that the subject is not in.
pub fn prepare(app: &App, issuance: &Issuance<'_>) -> Result<Stamped, OAuthError> {
    let Issuance { tenant, client, login, resource, granted, membership } = issuance;
    let required = &resource.required_groups;
    let inside = |id| membership.1.groups.iter().any(|group| group.id == id);
    if !required.is_empty() && !required.iter().any(|group| inside(group.id)) {
        return Err(reason::GROUP_REQUIRED.into());
    }
    let stamp = Stamp {
        issuer: &app.issuer(tenant),
        tenant,
        client,
        login: *login,
        resource,
        scopes: &granted.values,
        membership: &membership.1,
    };
    Ok(stamp.claims())
}

/// What a token is like beside what it says.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Seconds that it lives.
    pub lifetime: i64,
    /// What it looks like.
    pub format: TokenFormat,
    /// An operator issues it, so it is listed.
    pub by_operator: bool,
    /// An opaque token stands for all that the client may have, as long as it may, and not for the scopes of today.
    pub for_all: bool,
}

/// Mints a token on the terms of its resource.
///
/// # Errors
/// As [`mint_on`].
pub async fn mint(app: &App, issuance: Issuance<'_>) -> Result<Minted, OAuthError> {
    let settings = &issuance.resource.settings;
    let (lifetime, format) = (settings.lifetime, settings.token_format);
    mint_on(app, issuance, Terms { lifetime, format, by_operator: false, for_all: false }).await
}

/// Mints the token. For a JWT on its resource's terms this touches no database as long as status list indexes are in
/// hand; every other token is kept.
///
/// # Errors
/// What [`prepare`] refuses; or the signing key or the database cannot be used.
pub async fn mint_on(app: &App, issuance: Issuance<'_>, terms: Terms) -> Result<Minted, OAuthError> {
    let stamped = prepare(app, &issuance)?;
    let Issuance { tenant, client, login, resource, granted, .. } = issuance;
    if let Some(groups) = stamped.overage {
        warn_of_overage(app, client, resource, groups);
    }
    let now = app.clock.now();
    let record = record(app, tenant.id, now + terms.lifetime).await?;
    let opaque = (terms.format == TokenFormat::Opaque).then(|| Secret::generate(ACCESS_TOKEN_PREFIX, &app.random));
    if opaque.is_some() || terms.by_operator {
        let kept = NewKeptToken {
            record,
            client: client.oid,
            resource: resource.id,
            scopes: (!terms.for_all).then_some(&granted.values),
            person: login.map(|login| (login.user.id, login.session, login.auth_time)),
            hash: opaque.as_ref().map(|token| sha256(token.expose().as_bytes())),
            by_operator: terms.by_operator,
        };
        app.store.keep_token(tenant.id, &kept, now).await?;
    }
    let access_token = match opaque {
        Some(token) => token.expose().to_owned(),
        None => {
            let template = template(&app.issuer(tenant), resource, stamped)?;
            let mut token = String::new();
            let keys = app.key_ring(tenant.id).await?;
            append(&mut token, &keys, (&template, resource.settings.alg), (record, now))?;
            token
        }
    };
    Ok(Minted { access_token, record, expires_in: terms.lifetime, scope: granted.answer })
}

/// Works out what is the same in every JWT that a client gets for the same request.
///
/// # Errors
/// What [`prepare`] refuses.
pub fn decide(app: &App, issuance: Issuance<'_>, (from, settled): (Decided, i64)) -> Result<Decision, OAuthError> {
    let stamped = prepare(app, &issuance)?;
    let Issuance { tenant, resource, granted, .. } = issuance;
    let overage = stamped.overage;
    let template = template(&app.issuer(tenant), resource, stamped)?;
    let (alg, lifetime) = (resource.settings.alg, resource.settings.lifetime);
    let head = TokenAnswer::new(String::new(), lifetime, granted.answer).head()?;
    let seen_at = AtomicI64::new(settled);
    Ok(Decision { from, seen_at, resource: resource.id, template, alg, lifetime, head, overage })
}

/// Mints a JWT of which everything is decided.
///
/// # Errors
/// The signing key or the database cannot be used.
pub async fn mint_decided(app: &App, tenant: TenantId, decision: &Arc<Decision>) -> Result<Issued, OAuthError> {
    if let Some(groups) = decision.overage
        && let Some(resource) = decision.from.resources.iter().find(|resource| resource.id == decision.resource)
    {
        warn_of_overage(app, &decision.from.client, resource, groups);
    }
    let now = app.clock.now();
    let record = record(app, tenant, now + decision.lifetime).await?;
    let mut json = String::with_capacity(decision.size() + LONGEST_REST);
    json.push_str(&decision.head);
    append(&mut json, &decision.from.keys, (&decision.template, decision.alg), (record, now))?;
    json.push_str(END);
    Ok(Issued { json, decision: Some(decision.clone()) })
}

/// The identity of a new token.
async fn record(app: &App, tenant: TenantId, expires_at: UnixTime) -> Result<TokenRecord, OAuthError> {
    let status = app.leases.allocate(tenant, expires_at).await?;
    Ok(TokenRecord { jti: app.random.uuid_v4(), status, expires_at })
}

/// Appends the JWT.
fn append(
    text: &mut String,
    keys: &KeyRing,
    (template, alg): (&Template, Alg),
    of: (TokenRecord, UnixTime),
) -> Result<(), OAuthError> {
    keys.signing(alg, of.1)?
        .append_access_token(text, |text| template.append_payload(particulars(of), text).map_err(unwritable))
}

fn template(issuer: &str, resource: &Resource, stamped: Stamped) -> Result<Template, OAuthError> {
    Template::new(&decided(stamped), issuer, has_uti(resource)).map_err(unwritable)
}

fn decided(stamped: Stamped) -> Map<String, Value> {
    stamped.claims.into_iter().map(|claim| (claim.name, claim.value)).collect()
}

fn has_uti(resource: &Resource) -> bool {
    resource.settings.claims_profile == ClaimsProfile::Entra
}

fn particulars((record, issued_at): (TokenRecord, UnixTime)) -> Particulars {
    let TokenRecord { jti, status, expires_at } = record;
    Particulars { jti, status, issued_at, expires_at }
}

fn unwritable(error: serde_json::Error) -> OAuthError {
    OAuthError::from(reason::INTERNAL).because(error)
}

/// Everything that a token says which is no JWT itself.
pub(super) fn claims(
    about: (&str, &Resource),
    stamped: Stamped,
    of: (TokenRecord, UnixTime),
) -> Result<Map<String, Value>, OAuthError> {
    let (issuer, resource) = about;
    particulars(of).complete(decided(stamped), issuer, has_uti(resource)).map_err(unwritable)
}

/// Nothing is dropped in silence: the token says where the groups are, and the log says that it had to.
fn warn_of_overage(app: &App, client: &Client, resource: &Resource, groups: usize) {
    metrics::counter!("grantor_groups_overage_total").increment(1);
    let key = (client.oid, resource.id);
    if app.overage_warned.get(&key).is_none() {
        app.overage_warned.insert(key, ());
        tracing::warn!(
            client_id = %client.client_id,
            resource = %resource.identifier,
            groups,
            limit = resource.settings.group_limit,
            "too many groups for the token: it carries a pointer to the whole list instead"
        );
    }
}
