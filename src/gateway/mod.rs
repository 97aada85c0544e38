//! What a gateway asks before it lets a request through: which token came along, what the route requires, and whether the
//! token's claims meet it. The server's endpoint and `grantor guard` decide by the same functions.

use crate::error::{OAuthError, reason};
use serde_json::{Map, Value};

/// Headers in which gateways tell the address of the original request: Traefik's, and two that nginx is told to send.
const ORIGINAL_URI: &[&str] = &["x-forwarded-uri", "x-original-uri", "x-original-url"];

/// The name by which Kong's key-auth plugin takes a key, in a header or in the query.
const API_KEY: &str = "apikey";

/// More bytes of groups than this are not put into a header: gateways bound the whole head.
const GROUPS_IN_HEADER: usize = 4096;

/// The original request as far as a gateway shows it.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// Headers by lower-case name.
    pub headers: &'a [(String, String)],
    /// The path of the request to us, as it was sent.
    pub path: &'a str,
    /// The query of the request to us.
    pub query: &'a str,
}

impl Shown<'_> {
    fn all<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h str> {
        self.headers.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The token that came along: as a bearer token (RFC 6750 §2.1), or as an API key in a header or in the query of the
    /// original request.
    ///
    /// # Errors
    /// None, or more than one. Both are 401: gateways turn anything but 401 and 403 into a failure of their own.
    pub fn token(&self) -> Result<String, OAuthError> {
        let mut found: Vec<String> = Vec::new();
        for value in self.all("authorization") {
            match value.trim().split_once(' ') {
                // RFC 9110 §11.1: scheme names are case-insensitive.
                Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => found.push(token.trim().to_owned()),
                // Other schemes are the application's own business, as long as there is a key beside them.
                _ => {}
            }
        }
        found.extend(self.all(API_KEY).map(str::to_owned));
        let originals = ORIGINAL_URI.iter().flat_map(|name| self.all(name));
        let queries = originals.filter_map(|uri| uri.split_once('?').map(|(_, query)| query)).chain([self.query]);
        for query in queries {
            let pairs = url::form_urlencoded::parse(query.as_bytes());
            found.extend(pairs.filter(|(name, _)| name == API_KEY).map(|(_, value)| value.into_owned()));
        }
        found.retain(|token| !token.is_empty());
        // A key that stands in two places is one key.
        found.sort_unstable();
        found.dedup();
        match found.len() {
            0 => Err(reason::TOKEN_MISSING.into()),
            1 => Ok(found.remove(0)),
            _ => Err(reason::GATEWAY_TOKEN_TWICE.into()),
        }
    }
}

/// What a route requires. Each of several values has to be met, so that nothing added to the query ever lets more through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requirement {
    resources: Vec<String>,
    scopes: Vec<String>,
    groups: Vec<String>,
    roles: Vec<String>,
}

impl Requirement {
    /// What the address that the gateway asks requires: in its query, or for gateways that put the original path and query
    /// behind it (Envoy) in the path, as `/gateway/for/resource=…&scope=…/`.
    ///
    /// # Errors
    /// 403 for a name that is unknown or a value that is empty, wherever the gateway alone wrote it: a requirement that
    /// is misspelt must not let everybody through.
    pub fn of(shown: &Shown<'_>) -> Result<Self, OAuthError> {
        // What stands behind our own part of the path was written by others, and may look like ours.
        let stated = shown.path.split_once("/gateway/for/");
        if let Some((_, rest)) = stated.filter(|(before, _)| !before.contains("/gateway/check")) {
            let required = Self::read(rest.split('/').next().unwrap_or_default(), true)?;
            // It is there to state one; with none, something was lost.
            if required == Self::default() {
                return Err(OAuthError::from(reason::GATEWAY_REQUIREMENT).about("none is named"));
            }
            return Ok(required);
        }
        // With more in the path, the query is that of the original request: it can only ask for more.
        let own = shown.path.ends_with("/gateway/check") || shown.path.ends_with("/gateway/middleman");
        Self::read(shown.query, own)
    }

    fn read(query: &str, strict: bool) -> Result<Self, OAuthError> {
        let mut required = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let known = ["resource", "scope", "group", "role", API_KEY].contains(&name.as_ref());
            if strict && (!known || (value.trim().is_empty() && name != API_KEY)) {
                return Err(OAuthError::from(reason::GATEWAY_REQUIREMENT).about(&name));
            }
            match name.as_ref() {
                _ if value.is_empty() => {}
                "resource" => required.resources.push(value.into_owned()),
                "scope" => required.scopes.extend(value.split(' ').filter(|one| !one.is_empty()).map(str::to_owned)),
                "group" => required.groups.push(value.into_owned()),
                "role" => required.roles.push(value.into_owned()),
                _ => {}
            }
        }
        Ok(required)
    }

    /// Looks whether claims meet it.
    ///
    /// # Errors
    /// 403, naming what is missing.
    pub fn check(&self, claims: &Map<String, Value>) -> Result<(), OAuthError> {
        let audience = texts(claims.get("aud"));
        if let Some(resource) = self.resources.iter().find(|resource| !audience.contains(&resource.as_str())) {
            return Err(OAuthError::from(reason::GATEWAY_AUDIENCE).about(resource));
        }
        let scopes = scopes(claims);
        let short = |wanted: &str| match audience.first() {
            // A scope may be written as it is asked for.
            Some(audience) => {
                wanted.strip_prefix(*audience).and_then(|rest| rest.strip_prefix('/')).unwrap_or(wanted).to_owned()
            }
            None => wanted.to_owned(),
        };
        if let Some(scope) = self.scopes.iter().find(|scope| !scopes.contains(&short(scope).as_str())) {
            return Err(OAuthError::from(reason::GATEWAY_SCOPE).about(scope));
        }
        if let Some(role) = missing(&self.roles, claims.get("roles")) {
            return Err(OAuthError::from(reason::GATEWAY_ROLE).about(role));
        }
        if let Some(group) = missing(&self.groups, claims.get("groups")) {
            return Err(OAuthError::from(reason::GATEWAY_GROUP).about(group));
        }
        Ok(())
    }

    /// True when it asks for groups that these claims only point to.
    pub fn lacks_groups(&self, claims: &Map<String, Value>) -> bool {
        !self.groups.is_empty() && claims.contains_key("_claim_names")
    }
}

/// Who comes, as headers for the application behind the gateway.
pub fn identity(claims: &Map<String, Value>) -> Vec<(&'static str, String)> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let client_id = text("client_id");
    let username = Some(text("preferred_username")).filter(|name| !name.is_empty()).unwrap_or(client_id.clone());
    let groups = texts(claims.get("groups")).join(",");
    let mut headers = vec![
        ("x-auth-subject", text("sub")),
        ("x-auth-client-id", client_id),
        ("x-auth-scope", scopes(claims).join(" ")),
        ("x-consumer-username", username),
    ];
    // Never cut in silence: whoever needs them is told where they are.
    if claims.contains_key("_claim_names") || groups.len() > GROUPS_IN_HEADER {
        headers.push(("x-auth-groups-overage", "true".to_owned()));
    } else {
        headers.push(("x-auth-groups", groups));
    }
    headers
}

/// The parameters that the middleman plugin of Kong posts: the headers of the original request with its address among
/// them, and its query once more as `uri_args`.
pub fn middleman(body: &Value) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    for (name, value) in body.get("headers").and_then(Value::as_object).into_iter().flatten() {
        let name = if name == "target_uri" { "x-original-uri".to_owned() } else { name.to_lowercase() };
        headers.extend(texts(Some(value)).into_iter().map(|value| (name.clone(), value.to_owned())));
    }
    let keys = body.get("uri_args").and_then(|args| args.get(API_KEY));
    let keys: Vec<&str> = texts(keys);
    // The address says the same once more; without it this is all that there is.
    if !headers.iter().any(|(name, _)| name == "x-original-uri") {
        headers.extend(keys.into_iter().map(|key| (API_KEY.to_owned(), key.to_owned())));
    }
    headers
}

/// The first of what is wanted that a list in the claims lacks.
fn missing<'w>(wanted: &'w [String], held: Option<&Value>) -> Option<&'w String> {
    let held = texts(held);
    wanted.iter().find(|one| !held.contains(&one.as_str()))
}

/// A text, or the texts of a list.
fn texts(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// `scope`, or what the Entra profile calls it.
fn scopes(claims: &Map<String, Value>) -> Vec<&str> {
    let text = claims.get("scope").or_else(|| claims.get("scp")).and_then(Value::as_str).unwrap_or_default();
    text.split(' ').filter(|one| !one.is_empty()).collect()
}
