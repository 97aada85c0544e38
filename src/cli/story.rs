//! Why a claim is in a token: what `grantor explain` says beside each.

use crate::store::members::{MemberPaths, Membership};
use crate::tokens::claims::{self, Claim, Origin};
use crate::tokens::issue::Issuance;
use crate::types::policy::GroupFormat;
use serde_json::Value;

/// One line of the answer.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) value: Value,
    pub(super) because: String,
}

/// What the reasons are told from.
pub(super) struct Story<'a> {
    pub(super) issuance: &'a Issuance<'a>,
    // Whose groups count: the client itself, or the person.
    pub(super) subject: &'a str,
    pub(super) paths: &'a MemberPaths,
    // The issuer is not known for sure: nothing told the command the server's public URL.
    pub(super) guessed: bool,
}

impl Story<'_> {
    fn membership(&self) -> &Membership {
        &self.issuance.membership.1
    }

    /// A line for the claim, or one for each element where they have different reasons.
    pub(super) fn lines(&self, claim: Claim) -> Vec<Line> {
        let resource = self.issuance.resource;
        match claim.origin {
            Origin::Rule(_) if claim.name == "iss" && self.guessed => {
                let because = "a guess from the listening address: set GRANTOR_PUBLIC_URL as the server has it";
                vec![Line { name: claim.name, value: claim.value, because: because.into() }]
            }
            Origin::Rule(rule) => vec![Line { name: claim.name, value: claim.value, because: rule.into() }],
            Origin::Groups if claim.name != "groups" => {
                let limit = resource.settings.group_limit;
                let because = format!("more groups than the resource's limit of {limit}: the endpoint has them all");
                vec![Line { name: claim.name, value: claim.value, because }]
            }
            Origin::Groups => claims::visible_groups(resource, self.membership())
                .map(|group| {
                    let value = match resource.settings.group_format {
                        GroupFormat::Id => group.id.to_string(),
                        GroupFormat::Name => group.name.clone(),
                    };
                    let because =
                        format!("{} (groups: {})", self.way(self.paths.to(group.id)), resource.settings.groups);
                    Line { name: claim.name.clone(), value: value.into(), because }
                })
                .collect(),
            Origin::Roles => {
                let roles = claim.value.as_array().cloned().unwrap_or_default();
                roles
                    .into_iter()
                    .map(|role| {
                        let is_this = |held: &(_, String)| held.0 == resource.id && role == held.1.as_str();
                        let giving = self.membership().groups.iter().filter(|group| group.roles.iter().any(is_this));
                        let because = giving.map(|group| self.by_group(&group.name, self.paths.to(group.id)));
                        let because = because.collect::<Vec<_>>().join("; ");
                        Line { name: claim.name.clone(), value: role.clone(), because }
                    })
                    .collect()
            }
            Origin::GroupClaim => {
                let setting = self.membership().groups.iter().filter_map(|group| {
                    let (_, value) = group.claims.iter().find(|(name, _)| *name == claim.name)?;
                    Some(format!("{} sets {value}", self.by_group(&group.name, self.paths.to(group.id))))
                });
                let because = setting.collect::<Vec<_>>().join("; ");
                vec![Line { name: claim.name.clone(), value: claim.value, because }]
            }
        }
    }

    fn by_group(&self, name: &str, path: &[String]) -> String {
        format!("group {name}: {}", self.way(path))
    }

    fn way(&self, path: &[String]) -> String {
        match path {
            [] => "membership changed meanwhile".into(),
            path => format!("{} > {}", self.subject, path.join(" > ")),
        }
    }
}
