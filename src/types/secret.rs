//! Secrets: made, hashed, compared; never printed.

use super::Invalid;
use super::random::Random;
use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Block, Params, PasswordHash, Version};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{digest, hmac};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

/// In front of every generated client secret, so that secret scanners find one that leaked.
pub const CLIENT_SECRET_PREFIX: &str = "grcs_";

/// In front of every opaque access token.
pub const ACCESS_TOKEN_PREFIX: &str = "grat_";

/// In front of every authorization code.
pub const CODE_PREFIX: &str = "grac_";

/// In front of every device code.
pub const DEVICE_CODE_PREFIX: &str = "grdc_";

/// In front of every refresh token.
pub const REFRESH_TOKEN_PREFIX: &str = "grrt_";

/// In front of every session cookie's value.
pub const SESSION_PREFIX: &str = "grse_";

/// In front of the value of the cookie that binds forms to a browser.
pub const FORM_PREFIX: &str = "grfo_";

/// All of them: by these a secret is known where none belongs.
pub const PREFIXES: &[&str] = &[
    CLIENT_SECRET_PREFIX,
    ACCESS_TOKEN_PREFIX,
    CODE_PREFIX,
    DEVICE_CODE_PREFIX,
    REFRESH_TOKEN_PREFIX,
    SESSION_PREFIX,
    FORM_PREFIX,
];

/// A secret in clear, on its way in or out. `Debug` shows nothing of it and it is wiped when dropped.
#[derive(Debug, Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// 256 random bits in `[A-Za-z0-9_-]` behind `prefix`. The alphabet is the one that no client's encoder rewrites.
    pub fn generate(prefix: &str, random: &Random) -> Self {
        Self::from(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(random.bytes::<32>())))
    }

    /// The clear text. Say where it goes when you call this.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// A secret that a person chose: long enough, and one line.
    ///
    /// # Errors
    /// Shorter than 12 or longer than 512 characters, or with control characters.
    pub fn chosen(text: &str) -> Result<Self, Invalid> {
        let length = text.chars().count();
        if !(12..=512).contains(&length) || text.chars().any(char::is_control) {
            return Err(Invalid::new("secret", "(not shown)", "use 12 to 512 characters on one line"));
        }
        Ok(Self::from(text.to_owned()))
    }

    /// A person's password. Length is what counts: NIST SP 800-63B wants no rules about which characters.
    ///
    /// # Errors
    /// Shorter than 8 or longer than 512 characters, or with control characters.
    pub fn password(text: &str) -> Result<Self, Invalid> {
        let length = text.chars().count();
        if !(8..=512).contains(&length) || text.chars().any(char::is_control) {
            return Err(Invalid::new("password", "(not shown)", "use 8 to 512 characters on one line"));
        }
        Ok(Self::from(text.to_owned()))
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(SecretString::from(text))
    }
}

/// A secret as stored.
///
/// A generated secret has 256 random bits, which no slow hash makes stronger: SHA-256. One that a person chose gets
/// Argon2id with the parameters that OWASP recommends (19 MiB, two passes, one lane).
#[derive(Clone, PartialEq, Eq)]
pub enum SecretHash {
    /// Of a generated secret.
    Sha256([u8; 32]),
    /// PHC string of a secret that a person chose.
    Argon2id(String),
}

impl SecretHash {
    /// For a generated secret.
    pub fn sha256(secret: &Secret) -> Self {
        Self::Sha256(sha256(secret.expose().as_bytes()))
    }

    /// For a secret that a person chose. Takes about 20 ms: not for the async threads.
    ///
    /// # Panics
    /// Never with the constant parameters used.
    pub fn argon2id(secret: &Secret, random: &Random) -> Self {
        let phc = argon2id()
            .hash_password_with_salt(secret.expose().as_bytes(), &random.bytes::<16>())
            .expect("constant Argon2id parameters are valid");
        Self::Argon2id(phc.to_string())
    }

    /// Compares in constant time. With [`SecretHash::Argon2id`] slow: not for the async threads.
    pub fn verify(&self, secret: &Secret) -> bool {
        self.verify_within(secret, &mut HashMemory::default())
    }

    /// The same in memory that is there already.
    pub fn verify_within(&self, secret: &Secret, memory: &mut HashMemory) -> bool {
        match self {
            Self::Sha256(stored) => bool::from(sha256(secret.expose().as_bytes()).ct_eq(stored)),
            Self::Argon2id(phc) => memory.verify(phc, secret).unwrap_or(false),
        }
    }

    /// The form kept in the database.
    pub fn to_stored(&self) -> String {
        match self {
            Self::Sha256(bytes) => format!("sha256:{}", URL_SAFE_NO_PAD.encode(bytes)),
            Self::Argon2id(phc) => phc.clone(),
        }
    }

    /// Reads [`SecretHash::to_stored`]; `None` when the row holds something else.
    pub fn from_stored(text: &str) -> Option<Self> {
        if text.starts_with("$argon2id$") {
            return Some(Self::Argon2id(text.to_owned()));
        }
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix("sha256:")?).ok()?;
        bytes.try_into().ok().map(Self::Sha256)
    }
}

impl std::fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sha256(_) => "SecretHash::Sha256",
            Self::Argon2id(_) => "SecretHash::Argon2id",
        })
    }
}

/// Blocks that are asked for at once. Memory in pieces beyond 32 MiB is mapped for itself, so that all of it goes back
/// to the system in the end; what is never touched of it costs nothing.
const BLOCKS: usize = 33 * 1024;

/// The working memory of slow hashes, for one after the other.
#[derive(Default)]
pub struct HashMemory(Vec<Block>);

impl HashMemory {
    /// `None` for a hash that cannot be read, or memory that is not to be had.
    fn verify(&mut self, phc: &str, secret: &Secret) -> Option<bool> {
        let hash = PasswordHash::new(phc).ok()?;
        let (salt, expected) = (hash.salt?, hash.hash?);
        let params = Params::try_from(&hash).ok()?;
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
        let version = hash.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
        let blocks = params.block_count();
        if self.0.len() < blocks {
            self.0.try_reserve_exact(blocks.max(BLOCKS) - self.0.len()).ok()?;
            self.0.resize(blocks, Block::new());
        }
        let mut computed = vec![0; expected.len()];
        let argon2 = Argon2::new(algorithm, version, params);
        let secret = secret.expose().as_bytes();
        argon2.hash_password_into_with_memory(secret, salt.as_ref(), &mut computed, &mut self.0).ok()?;
        Some(computed.ct_eq(expected.as_ref()).into())
    }
}

/// Keyed fingerprints that live and die with the process: they tell what is known already, such as which slow hash a secret
/// once satisfied, without keeping a secret or anything that helps to guess it elsewhere.
#[derive(Debug)]
pub struct Fingerprints(hmac::Key);

impl Fingerprints {
    /// With a fresh random key.
    pub fn new(random: &Random) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &random.bytes::<32>()))
    }

    /// The fingerprint of `secret` as the one that belongs to `hash`.
    pub fn of(&self, hash: &SecretHash, secret: &Secret) -> [u8; 32] {
        self.of_parts(&[hash.to_stored().as_bytes(), secret.expose().as_bytes()])
    }

    /// The fingerprint of these parts in this order.
    pub fn of_parts(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            // With its length before it no end of a part passes for the beginning of the next.
            context.update(&part.len().to_le_bytes());
            context.update(part);
        }
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(context.sign().as_ref());
        fingerprint
    }
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

fn argon2id() -> Argon2<'static> {
    let params = Params::new(19 * 1024, 2, 1, None).expect("constant Argon2id parameters are valid");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_hashes_know_their_secret_and_no_other() {
        let random = Random::system();
        let secret = Secret::generate(CLIENT_SECRET_PREFIX, &random);
        let other = Secret::generate(CLIENT_SECRET_PREFIX, &random);
        for hash in [SecretHash::sha256(&secret), SecretHash::argon2id(&secret, &random)] {
            let hash = SecretHash::from_stored(&hash.to_stored()).unwrap();
            assert!(hash.verify(&secret));
            assert!(!hash.verify(&other));
        }
    }

    // Hashes that an older version stored with another cost stay good, and one hash leaves nothing that changes the next.
    #[test]
    fn hashes_of_any_cost_are_verified_in_the_same_memory() {
        let secret = Secret::from("chosen by somebody".to_owned());
        let other = Secret::from("chosen by another".to_owned());
        let hashes = [(64, 1, 1), (19 * 1024, 2, 1), (256, 3, 2), (8, 1, 1)].map(|(memory, passes, lanes)| {
            let params = Params::new(memory, passes, lanes, None).unwrap();
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            SecretHash::Argon2id(
                argon2.hash_password_with_salt(secret.expose().as_bytes(), &[7; 16]).unwrap().to_string(),
            )
        });
        let mut memory = HashMemory::default();
        for hash in hashes.iter().chain(&hashes) {
            assert!(hash.verify_within(&secret, &mut memory));
            assert!(!hash.verify_within(&other, &mut memory));
        }
        for unreadable in [
            "$argon2id$",
            "$argon2id$v=19$m=19456,t=2,p=1$+dsWZmu9OKGn9JchebVHXw",
            "$argon2id$v=19$m=1,t=0,p=1$c2FsdHNhbHQ$AAAA",
        ] {
            assert!(!SecretHash::Argon2id(unreadable.into()).verify(&secret), "{unreadable}");
        }
    }

    #[test]
    fn a_generated_secret_carries_256_bits_and_never_shows_in_debug() {
        let secret = Secret::generate(CLIENT_SECRET_PREFIX, &Random::system());
        assert_eq!(secret.expose().len(), CLIENT_SECRET_PREFIX.len() + 43);
        assert!(!format!("{secret:?}{:?}", SecretHash::sha256(&secret)).contains(&secret.expose()[5..]));
    }

    #[test]
    fn a_password_is_eight_to_512_characters_on_one_line_and_never_in_an_error() {
        for text in ["correct horse", "12345678", "ünïcödé!", &"x".repeat(512)] {
            assert_eq!(Secret::password(text).unwrap().expose(), text);
        }
        for text in ["", "1234567", "two\nlines of it", "with\0nothing", &"x".repeat(513)] {
            let refused = Secret::password(text).unwrap_err().to_string();
            assert!(
                refused.contains("8 to 512 characters") && (text.is_empty() || !refused.contains(text)),
                "{refused}"
            );
        }
    }
}
