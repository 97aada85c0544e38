//! Tokens: what is granted, what is stamped, how it is signed, read back and revoked.

pub mod claims;
pub mod id_token;
pub mod issue;
mod opaque;
pub mod scopes;
pub mod status;
pub mod verify;
