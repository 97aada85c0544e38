//! The page that asks whether to go on as the person who is signed in (`prompt=select_account`).

use crate::error::OAuthError;
use crate::pages::layout::{self, Frame, Page};
use askama::Template;
use axum::response::Response;

/// The page that asks whether to go on as the person who is signed in.
#[derive(Template)]
#[template(path = "select.html")]
pub struct SelectPage {
    /// What every page has.
    pub frame: Frame,
    /// The name of the client that asks.
    pub client: Option<String>,
    /// The person's name.
    pub user: String,
    /// The name with which they sign in.
    pub username: String,
    /// Where to go on as this person.
    pub go_on: String,
    /// Where to sign in as somebody else.
    pub switch: String,
}

impl SelectPage {
    /// The first letter of the name, for the round mark beside it.
    fn initial(&self) -> String {
        let letter = self.user.chars().find(|c| c.is_alphanumeric());
        letter.map(|letter| letter.to_uppercase().collect()).unwrap_or_default()
    }

    /// The page with its headers.
    ///
    /// # Errors
    /// The template failed, which a test excludes.
    pub fn respond(self) -> Result<Response, OAuthError> {
        layout::respond(Page::default(), &self.frame.nonce, &self)
    }
}
