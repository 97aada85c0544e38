//! The page on which an owner looks after a group.

use crate::error::OAuthError;
use crate::pages::layout::{self, Frame, Page};
use askama::Template;
use axum::response::Response;

/// A group in the hands of its owner.
#[derive(Template)]
#[template(path = "group.html")]
pub struct GroupPage {
    /// What every page has.
    pub frame: Frame,
    /// The group's name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Where the forms go.
    pub action: String,
    /// The account page.
    pub back: String,
    /// What shows that a form came from this page.
    pub csrf: String,
    /// What was just done.
    pub notice: Option<String>,
    /// What went wrong with the last entry.
    pub problem: Option<String>,
    /// The direct members.
    pub members: Vec<MemberLine>,
    /// True when there are more members than are listed.
    pub more: bool,
    /// The kind that was chosen: `client`, anything else is a user.
    pub kind: String,
    /// The name that was entered.
    pub entered: String,
}

/// A direct member.
#[derive(Debug, Clone)]
pub struct MemberLine {
    /// What it is, in words.
    pub kind: String,
    /// `client`, `user` or `group`; handed back to remove it.
    pub raw_kind: String,
    /// Handed back to remove it.
    pub id: String,
    /// Its name.
    pub name: String,
}

impl GroupPage {
    /// The page with its headers.
    ///
    /// # Errors
    /// The template failed, which a test excludes.
    pub fn respond(self) -> Result<Response, OAuthError> {
        layout::respond(Page::default(), &self.frame.nonce, &self)
    }
}
