//! Proof Key for Code Exchange (RFC 7636), S256 alone.

use super::secret::sha256;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::str::FromStr;
use subtle::ConstantTimeEq;

/// Not a code verifier or challenge: 43 to 128 unreserved characters (RFC 7636 §4.1, §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("use 43 to 128 letters, digits and - . _ ~")]
pub struct Malformed;

/// A code challenge made with S256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge(String);

/// A code verifier. `Debug` shows nothing of it.
pub struct Verifier(String);

fn unreserved(text: &str) -> Result<String, Malformed> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    if (43..=128).contains(&text.len()) && text.bytes().all(fine) { Ok(text.to_owned()) } else { Err(Malformed) }
}

impl Challenge {
    /// The challenge as it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// For a challenge that was checked when it was stored.
    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    /// RFC 7636 §4.6: BASE64URL(SHA256(verifier)) is the challenge, compared in constant time.
    pub fn is_of(&self, verifier: &Verifier) -> bool {
        let made = URL_SAFE_NO_PAD.encode(sha256(verifier.0.as_bytes()));
        bool::from(made.as_bytes().ct_eq(self.0.as_bytes()))
    }
}

impl FromStr for Challenge {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        unreserved(text).map(Self)
    }
}

impl FromStr for Verifier {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        unreserved(text).map(Self)
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc7636_appendix_b_known_answer() {
        let verifier: Verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".parse().unwrap();
        let challenge: Challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".parse().unwrap();
        assert!(challenge.is_of(&verifier));
        let other: Verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl".parse().unwrap();
        assert!(!challenge.is_of(&other));
    }

    #[test]
    fn rfc7636_s4_1_43_to_128_unreserved_characters() {
        for (text, fine) in [("a".repeat(42), false), ("a".repeat(43), true), ("~".repeat(128), true)] {
            assert_eq!(text.parse::<Verifier>().is_ok(), fine, "{text}");
        }
        for bad in ["a".repeat(129), format!("{}+", "a".repeat(43)), format!("{}ä", "a".repeat(43))] {
            assert!(bad.parse::<Verifier>().is_err() && bad.parse::<Challenge>().is_err(), "{bad}");
        }
    }
}
