//! One test binary. File = specification, function = section and sentence: `cargo test -- --list` is the conformance
//! table.

#![allow(clippy::unwrap_used, reason = "a test that meets an unexpected value has failed")]

mod cache; // reads from memory against changes, and how long memory is believed
mod groups; // membership at any depth, policies, required groups, roles, claims of groups
mod house; // who may import whom, and how a file of ours looks
mod keys; // rotation, and private keys at rest
mod rfc6749_token; // RFC 6749 §3.2, §4.4, §5: the token endpoint
mod status_list; // draft-ietf-oauth-status-list: the published bits and the indexes behind them
mod store; // every statement on both engines, opening, purging, the log of changes
mod support;
mod tenants; // isolation, names, disabling, deleting
