//! Public keys as JSON (RFC 7517, RFC 7518 §6, RFC 8037) and their thumbprints (RFC 7638).

use super::KeyError;
use crate::types::alg::Alg;
use crate::types::secret::sha256;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::RsaPublicKey;
use rsa::pkcs1::DecodeRsaPublicKey;
use rsa::traits::PublicKeyParts;
use serde::Serialize;
use serde_json::json;

/// A public signature key. Members that do not belong to its type are left out, never null.
#[derive(Debug, Clone, Serialize)]
pub struct Jwk {
    /// `RSA`, `EC` or `OKP`.
    pub kty: &'static str,
    /// Always `sig`: several readers skip keys without it.
    #[serde(rename = "use")]
    pub usage: &'static str,
    /// What it verifies.
    pub alg: Alg,
    /// RFC 7638 thumbprint.
    pub kid: String,
    /// Curve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crv: Option<&'static str>,
    /// RSA modulus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<String>,
    /// RSA exponent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e: Option<String>,
    /// First coordinate, or the Ed25519 key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// Second coordinate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
}

impl Jwk {
    /// From the public half as `Signer::public` gives it.
    ///
    /// # Errors
    /// The bytes are no key of this algorithm.
    pub fn new(alg: Alg, public: &[u8]) -> Result<Self, KeyError> {
        let text = |bytes: &[u8]| Some(URL_SAFE_NO_PAD.encode(bytes));
        let mut jwk =
            Self { kty: "RSA", usage: "sig", alg, kid: String::new(), crv: None, n: None, e: None, x: None, y: None };
        // RFC 7638 §3: the required members alone, in lexical order, without white space.
        let canonical = match alg {
            Alg::Rs256 | Alg::Ps256 => {
                let key = RsaPublicKey::from_pkcs1_der(public).map_err(|_| KeyError::Damaged)?;
                jwk.n = text(&key.n().to_bytes_be());
                jwk.e = text(&key.e().to_bytes_be());
                json!({ "e": jwk.e, "kty": jwk.kty, "n": jwk.n })
            }
            Alg::Es256 => {
                if public.len() != 65 || public[0] != 4 {
                    return Err(KeyError::Damaged);
                }
                (jwk.kty, jwk.crv) = ("EC", Some("P-256"));
                (jwk.x, jwk.y) = (text(&public[1..33]), text(&public[33..]));
                json!({ "crv": jwk.crv, "kty": jwk.kty, "x": jwk.x, "y": jwk.y })
            }
            Alg::EdDsa => {
                (jwk.kty, jwk.crv, jwk.x) = ("OKP", Some("Ed25519"), text(public));
                json!({ "crv": jwk.crv, "kty": jwk.kty, "x": jwk.x })
            }
        };
        jwk.kid = URL_SAFE_NO_PAD.encode(sha256(canonical.to_string().as_bytes()));
        Ok(jwk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The public key and thumbprint printed in RFC 8037 appendices A.2 and A.3.
    #[test]
    fn rfc7638_thumbprint_of_the_ed25519_key_in_rfc8037_a_3() {
        let public = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        assert_eq!(Jwk::new(Alg::EdDsa, &public).unwrap().kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}
