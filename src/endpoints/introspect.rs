//! Token introspection (RFC 7662).

use crate::app::App;
use crate::error::{OAuthError, reason};
use crate::extract::form::PostedForm;
use crate::extract::tenant::TenantPath;
use crate::store::clients::Client;
use crate::store::tenants::Tenant;
use crate::tokens::verify::{self, AccessToken};
use crate::types::refresh_token::RefreshToken;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use std::sync::Arc;

/// Tells an authenticated client what a token is worth. A token that is not the caller's business is inactive, like
/// any other that is not valid here, and why is not said (§2.2).
///
/// # Errors
/// The caller is not authenticated, the token is missing, or the database cannot be asked.
pub async fn post(
    State(app): State<Arc<App>>,
    path: TenantPath,
    posted: PostedForm,
) -> Result<Json<Value>, OAuthError> {
    // A disabled tenant is not refused here: its resource servers learn that every token is inactive.
    let tenant = &*path.tenant;
    let caller = posted.authenticate(&app, tenant).await?.require_proof()?;
    let token = posted.form.get("token").ok_or_else(|| OAuthError::from(reason::PARAMETER_MISSING).about("token"))?;
    let answer = match token.parse::<RefreshToken>() {
        Ok(token) => refresh_token(&app, tenant, caller.client(), token).await?,
        Err(_) => match verify::active(&app, tenant, token).await? {
            Some(token) if may_know(&app, tenant, caller.client(), &token).await? => Some(active(*token)),
            _ => None,
        },
    };
    let answer = answer.unwrap_or_else(|| json!({ "active": false }));
    metrics::counter!("grantor_introspections_total", "active" => answer["active"].to_string()).increment(1);
    Ok(Json(answer))
}

/// RFC 7662 §4: the client it was issued to, and those that serve its audience.
async fn may_know(app: &App, tenant: &Tenant, caller: &Client, token: &AccessToken) -> Result<bool, OAuthError> {
    if caller.client_id.as_str() == token.client_id {
        return Ok(true);
    }
    let resources = app.directory.resources(tenant.id).await?;
    Ok(resources.iter().any(|resource| resource.identifier.as_str() == token.audience && caller.serves(resource.id)))
}

fn active(token: AccessToken) -> Value {
    let mut answer = serde_json::Map::with_capacity(token.claims.len() + 5);
    answer.insert("active".into(), true.into());
    answer.insert("token_type".into(), "Bearer".into());
    // §2.2: who authorized the token; without a person that is the client. Kong finds its consumer by it.
    let username = token.claims.get("preferred_username").cloned().unwrap_or_else(|| token.client_id.into());
    answer.insert("username".into(), username);
    // A token counts from when it was issued; nothing of ours is issued for later.
    answer.extend(token.claims.get("iat").map(|issued_at| ("nbf".to_owned(), issued_at.clone())));
    // §2.2 has one name for it, whatever the profile of the token calls it.
    answer.extend(token.claims.get("scp").map(|scope| ("scope".to_owned(), scope.clone())));
    answer.extend(token.claims);
    Value::Object(answer)
}

/// A refresh token is the business of its client alone. Active means that using it now would be answered.
async fn refresh_token(
    app: &App,
    tenant: &Tenant,
    caller: &Client,
    token: RefreshToken,
) -> Result<Option<Value>, OAuthError> {
    let found = app.store.find_refresh_token(tenant.id, token.grant(), (token.hash(), token.family())).await?;
    let now = app.clock.now();
    let Some(found) = found.filter(|found| found.authorization.client == caller.oid) else { return Ok(None) };
    let authorization = &found.authorization;
    let live = tenant.enabled && authorization.user.enabled && !authorization.revoked && authorization.expires_at > now;
    // A row that is there was not passed by its line: using a sibling removes it.
    let place = found.place.filter(|(_, end)| live && *end > now);
    let Some((_, expires_at)) = place else { return Ok(None) };
    Ok(Some(json!({
        "active": true,
        "client_id": caller.client_id,
        "username": authorization.user.username,
        "sub": authorization.user.id,
        "iss": app.issuer(tenant),
        "iat": authorization.created_at,
        "exp": expires_at,
    })))
}
