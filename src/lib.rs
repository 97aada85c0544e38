//! Grantor: an OAuth 2.0 authorization server.
//!
//! A request comes in at [`server`], is taken apart by [`extract`], reaches an [`endpoints`] file, is authenticated by
//! [`client_auth`], decided by one of [`grants`], and answered by [`tokens`]. ARCHITECTURE.md is the map for people.
//!
//! Who may import whom, an arrow never turning back (`tests/house.rs` holds it):
//!
//! ```text
//! types <- store <- keys <- config, hashing <- error, telemetry <- app <- guessing, gateway <- guard, extract, client_auth, tokens
//!       <- grants, login, authorization, sweep <- endpoints, pages <- server <- cli <- main
//! ```

pub mod app;
pub mod authorization;
pub mod cli;
pub mod client_auth;
pub mod config;
pub mod endpoints;
pub mod error;
pub mod extract;
pub mod gateway;
pub mod grants;
pub mod guard;
pub mod guessing;
pub mod hashing;
pub mod keys;
pub mod login;
pub mod pages;
pub mod server;
pub mod store;
pub mod sweep;
pub mod telemetry;
pub mod tokens;
pub mod types;
