//! The page that asks whether to sign out, and the one that says that it is done.

use crate::error::OAuthError;
use crate::pages::layout::{self, Frame, Page};
use askama::Template;
use axum::response::Response;

/// The page that asks whether to sign out.
#[derive(Template)]
#[template(path = "logout.html")]
pub struct LogoutPage {
    /// What every page has.
    pub frame: Frame,
    /// Who is signed in.
    pub user: String,
    /// Where the form goes.
    pub action: String,
    /// What shows that the form came from this page.
    pub csrf: String,
    /// Further hidden fields, handed back with the form.
    pub fields: Vec<(String, String)>,
}

impl LogoutPage {
    /// The page with its headers.
    ///
    /// # Errors
    /// The template failed, which a test excludes.
    pub fn respond(self, form_targets: Vec<String>) -> Result<Response, OAuthError> {
        layout::respond(Page { form_targets, ..Page::default() }, &self.frame.nonce, &self)
    }
}

/// The page that says that the person is signed out.
#[derive(Template)]
#[template(path = "logged_out.html")]
pub struct LoggedOutPage {
    /// What every page has.
    pub frame: Frame,
    /// Name and address of where the person came from.
    pub back: Option<(String, String)>,
}

impl LoggedOutPage {
    /// The page with its headers.
    ///
    /// # Errors
    /// The template failed, which a test excludes.
    pub fn respond(self) -> Result<Response, OAuthError> {
        layout::respond(Page::default(), &self.frame.nonce, &self)
    }
}
