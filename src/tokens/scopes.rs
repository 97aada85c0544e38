//! From what a request asks for to what is granted (RFC 6749 §3.3, RFC 8707).

use crate::error::{OAuthError, reason};
use crate::store::clients::Client;
use crate::store::members::Membership;
use crate::store::resources::Resource;
use crate::types::id::ResourceId;
use crate::types::scope::{DEFAULT, OPENID_SCOPES, Scope};

/// What a request asks for, understood: one resource and what is wanted there.
#[derive(Debug)]
pub struct Asked<'r> {
    /// The resource.
    pub resource: &'r Resource,
    /// Scopes of it by name.
    pub values: Vec<&'r str>,
    /// All that the subject may have there, by `/.default` or because nothing was named.
    pub all: bool,
    /// The scope tokens as they were sent, without those that ask for no resource.
    pub echo: Vec<String>,
}

/// What is granted.
#[derive(Debug, Clone)]
pub struct Granted {
    /// Scopes of the resource, sorted.
    pub values: Vec<String>,
    /// The `scope` of the answer. Clients store the token under it, so it repeats what they asked for.
    pub answer: String,
}

/// Finds the one resource that `scope` and the `resource` parameters mean.
///
/// # Errors
/// `invalid_scope` or `invalid_target`, naming the part that is unknown or does not fit.
pub fn resolve<'r>(resources: &'r [Resource], scope: &Scope, targets: &[&str]) -> Result<Asked<'r>, OAuthError> {
    let target = target(resources, targets)?;
    let base = target.or_else(|| resources.iter().find(|resource| resource.settings.is_default));
    let mut asked: Option<Asked<'r>> = None;
    // OpenID Connect scopes ask for identity; clients add them unasked, so they are ignored rather than refused.
    for token in scope.tokens().filter(|token| !OPENID_SCOPES.contains(token)) {
        let (resource, value) = locate(resources, base, token)?;
        if target.is_some_and(|target| target.id != resource.id) {
            return Err(OAuthError::from(reason::TARGET_MISMATCH).about(token));
        }
        let asked = asked.get_or_insert_with(|| Asked { resource, values: Vec::new(), all: false, echo: Vec::new() });
        if asked.resource.id != resource.id {
            return Err(OAuthError::from(reason::SEVERAL_RESOURCES).about(token));
        }
        if value == DEFAULT {
            asked.all = true;
        } else {
            let known = resource.scopes.iter().find(|known| *known == value);
            asked.values.push(known.ok_or_else(|| OAuthError::from(reason::SCOPE_UNKNOWN).about(token))?);
        }
        asked.echo.push(token.to_owned());
    }
    // RFC 6749 §3.3: without a scope the documented default: all that the client may have at the resource.
    asked.map_or_else(
        || {
            let resource = base.ok_or(reason::NO_TARGET)?;
            Ok(Asked { resource, values: Vec::new(), all: true, echo: Vec::new() })
        },
        Ok,
    )
}

/// The resource that the `resource` parameters name.
fn target<'r>(resources: &'r [Resource], targets: &[&str]) -> Result<Option<&'r Resource>, OAuthError> {
    let Some(first) = targets.first() else { return Ok(None) };
    // RFC 8707 §2: several are legal, and a server that cannot serve them with one token says so.
    if targets.iter().any(|other| other != first) {
        return Err(reason::SEVERAL_TARGETS.into());
    }
    resources
        .iter()
        .find(|resource| resource.identifier.as_str() == *first)
        .map(Some)
        .ok_or_else(|| OAuthError::from(reason::TARGET_UNKNOWN).about(first))
}

/// The resource a scope token belongs to, and the value there. The longest registered identifier wins.
fn locate<'r, 't>(
    resources: &'r [Resource],
    base: Option<&'r Resource>,
    token: &'t str,
) -> Result<(&'r Resource, &'t str), OAuthError> {
    let qualified = resources
        .iter()
        .filter_map(|resource| {
            // Exactly one slash is the separator: an identifier may end in one itself.
            let value = token.strip_prefix(resource.identifier.as_str())?.strip_prefix('/')?;
            (!value.is_empty()).then_some((resource, value))
        })
        .max_by_key(|(resource, _)| resource.identifier.as_str().len());
    if let Some(found) = qualified {
        return Ok(found);
    }
    if token.ends_with("/.default") || token.contains("://") {
        return Err(OAuthError::from(reason::SCOPE_UNKNOWN).about(token));
    }
    base.map(|resource| (resource, token)).ok_or_else(|| OAuthError::from(reason::NO_TARGET).about(token))
}

/// What a client acting for itself gets of what it asked for.
///
/// # Errors
/// `invalid_scope` when it may not have a scope it named, or has nothing at all at the resource.
pub fn grant_to_client(client: &Client, membership: &Membership, asked: &Asked<'_>) -> Result<Granted, OAuthError> {
    let resource = asked.resource;
    let refuse =
        |value: &str| OAuthError::from(reason::SCOPE_NOT_ALLOWED).about(&format!("{}/{value}", resource.identifier));
    let may_have = allowed(client, resource);
    if let Some(refused) = asked.values.iter().find(|value| !may_have.contains(value)) {
        return Err(refuse(refused));
    }
    let mut values: Vec<String> =
        if asked.all { &may_have } else { &asked.values }.iter().map(|value| (*value).to_owned()).collect();
    values.sort_unstable();
    values.dedup();
    // A role that a group gives is a reason to hold a token, even without any scope.
    let permitted = client.allowed.iter().any(|allowed| allowed.resource == resource.id);
    if asked.all && !permitted && roles(membership, resource.id).is_empty() {
        return Err(refuse(DEFAULT));
    }
    let answer = if asked.echo.is_empty() {
        values.iter().map(|value| format!("{}/{value}", resource.identifier)).collect::<Vec<_>>().join(" ")
    } else {
        asked.echo.join(" ")
    };
    Ok(Granted { values, answer })
}

/// The scopes of a resource that a client may have.
pub fn allowed<'r>(client: &Client, resource: &'r Resource) -> Vec<&'r str> {
    let here = || client.allowed.iter().filter(|allowed| allowed.resource == resource.id);
    if here().any(|allowed| allowed.is_all()) {
        return resource.scopes.iter().map(String::as_str).collect();
    }
    resource.scopes.iter().map(String::as_str).filter(|value| here().any(|allowed| allowed.value == *value)).collect()
}

/// The roles that a subject's groups give it on a resource, sorted, each once.
pub fn roles(membership: &Membership, resource: ResourceId) -> Vec<&str> {
    let mut roles: Vec<&str> = membership
        .groups
        .iter()
        .flat_map(|group| &group.roles)
        .filter(|(at, _)| *at == resource)
        .map(|(_, role)| role.as_str())
        .collect();
    roles.sort_unstable();
    roles.dedup();
    roles
}
