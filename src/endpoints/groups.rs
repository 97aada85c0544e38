//! The whole list of groups for a token that had no room for them: what `_claim_sources` points at (OpenID Connect
//! Core §5.6.2).

use crate::app::App;
use crate::error::{OAuthError, reason};
use crate::extract::bearer::BearerToken;
use crate::extract::tenant::TenantPath;
use crate::tokens::{claims, verify};
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use std::sync::Arc;

/// Answers the bearer of an access token with the groups of its subject, under the policy of its resource, as they
/// are now.
///
/// # Errors
/// RFC 6750 §3.1; or the database cannot be asked.
pub async fn get(
    State(app): State<Arc<App>>,
    path: TenantPath,
    bearer: BearerToken,
) -> Result<Json<Value>, OAuthError> {
    let tenant = &*path.tenant;
    let token = verify::active(&app, tenant, &bearer.0).await?.ok_or(reason::TOKEN_INVALID)?;
    let resources = app.directory.resources(tenant.id).await?;
    let resource = resources.iter().find(|resource| resource.identifier.as_str() == token.audience);
    let resource = resource.ok_or(reason::TOKEN_INVALID)?;
    let membership = app.directory.membership(tenant.id, token.subject).await?;
    Ok(Json(json!({
        "sub": token.claims.get("sub"),
        "aud": token.audience,
        "groups": claims::group_values(resource, &membership.1),
    })))
}
