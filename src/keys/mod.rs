//! Signing keys: each tenant has a ring of them. A key is announced in the JWKS, then signs, then retires.

pub mod jwk;
pub mod rotation;
pub mod seal;
pub mod signer;

use crate::store::keys::StoredKey;
use crate::types::alg::Alg;
use crate::types::clock::{UnixTime, is_before};
use crate::types::id::TenantId;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwk::Jwk;
use seal::Kek;
use serde_json::json;
use signer::{Signer, Verifier};
use std::path::PathBuf;

/// Seconds for which the JWKS may be cached: `Cache-Control: max-age`.
pub const JWKS_MAX_AGE: i64 = 300;

/// Header `typ` of an access token (RFC 9068 §2.1).
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No key-encryption key although the database holds sealed keys.
    #[error(
        "the key-encryption key is missing: put the file 'kek' back into the keys folder, or set GRANTOR_KEY_ENCRYPTION_KEY; \
         docs/operating.md says what to do when it is lost"
    )]
    KekMissing,
    /// It is there and is not one.
    #[error(
        "the key-encryption key cannot be read: it must be 32 bytes in base64; put the right one back into the keys folder, \
         or into GRANTOR_KEY_ENCRYPTION_KEY"
    )]
    KekUnreadable,
    /// Others may read it.
    #[error("{0} can be read by others than its owner; run: chmod 600 {0}")]
    KekOpen(PathBuf),
    /// A sealed key belongs to another key-encryption key.
    #[error(
        "the signing keys in this database were sealed under another key-encryption key; put that one back into the keys \
         folder, or into GRANTOR_KEY_ENCRYPTION_KEY"
    )]
    OtherKek,
    /// A key's bytes are not what they should be.
    #[error("a signing key is damaged")]
    Damaged,
    /// No key of that algorithm may sign now.
    #[error(
        "no {0} key of the tenant may sign now; is the clock right? If it is, run: grantor key rotate --alg {0} --now"
    )]
    NoSigner(Alg),
    /// A file of the keys folder failed.
    #[error("{0}: {1}")]
    File(PathBuf, String),
    /// The cryptographic library refused.
    #[error("{0}")]
    Library(&'static str),
}

/// A key with its times, parsed.
pub struct Key {
    /// Public half.
    pub jwk: Jwk,
    /// When it was made and published.
    pub created_at: UnixTime,
    /// From when on it signs.
    pub activates_at: UnixTime,
    /// Until when it signs.
    pub retires_at: Option<UnixTime>,
    /// Until when it is published.
    pub expires_at: Option<UnixTime>,
    signer: Signer,
    verifier: Verifier,
    // The encoded header of an access token, with the dot behind: the same for every token of this key.
    access_header: String,
}

impl Key {
    fn open(tenant: TenantId, stored: &StoredKey, kek: &Kek) -> Result<Self, KeyError> {
        let pkcs8 = kek.open(&label(tenant, &stored.kid), &stored.sealed)?;
        let signer = Signer::parse(stored.alg, &pkcs8)?;
        let public = signer.public();
        let (jwk, verifier) = (Jwk::new(stored.alg, &public)?, Verifier::parse(stored.alg, &public)?);
        Ok(Self {
            access_header: header(ACCESS_TOKEN_TYPE, &jwk),
            jwk,
            created_at: stored.created_at,
            activates_at: stored.activates_at,
            retires_at: stored.retires_at,
            expires_at: stored.expires_at,
            signer,
            verifier,
        })
    }

    /// True while new tokens may be signed with it.
    pub fn signs(&self, now: UnixTime) -> bool {
        self.activates_at <= now && is_before(self.retires_at, now)
    }

    /// True while it belongs into the JWKS.
    pub fn is_published(&self, now: UnixTime) -> bool {
        is_before(self.expires_at, now)
    }

    /// Appends an access token (RFC 9068 §2.1: `typ` is `at+jwt`) whose payload, a JSON object in base64url, is appended by
    /// `write`.
    ///
    /// # Errors
    /// Those of `write`, or the library refused.
    pub fn append_access_token<E: From<KeyError>>(
        &self,
        text: &mut String,
        write: impl FnOnce(&mut String) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = text.len();
        text.push_str(&self.access_header);
        write(text)?;
        Ok(self.append_signature(text, start)?)
    }

    /// Signs a JWT with another header `typ`.
    ///
    /// # Errors
    /// The library refused.
    pub fn sign(&self, typ: &str, payload: &[u8]) -> Result<String, KeyError> {
        let mut jwt = header(typ, &self.jwk);
        URL_SAFE_NO_PAD.encode_string(payload, &mut jwt);
        self.append_signature(&mut jwt, 0)?;
        Ok(jwt)
    }

    /// Signs what stands from `start` on.
    fn append_signature(&self, jwt: &mut String, start: usize) -> Result<(), KeyError> {
        let signature = self.signer.sign(&jwt.as_bytes()[start..])?;
        jwt.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, jwt);
        Ok(())
    }

    /// True when the signature, in the form of JWS, is this key's and of this message.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.verifier.verifies(message, signature)
    }
}

/// The keys of one tenant.
pub struct KeyRing(Vec<Key>);

impl KeyRing {
    /// Opens and parses stored keys; those that cannot be opened are left out.
    ///
    /// # Errors
    /// None of them can be opened.
    pub fn open(tenant: TenantId, stored: &[StoredKey], kek: &Kek) -> Result<Self, KeyError> {
        let mut opened = Vec::with_capacity(stored.len());
        let mut failure = None;
        for key in stored {
            match Key::open(tenant, key, kek) {
                Ok(key) => opened.push(key),
                // One key that cannot be opened must not take the others down.
                Err(error) => {
                    tracing::error!(%tenant, kid = key.kid, alg = %key.alg, %error, "a signing key is left out");
                    failure = Some(error);
                }
            }
        }
        match failure {
            Some(error) if opened.is_empty() => Err(error),
            _ => Ok(Self(opened)),
        }
    }

    /// The key that signs now: of several the one that began last.
    ///
    /// # Errors
    /// None may sign.
    pub fn signing(&self, alg: Alg, now: UnixTime) -> Result<&Key, KeyError> {
        self.0
            .iter()
            .filter(|key| key.jwk.alg == alg && key.signs(now))
            .max_by_key(|key| key.activates_at)
            .ok_or(KeyError::NoSigner(alg))
    }

    /// The published key whose header of access tokens `token` begins with, to the last character: then there is nothing
    /// in the header that would have to be read.
    pub fn of_access_token(&self, token: &str, now: UnixTime) -> Option<&Key> {
        self.0.iter().find(|key| token.starts_with(&key.access_header) && key.is_published(now))
    }

    /// A published key by its id.
    pub fn find(&self, kid: &str, now: UnixTime) -> Option<&Key> {
        self.0.iter().find(|key| key.jwk.kid == kid && key.is_published(now))
    }

    /// Every published key, oldest first: those that are announced, those that sign and those that retired lately.
    pub fn published(&self, now: UnixTime) -> impl Iterator<Item = &Key> {
        self.0.iter().filter(move |key| key.is_published(now))
    }
}

/// Tells whether `kek` is the one under which a key was sealed.
///
/// # Errors
/// It is not, or the key is damaged.
pub fn check(tenant: TenantId, stored: &StoredKey, kek: &Kek) -> Result<(), KeyError> {
    kek.open(&label(tenant, &stored.kid), &stored.sealed).map(drop)
}

/// What a sealed key is bound to.
fn label(tenant: TenantId, kid: &str) -> String {
    format!("{tenant} {kid}")
}

fn header(typ: &str, jwk: &Jwk) -> String {
    let json = json!({ "typ": typ, "alg": jwk.alg, "kid": jwk.kid });
    format!("{}.", URL_SAFE_NO_PAD.encode(json.to_string()))
}
