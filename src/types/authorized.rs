//! What a person let a client do: kept with the grant, never widened by what an operator allows later.

use super::id::ResourceId;
use super::scope::OFFLINE_ACCESS;
use serde::{Deserialize, Serialize};

/// Scopes of identity and of resources, in the order in which they were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Authorized {
    /// OpenID Connect's own scopes.
    pub identity: Vec<String>,
    /// Resources; the first is the one that a token is for when none is named.
    pub resources: Vec<AuthorizedResource>,
}

/// What was authorized at one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizedResource {
    /// Where.
    pub resource: ResourceId,
    /// Scopes of it, sorted; may be empty where roles alone count.
    pub values: Vec<String>,
    /// The scope tokens as they were asked for.
    pub echo: Vec<String>,
}

impl Authorized {
    /// True when a scope of identity was authorized.
    pub fn has(&self, scope: &str) -> bool {
        self.identity.iter().any(|held| held == scope)
    }

    /// True when it outlives the session (OpenID Connect Core §11).
    pub fn is_offline(&self) -> bool {
        self.has(OFFLINE_ACCESS)
    }

    /// What was authorized at a resource.
    pub fn at(&self, resource: ResourceId) -> Option<&AuthorizedResource> {
        self.resources.iter().find(|held| held.resource == resource)
    }
}
