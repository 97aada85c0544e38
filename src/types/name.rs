//! Names that operators choose.

use super::Invalid;
use std::str::FromStr;
use uuid::Uuid;

macro_rules! name {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
    };
}

name! {
    /// A tenant's name: the first path segment of its URLs.
    TenantName
}
name! {
    /// An OAuth client identifier (RFC 6749 §2.2), unique in its tenant.
    ClientId
}
name! {
    /// A group's name, unique in its tenant.
    GroupName
}
name! {
    /// A role of a resource.
    RoleName
}
name! {
    /// What people call a client or a user.
    DisplayName
}
name! {
    /// What a person types to sign in, unique in its tenant. Letters are kept in lower case, so that case does not
    /// matter.
    UserName
}

macro_rules! read_back {
    ($($name:ident),+) => {$(
        impl $name {
            /// For a name that was checked when it was stored.
            pub(crate) fn stored(text: String) -> Self {
                Self(text)
            }
        }
    )+};
}
read_back!(TenantName, ClientId, GroupName, DisplayName, UserName);

/// First path segments that are endpoints or that well-known clients give a meaning of their own.
const RESERVED_SEGMENTS: &[&str] = &[
    "account",
    "adminconsent",
    "authorize",
    "common",
    "connect",
    "consent",
    "consumers",
    "device",
    "discovery",
    "gateway",
    "introspect",
    "jwks",
    "livez",
    "login",
    "logout",
    "metrics",
    "oauth2",
    "oidc",
    "organizations",
    "readyz",
    "register",
    "revoke",
    "statuslists",
    "token",
    "userinfo",
    "v2.0",
];

impl TenantName {
    /// The tenant that exists from the start.
    pub const DEFAULT: &'static str = "default";
}

impl FromStr for TenantName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = |why| Err(Invalid::new("tenant name", text, why));
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if text.len() > 63 || !text.starts_with(plain) || !text.chars().all(|c| plain(c) || "._-".contains(c)) {
            return bad("use 1 to 63 lower-case letters, digits, dots, dashes or underscores, a letter or digit first");
        }
        if RESERVED_SEGMENTS.contains(&text) {
            return bad("the word is kept for endpoints and for what well-known clients mean by it");
        }
        if Uuid::try_parse(text).is_ok() {
            return bad("a tenant is also found by its UUID, so a name must not look like one");
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for ClientId {
    type Err = Invalid;

    // ':' would end the id in Basic credentials, and the other characters are those no client's encoder rewrites.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let fine = |c: char| c.is_ascii_alphanumeric() || "._@-".contains(c);
        if text.is_empty() || text.len() > 128 || !text.chars().all(fine) {
            return Err(Invalid::new(
                "client id",
                text,
                "use 1 to 128 letters, digits, dots, dashes, underscores or @",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for GroupName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = |why| Err(Invalid::new("group name", text, why));
        if Uuid::try_parse(text).is_ok() {
            return bad("a group is also found by its UUID, so a name must not look like one");
        }
        // Strimzi and others split a groups claim on commas.
        if text.contains(',') {
            return bad("a comma separates groups for many readers of the claim");
        }
        printable(text, 120).map_or_else(bad, |text| Ok(Self(text)))
    }
}

impl FromStr for RoleName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() || text.len() > 120 || !text.chars().all(|c| c.is_ascii_graphic() && c != ',') {
            return Err(Invalid::new("role", text, "use 1 to 120 visible ASCII characters without space or comma"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for DisplayName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        printable(text, 120).map_or_else(|why| Err(Invalid::new("name", text, why)), |text| Ok(Self(text)))
    }
}

impl FromStr for UserName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = |why| Err(Invalid::new("user name", text, why));
        if Uuid::try_parse(text).is_ok() {
            return bad("a user is also found by its UUID, so a name must not look like one");
        }
        if text.is_empty() || text.chars().count() > 120 {
            return bad("use 1 to 120 characters");
        }
        // Ends an id in Basic credentials, separates members of a list, starts a Kafka principal's name.
        if text.chars().any(|c| c.is_whitespace() || c.is_control() || ":,;\"\\".contains(c)) {
            return bad("a space, a control character and : , ; \" \\ are not allowed");
        }
        if text.starts_with('-') {
            return bad("it must not begin with a dash: commands would take it for an option");
        }
        // One that looks like another is somebody else's to a person who reads it.
        if text.chars().any(is_unseen) || text.chars().any(|c| matches!(c, '\u{300}'..='\u{36f}')) {
            return bad("write letters with their accents as one character, and nothing that cannot be seen");
        }
        Ok(Self(text.to_lowercase()))
    }
}

/// True for characters that show nothing, or turn the direction of what stands beside them.
pub(super) fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A line of text for people, or the reason why it is none.
fn printable(text: &str, longest: usize) -> Result<String, &'static str> {
    if text.is_empty() || text.chars().count() > longest {
        return Err("use 1 to 120 characters");
    }
    if text.trim() != text || text.chars().any(|c| c.is_control() || is_unseen(c)) {
        return Err("it must not start or end with a space or hold characters that cannot be seen");
    }
    Ok(text.to_owned())
}
