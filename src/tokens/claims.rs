//! What is stamped into an access token: RFC 9068 claims, groups, roles, claims of groups; two profiles.

use super::scopes;
use crate::store::clients::Client;
use crate::store::members::{MemberGroup, Membership};
use crate::store::resources::Resource;
use crate::store::tenants::Tenant;
use crate::store::users::User;
use crate::types::clock::UnixTime;
use crate::types::id::SessionId;
use crate::types::policy::{ClaimsProfile, GroupFormat, GroupsPolicy};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Authentication context class: one factor (OpenID Connect Core §2).
pub const ACR: &str = "1";

/// Authentication methods: a password (RFC 8176 §2).
pub const AMR: &[&str] = &["pwd"];

/// A person who signed in and let a client act for them.
#[derive(Debug, Clone, Copy)]
pub struct Login<'a> {
    /// The person.
    pub user: &'a User,
    /// When they signed in.
    pub auth_time: UnixTime,
    /// In which session.
    pub session: SessionId,
}

/// Everything that decides the claims.
#[derive(Debug, Clone, Copy)]
pub struct Stamp<'a> {
    /// The tenant's issuer identifier.
    pub issuer: &'a str,
    /// The tenant.
    pub tenant: &'a Tenant,
    /// The client, which is also the subject unless a person is.
    pub client: &'a Client,
    /// The person for whom the client acts.
    pub login: Option<Login<'a>>,
    /// The audience.
    pub resource: &'a Resource,
    /// Granted scopes.
    pub scopes: &'a [String],
    /// The subject's groups.
    pub membership: &'a Membership,
}

/// Where a claim comes from, for `grantor explain`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A fixed rule, in a few words.
    Rule(&'static str),
    /// The subject's groups under the resource's policy.
    Groups,
    /// Roles that groups give.
    Roles,
    /// A claim that one or more groups carry.
    GroupClaim,
}

/// A claim with its origin.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Its name.
    pub name: String,
    /// Its value; never null.
    pub value: Value,
    /// Where it comes from.
    pub origin: Origin,
}

/// The claims of one token, without those that differ from token to token (`iat exp jti status`).
#[derive(Debug, Clone)]
pub struct Stamped {
    /// In the order of the token.
    pub claims: Vec<Claim>,
    /// The number of groups, when they are too many for the token.
    pub overage: Option<usize>,
}

impl Stamp<'_> {
    /// Computes the claims.
    pub fn claims(&self) -> Stamped {
        let mut claims = Vec::with_capacity(20);
        let mut put = |name: &str, value: Value, origin| claims.push(Claim { name: name.to_owned(), value, origin });
        let (client_id, oid) = (self.client.client_id.as_str(), self.client.oid.to_string());
        let entra = self.resource.settings.claims_profile == ClaimsProfile::Entra;

        put("iss", self.issuer.into(), Origin::Rule("the tenant's issuer"));
        // RFC 9068 §2.2: without a user, the subject is the client. Entra names its directory object.
        let (subject, oid, why) = match &self.login {
            Some(login) => (login.user.id.to_string(), login.user.id.to_string(), "the person's id"),
            None if entra => (oid.clone(), oid, "the client acts for itself"),
            None => (client_id.to_owned(), oid, "the client acts for itself"),
        };
        put("sub", subject.into(), Origin::Rule(why));
        put("aud", self.resource.identifier.as_str().into(), Origin::Rule("the resource asked for"));
        put("client_id", client_id.into(), Origin::Rule("the client"));
        put("azp", client_id.into(), Origin::Rule("the client"));
        put("tid", self.tenant.id.to_string().into(), Origin::Rule("the tenant's id"));
        put("oid", oid.into(), Origin::Rule(if self.login.is_some() { why } else { "the client's object id" }));
        if let Some(login) = &self.login {
            let name = login.user.username.as_str();
            put("preferred_username", name.into(), Origin::Rule("the person's user name"));
            put("sid", login.session.to_string().into(), Origin::Rule("the session in the browser"));
            put("auth_time", login.auth_time.into(), Origin::Rule("when the person signed in"));
            put("acr", ACR.into(), Origin::Rule("how the person signed in"));
            put("amr", json!(AMR), Origin::Rule("how the person signed in: by password"));
        }
        if entra {
            let idtyp = if self.login.is_some() { "user" } else { "app" };
            let azpacr = if self.client.public { "0" } else { "1" };
            put("ver", "2.0".into(), Origin::Rule("claims profile entra"));
            put("idtyp", idtyp.into(), Origin::Rule("claims profile entra: whether a user is involved"));
            put("appid", client_id.into(), Origin::Rule("claims profile entra: the client"));
            put(
                "azpacr",
                azpacr.into(),
                Origin::Rule("claims profile entra: 1 is authenticated by a secret, 0 public"),
            );
        }
        if !self.scopes.is_empty() {
            // One string, single spaces, no repeats: Strimzi fails on anything else.
            let name = if entra { "scp" } else { "scope" };
            put(name, self.scopes.join(" ").into(), Origin::Rule("asked for, and allowed to the client"));
        }
        let overage = self.put_groups(&mut put);
        let roles = scopes::roles(self.membership, self.resource.id);
        if !roles.is_empty() {
            put("roles", roles.into(), Origin::Roles);
        }
        for (name, value) in merged_claims(self.membership) {
            put(name, value, Origin::GroupClaim);
        }
        put("typ", "Bearer".into(), Origin::Rule("the token type, for Kafka's Strimzi validator"));
        Stamped { claims, overage }
    }

    fn put_groups(&self, put: &mut impl FnMut(&str, Value, Origin)) -> Option<usize> {
        if self.resource.settings.groups == GroupsPolicy::None {
            return None;
        }
        let groups = group_values(self.resource, self.membership);
        let limit = usize::try_from(self.resource.settings.group_limit).unwrap_or(0);
        if groups.len() <= limit {
            if !groups.is_empty() {
                put("groups", groups.into(), Origin::Groups);
            }
            return None;
        }
        // OpenID Connect Core §5.6.2, as Entra uses it: the claim is fetched where the token says.
        let endpoint = format!("{}/oauth2/v2.0/groups", self.issuer);
        put("_claim_names", json!({ "groups": "src1" }), Origin::Groups);
        put("_claim_sources", json!({ "src1": { "endpoint": endpoint } }), Origin::Groups);
        Some(groups.len())
    }
}

/// The groups of a subject that a resource wants to see.
pub fn visible_groups<'m>(resource: &Resource, membership: &'m Membership) -> impl Iterator<Item = &'m MemberGroup> {
    membership.groups.iter().filter(move |group| match resource.settings.groups {
        GroupsPolicy::None => false,
        GroupsPolicy::All => true,
        GroupsPolicy::Assigned => {
            group.roles.iter().any(|(at, _)| *at == resource.id)
                || resource.required_groups.iter().any(|required| required.id == group.id)
        }
    })
}

/// The same, as they are written in the `groups` claim.
pub fn group_values(resource: &Resource, membership: &Membership) -> Vec<String> {
    visible_groups(resource, membership)
        .map(|group| match resource.settings.group_format {
            GroupFormat::Id => group.id.to_string(),
            GroupFormat::Name => group.name.clone(),
        })
        .collect()
}

/// The claims of all groups. A claim that one group sets is written as it is; what several set becomes a list of all
/// that they set, each value once, in order of the groups' names.
fn merged_claims(membership: &Membership) -> BTreeMap<&str, Value> {
    let mut set: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for (name, value) in membership.groups.iter().flat_map(|group| &group.claims) {
        set.entry(name).or_default().push(value);
    }
    set.into_iter()
        .map(|(name, values)| match values.as_slice() {
            [only] => (name, (*only).clone()),
            several => {
                let mut list: Vec<Value> = Vec::new();
                for value in several {
                    let items =
                        if let Value::Array(items) = value { items.as_slice() } else { std::slice::from_ref(*value) };
                    for item in items {
                        if !list.contains(item) {
                            list.push(item.clone());
                        }
                    }
                }
                (name, Value::Array(list))
            }
        })
        .collect()
}
