//! The page that asks for username and password.

use crate::error::OAuthError;
use crate::pages::layout::{self, Frame, Page};
use askama::Template;
use axum::response::Response;

/// The page that asks for username and password.
#[derive(Template)]
#[template(path = "login.html")]
pub struct LoginPage {
    /// What every page has.
    pub frame: Frame,
    /// The tenant, unless it is the default one.
    pub tenant: Option<String>,
    /// The name of the client that asks; none for the account page.
    pub client: Option<String>,
    /// Where the form goes.
    pub action: String,
    /// What shows that the form came from this page.
    pub csrf: String,
    /// Where to go afterwards; handed back with the form.
    pub then: String,
    /// What was entered before, or was named by the client. Unless empty, the focus starts on the password.
    pub username: String,
    /// What went wrong the last time.
    pub problem: Option<String>,
}

impl LoginPage {
    /// The page with its headers. `form_targets` holds the redirect URI to which the way leads after the form.
    ///
    /// # Errors
    /// The template failed, which a test excludes.
    pub fn respond(self, form_targets: Vec<String>) -> Result<Response, OAuthError> {
        layout::respond(Page { form_targets, ..Page::default() }, &self.frame.nonce, &self)
    }
}
