//! The page that asks whether a client may act for the person.

use crate::app::App;
use crate::error::{OAuthError, reason};
use crate::extract::browser::Browser;
use crate::extract::form::PostedForm;
use crate::extract::tenant::TenantPath;
use crate::pages::layout::{self, Frame, Page};
use crate::pages::visit::{Answer, Visit};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use std::sync::Arc;

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
    /// Host or scheme where the answer goes; empty for a device, which fetches it.
    pub destination: String,
    /// The code that a device shows, where one asks.
    pub code: Option<String>,
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

/// Takes what the person said (`POST /consent`).
///
/// # Errors
/// The form did not come from our page, or what [`Visit::advance`] answers.
pub async fn post(
    State(app): State<Arc<App>>,
    path: TenantPath,
    browser: Browser,
    posted: PostedForm,
) -> Result<Response, OAuthError> {
    let form = &posted.form;
    browser.check_form(form)?;
    let then = form.get("then").unwrap_or_default();
    let (seen, query) = then.split_once('?').ok_or(reason::FORM_EXPIRED)?;
    let answer = match form.get("decision") {
        Some("approve") => Answer::Approve(seen),
        Some("deny") => Answer::Deny,
        _ => Answer::None,
    };
    Visit { app: &app, path: &path, browser: &browser }.advance(query, answer).await
}
