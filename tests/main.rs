//! One test binary. File = specification, function = section and sentence: `cargo test -- --list` is the conformance
//! table.

#![allow(clippy::unwrap_used, reason = "a test that meets an unexpected value has failed")]

mod cache; // reads from memory against changes, and how long memory is believed
mod cli; // what every command has in common: exit codes, JSON, help, configuration
mod cli_api_keys; // `grantor token issue`, `list`, `revoke`: long-lived tokens and API keys
mod cli_clients; // `grantor client` and `grantor client secret`
mod cli_explain; // `grantor explain` and `grantor doctor`
mod cli_groups; // `grantor group`
mod cli_resources; // `grantor tenant` and `grantor resource`
mod cli_serving; // `grantor serve` and `grantor quickstart`, and how a change reaches them
mod cli_tokens; // `grantor key` and `grantor token`
mod cli_users; // `grantor user`, and what ends with a user
mod cors; // Fetch, RFC 9700 §2.6: which web pages may call which endpoints
mod errors; // every error body, its table in the documentation, a database that is away
mod gateway; // RFC 6750 for gateways: every answer of the check
mod gateway_shapes; // the requests that nginx, Traefik, Envoy and Kong send, over TCP
mod groups; // membership at any depth, policies, required groups, roles, claims of groups
mod guard; // `grantor guard` before a server that comes and goes
mod house; // who may import whom, and how a file of ours looks
mod keys; // rotation, and private keys at rest
mod opaque_tokens; // RFC 7662 §1.1: access tokens that say nothing themselves
mod pages; // what people see: escaping, ids, labels, policies
mod rfc6749_authorization_code; // RFC 6749 §4.1: codes, from the request to the token
mod rfc6749_client_authentication; // RFC 6749 §2: how clients prove who they are
mod rfc6749_token; // RFC 6749 §3, §4.4, §5, §10: the token endpoint
mod rfc6750_bearer; // RFC 6750: bearer tokens at the groups endpoint
mod rfc7009_revocation; // RFC 7009: revocation of access tokens
mod rfc7517_jwks; // RFC 7517: the published keys
mod rfc7662_introspection; // RFC 7662: introspection
mod rfc8414_metadata; // RFC 8414: the metadata document at every address
mod rfc8707_resource; // RFC 8707: one resource per token, the longest identifier wins
mod rfc9068_access_token; // RFC 9068: shape and signature of access tokens
mod status_list; // draft-ietf-oauth-status-list: the published bits and the indexes behind them
mod store; // every statement on both engines, opening, purging, the log of changes
mod support;
mod tenants; // isolation, names, disabling, deleting
