//! `grantor explain`: every claim that a token would carry and where it comes from, or the rule that says no. It asks
//! the same functions as the token endpoint, so it cannot tell another story.

use super::context::{CliError, Context};
use super::output::table;
use crate::error::OAuthError;
use crate::grants::client_credentials::{self, GRANT, Wanted};
use crate::store::clients::Client;
use crate::store::members::{MemberPaths, Membership};
use crate::store::resources::Resource;
use crate::tokens::claims::{self, Claim, Origin};
use crate::tokens::issue::{self, Issuance};
use crate::types::id::MemberId;
use crate::types::policy::GroupFormat;
use clap::Args;
use serde_json::{Value, json};

#[derive(Args)]
#[command(after_help = "Example:\n  grantor explain --client billing --scope https://api.example.com/.default")]
pub struct Explain {
    /// Client id
    #[arg(long, value_name = "ID")]
    client: String,
    /// The scope it would ask for [default: none]
    #[arg(long, value_name = "SCOPE", default_value = "")]
    scope: String,
    /// The resource parameter it would send
    #[arg(long, value_name = "RESOURCE")]
    resource: Option<String>,
}

/// One line of the answer.
struct Line {
    name: String,
    value: Value,
    because: String,
}

impl Explain {
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        let tenant = context.tenant().await?;
        let Some(client) = context.app.store.find_client(tenant.id, &self.client).await? else {
            return Err(no(context, &format!("there is no client '{}'; see: grantor client list", self.client)));
        };
        let refusal = if !tenant.enabled {
            Some(format!("the tenant is disabled; see: grantor tenant enable {}", tenant.name))
        } else if !client.enabled {
            Some(format!("the client is disabled; see: grantor client enable {}", self.client))
        } else if client.public {
            Some("it is a public client, and those cannot use client_credentials; make one without --public".to_owned())
        } else if !client.grants.iter().any(|grant| grant == GRANT.name) {
            Some(format!(
                "the client may not use {0}; see: grantor client update {1} --grant {0}",
                GRANT.name, self.client
            ))
        } else {
            None
        };
        if let Some(rule) = refusal {
            return Err(no(context, &rule));
        }
        let resources = context.app.directory.resources(tenant.id).await?;
        let targets: Vec<&str> = self.resource.as_deref().into_iter().collect();
        let wanted = Wanted { client: &client, resources: &resources, scope: &self.scope, targets: &targets };
        let issuance = match client_credentials::decide(&context.app, &tenant, wanted).await {
            Ok(issuance) => issuance,
            Err(error) => return Err(self.refused(context, &error, None)),
        };
        let stamped = match issue::prepare(&context.app, &issuance) {
            Ok(stamped) => stamped,
            Err(error) => return Err(self.refused(context, &error, Some(issuance.resource))),
        };
        let paths = context.app.store.member_paths(MemberId::Client(client.oid)).await?;
        let story = Story { issuance: &issuance, client: &client, paths: &paths };
        let mut lines: Vec<Line> = stamped.claims.into_iter().flat_map(|claim| story.lines(claim)).collect();
        for (name, because) in [
            ("iat", "the moment of issue"),
            ("exp", "the moment of issue and the resource's lifetime"),
            ("jti", "random, new for each token"),
            ("status", "a place in a status list, new for each token"),
        ] {
            lines.push(Line { name: name.into(), value: "(per token)".into(), because: because.into() });
        }
        show(context, &lines, issuance.resource);
        Ok(())
    }

    fn refused(&self, context: &Context, error: &OAuthError, resource: Option<&Resource>) -> CliError {
        if error.reason().status >= 500 {
            return error.clone().into();
        }
        let client = &self.client;
        let hint = match error.reason().code {
            4003 => format!("\nAllow it with: grantor client allow {client} RESOURCE/SCOPE"),
            4009 => {
                let groups = resource.into_iter().flat_map(|resource| &resource.required_groups);
                let lines =
                    groups.map(|group| format!("\nLet it in with: grantor group add {} --client {client}", group.name));
                lines.collect()
            }
            4002 | 4005 | 4006 => "\nSee what there is with: grantor resource list".to_owned(),
            _ => String::new(),
        };
        no(context, &format!("{} ({}){hint}", error.description(), error.reason().error))
    }
}

/// The answer is no: for programs on standard output, for people as the error of the command.
fn no(context: &Context, rule: &str) -> CliError {
    if context.out.is_json() {
        context.out.show(&json!({ "issued": false, "rule": rule }), String::new);
    }
    CliError::Refused(format!("no token: {rule}"))
}

fn show(context: &Context, lines: &[Line], resource: &Resource) {
    let value = json!({
        "issued": true,
        "resource": resource.identifier,
        "claims": lines
            .iter()
            .map(|line| json!({ "name": line.name, "value": line.value, "because": line.because }))
            .collect::<Vec<_>>(),
    });
    context.out.show(&value, || {
        let rows = lines.iter().map(|line| {
            let value = line.value.as_str().map_or_else(|| line.value.to_string(), str::to_owned);
            vec![line.name.clone(), value, line.because.clone()]
        });
        table(&["claim", "value", "because"], rows.collect(), "")
    });
}

/// What the reasons are told from.
struct Story<'a> {
    issuance: &'a Issuance<'a>,
    client: &'a Client,
    paths: &'a MemberPaths,
}

impl Story<'_> {
    fn membership(&self) -> &Membership {
        &self.issuance.membership.1
    }

    /// A line for the claim, or one for each element where they have different reasons.
    fn lines(&self, claim: Claim) -> Vec<Line> {
        let resource = self.issuance.resource;
        match claim.origin {
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
        let client = &self.client.client_id;
        match path {
            [] => "membership changed meanwhile".into(),
            path => format!("{client} > {}", path.join(" > ")),
        }
    }
}
