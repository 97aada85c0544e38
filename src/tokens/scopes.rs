//! From what a request asks for to what is granted (RFC 6749 §3.3, RFC 8707).

use crate::error::{OAuthError, reason};
use crate::store::clients::Client;
use crate::store::members::Membership;
use crate::store::resources::Resource;
use crate::types::authorized::{Authorized, AuthorizedResource};
use crate::types::id::ResourceId;
use crate::types::scope::{DEFAULT, OFFLINE_ACCESS, OPENID_SCOPES, Scope};

/// Scopes of identity that this server has claims for.
pub const IDENTITY: &[&str] = &["openid", "profile", "email", "groups"];

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

impl<'r> Asked<'r> {
    /// All that the subject may have at a resource.
    pub fn everything(resource: &'r Resource) -> Self {
        Self { resource, values: Vec::new(), all: true, echo: Vec::new() }
    }
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
    // RFC 8707 §2: several are legal, and a server that cannot serve them with one token says so.
    if targets.iter().any(|other| *other != targets[0]) {
        return Err(reason::SEVERAL_TARGETS.into());
    }
    let mut asked = resolve_all(resources, scope, targets)?;
    if let Some(another) = asked.get(1) {
        return Err(OAuthError::from(reason::SEVERAL_RESOURCES).about(another.echo.first().map_or("", String::as_str)));
    }
    // RFC 6749 §3.3: without a scope the documented default: all that the client may have at the resource.
    asked.pop().or_else(|| default(resources).map(Asked::everything)).ok_or_else(|| reason::NO_TARGET.into())
}

/// Finds every resource that `scope` and the `resource` parameters mean, in the order in which they were named; none
/// when only identity is asked for.
///
/// # Errors
/// `invalid_scope` or `invalid_target`, naming the part that is unknown or does not fit.
pub fn resolve_all<'r>(
    resources: &'r [Resource],
    scope: &Scope,
    targets: &[&str],
) -> Result<Vec<Asked<'r>>, OAuthError> {
    let targets = self::targets(resources, targets)?;
    let base = targets.first().copied().or_else(|| default(resources));
    let mut found: Vec<Asked<'r>> = Vec::new();
    // OpenID Connect scopes ask for identity; clients add them unasked, so they are ignored rather than refused.
    for token in scope.tokens().filter(|token| !OPENID_SCOPES.contains(token)) {
        let (resource, value) = locate(resources, base, token)?;
        let known = |resource: &'r Resource| resource.scopes.iter().find(|known| *known == value).map(String::as_str);
        // A bare value is meant for whichever of the named resources knows it.
        let resource = match known(resource) {
            None if value == token => {
                targets.iter().copied().find(|target| known(target).is_some()).unwrap_or(resource)
            }
            _ => resource,
        };
        if !targets.is_empty() && !targets.iter().any(|target| target.id == resource.id) {
            return Err(OAuthError::from(reason::TARGET_MISMATCH).about(token));
        }
        let at = found.iter().position(|asked| asked.resource.id == resource.id).unwrap_or_else(|| {
            found.push(Asked { resource, values: Vec::new(), all: false, echo: Vec::new() });
            found.len() - 1
        });
        if value == DEFAULT {
            found[at].all = true;
        } else {
            let known = known(resource).ok_or_else(|| OAuthError::from(reason::SCOPE_UNKNOWN).about(token))?;
            found[at].values.push(known);
        }
        found[at].echo.push(token.to_owned());
    }
    // RFC 8707 §2: a resource that is named without a scope of it is asked for as a whole.
    for target in targets {
        if !found.iter().any(|asked| asked.resource.id == target.id) {
            found.push(Asked::everything(target));
        }
    }
    Ok(found)
}

/// The tenant's default resource.
pub fn default(resources: &[Resource]) -> Option<&Resource> {
    resources.iter().find(|resource| resource.settings.is_default)
}

/// The resources that the `resource` parameters name, each once.
fn targets<'r>(resources: &'r [Resource], named: &[&str]) -> Result<Vec<&'r Resource>, OAuthError> {
    let mut found: Vec<&Resource> = Vec::with_capacity(named.len());
    for name in named {
        let resource = resources.iter().find(|resource| resource.identifier.as_str() == *name);
        let resource = resource.ok_or_else(|| OAuthError::from(reason::TARGET_UNKNOWN).about(name))?;
        if !found.iter().any(|seen| seen.id == resource.id) {
            found.push(resource);
        }
    }
    Ok(found)
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
    // A role that a group gives is a reason to hold a token, even without any scope.
    let has_role = !roles(membership, asked.resource.id).is_empty();
    let values = within_permissions(client, asked, has_role)?;
    let answer = if asked.echo.is_empty() { qualified(asked.resource, &values) } else { asked.echo.join(" ") };
    Ok(Granted { values, answer })
}

/// What of that which is asked for the client may have, sorted. `otherwise` is another reason than a permission to
/// have something at the resource.
fn within_permissions(client: &Client, asked: &Asked<'_>, otherwise: bool) -> Result<Vec<String>, OAuthError> {
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
    if asked.all && !otherwise && !is_permitted(client, resource) {
        return Err(refuse(DEFAULT));
    }
    Ok(values)
}

/// True when the client may have something at a resource.
pub fn is_permitted(client: &Client, resource: &Resource) -> bool {
    client.allowed.iter().any(|allowed| allowed.resource == resource.id)
}

/// Scopes as they are written where no resource is understood.
fn qualified(resource: &Resource, values: &[String]) -> String {
    values.iter().map(|value| format!("{}/{value}", resource.identifier)).collect::<Vec<_>>().join(" ")
}

/// What a person can authorize a client to do of what it asks for: what the client may have, and scopes of identity.
///
/// # Errors
/// As [`resolve_all`] and [`grant_to_client`].
pub fn authorize(
    client: &Client,
    resources: &[Resource],
    scope: &Scope,
    targets: &[&str],
) -> Result<Authorized, OAuthError> {
    let mut asked = resolve_all(resources, scope, targets)?;
    // RFC 6749 §3.3: without any scope the documented default; identity alone is an answer too.
    if asked.is_empty() && scope.is_empty() {
        asked.push(default(resources).map(Asked::everything).ok_or(reason::NO_TARGET)?);
    }
    let may_refresh = client.grants.iter().any(|grant| grant == "refresh_token");
    let given = |token: &&str| IDENTITY.contains(token) || (*token == OFFLINE_ACCESS && may_refresh);
    Ok(Authorized {
        identity: scope.tokens().filter(given).map(str::to_owned).collect(),
        resources: asked
            .into_iter()
            .map(|asked| {
                let values = within_permissions(client, &asked, false)?;
                Ok(AuthorizedResource { resource: asked.resource.id, values, echo: asked.echo })
            })
            .collect::<Result<_, OAuthError>>()?,
    })
}

/// What one token is for, out of what was authorized.
#[derive(Debug)]
pub struct Chosen<'r> {
    /// The resource; none when identity alone was authorized.
    pub resource: Option<&'r Resource>,
    /// What is granted there.
    pub granted: Granted,
}

/// What a client asks of an authorization at the token endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Choice<'a> {
    /// The `scope` parameter.
    pub scope: &'a Scope,
    /// The `resource` parameters.
    pub targets: &'a [&'a str],
    /// Scopes of several resources mean the first of them, as with a code; otherwise they are refused.
    pub first: bool,
}

/// Chooses one resource and what is wanted there out of what was authorized. Never more than that (RFC 6749 §6, RFC
/// 8707 §2.2), and nothing that the client may not have any more.
///
/// # Errors
/// `invalid_scope` or `invalid_target`.
pub fn choose<'r>(
    client: &Client,
    resources: &'r [Resource],
    authorized: &Authorized,
    choice: Choice<'_>,
) -> Result<Chosen<'r>, OAuthError> {
    let scope = choice.scope;
    if let Some(wider) = scope.tokens().find(|token| IDENTITY.contains(token) && !authorized.has(token)) {
        return Err(OAuthError::from(reason::SCOPE_WIDER).about(wider));
    }
    let mut asked = resolve_all(resources, scope, choice.targets)?;
    if !choice.first
        && let Some(another) = asked.get(1)
    {
        let detail = another.echo.first().map_or(another.resource.identifier.as_str(), String::as_str);
        return Err(OAuthError::from(reason::SEVERAL_RESOURCES).about(detail));
    }
    // What was authorized may be of a resource that exists no more.
    let exists = |id| resources.iter().find(|resource| resource.id == id);
    let asked = if asked.is_empty() {
        let held = authorized.resources.iter().find_map(|held| exists(held.resource));
        if held.is_none() && !authorized.resources.is_empty() {
            return Err(reason::TARGET_NOT_GRANTED.into());
        }
        held.map(Asked::everything)
    } else {
        Some(asked.remove(0))
    };
    let identity = || authorized.identity.iter().map(String::as_str);
    let Some(asked) = asked else {
        let wanted = identity().filter(|held| scope.is_empty() || scope.tokens().any(|token| token == *held));
        let values: Vec<String> = wanted.map(str::to_owned).collect();
        return Ok(Chosen { resource: None, granted: Granted { answer: values.join(" "), values } });
    };
    let resource = asked.resource;
    let named = || resource.identifier.as_str();
    let held = authorized.at(resource.id).ok_or_else(|| OAuthError::from(reason::TARGET_NOT_GRANTED).about(named()))?;
    if let Some(wider) = asked.values.iter().find(|value| !held.values.iter().any(|held| held == *value)) {
        return Err(OAuthError::from(reason::SCOPE_WIDER).about(&format!("{}/{wider}", named())));
    }
    if !is_permitted(client, resource) {
        return Err(OAuthError::from(reason::SCOPE_NOT_ALLOWED).about(named()));
    }
    let may_have = allowed(client, resource);
    let wanted = |value: &&String| asked.all || asked.values.contains(&value.as_str());
    let values: Vec<String> =
        held.values.iter().filter(|value| wanted(value) && may_have.contains(&value.as_str())).cloned().collect();
    let echo = match (asked.echo.is_empty(), held.echo.is_empty()) {
        (false, _) => asked.echo.join(" "),
        (true, false) => held.echo.join(" "),
        (true, true) => qualified(resource, &values),
    };
    // Clients compare the scope of the answer with what they asked for; identity is part of it.
    let identity = identity().filter(|held| scope.is_empty() || scope.tokens().any(|token| token == *held));
    let answer = identity.chain([echo.as_str()]).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    Ok(Chosen { resource: Some(resource), granted: Granted { values, answer } })
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
