//! Claims that an operator attaches to a group.

use super::Invalid;
use serde_json::Value;
use std::str::FromStr;

/// Claims that only the server writes: a group must not be able to speak for the issuer.
const RESERVED: &[&str] = &[
    "_claim_names",
    "_claim_sources",
    "acct",
    "acr",
    "act",
    "active",
    "amr",
    "appid",
    "appidacr",
    "at_hash",
    "aud",
    "auth_time",
    "authorization_details",
    "azp",
    "azpacr",
    "c_hash",
    "client_id",
    "cnf",
    "email",
    "email_verified",
    "entitlements",
    "events",
    "exp",
    "family_name",
    "given_name",
    "groups",
    "hasgroups",
    "iat",
    "idp",
    "idtyp",
    "iss",
    "jti",
    "login",
    "may_act",
    "name",
    "nbf",
    "nickname",
    "nonce",
    "oid",
    "phone_number",
    "phone_number_verified",
    "preferred_username",
    "roles",
    "scope",
    "scp",
    "sid",
    "status",
    "sub",
    "sub_id",
    "sub_jwk",
    "tid",
    "token_type",
    "typ",
    "uid",
    "unique_name",
    "upn",
    "user",
    "user_id",
    "username",
    "uti",
    "ver",
    "wids",
];

/// The name of a claim that a group may carry.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClaimName(String);

impl ClaimName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClaimName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = |why| Err(Invalid::new("claim name", text, why));
        if text.is_empty() || text.len() > 120 || !text.chars().all(|c| c.is_ascii_graphic() && c != '"' && c != '\\') {
            return bad("use 1 to 120 visible ASCII characters without space, quote or backslash");
        }
        if RESERVED.contains(&text.to_ascii_lowercase().as_str()) {
            return bad("only the server writes this claim: it says who somebody is or what the token is worth");
        }
        Ok(Self(text.to_owned()))
    }
}

/// A claim's value: any JSON without `null`, at most 2 KiB.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimValue(Value);

impl ClaimValue {
    /// The JSON.
    pub fn json(&self) -> &Value {
        &self.0
    }
}

impl FromStr for ClaimValue {
    type Err = Invalid;

    // Several client libraries refuse a whole answer for one null member, so none is ever stored.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = |why| Invalid::new("claim value", text, why);
        if text.len() > 2048 {
            return Err(bad("a token must stay small: at most 2048 bytes"));
        }
        let value: Value = serde_json::from_str(text)
            .map_err(|_| bad("it must be JSON; put a text in double quotes, as in '\"admin\"'"))?;
        if holds_rounded(&value) {
            return Err(bad("a number is too long to be written as it is; put it in double quotes"));
        }
        if holds_null(&value) {
            return Err(bad("null is not allowed; leave the member out instead"));
        }
        Ok(Self(value))
    }
}

/// True for a whole number that was read as something near it.
fn holds_rounded(value: &Value) -> bool {
    /// Beyond 2^53 whole numbers are not told apart any more.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => {
            !number.is_i64() && !number.is_u64() && number.as_f64().is_none_or(|n| n.abs() > EXACT)
        }
        Value::Array(items) => items.iter().any(holds_rounded),
        Value::Object(members) => members.values().any(holds_rounded),
        _ => false,
    }
}

fn holds_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(holds_null),
        Value::Object(members) => members.values().any(holds_null),
        _ => false,
    }
}
