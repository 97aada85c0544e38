//! The page that asks whether a client may act for the person.

use crate::error::OAuthError;
use crate::pages::layout::{self, Frame, Page};
use askama::Template;
use axum::response::Response;

/// The page that asks whether a client may act for the person.
#[derive(Template)]
#[template(path = "consent.html")]
pub struct ConsentPage {
    /// What every page has.
    pub frame: Frame,
    /// The client's name.
    pub client: String,
    /// The client's identifier.
    pub client_id: String,
    /// Who is signed in.
    pub user: String,
    /// Host or scheme where the answer goes.
    pub destination: String,
    /// True for a client that cannot prove who it is.
    pub unverified: bool,
    /// Where the form goes.
    pub action: String,
    /// What shows that the form came from this page.
    pub csrf: String,
    /// Where to go afterwards; handed back with the form.
    pub then: String,
    /// What the client asks for.
    pub permissions: Vec<Permission>,
    /// Where to sign in as somebody else.
    pub switch: String,
}

/// What a client asks for at one resource.
#[derive(Debug, Clone)]
pub struct Permission {
    /// The resource; none for what concerns the account itself.
    pub resource: Option<String>,
    /// One line per scope.
    pub lines: Vec<PermissionLine>,
}

/// One scope.
#[derive(Debug, Clone)]
pub struct PermissionLine {
    /// What it allows, in words.
    pub text: String,
    /// The scope as it was asked for.
    pub code: Option<String>,
    /// True when it was not allowed before.
    pub new: bool,
}

impl ConsentPage {
    /// The page with its headers. `form_targets` holds the redirect URI to which the way leads after the form.
    ///
    /// # Errors
    /// The template failed, which a test excludes.
    pub fn respond(self, form_targets: Vec<String>) -> Result<Response, OAuthError> {
        layout::respond(Page { form_targets, ..Page::default() }, &self.frame.nonce, &self)
    }
}
