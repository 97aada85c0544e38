//! A refresh token as it is written: which grant, what its family has in common, and what it has alone.

use super::id::GrantId;
use super::random::Random;
use super::secret::{REFRESH_TOKEN_PREFIX, Secret, sha256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::str::FromStr;
use uuid::Uuid;

const UUID: usize = 16;
const FAMILY: usize = UUID + 32;
const LENGTH: usize = FAMILY + 32;

/// A refresh token. 256 random bits are its family's, so that one that was used up is known without a row, and 256 its
/// own. `Debug` shows nothing of it.
pub struct RefreshToken([u8; LENGTH]);

/// Not a refresh token of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl RefreshToken {
    /// The first of a grant's family.
    pub fn first(grant: GrantId, random: &Random) -> Self {
        let mut bytes = [0; LENGTH];
        bytes[..UUID].copy_from_slice(grant.uuid().as_bytes());
        bytes[UUID..FAMILY].copy_from_slice(&random.bytes::<32>());
        bytes[FAMILY..].copy_from_slice(&random.bytes::<32>());
        Self(bytes)
    }

    /// Another one of the same family.
    pub fn next(&self, random: &Random) -> Self {
        let mut bytes = self.0;
        bytes[FAMILY..].copy_from_slice(&random.bytes::<32>());
        Self(bytes)
    }

    /// The grant it says it belongs to.
    pub fn grant(&self) -> GrantId {
        Uuid::from_slice(&self.0[..UUID]).unwrap_or_default().into()
    }

    /// SHA-256 of the whole, by which it is found.
    pub fn hash(&self) -> [u8; 32] {
        sha256(&self.0)
    }

    /// SHA-256 of what its family has in common.
    pub fn family(&self) -> [u8; 32] {
        sha256(&self.0[UUID..FAMILY])
    }

    /// As it is handed out.
    pub fn to_secret(&self) -> Secret {
        Secret::from(format!("{REFRESH_TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(self.0)))
    }
}

impl FromStr for RefreshToken {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let encoded = text.strip_prefix(REFRESH_TOKEN_PREFIX).ok_or(Malformed)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| Malformed)?;
        bytes.try_into().map(Self).map_err(|_| Malformed)
    }
}

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RefreshToken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_told_by_what_it_has_in_common() {
        let random = Random::system();
        let grant = GrantId::from(random.uuid_v4());
        let first = RefreshToken::first(grant, &random);
        let read: RefreshToken = first.to_secret().expose().parse().unwrap();
        assert_eq!((read.hash(), read.family(), read.grant()), (first.hash(), first.family(), grant));
        let next = first.next(&random);
        assert_eq!((next.family(), next.grant()), (first.family(), grant));
        assert_ne!(next.hash(), first.hash());
        assert_ne!(RefreshToken::first(grant, &random).family(), first.family());
        for text in ["", "grrt_", "grrt_AAAA", &first.to_secret().expose()[5..]] {
            assert!(text.parse::<RefreshToken>().is_err(), "{text}");
        }
    }
}
