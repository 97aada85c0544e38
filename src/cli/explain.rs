//! `grantor explain`: every claim that a token would carry and where it comes from, or the rule that says no. It asks
//! the same functions as the token endpoint, so it cannot tell another story.

use super::context::{CliError, Context};
use super::output::table;
use crate::error::{OAuthError, Reason, reason};
use crate::grants::client_credentials::{self, GRANT, Wanted};
use crate::store::clients::Client;
use crate::store::members::{MemberPaths, Membership};
use crate::store::resources::Resource;
use crate::store::tenants::Tenant;
use crate::tokens::claims::{self, Claim, Origin};
use crate::tokens::issue::{self, Issuance};
use crate::types::clock::UnixTime;
use crate::types::id::MemberId;
use crate::types::policy::{ClaimsProfile, GroupFormat};
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
            let (CliError::Refused(rule) | CliError::Usage(rule)) = context.missing("client", &self.client);
            return Err(No { rule, error: reason::CREDENTIALS_WRONG, hint: String::new() }.say(context));
        };
        if let Some(no) = self.before_scopes(&tenant, &client, context.now()) {
            return Err(no.say(context));
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
        let guessed = context.app.config.public_url.is_none();
        let story = Story { issuance: &issuance, client: &client, paths: &paths, guessed };
        let mut lines: Vec<Line> = stamped.claims.into_iter().flat_map(|claim| story.lines(claim)).collect();
        let entra = issuance.resource.settings.claims_profile == ClaimsProfile::Entra;
        for (name, because) in [
            ("iat", "the moment of issue"),
            ("exp", "the moment of issue and the resource's lifetime"),
            ("jti", "random, new for each token"),
            ("uti", "claims profile entra: the jti in another form"),
            ("status", "a place in a status list, new for each token"),
        ] {
            if entra || name != "uti" {
                lines.push(Line { name: name.into(), value: "(per token)".into(), because: because.into() });
            }
        }
        show(context, &lines, issuance.resource);
        Ok(())
    }

    /// What says no before scopes are looked at.
    fn before_scopes(&self, tenant: &Tenant, client: &Client, now: UnixTime) -> Option<No> {
        let (name, grant) = (&self.client, GRANT.name);
        let no = |error, rule: &str, hint: String| Some(No { rule: rule.into(), error, hint });
        if !tenant.enabled {
            return no(
                reason::TENANT_DISABLED,
                "the tenant is disabled",
                format!("grantor tenant enable {}", tenant.name),
            );
        }
        if !client.enabled {
            return no(reason::CLIENT_DISABLED, "the client is disabled", format!("grantor client enable {name}"));
        }
        if client.public {
            let rule = format!("it is a public client, and those cannot use {grant}; make one without --public");
            return no(reason::GRANT_NEEDS_SECRET, &rule, String::new());
        }
        if !client.secrets.iter().any(|secret| secret.is_live(now)) {
            let rule = "the client has no secret that works";
            return no(reason::CREDENTIALS_WRONG, rule, format!("grantor client secret add {name}"));
        }
        if !client.grants.iter().any(|held| held == grant) {
            let rule = format!("the client may not use {grant}");
            return no(reason::GRANT_NOT_ALLOWED, &rule, format!("grantor client update {name} --grant {grant}"));
        }
        None
    }

    fn refused(&self, context: &Context, error: &OAuthError, resource: Option<&Resource>) -> CliError {
        if error.reason().status >= 500 {
            return error.clone().into();
        }
        let client = &self.client;
        let hint = match error.reason().code {
            4003 => format!("grantor client allow {client} {}", error.detail().unwrap_or("RESOURCE/SCOPE")),
            4009 => resource
                .into_iter()
                .flat_map(|resource| &resource.required_groups)
                .map(|group| format!("grantor group add '{}' --client {client}", group.name))
                .collect::<Vec<_>>()
                .join("; or: "),
            4002 | 4005 | 4006 => "grantor resource list".to_owned(),
            _ => String::new(),
        };
        No { rule: error.description(), error: error.reason(), hint }.say(context)
    }
}

/// The answer is no.
struct No {
    rule: String,
    error: &'static Reason,
    hint: String,
}

impl No {
    /// For programs on standard output, for people as the error of the command.
    fn say(self, context: &Context) -> CliError {
        let Self { rule, error, hint } = self;
        if context.out.is_json() {
            let mut value = json!({ "issued": false, "rule": rule, "error": error.error, "code": error.code });
            if !hint.is_empty() {
                value["hint"] = hint.clone().into();
            }
            context.out.show(&value, String::new);
        }
        let hint = if hint.is_empty() { hint } else { format!("\nSee: {hint}") };
        CliError::Refused(format!("no token: {rule} ({}){hint}", error.error))
    }
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
    // The issuer is not known for sure: nothing told the command the server's public URL.
    guessed: bool,
}

impl Story<'_> {
    fn membership(&self) -> &Membership {
        &self.issuance.membership.1
    }

    /// A line for the claim, or one for each element where they have different reasons.
    fn lines(&self, claim: Claim) -> Vec<Line> {
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
        let client = &self.client.client_id;
        match path {
            [] => "membership changed meanwhile".into(),
            path => format!("{client} > {}", path.join(" > ")),
        }
    }
}
