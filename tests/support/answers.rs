//! What comes back from the authorization endpoint: a page, or an answer on its way to the client.

use super::browser::{Ask, WEB_CALLBACK, main_id, unescape};
use super::{PUBLIC_URL, Reply};
use regex::Regex;
use std::collections::BTreeMap;

/// The `state` that [`Ask`] sends.
pub const STATE: &str = "a state/&?";

/// RFC 6749 §4.1.2.1: %x20-21 / %x23-5B / %x5D-7E.
pub fn may_stand_in_a_description(c: char) -> bool {
    matches!(c, '\x20'..='\x21' | '\x23'..='\x5b' | '\x5d'..='\x7e')
}

impl Reply {
    /// Asserts that it is the page whose `<main>` has this id, and that it leads nowhere.
    #[track_caller]
    pub fn assert_page(&self, status: u16, id: &str) {
        assert_eq!((self.status.as_u16(), main_id(self).as_deref()), (status, Some(id)), "{}", self.text());
        assert!(!self.headers.contains_key("location"));
    }

    /// Asserts that it is the page of an error.
    #[track_caller]
    pub fn assert_error_page(&self, status: u16, code: u32) {
        self.assert_page(status, "grantor-error");
        assert!(self.text().contains(&format!("<code>GRT{code}</code>")), "{}", self.text());
        assert!(self.header("content-type").starts_with("text/html"));
        assert_eq!(self.header("cache-control"), "no-store");
    }

    /// Asserts that the client `web` is told of an error, and nothing else; hands back what it is told.
    #[track_caller]
    pub fn assert_refused(&self, error: &str, code: u32) -> BTreeMap<String, String> {
        assert_eq!(self.status.as_u16(), 303, "{}", self.text());
        assert!(self.header("location").starts_with(&format!("{WEB_CALLBACK}?")), "{}", self.header("location"));
        let told = parameters(self);
        assert_eq!(told.keys().collect::<Vec<_>>(), ["error", "error_description", "iss", "state"], "{told:?}");
        assert_eq!((told["error"].as_str(), told["state"].as_str()), (error, STATE), "{told:?}");
        assert_eq!(told["iss"], PUBLIC_URL);
        let description = &told["error_description"];
        assert!(description.starts_with(&format!("GRT{code}: ")), "{told:?}");
        assert!(description.chars().all(may_stand_in_a_description), "{description}");
        told
    }

    /// Asserts that the client gets a code; hands it back.
    #[track_caller]
    pub fn assert_code(&self) -> String {
        let told = parameters(self);
        told.get("code").cloned().unwrap_or_else(|| panic!("no code: {told:?} {}", self.text()))
    }
}

/// What the client is told, whichever way it travels.
pub fn parameters(reply: &Reply) -> BTreeMap<String, String> {
    let location = reply.header("location");
    if location.is_empty() {
        return fields(reply);
    }
    let encoded = location.split_once(['#', '?']).map_or("", |(_, rest)| rest);
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(encoded).unwrap();
    let count = pairs.len();
    let told: BTreeMap<String, String> = pairs.into_iter().collect();
    assert_eq!(told.len(), count, "a parameter stands twice: {location}");
    told
}

/// Every hidden field of a page.
pub fn fields(page: &Reply) -> BTreeMap<String, String> {
    let found = Regex::new(r#"<input type="hidden" name="([^"]+)" value="([^"]*)""#).unwrap();
    found.captures_iter(&page.text()).map(|found| (found[1].to_owned(), unescape(&found[2]))).collect()
}

/// Where the link with this id leads.
#[track_caller]
pub fn link(page: &Reply, id: &str) -> String {
    let text = page.text();
    let found = Regex::new(&format!(r#"<a[^>]* id="{id}"[^>]* href="([^"]*)""#)).unwrap();
    unescape(&found.captures(&text).unwrap_or_else(|| panic!("no link {id} in {text}"))[1])
}

impl Ask {
    /// As a path, with more behind it that is written as it stands.
    pub fn path_and(&self, more: &str) -> String {
        format!("{}&{more}", self.path())
    }
}

/// A token with another signature. The last character alone would not do: some of its bits mean nothing.
pub fn spoiled(token: &str) -> String {
    let at = token.len() - 20;
    let other = if &token[at..=at] == "A" { "B" } else { "A" };
    format!("{}{other}{}", &token[..at], &token[at + 1..])
}
