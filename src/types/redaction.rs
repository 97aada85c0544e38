//! Secrets that somebody put where none belongs, such as a token into `scope`: they are found by how they look, so that what is
//! told of a request repeats none.

use super::secret::PREFIXES;
use std::borrow::Cow;

/// What is shown in the place of a secret.
const SHOWN: &str = "(a secret)";

/// So many characters behind a prefix, and so long a JWT, are no word any more. The shortest secret has 43; one that lost its
/// end on the way still gives away most of itself.
const LONG: usize = 32;

/// How a JWT begins (RFC 7519 §3): `{"` in base64url.
const JWT: &[u8] = b"eyJ";

/// The text with each secret replaced by `(a secret)`, and the very same text when it holds none. Takes time in proportion to
/// its length, whatever stands in it.
pub fn redacted<'a>(text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
    let text = text.into();
    let (mut shown, mut copied, mut start) = (String::new(), 0, 0);
    for piece in text.split_inclusive(|c| !may_belong(c)) {
        let run = piece.trim_end_matches(|c| !may_belong(c));
        if let Some(at) = secret_in(run) {
            shown.push_str(&text[copied..start + at]);
            shown.push_str(SHOWN);
            copied = start + run.len();
        }
        start += piece.len();
    }
    if copied == 0 {
        return text;
    }
    shown.push_str(&text[copied..]);
    Cow::Owned(shown)
}

/// True when the text holds a secret.
pub fn holds_secret(text: &str) -> bool {
    text.split(|c| !may_belong(c)).any(|run| secret_in(run).is_some())
}

/// base64url, and the dots between the parts of a JWT.
fn may_belong(c: char) -> bool {
    c == '.' || u8::try_from(c).is_ok_and(is_base64url)
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// Where in a run of such characters a secret begins; all that follows belongs to it.
fn secret_in(run: &str) -> Option<usize> {
    let bytes = run.as_bytes();
    // Most words end here.
    let last = bytes.len().checked_sub(LONG)?;
    let last_dot = run.rfind('.');
    (0..=last).find(|&at| {
        let rest = &bytes[at..];
        // One that was cut off behind its second part names people all the same.
        (rest.starts_with(JWT) && last_dot > Some(at)) || is_prefixed(rest)
    })
}

fn is_prefixed(rest: &[u8]) -> bool {
    let behind = PREFIXES.iter().find_map(|prefix| rest.strip_prefix(prefix.as_bytes()));
    behind.and_then(|behind| behind.get(..LONG)).is_some_and(|behind| behind.iter().copied().all(is_base64url))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::id::GrantId;
    use crate::types::random::Random;
    use crate::types::refresh_token::RefreshToken;
    use crate::types::secret::Secret;
    use proptest::prelude::*;

    const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl";

    fn secrets() -> Vec<String> {
        let random = Random::system();
        let refresh = RefreshToken::first(GrantId::from(random.uuid_v4()), &random).to_secret();
        let generated = PREFIXES.iter().map(|prefix| Secret::generate(prefix, &random));
        generated.chain([refresh]).map(|secret| secret.expose().to_owned()).chain([TOKEN.to_owned()]).collect()
    }

    #[test]
    fn a_secret_is_replaced_wherever_it_stands_in_a_text() {
        for secret in secrets() {
            for (before, after) in
                [("", ""), ("client \"", "\""), ("/", "/jwks"), ("https://a.example/?x=", "&y=é"), ("é", " z")]
            {
                assert_eq!(redacted(format!("{before}{secret}{after}")), format!("{before}(a secret){after}"));
            }
            assert_eq!(redacted(format!("{secret} and {secret}")), "(a secret) and (a secret)");
            // Stuck to something else, or without its end.
            assert_eq!(redacted(format!("secret-{secret}")), "secret-(a secret)");
            let cut = &secret[..secret.len() - 6];
            assert_eq!(redacted(cut), "(a secret)", "{cut}");
            assert!(holds_secret(&format!("a {secret}")) && !holds_secret("a secret"));
        }
        // Encrypted, with five parts; without a signature; inside a name with dots.
        for text in
            [format!("{TOKEN}.aaaa.bbbb"), "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.".to_owned(), format!("a.{TOKEN}")]
        {
            assert_eq!(redacted(&text).trim_start_matches("a."), "(a secret)", "{text}");
        }
    }

    #[test]
    fn words_are_left_as_they_are_and_cost_no_copy() {
        for text in [
            "",
            "grat_is",
            "grcs_",
            "grac_administrators.read",
            "https://api.example.com/grrt_tokens_of_others/.default",
            "eyJ",
            "eyJ.is.it",
            "eyJafjallajokull-is-a-long-name-without-any-dot",
            "the-name-of-a-host-that-is-long-enough.example.com",
            "5d7e3ad0-2b67-4c36-8a3c-8d0ff2e0b1b2",
            "ünïcödé 🔑 grat_ünïcödé",
        ] {
            assert!(matches!(redacted(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_no_secret_stays(before in "\\PC{0,40}", after in "\\PC{0,40}") {
            let secret = &secrets()[0];
            let shown = redacted(format!("{before} {secret} {after}")).into_owned();
            prop_assert!(!shown.contains(secret));
            prop_assert_eq!(&redacted(shown.as_str()), &shown);
        }
    }
}
