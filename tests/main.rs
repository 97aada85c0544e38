//! One test binary. File = specification, function = section and sentence: `cargo test -- --list` is the conformance
//! table.

#![allow(clippy::unwrap_used, reason = "a test that meets an unexpected value has failed")]

mod rfc6749_token; // RFC 6749 §3.2, §4.4, §5: the token endpoint
mod rfc6750_bearer; // RFC 6750: bearer tokens at the groups endpoint
mod rfc7009_revocation; // RFC 7009: revocation of access tokens
mod rfc7662_introspection; // RFC 7662: introspection
mod support;
