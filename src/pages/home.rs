//! What a person sees who opens the server's address in a browser.

use crate::app::App;
use crate::error::OAuthError;
use crate::pages::layout::{self, Frame, Page};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use std::sync::Arc;

/// The server's issuer and where its documents are.
#[derive(Template)]
#[template(path = "home.html")]
pub struct HomePage {
    /// What every page has.
    pub frame: Frame,
    /// The issuer of the default tenant.
    pub issuer: String,
}

impl HomePage {
    /// The page with its headers.
    ///
    /// # Errors
    /// The template failed, which a test excludes.
    pub fn respond(self) -> Result<Response, OAuthError> {
        layout::respond(Page::default(), &self.frame.nonce, &self)
    }
}

/// Answers the page.
///
/// # Errors
/// The template failed, which a test excludes.
pub async fn get(State(app): State<Arc<App>>) -> Result<Response, OAuthError> {
    HomePage { frame: Frame::new(&app.random), issuer: app.public_url.as_str().to_owned() }.respond()
}
