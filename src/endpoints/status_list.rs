//! Status list tokens (draft-ietf-oauth-status-list §8).

use super::Repeatable;
use crate::app::App;
use crate::error::{OAuthError, reason};
use crate::extract::tenant::TenantPath;
use crate::tokens::status;
use axum::Extension;
use axum::extract::{RawPathParams, State};
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use std::sync::Arc;
use uuid::Uuid;

/// The list as a signed JWT. Public: it says nothing but bits.
///
/// # Errors
/// There is no such list, or it cannot be read or signed.
pub async fn get(
    State(app): State<Arc<App>>,
    path: TenantPath,
    params: RawPathParams,
) -> Result<impl IntoResponse, OAuthError> {
    let id = params.iter().find(|(name, _)| *name == "id").and_then(|(_, id)| Uuid::try_parse(id).ok());
    let id = id.ok_or(reason::STATUS_LIST_UNKNOWN)?;
    let list = status::publish(&app, &path.tenant, id.into()).await?.ok_or(reason::STATUS_LIST_UNKNOWN)?;
    let headers = [
        (CONTENT_TYPE, "application/statuslist+jwt".to_owned()),
        (CACHE_CONTROL, format!("public, max-age={}", status::TTL)),
        // §8.1: readers in browsers may fetch it.
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*".to_owned()),
    ];
    Ok((Extension(Repeatable), headers, list.jwt.clone()))
}
