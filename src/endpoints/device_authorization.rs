//! The device authorization endpoint (RFC 8628 §3.1).

use crate::app::App;
use crate::authorization::device::{self, Codes, INTERVAL, LIFETIME};
use crate::error::OAuthError;
use crate::extract::form::PostedForm;
use crate::extract::tenant::TenantPath;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::sync::Arc;

/// The answer (RFC 8628 §3.2).
#[derive(Serialize)]
pub struct DeviceAuthorization {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: String,
    expires_in: i64,
    interval: i64,
    /// What MSAL's users print.
    message: String,
}

/// Gives a device the code with which it polls and the one that its person types.
///
/// # Errors
/// As at the token endpoint (RFC 8628 §3.2), and what the checks of an authorization request refuse.
pub async fn post(
    State(app): State<Arc<App>>,
    path: TenantPath,
    posted: PostedForm,
) -> Result<Json<DeviceAuthorization>, OAuthError> {
    let mut codes = begin(&app, &path, &posted).await;
    // What rests on memory is looked at once more before it is refused.
    if codes.as_ref().is_err_and(OAuthError::rests_on_directory) && app.catch_up().await? {
        codes = begin(&app, &path, &posted).await;
    }
    let Codes { device, user } = codes?;
    let verification_uri = format!("{}/device", path.url(&app));
    Ok(Json(DeviceAuthorization {
        device_code: device.expose().to_owned(),
        user_code: user.to_string(),
        verification_uri_complete: format!("{verification_uri}?user_code={user}"),
        message: format!("To sign in, open {verification_uri} in a browser and enter the code {user}."),
        verification_uri,
        expires_in: LIFETIME,
        interval: INTERVAL,
    }))
}

async fn begin(app: &App, path: &TenantPath, posted: &PostedForm) -> Result<Codes, OAuthError> {
    let tenant = path.enabled()?;
    let client = posted.authenticate(app, tenant).await?;
    device::begin(app, tenant, client.client(), &posted.form).await
}
