//! The page that hands an authorization answer to the client by a form: OAuth 2.0 Form Post Response Mode §2.

use crate::error::OAuthError;
use crate::pages::layout::{self, Frame, Page};
use askama::Template;
use axum::response::Response;

/// A form that submits itself, and has a button where scripts do not run.
#[derive(Template)]
#[template(path = "form_post.html")]
pub struct FormPostPage {
    /// What every page has.
    pub frame: Frame,
    /// The client's redirect URI.
    pub action: String,
    /// The parameters of the answer.
    pub fields: Vec<(String, String)>,
}

impl FormPostPage {
    /// The page with its headers.
    ///
    /// # Errors
    /// The template failed, which a test excludes.
    pub fn respond(self) -> Result<Response, OAuthError> {
        let page =
            Page { form_targets: vec![self.action.clone(), "https:".to_owned()], script: true, ..Page::default() };
        layout::respond(page, &self.frame.nonce, &self)
    }
}
