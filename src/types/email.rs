//! Addresses of people. Only whether somebody reads what is sent there can prove one; this keeps out what cannot be one.

use super::Invalid;
use std::str::FromStr;

/// An email address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// The address as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = |why| Err(Invalid::new("email address", text, why));
        // RFC 5321 §4.5.3.1.3: a path has at most 256 octets, two of them angle brackets.
        if text.len() > 254 {
            return bad("use at most 254 characters");
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return bad("it must not hold spaces or control characters");
        }
        match text.split_once('@') {
            Some((name, host)) if !name.is_empty() && !host.is_empty() && !host.contains('@') => {
                Ok(Self(text.to_owned()))
            }
            _ => bad("write it as name@example.com"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Email;

    #[test]
    fn an_address_has_a_name_one_at_and_a_host() {
        for text in ["ann@example.com", "ann+grantor@mail.example.com", "jürgen@bücher.example", "root@localhost"] {
            assert_eq!(text.parse::<Email>().unwrap().as_str(), text);
        }
        let long = format!("ann@{}", "x".repeat(251));
        for text in ["", "ann", "@", "ann@", "@example.com", "a@b@c", "a b@c", "a@b\n", " a@b", "a\0@b", &long] {
            assert!(text.parse::<Email>().is_err(), "{text:?}");
        }
        assert!(long[..254].parse::<Email>().is_ok());
    }
}
