//! The page on which people see their own account: sessions, applications with access, groups that they own.

use crate::error::OAuthError;
use crate::pages::layout::{self, Frame, Page};
use askama::Template;
use axum::response::Response;

/// One's own account.
#[derive(Template)]
#[template(path = "account.html")]
pub struct AccountPage {
    /// What every page has.
    pub frame: Frame,
    /// The name with which the person signs in.
    pub username: String,
    /// The person's name.
    pub display_name: Option<String>,
    /// The person's address.
    pub email: Option<String>,
    /// The path below which the forms go, such as `/account`.
    pub action: String,
    /// What shows that a form came from this page.
    pub csrf: String,
    /// What was just done.
    pub notice: Option<String>,
    /// Where the person is signed in.
    pub sessions: Vec<SessionLine>,
    /// What the person allowed.
    pub consents: Vec<ConsentLine>,
    /// Groups that the person owns.
    pub groups: Vec<GroupLine>,
    /// Where to sign out.
    pub logout: String,
}

/// A browser in which the person is signed in.
#[derive(Debug, Clone)]
pub struct SessionLine {
    /// Handed back to end it.
    pub id: String,
    /// What it is, in words.
    pub device: String,
    /// Its network address.
    pub address: String,
    /// Since when.
    pub since: String,
    /// When it was last used.
    pub seen: String,
    /// True for the browser that shows the page.
    pub current: bool,
}

/// A client with the person's consent.
#[derive(Debug, Clone)]
pub struct ConsentLine {
    /// The client's name.
    pub client: String,
    /// The client's identifier; handed back to withdraw.
    pub client_id: String,
    /// What it may do, in words.
    pub permissions: Vec<String>,
    /// Since when.
    pub since: String,
}

/// A group that the person owns.
#[derive(Debug, Clone)]
pub struct GroupLine {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// How many members it has.
    pub members: usize,
    /// Its page.
    pub url: String,
}

impl AccountPage {
    /// What the person is called on top of the page.
    fn shown_name(&self) -> &str {
        self.display_name.as_deref().unwrap_or(&self.username)
    }

    /// The page with its headers.
    ///
    /// # Errors
    /// The template failed, which a test excludes.
    pub fn respond(self) -> Result<Response, OAuthError> {
        layout::respond(Page::default(), &self.frame.nonce, &self)
    }
}
