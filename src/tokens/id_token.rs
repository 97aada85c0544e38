//! ID tokens (OpenID Connect Core §2), and the claims of identity that UserInfo answers too.

use super::claims::{ACR, AMR, Login};
use crate::app::App;
use crate::error::{OAuthError, reason};
use crate::store::clients::Client;
use crate::store::members::Membership;
use crate::store::resources::{Resource, ResourceSettings};
use crate::store::tenants::Tenant;
use crate::store::users::User;
use crate::types::alg::Alg;
use crate::types::authorized::Authorized;
use crate::types::policy::{ClaimsProfile, GroupFormat, GroupsPolicy, TokenFormat};
use crate::types::secret::sha256;
use crate::types::uri::ResourceIdentifier;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Seconds that an ID token lives.
const LIFETIME: i64 = 3600;

/// Groups that fit into the claim; with more it says where they are.
const GROUP_LIMIT: usize = 200;

/// What an ID token says beside who the person is.
#[derive(Debug, Clone, Copy)]
pub struct Statement<'a> {
    /// Its audience.
    pub client: &'a Client,
    /// Who signed in, when and where.
    pub login: Login<'a>,
    /// Which claims were asked for.
    pub authorized: &'a Authorized,
    /// Repeated only if it was sent.
    pub nonce: Option<&'a str>,
    /// The access token beside it.
    pub access_token: &'a str,
    /// The person's groups.
    pub membership: &'a Membership,
}

/// Signs an ID token with the tenant's RS256 key.
///
/// # Errors
/// The key cannot be used.
pub async fn sign(app: &App, tenant: &Tenant, statement: Statement<'_>) -> Result<String, OAuthError> {
    let now = app.clock.now();
    let Statement { client, login, authorized, nonce, access_token, membership } = statement;
    let issuer = app.issuer(tenant);
    let mut payload = Map::new();
    payload.insert("iss".into(), issuer.as_str().into());
    payload.insert("aud".into(), client.client_id.as_str().into());
    payload.insert("exp".into(), (now + LIFETIME).into());
    payload.insert("iat".into(), now.into());
    payload.insert("auth_time".into(), login.auth_time.into());
    if let Some(nonce) = nonce {
        payload.insert("nonce".into(), nonce.into());
    }
    // OpenID Connect Core §3.1.3.6: the left half of the hash of the access token.
    payload.insert("at_hash".into(), URL_SAFE_NO_PAD.encode(&sha256(access_token.as_bytes())[..16]).into());
    payload.insert("acr".into(), ACR.into());
    payload.insert("amr".into(), json!(AMR));
    payload.insert("azp".into(), client.client_id.as_str().into());
    payload.insert("sid".into(), login.session.to_string().into());
    payload.extend(identity((tenant, &issuer), login.user, authorized, membership));
    let payload = serde_json::to_vec(&payload).map_err(|error| OAuthError::from(reason::INTERNAL).because(error))?;
    let ring = app.key_ring(tenant.id).await?;
    Ok(ring.signing(Alg::Rs256, now)?.sign("JWT", &payload)?)
}

/// Who a person is, as far as it was asked for (OpenID Connect Core §5.4).
pub fn identity(
    tenant: (&Tenant, &str),
    user: &User,
    authorized: &Authorized,
    membership: &Membership,
) -> Map<String, Value> {
    let (tenant, issuer) = tenant;
    let mut claims = Map::new();
    claims.insert("sub".into(), user.id.to_string().into());
    claims.insert("oid".into(), user.id.to_string().into());
    claims.insert("tid".into(), tenant.id.to_string().into());
    if authorized.has("profile") {
        claims.insert("preferred_username".into(), user.username.as_str().into());
        claims.insert("name".into(), user.shown().into());
    }
    if authorized.has("email")
        && let Some(email) = &user.email
    {
        claims.insert("email".into(), email.as_str().into());
    }
    if authorized.has("groups") {
        let names: Vec<&str> = membership.groups.iter().map(|group| group.name.as_str()).collect();
        if names.len() <= GROUP_LIMIT {
            claims.insert("groups".into(), names.into());
        } else {
            // OpenID Connect Core §5.6.2: too many to be sent along; they are fetched where this points.
            claims.insert("_claim_names".into(), json!({ "groups": "src1" }));
            let endpoint = format!("{issuer}/oauth2/v2.0/groups");
            claims.insert("_claim_sources".into(), json!({ "src1": { "endpoint": endpoint } }));
        }
    }
    claims
}

/// What an access token is for when identity alone was asked for: this server's own UserInfo endpoint. So there is no
/// token without an audience.
pub fn resource(issuer: &str) -> Resource {
    Resource {
        id: Uuid::nil().into(),
        identifier: ResourceIdentifier::stored(issuer.to_owned()),
        settings: ResourceSettings {
            is_default: false,
            alg: Alg::Rs256,
            lifetime: LIFETIME,
            groups: GroupsPolicy::None,
            group_format: GroupFormat::Name,
            group_limit: 0,
            claims_profile: ClaimsProfile::Standard,
            token_format: TokenFormat::Jwt,
        },
        scopes: Vec::new(),
        roles: Vec::new(),
        descriptions: BTreeMap::new(),
        required_groups: Vec::new(),
        created_at: 0,
    }
}
