//! One test binary. File = specification, function = section and sentence: `cargo test -- --list` is the conformance
//! table.

#![allow(clippy::unwrap_used, reason = "a test that meets an unexpected value has failed")]

mod attacks; // what attackers found once
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
mod databricks; // host configuration and the paths below /oidc
mod delegated_groups; // groups, roles and claims of groups of people, in the tokens that clients get for them
mod errors; // every error body, its table in the documentation, a database that is away
mod gateway; // RFC 6750 for gateways: every answer of the check
mod gateway_shapes; // the requests that nginx, Traefik, Envoy and Kong send, over TCP
mod grant_growth; // thirty days of refreshing and sweeping: the tables stay small, and are empty in the end
mod grant_races; // redeeming, refreshing and every end of an authorization at once
mod groups; // membership at any depth, policies, required groups, roles, claims of groups
mod growth; // a directory that has grown: plans of statements, pages of lists, a long sweep
mod guard; // `grantor guard` before a server that comes and goes
mod hot_path; // client credentials with a JWT: no statement, no row, and what is remembered of a decision
mod house; // who may import whom, and how a file of ours looks
mod instance_discovery; // what MSAL asks before it fetches a metadata document
mod keys; // rotation, and private keys at rest
mod limits; // slow, silent, greedy and too many peers; how a server stops
mod log; // what is logged, and what never is
mod login; // signing in: cookies, sessions, passwords, guessing
mod opaque_tokens; // RFC 7662 §1.1: access tokens that say nothing themselves
mod openid_connect_id_token; // OpenID Connect Core §2, §3.1.3, §12.2: ID tokens; Discovery §3
mod openid_connect_logout; // OpenID Connect RP-Initiated Logout: signing out, and what falls with a session
mod openid_connect_prompt; // OpenID Connect Core §3.1.2: what the person is asked, and when
mod openid_connect_userinfo; // OpenID Connect Core §5.3: UserInfo
mod pages; // what people see: escaping, ids, labels, policies
mod pages_account; // the account page and groups in the hands of their owners
mod pages_security; // headers of every page, forms from elsewhere, approvals of what was not shown
mod recognition; // token requests that are known again, and what ends that
mod refresh_line; // the rule of refresh tokens against a model: every order, and races over two servers
mod rfc6749_authorization_code; // RFC 6749 §4.1: codes, from the request to the token
mod rfc6749_authorization_request; // RFC 6749 §3.1, §4.1.2.1: the authorization request, and who is told what is wrong
mod rfc6749_authorization_scope; // RFC 6749 §3.3, RFC 8707 §2.1: what an authorization request asks for
mod rfc6749_chosen_scope; // RFC 6749 §3.3, §6, RFC 8707 §2.2: what a token is for, out of what was authorized
mod rfc6749_client_authentication; // RFC 6749 §2: how clients prove who they are
mod rfc6749_refresh; // RFC 6749 §6, RFC 9700 §4.14.2: refresh tokens, their lifetimes and their ends
mod rfc6749_token; // RFC 6749 §3, §4.4, §5, §10: the token endpoint
mod rfc6750_bearer; // RFC 6750: bearer tokens at the groups endpoint
mod rfc7009_revocation; // RFC 7009: revocation of access tokens
mod rfc7517_jwks; // RFC 7517: the published keys
mod rfc7636_pkce; // RFC 7636: PKCE, required and checked
mod rfc7662_introspection; // RFC 7662: introspection
mod rfc8252_native; // RFC 8252: native applications
mod rfc8414_metadata; // RFC 8414: the metadata document at every address
mod rfc8628_device; // RFC 8628: devices without a browser
mod rfc8707_resource; // RFC 8707: one resource per token, the longest identifier wins
mod rfc9068_access_token; // RFC 9068: shape and signature of access tokens
mod rfc9207_issuer; // RFC 9207: the issuer in every answer; response modes
mod rfc9700_best_practice; // RFC 9700: redirects, open redirectors, CORS; tenants kept apart
mod status_list; // draft-ietf-oauth-status-list: the published bits and the indexes behind them
mod store; // every statement on both engines, opening, purging, the log of changes
mod support;
mod tenants; // isolation, names, disabling, deleting
