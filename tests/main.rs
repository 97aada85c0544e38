//! One test binary. File = specification, function = section and sentence: `cargo test -- --list` is the conformance
//! table.

#![allow(clippy::unwrap_used, reason = "a test that meets an unexpected value has failed")]

mod rfc6749_token; // RFC 6749 §3.2, §4.4, §5: the token endpoint
mod support;
