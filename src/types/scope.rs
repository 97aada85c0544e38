//! Scope strings (RFC 6749 §3.3).

use super::Invalid;
use std::str::FromStr;

/// `/.default` behind a resource identifier: all that the client may have there.
pub const DEFAULT: &str = ".default";

/// OpenID Connect's scope values, and `groups` beside them: they ask for identity, not for a resource.
pub const OPENID_SCOPES: &[&str] = &["openid", "profile", "email", "address", "phone", "groups", OFFLINE_ACCESS];

/// Asks for a refresh token (OpenID Connect Core §11).
pub const OFFLINE_ACCESS: &str = "offline_access";

const MAX_LENGTH: usize = 32 * 1024;
const MAX_TOKENS: usize = 1000;

/// The scope parameter as sent: its tokens in order, without repeats. May be empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope(Vec<String>);

impl Scope {
    /// The tokens, in the order of the request.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// True when nothing was asked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for Scope {
    type Err = Invalid;

    // RFC 6749 §3.3: space-delimited, case-sensitive, order-free tokens of %x21 / %x23-5B / %x5D-7E.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.len() > MAX_LENGTH {
            return Err(Invalid::new("scope", text, "it is too long"));
        }
        let mut tokens: Vec<String> = Vec::new();
        for token in text.split(' ').filter(|token| !token.is_empty()) {
            if !is_scope_token(token) {
                return Err(Invalid::new("scope", token, "it holds a character that RFC 6749 §3.3 does not allow"));
            }
            if !tokens.iter().any(|seen| seen == token) {
                tokens.push(token.to_owned());
            }
            if tokens.len() > MAX_TOKENS {
                return Err(Invalid::new("scope", text, "it names too many scopes"));
            }
        }
        Ok(Self(tokens))
    }
}

/// True for one or more of the characters that RFC 6749 §3.3 allows in a scope token.
pub fn is_scope_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5B | 0x5D..=0x7E))
}

/// A scope as its resource names it, without the resource in front: `read`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScopeValue(String);

impl ScopeValue {
    /// The value as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ScopeValue {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = |why| Err(Invalid::new("scope", text, why));
        if text.len() > 120 || !is_scope_token(text) {
            return bad("use 1 to 120 visible ASCII characters without space, quote or backslash");
        }
        if text == DEFAULT || text.ends_with("/.default") {
            return bad("'.default' stands for all scopes of a resource and cannot be one of them");
        }
        if OPENID_SCOPES.contains(&text) {
            return bad("OpenID Connect gives this word a meaning of its own");
        }
        Ok(Self(text.to_owned()))
    }
}

/// What a scope means, for the person who is asked to consent. Empty when nobody described it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeDescription(String);

impl ScopeDescription {
    /// The description as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ScopeDescription {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.chars().count() > 200 || text.chars().any(char::is_control) || text.trim() != text {
            let why = "use one line of at most 200 characters that does not start or end with a space";
            return Err(Invalid::new("description", text, why));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rfc6749_s3_3_never_holds_a_repeat_or_a_forbidden_character(text in "\\PC{0,80}") {
            if let Ok(scope) = text.parse::<Scope>() {
                let tokens: Vec<_> = scope.tokens().collect();
                let mut unique = tokens.clone();
                unique.sort_unstable();
                unique.dedup();
                prop_assert_eq!(unique.len(), tokens.len());
                prop_assert!(tokens.iter().all(|token| is_scope_token(token)));
            }
        }
    }

    #[test]
    fn rfc6749_s3_3_is_case_sensitive_and_drops_repeats() {
        let scope: Scope = " read  Read read ".parse().unwrap();
        assert_eq!(scope.tokens().collect::<Vec<_>>(), ["read", "Read"]);
        for text in ["a\"b", "a\\b", "a\tb", "ä"] {
            assert!(text.parse::<Scope>().is_err(), "{text}");
        }
    }
}
