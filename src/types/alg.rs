//! Signature algorithms a resource can ask for (RFC 7518 §3.1, RFC 8037 §3.1).

use super::word_enum;

word_enum! {
    /// JWS algorithm. `none` does not exist here, so no unsigned token can be expressed.
    Alg, "signature algorithm" {
        /// RSASSA-PKCS1-v1_5 with SHA-256, 2048-bit key: every client reads it.
        Rs256 = "RS256",
        /// RSASSA-PSS with SHA-256, 2048-bit key.
        Ps256 = "PS256",
        /// ECDSA on P-256 with SHA-256.
        Es256 = "ES256",
        /// Ed25519.
        EdDsa = "EdDSA",
    }
}
