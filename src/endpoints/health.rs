//! Liveness and readiness.

use crate::app::App;
use crate::error::{OAuthError, reason};
use crate::types::alg::Alg;
use crate::types::name::TenantName;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use std::sync::Arc;

/// The process answers.
pub async fn livez() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// The server can do its work: it is not stopping, the database answers, the default tenant has a key that signs.
///
/// # Errors
/// 503 with the reason.
pub async fn readyz(State(app): State<Arc<App>>) -> Result<Json<Value>, OAuthError> {
    if app.is_stopping() {
        return Err(OAuthError::from(reason::OVERLOADED).about("stopping"));
    }
    app.store.ping().await?;
    let tenant = app.directory.tenant(TenantName::DEFAULT).await?;
    let tenant = tenant.ok_or_else(|| OAuthError::from(reason::INTERNAL).because("there is no default tenant"))?;
    app.key_ring(tenant.id).await?.signing(Alg::Rs256, app.clock.now())?;
    Ok(Json(json!({ "status": "ready" })))
}
