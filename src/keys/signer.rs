//! One signature over one message, through a key that is parsed once.

use super::KeyError;
use crate::types::alg::Alg;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RSA_PSS_2048_8192_SHA256, RSA_PSS_SHA256,
    VerificationAlgorithm,
};

enum Private {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A private key, ready to sign.
pub struct Signer {
    alg: Alg,
    private: Private,
    random: SystemRandom,
}

impl Signer {
    /// A new private key as PKCS #8. RSA takes about 50 ms: not for the async threads.
    ///
    /// # Errors
    /// The library refused, which means that it has no randomness.
    pub fn generate(alg: Alg) -> Result<Vec<u8>, KeyError> {
        let failed = |_| KeyError::Library("a key could not be made");
        let random = SystemRandom::new();
        Ok(match alg {
            Alg::Rs256 | Alg::Ps256 => RsaKeyPair::generate(KeySize::Rsa2048)
                .and_then(|pair| pair.as_der().map(|der| der.as_ref().to_vec()))
                .map_err(failed)?,
            Alg::Es256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
                .map_err(failed)?
                .as_ref()
                .to_vec(),
            Alg::EdDsa => Ed25519KeyPair::generate_pkcs8(&random).map_err(failed)?.as_ref().to_vec(),
        })
    }

    /// Parses a PKCS #8 key.
    ///
    /// # Errors
    /// Not a key of this algorithm.
    pub fn parse(alg: Alg, pkcs8: &[u8]) -> Result<Self, KeyError> {
        let bad = |_| KeyError::Damaged;
        let private = match alg {
            Alg::Rs256 | Alg::Ps256 => Private::Rsa(RsaKeyPair::from_pkcs8(pkcs8).map_err(bad)?),
            Alg::Es256 => {
                Private::Ecdsa(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map_err(bad)?)
            }
            Alg::EdDsa => Private::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8).map_err(bad)?),
        };
        Ok(Self { alg, private, random: SystemRandom::new() })
    }

    /// What it signs.
    pub fn alg(&self) -> Alg {
        self.alg
    }

    /// Signs as JWS wants it: ECDSA as R‖S (RFC 7518 §3.4).
    ///
    /// # Errors
    /// The library refused.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let failed = |_| KeyError::Library("a signature could not be made");
        match &self.private {
            Private::Rsa(pair) => {
                let padding = if self.alg == Alg::Ps256 { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &self.random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
            Private::Ecdsa(pair) => Ok(pair.sign(&self.random, message).map_err(failed)?.as_ref().to_vec()),
            Private::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }

    /// The public half: PKCS #1 for RSA, the uncompressed point for ECDSA, 32 bytes for Ed25519.
    pub fn public(&self) -> Vec<u8> {
        match &self.private {
            Private::Rsa(pair) => pair.public_key().as_ref().to_vec(),
            Private::Ecdsa(pair) => pair.public_key().as_ref().to_vec(),
            Private::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
        }
    }
}

/// A public key, ready to verify.
pub struct Verifier(ParsedPublicKey);

impl Verifier {
    /// Of what [`Signer::public`] answers.
    ///
    /// # Errors
    /// Not a key of this algorithm.
    pub fn parse(alg: Alg, public: &[u8]) -> Result<Self, KeyError> {
        let algorithm: &'static dyn VerificationAlgorithm = match alg {
            Alg::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            Alg::Ps256 => &RSA_PSS_2048_8192_SHA256,
            Alg::Es256 => &ECDSA_P256_SHA256_FIXED,
            Alg::EdDsa => &ED25519,
        };
        ParsedPublicKey::new(algorithm, public).map(Self).map_err(|_| KeyError::Damaged)
    }

    /// True when the signature, in the form of JWS, is of this message.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify_sig(message, signature).is_ok()
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.alg)
    }
}
