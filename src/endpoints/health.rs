//! Liveness and readiness.

use crate::app::App;
use crate::error::{OAuthError, reason};
use crate::extract::tenant::TenantPath;
use crate::types::alg::Alg;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use std::sync::Arc;

/// The process answers.
pub async fn livez() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// The server can do its work: it is not stopping, the database answers, the tenant has a key that signs.
///
/// # Errors
/// 503 with the reason.
pub async fn readyz(State(app): State<Arc<App>>, path: TenantPath) -> Result<Json<Value>, OAuthError> {
    if app.is_stopping() {
        return Err(OAuthError::from(reason::OVERLOADED).about("stopping"));
    }
    app.store.ping().await?;
    app.key_ring(path.tenant.id).await?.signing(Alg::Rs256, app.clock.now())?;
    Ok(Json(json!({ "status": "ready" })))
}
