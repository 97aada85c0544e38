//! Raw signatures of aws-lc-rs.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256};
use std::path::Path;
use std::time::{Duration, Instant};

/// Signature algorithms (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Alg {
    Rs256,
    Es256,
    Eddsa,
}

/// A fresh key.
pub enum Key {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Key {
    pub fn generate(alg: Alg) -> Self {
        match alg {
            Alg::Rs256 => Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
            Alg::Es256 => Self::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
            Alg::Eddsa => Self::Ed25519(Ed25519KeyPair::generate().unwrap()),
        }
    }

    /// An RSA key that was written by [`write`].
    pub fn read(path: &Path) -> Self {
        Self::Rsa(RsaKeyPair::from_pkcs8(&std::fs::read(path).unwrap()).unwrap())
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
            Self::Ecdsa(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

/// Writes a new RSA key, so that a server need not make one before it can start.
pub fn write(path: &Path) {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    std::fs::write(path, pair.as_der().unwrap().as_ref()).unwrap();
}

/// As many as one thread makes, over a message as long as a token.
pub fn per_second(alg: Alg, seconds: f64) -> f64 {
    let (key, message) = (Key::generate(alg), [b'x'; 800]);
    let spend = |time: Duration| {
        let (started, mut made) = (Instant::now(), 0_u32);
        while started.elapsed() < time {
            std::hint::black_box(key.sign(std::hint::black_box(&message)));
            made += 1;
        }
        f64::from(made) / started.elapsed().as_secs_f64()
    };
    spend(Duration::from_millis(200));
    spend(Duration::from_secs_f64(seconds))
}
