//! One file per path: extract, call, answer.

pub mod authorize;
pub mod databricks;
pub mod device_authorization;
pub mod gateway;
pub mod groups;
pub mod health;
pub mod instance;
pub mod introspect;
pub mod jwks;
pub mod metadata;
pub mod metrics;
pub mod revoke;
pub mod status_list;
pub mod token;
pub mod userinfo;

/// Marks the response to a GET that is the same for everybody who asks within the same second, as long as nothing in the
/// directory changes. An extension of the response.
#[derive(Debug, Clone, Copy)]
pub struct Repeatable;
