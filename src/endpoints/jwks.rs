//! The JSON Web Key Set (RFC 7517 §5).

use super::Repeatable;
use crate::app::App;
use crate::error::OAuthError;
use crate::extract::tenant::TenantPath;
use crate::keys::JWKS_MAX_AGE;
use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use serde_json::json;
use std::sync::Arc;

/// Every published key: announced, signing and lately retired ones. A key is announced for longer than this answer
/// may be cached, so a reader that honours `max-age` never meets an unknown one.
///
/// # Errors
/// The keys cannot be read.
pub async fn get(State(app): State<Arc<App>>, path: TenantPath) -> Result<impl IntoResponse, OAuthError> {
    let ring = app.key_ring(path.tenant.id).await?;
    let keys: Vec<_> = ring.published(app.clock.now()).map(|key| &key.jwk).collect();
    Ok((
        Extension(Repeatable),
        [(CACHE_CONTROL, format!("public, max-age={JWKS_MAX_AGE}"))],
        Json(json!({ "keys": keys })),
    ))
}
