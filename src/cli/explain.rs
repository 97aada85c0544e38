//! `grantor explain`: every claim that a token would carry and where it comes from, or the rule that says no. It asks
//! the same functions as the token endpoint, so it cannot tell another story.

use super::context::{CliError, Context};
use super::output::table;
use super::story::{Line, Story};
use crate::authorization::decision;
use crate::error::{OAuthError, Reason, reason};
use crate::grants::Grant;
use crate::grants::authorization_code;
use crate::grants::client_credentials::{self, Wanted};
use crate::store::clients::Client;
use crate::store::resources::Resource;
use crate::store::tenants::Tenant;
use crate::store::users::User;
use crate::tokens::claims::Login;
use crate::tokens::id_token;
use crate::tokens::issue::{self, Issuance};
use crate::tokens::scopes::{self, Choice};
use crate::types::clock::UnixTime;
use crate::types::id::MemberId;
use crate::types::policy::ClaimsProfile;
use crate::types::scope::Scope;
use clap::Args;
use serde_json::json;
use uuid::Uuid;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  grantor explain --client billing --scope https://api.example.com/.default\n  grantor explain --user alice --client portal --scope 'openid https://api.example.com/read'"
)]
pub struct Explain {
    /// Client id
    #[arg(long, value_name = "ID")]
    client: String,
    /// The person for whom it would act; without one it acts for itself
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The scope it would ask for; without one, all that it may have
    #[arg(long, value_name = "SCOPE", default_value = "", hide_default_value = true)]
    scope: String,
    /// The resource parameter it would send
    #[arg(long, value_name = "RESOURCE")]
    resource: Option<String>,
}

impl Explain {
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        let tenant = context.tenant().await?;
        let Some(client) = context.app.store.find_client(tenant.id, &self.client).await? else {
            let (CliError::Refused(rule) | CliError::Usage(rule)) = context.missing("client", &self.client);
            return Err(No { rule, error: reason::CREDENTIALS_WRONG, hint: String::new() }.say(context));
        };
        let user = match &self.user {
            Some(name) => Some(context.find_user(tenant.id, name).await?),
            None => None,
        };
        let no = self.before_scopes(&tenant, &client, context.now());
        if let Some(no) = no.or_else(|| user.as_ref().and_then(|user| before_person(user, &client))) {
            return Err(no.say(context));
        }
        let resources = context.app.directory.resources(tenant.id).await?;
        let targets: Vec<&str> = self.resource.as_deref().into_iter().collect();
        let asks = Asks { tenant: &tenant, client: &client, resources: &resources, targets: &targets };
        let identity = id_token::resource(&context.app.issuer(&tenant));
        let decided = match &user {
            None => {
                let Asks { client, resources, targets, .. } = asks;
                let wanted = Wanted { client, resources, scope: &self.scope, targets };
                client_credentials::decide(&context.app, &tenant, wanted).await
            }
            Some(user) => self.for_person(context, asks, (user, &identity)).await,
        };
        let issuance = match decided {
            Ok(issuance) => issuance,
            Err(error) => return Err(self.refused(context, &error, None)),
        };
        let stamped = match issue::prepare(&context.app, &issuance) {
            Ok(stamped) => stamped,
            Err(error) => return Err(self.refused(context, &error, Some(issuance.resource))),
        };
        let member = user.as_ref().map_or(MemberId::Client(client.oid), |user| MemberId::User(user.id));
        let paths = context.app.store.member_paths(member).await?;
        let guessed = context.app.config.public_url.is_none();
        let subject = user.as_ref().map_or(client.client_id.as_str(), |user| user.username.as_str());
        let story = Story { issuance: &issuance, subject, paths: &paths, guessed };
        let mut lines: Vec<Line> = stamped.claims.into_iter().flat_map(|claim| story.lines(claim)).collect();
        for line in lines.iter_mut().filter(|line| user.is_some() && ["sid", "auth_time"].contains(&line.name.as_str()))
        {
            line.value = "(per login)".into();
        }
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
        let consent = match &user {
            Some(user) => Some(self.consent(context, asks, user).await?),
            None => None,
        };
        show(context, &lines, issuance.resource, consent);
        Ok(())
    }

    /// What the token endpoint would decide for a code of this person.
    async fn for_person<'a>(
        &self,
        context: &Context,
        asks: Asks<'a>,
        who: (&'a User, &'a Resource),
    ) -> Result<Issuance<'a>, OAuthError> {
        let (user, identity) = who;
        let authorized = scopes::authorize(asks.client, asks.resources, &self.scope()?, asks.targets)?;
        let choice = Choice { scope: &Scope::default(), targets: &[], first: true };
        let chosen = scopes::choose(asks.client, asks.resources, &authorized, choice)?;
        let membership = context.app.directory.membership(asks.tenant.id, MemberId::User(user.id)).await?;
        Ok(Issuance {
            tenant: asks.tenant,
            client: asks.client,
            login: Some(Login { user, auth_time: context.now(), session: Uuid::nil().into() }),
            resource: chosen.resource.unwrap_or(identity),
            granted: chosen.granted,
            membership,
        })
    }

    fn scope(&self) -> Result<Scope, OAuthError> {
        self.scope.parse().map_err(|_| reason::SCOPE_MALFORMED.into())
    }

    /// Whether the person would be asked.
    async fn consent(&self, context: &Context, asks: Asks<'_>, user: &User) -> Result<&'static str, CliError> {
        let authorized = scopes::authorize(asks.client, asks.resources, &self.scope()?, asks.targets)?;
        let remembered = context.app.store.consents(user.id, asks.client.oid).await?;
        Ok(if asks.client.settings.first_party {
            "not asked for: the client is a first-party one"
        } else if !asks.client.redirect_uris.iter().any(|uri| decision::is_known_again(asks.client, uri)) {
            "asked for each time: a public client behind a loopback address or a private scheme"
        } else if decision::asked(&authorized).iter().all(|wanted| remembered.contains(wanted)) {
            "given before"
        } else {
            "asked for in the browser"
        })
    }

    fn grant(&self) -> &'static Grant {
        if self.user.is_some() { &authorization_code::GRANT } else { &client_credentials::GRANT }
    }

    /// What says no before scopes are looked at.
    fn before_scopes(&self, tenant: &Tenant, client: &Client, now: UnixTime) -> Option<No> {
        let (name, grant) = (&self.client, self.grant().name);
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
        if client.public && !self.grant().for_public {
            let rule = format!("it is a public client, and those cannot use {grant}; make one without --public");
            return no(reason::GRANT_NEEDS_SECRET, &rule, String::new());
        }
        if !client.public && !client.secrets.iter().any(|secret| secret.is_live(now)) {
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
        let member = match &self.user {
            Some(user) => format!("--user {user}"),
            None => format!("--client {client}"),
        };
        let hint = match error.reason().code {
            4003 => format!("grantor client allow {client} {}", error.detail().unwrap_or("RESOURCE/SCOPE")),
            4009 => resource
                .into_iter()
                .flat_map(|resource| &resource.required_groups)
                .map(|group| format!("grantor group add '{}' {member}", group.name))
                .collect::<Vec<_>>()
                .join("; or: "),
            4002 | 4005 | 4006 => "grantor resource list".to_owned(),
            _ => String::new(),
        };
        No { rule: error.description(), error: error.reason(), hint }.say(context)
    }
}

/// A client and what it would send.
#[derive(Clone, Copy)]
struct Asks<'a> {
    tenant: &'a Tenant,
    client: &'a Client,
    resources: &'a [Resource],
    targets: &'a [&'a str],
}

/// What says no to a person's login.
fn before_person(user: &User, client: &Client) -> Option<No> {
    let no = |error, rule: &str, hint: String| Some(No { rule: rule.into(), error, hint });
    if !user.enabled {
        return no(reason::USER_DISABLED, "the person is disabled", format!("grantor user enable {}", user.username));
    }
    if client.redirect_uris.is_empty() {
        let hint = format!("grantor client update {} --redirect-uri URI", client.client_id);
        return no(reason::REDIRECT_URI_UNREGISTERED, "the client has no redirect URI", hint);
    }
    None
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

fn show(context: &Context, lines: &[Line], resource: &Resource, consent: Option<&str>) {
    let mut value = json!({
        "issued": true,
        "resource": resource.identifier,
        "claims": lines
            .iter()
            .map(|line| json!({ "name": line.name, "value": line.value, "because": line.because }))
            .collect::<Vec<_>>(),
    });
    if let Some(consent) = consent {
        value["consent"] = consent.into();
    }
    context.out.show(&value, || {
        let rows = lines.iter().map(|line| {
            let value = line.value.as_str().map_or_else(|| line.value.to_string(), str::to_owned);
            vec![line.name.clone(), value, line.because.clone()]
        });
        let claims = table(&["claim", "value", "because"], rows.collect(), "");
        consent.map_or_else(|| claims.clone(), |consent| format!("{claims}\n\nConsent: {consent}"))
    });
}
