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

use crate::app::Decision;
use crate::client_auth::Proof;
use crate::types::id::TenantId;
use std::sync::Arc;

/// Marks the response to a GET that is the same for everybody who asks within the same second, as long as nothing in the
/// directory changes. An extension of the response.
#[derive(Debug, Clone, Copy)]
pub struct Repeatable;

/// Marks the response to a token request that would get the like of it again, as long as nothing in the directory changes
/// and the secret counts. An extension of the response.
#[derive(Clone)]
pub struct Recognizable {
    /// Whose token endpoint it was.
    pub tenant: TenantId,
    /// What its client gets.
    pub decision: Arc<Decision>,
    /// What its client proved who it is with.
    pub proof: Proof,
}
