//! The page in place of an error's JSON, for a person who cannot be sent back to the client (RFC 6749 §4.1.2.1).

use crate::error::OAuthError;
use crate::pages::layout::{self, Frame, Page};
use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

/// An error for people.
#[derive(Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    /// What every page has.
    pub frame: Frame,
    /// What happened, in a few words.
    pub title: String,
    /// What happened, in a sentence.
    pub message: String,
    /// The registered name.
    pub error: String,
    /// The reason's number.
    pub code: u32,
    /// What finds the log line.
    pub trace_id: String,
    /// When.
    pub timestamp: String,
    /// What the person can do.
    pub hint: Option<String>,
}

impl ErrorPage {
    /// The page with its headers and the error's status.
    ///
    /// # Errors
    /// The template failed, which a test excludes.
    pub fn respond(self, status: StatusCode) -> Result<Response, OAuthError> {
        layout::respond(Page { status, ..Page::default() }, &self.frame.nonce, &self)
    }
}
