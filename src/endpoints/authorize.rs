//! The authorization endpoint (RFC 6749 §3.1).

use crate::app::App;
use crate::error::OAuthError;
use crate::extract::browser::Browser;
use crate::extract::form::PostedForm;
use crate::extract::tenant::TenantPath;
use crate::pages::visit::{self, Answer, Then, Visit};
use axum::extract::{RawQuery, State};
use axum::response::Response;
use std::sync::Arc;

/// Takes a request one step further: a page, or its answer.
///
/// # Errors
/// §4.1.2.1: what must not be sent anywhere, because no redirect URI is proven.
pub async fn get(
    State(app): State<Arc<App>>,
    path: TenantPath,
    browser: Browser,
    RawQuery(query): RawQuery,
) -> Result<Response, OAuthError> {
    let visit = Visit { app: &app, path: &path, browser: &browser };
    visit.advance(query.as_deref().unwrap_or_default(), Answer::None).await
}

/// The same by POST. Browsers keep the cookie of the session back from a POST of another site, so the request is made
/// again as a GET.
///
/// # Errors
/// The body cannot be read.
pub async fn post(State(app): State<Arc<App>>, path: TenantPath, posted: PostedForm) -> Result<Response, OAuthError> {
    visit::check_length(&posted.form)?;
    let query = posted.form.query_without(&[]);
    visit::see_other(&Then::Authorize(query).path(&path.base(&app)))
}
