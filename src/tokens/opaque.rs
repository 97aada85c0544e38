//! Opaque access tokens read back (RFC 7662 §1.1): what one stands for is worked out anew at every question, so that a
//! change of groups or permissions counts at once.

use super::claims::Login;
use super::issue::{self, Issuance};
use super::scopes::{self, Granted};
use crate::app::App;
use crate::error::OAuthError;
use crate::store::kept_tokens::KeptToken;
use crate::store::tenants::Tenant;
use crate::types::id::MemberId;
use crate::types::secret::sha256;
use serde_json::{Map, Value};

/// A kept token and what it says now; nothing when the rules would not give it any more.
pub(super) struct Opaque {
    pub(super) kept: KeptToken,
    pub(super) claims: Option<Map<String, Value>>,
}

/// Finds an opaque token.
pub(super) async fn find(app: &App, tenant: &Tenant, token: &str) -> Result<Option<Opaque>, OAuthError> {
    let Some(kept) = app.store.find_kept_token(tenant.id, sha256(token.as_bytes())).await? else { return Ok(None) };
    let claims = claims(app, tenant, &kept).await?;
    Ok(Some(Opaque { kept, claims }))
}

async fn claims(app: &App, tenant: &Tenant, kept: &KeptToken) -> Result<Option<Map<String, Value>>, OAuthError> {
    let resources = app.directory.resources(tenant.id).await?;
    let Some(resource) = resources.iter().find(|resource| resource.id == kept.resource) else { return Ok(None) };
    let Some(client) = app.directory.client(tenant.id, &kept.client_id).await? else { return Ok(None) };
    let login =
        kept.person.as_ref().map(|(user, session, auth_time)| Login { user, session: *session, auth_time: *auth_time });
    let member = login.map_or(MemberId::Client(client.oid), |login| MemberId::User(login.user.id));
    let membership = app.directory.membership(tenant.id, member).await?;
    let may_have = scopes::allowed(&client, resource);
    let still = |value: &&String| may_have.contains(&value.as_str());
    let values: Vec<String> = match &kept.scopes {
        Some(scopes) => scopes.iter().filter(still).cloned().collect(),
        None => may_have.iter().map(|value| (*value).to_owned()).collect(),
    };
    let has_role = login.is_none() && !scopes::roles(&membership.1, resource.id).is_empty();
    if !scopes::is_permitted(&client, resource) && !has_role {
        return Ok(None);
    }
    let granted = Granted { answer: String::new(), values };
    let issuance = Issuance { tenant, client: &client, login, resource, granted, membership };
    let Ok(stamped) = issue::prepare(app, &issuance) else { return Ok(None) };
    issue::claims((&app.issuer(tenant), resource), stamped, (kept.record, kept.issued_at)).map(Some)
}
