//! The code that a person types to connect a device (RFC 8628 §6.1).

use super::id::TenantId;
use super::random::Random;
use super::secret::sha256;
use std::str::FromStr;

/// Twenty letters without vowels, so that no word comes out: RFC 8628 §6.1 has it as its example.
const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const LENGTH: usize = 8;
const GROUP: usize = 4;

/// Eight letters, written `WDJB-MJHT`: about 34 bits, for a quarter of an hour and under a bound on guesses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserCode(String);

/// Not a user code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl UserCode {
    /// A new one, every letter as likely as any other.
    pub fn generate(random: &Random) -> Self {
        let mut letters = String::with_capacity(LENGTH);
        while letters.len() < LENGTH {
            // A byte from 240 on would make the first letters likelier.
            let fair = random.bytes::<16>().into_iter().filter(|byte| *byte < 240);
            let fair = fair.map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
            letters.extend(fair.take(LENGTH - letters.len()));
        }
        Self(letters)
    }

    /// SHA-256 with the tenant, by which it is found.
    pub fn hash(&self, tenant: TenantId) -> [u8; 32] {
        sha256(format!("user code {tenant} {}", self.0).as_bytes())
    }
}

impl FromStr for UserCode {
    type Err = Malformed;

    // RFC 8628 §6.1: case does not matter, and neither does what people put between the letters.
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let mut letters = String::with_capacity(LENGTH);
        for letter in text.chars().filter(|c| !c.is_whitespace() && !"-\u{2010}\u{2011}\u{2013}._".contains(*c)) {
            let letter = letter.to_ascii_uppercase();
            if letters.len() == LENGTH || !letter.is_ascii() || !ALPHABET.contains(&(letter as u8)) {
                return Err(Malformed);
            }
            letters.push(letter);
        }
        if letters.len() == LENGTH { Ok(Self(letters)) } else { Err(Malformed) }
    }
}

impl std::fmt::Display for UserCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (first, second) = self.0.split_at(GROUP);
        write!(f, "{first}-{second}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn rfc8628_s6_1_it_has_eight_letters_of_twenty_and_is_read_however_it_is_typed() {
        let random = Random::system();
        let mut seen = BTreeSet::new();
        for _ in 0..200 {
            let code = UserCode::generate(&random);
            let shown = code.to_string();
            assert_eq!((shown.len(), &shown[4..5]), (9, "-"));
            seen.extend(shown.bytes().filter(|byte| *byte != b'-'));
            for typed in
                [shown.clone(), shown.to_lowercase(), shown.replace('-', ""), format!(" {} ", shown.replace('-', " "))]
            {
                assert_eq!(typed.parse(), Ok(code.clone()), "{typed}");
            }
        }
        assert_eq!(seen, ALPHABET.iter().copied().collect());
        for wrong in ["", "BCDF", "BCDF-GHJ", "BCDF-GHJKL", "ACDF-GHJK", "BCDF-GHJ1", "BCDF-GHJÄ", "ＢCDF-GHJK"] {
            assert_eq!(wrong.parse::<UserCode>(), Err(Malformed), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn rfc8628_s6_1_no_text_is_too_strange_to_be_read(text in "\\PC{0,40}") {
            if let Ok(code) = text.parse::<UserCode>() {
                prop_assert_eq!(code.to_string().parse(), Ok(code));
            }
        }
    }
}
