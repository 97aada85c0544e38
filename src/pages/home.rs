//! What a person sees who opens the server's address in a browser.

use crate::app::App;
use crate::error::{OAuthError, reason};
use askama::Template;
use axum::extract::State;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::response::{Html, IntoResponse};
use std::sync::Arc;

#[derive(Template)]
#[template(path = "home.html")]
struct Home<'a> {
    issuer: &'a str,
}

/// The server's issuer and where its documents are.
///
/// # Errors
/// The template failed, which a test excludes.
pub async fn get(State(app): State<Arc<App>>) -> Result<impl IntoResponse, OAuthError> {
    let page = Home { issuer: app.public_url.as_str() };
    let html = page.render().map_err(|error| OAuthError::from(reason::INTERNAL).because(error))?;
    let policy =
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    Ok(([(CONTENT_SECURITY_POLICY, policy)], Html(html)))
}
