//! UserInfo (OpenID Connect Core §5.3).

use crate::app::App;
use crate::error::{OAuthError, reason};
use crate::extract::bearer::BearerToken;
use crate::extract::tenant::TenantPath;
use crate::tokens::{id_token, verify};
use crate::types::id::MemberId;
use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Answers the bearer of an access token with who its person is, as far as was authorized.
///
/// # Errors
/// RFC 6750 §3.1; or the database cannot be asked.
pub async fn get(
    State(app): State<Arc<App>>,
    path: TenantPath,
    bearer: BearerToken,
) -> Result<Json<Map<String, Value>>, OAuthError> {
    let tenant = &*path.tenant;
    let token = verify::active(&app, tenant, &bearer.0).await?.ok_or(reason::TOKEN_INVALID)?;
    // Whatever the token is for: what counts is what the person authorized when it was issued.
    let grant = app.store.grant_of_token(tenant.id, token.jti).await?;
    let grant = grant.filter(|grant| !grant.revoked && grant.authorized.has("openid"));
    let grant = grant.ok_or(reason::SCOPE_INSUFFICIENT)?;
    let membership = app.directory.membership(tenant.id, MemberId::User(grant.user.id)).await?;
    Ok(Json(id_token::identity(tenant, &grant.user, &grant.authorized, &membership.1)))
}
