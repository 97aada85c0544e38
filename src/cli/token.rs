//! `grantor token`.

use super::context::{CliError, Context};
use super::output::{fields, more, table};
use crate::error::OAuthError;
use crate::grants::client_credentials::{self, Wanted};
use crate::store::grants::TokenRecord;
use crate::store::revocations::Revocation;
use crate::store::tenants::Tenant;
use crate::tokens::issue::{self, Terms};
use crate::tokens::verify::{self, AccessToken, Read};
use crate::types::clock::format_time;
use crate::types::duration::Seconds;
use crate::types::id::TenantId;
use crate::types::policy::TokenFormat;
use crate::types::secret::ACCESS_TOKEN_PREFIX;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::io::Read as _;
use uuid::Uuid;

#[derive(Subcommand)]
#[command(
    after_help = "Examples:\n  grantor token issue --client billing --resource https://api.example.com --lifetime 365d --format opaque\n  grantor token list\n  grantor token inspect eyJ…\n  grantor token revoke eyJ…"
)]
pub enum TokenCommand {
    /// Issue a token for a client, such as an API key; prints it once
    #[command(after_help = ISSUE_EXAMPLES)]
    Issue(Issue),
    /// List the tokens that were issued here, with their last use; never the tokens themselves
    #[command(after_help = "Examples:\n  grantor token list\n  grantor token list --client billing --json")]
    List(List),
    /// Show what is in a token and what it is worth
    #[command(after_help = "Examples:\n  grantor token inspect eyJ…\n  pbpaste | grantor token inspect -")]
    Inspect {
        /// The token, or - to read it from standard input
        token: String,
    },
    /// Revoke a token: introspection shows it at once, the status list within 10 seconds
    #[command(
        after_help = "Examples:\n  pbpaste | grantor token revoke -\n  grantor token revoke 0198f0a2-…   (an id of 'token list')"
    )]
    Revoke {
        /// The token or its id, or - to read it from standard input
        token: String,
    },
}

const ISSUE_EXAMPLES: &str = "\
Examples:
  grantor token issue --client billing --resource https://api.example.com --lifetime 365d
  grantor token issue --client billing --resource https://api.example.com --lifetime 90d --format opaque   (an API key)
  grantor token issue --client billing --resource https://api.example.com --scope https://api.example.com/read --lifetime 1d

Without --scope an opaque token stands for all that the client may have at the resource, as long as it may; a JWT for
what it may have now.";

#[derive(Args)]
pub struct Issue {
    /// Client id
    #[arg(long, value_name = "ID")]
    client: String,
    /// What the token is for
    #[arg(long, value_name = "RESOURCE")]
    resource: String,
    /// Scopes of the resource [default: all that the client may have]
    #[arg(long, value_name = "SCOPE")]
    scope: Option<String>,
    /// How long it lives, such as 90d or 365d
    #[arg(long, value_name = "DURATION")]
    lifetime: Seconds,
    /// jwt or opaque [default: as the resource's other tokens]
    #[arg(long, value_name = "FORMAT")]
    format: Option<TokenFormat>,
}

#[derive(Args)]
pub struct List {
    /// Only those of a client
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// Begin after this id
    #[arg(long, value_name = "ID")]
    after: Option<Uuid>,
    /// At most so many
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
}

/// The shortest and longest lifetime of a token that an operator issues, in seconds.
const LIFETIMES: std::ops::RangeInclusive<i64> = 10..=3650 * 86_400;

impl Issue {
    async fn run(self, context: &Context) -> Result<(), CliError> {
        let (app, tenant) = (&context.app, context.tenant().await?);
        let lifetime = self.lifetime.get();
        if !LIFETIMES.contains(&lifetime) {
            let said = format!("a lifetime of {} is not possible; use 10s to 3650d", self.lifetime);
            return Err(CliError::Usage(said));
        }
        // A variable of a script that is not set must not mean everything.
        if self.scope.as_deref().is_some_and(|scope| scope.trim().is_empty()) {
            return Err(CliError::Usage("--scope is empty; leave it away for all that the client may have".into()));
        }
        let client = context.find_client(tenant.id, &self.client).await?;
        let resource = context.find_resource(tenant.id, &self.resource).await?;
        let resources = [resource];
        let scope = self.scope.as_deref().unwrap_or_default();
        let wanted = Wanted { client: &client, resources: &resources, scope, targets: &[&self.resource] };
        let issuance = client_credentials::decide(app, &tenant, wanted).await.map_err(|error| self.refused(&error))?;
        let format = self.format.unwrap_or(resources[0].settings.token_format);
        // A JWT says what its client may have now, so that is what is listed.
        let for_all = self.scope.is_none() && format == TokenFormat::Opaque;
        let terms = Terms { lifetime, format, by_operator: true, for_all };
        let minted = issue::mint_on(app, issuance, terms).await.map_err(|error| self.refused(&error))?;
        let issuer = app.issuer(&tenant);
        if format == TokenFormat::Jwt && app.config.public_url.is_none() {
            eprintln!(
                "grantor: the token names {issuer} as its issuer, a guess from the listening address; is the server reached at \
                 another one, revoke the token, set GRANTOR_PUBLIC_URL as the server has it, and issue another"
            );
        }
        let value = json!({
            "id": minted.record.jti,
            "issuer": issuer,
            "access_token": minted.access_token,
            "client_id": client.client_id,
            "resource": self.resource,
            "scope": minted.scope,
            "format": format,
            "expires_at": minted.record.expires_at,
        });
        context.out.show(&value, || {
            fields(&[
                ("Token", format!("{}   (shown this once)", minted.access_token)),
                ("Id", minted.record.jti.to_string()),
                ("Client", client.client_id.to_string()),
                ("Resource", self.resource.clone()),
                ("Issuer", issuer.clone()),
                ("Expires", format_time(minted.record.expires_at)),
            ])
        });
        Ok(())
    }

    fn refused(&self, error: &OAuthError) -> CliError {
        if error.reason().status >= 500 {
            return error.clone().into();
        }
        let scope = self.scope.clone().unwrap_or_else(|| format!("{}/.default", self.resource));
        CliError::Refused(format!(
            "{}\nSee: grantor explain --client {} --scope '{scope}' --resource {}",
            error.description(),
            self.client,
            self.resource
        ))
    }
}

impl List {
    async fn run(self, context: &Context) -> Result<(), CliError> {
        let tenant = context.tenant().await?.id;
        let client = match &self.client {
            Some(client) => Some(context.find_client(tenant, client).await?.oid),
            None => None,
        };
        let page = (self.after.unwrap_or_default(), self.limit + 1);
        let mut tokens = context.app.store.list_kept_tokens(tenant, client, page).await?;
        more(&mut tokens, self.limit, |token| token.id.to_string());
        let now = context.now();
        context.out.show(&tokens, || {
            let rows = tokens.iter().map(|token| {
                let state = match token {
                    token if token.revoked => "revoked",
                    token if token.expires_at <= now => "expired",
                    _ => "active",
                };
                vec![
                    token.id.to_string(),
                    token.client_id.clone(),
                    token.resource.clone(),
                    token.scope.clone().unwrap_or_else(|| "(all)".into()),
                    token.format.to_owned(),
                    state.to_owned(),
                    format_time(token.expires_at),
                    token.last_used_at.map_or_else(|| "never".into(), format_time),
                ]
            });
            let headers = ["id", "client", "resource", "scope", "format", "state", "expires", "last used"];
            table(&headers, rows.collect(), "No tokens. Issue one with: grantor token issue")
        });
        Ok(())
    }
}

impl TokenCommand {
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Issue(issue) => issue.run(context).await,
            Self::List(list) => list.run(context).await,
            Self::Inspect { token } => {
                let text = text(token)?;
                let (tenant, token) = find(context, &text).await?;
                inspect(context, &tenant, (&text, &token)).await
            }
            Self::Revoke { token } => {
                let token = text(token)?;
                let (tenant, revocation) = match Uuid::try_parse(&token) {
                    Ok(id) => by_id(context, id).await?,
                    Err(_) => {
                        let (tenant, token) = find(context, &token).await?;
                        (tenant.id, token.revocation())
                    }
                };
                let now = context.now();
                if revocation.expires_at <= now {
                    context.out.done(false, "The token has expired");
                    return Ok(());
                }
                let changed = context.app.store.revoke_token(tenant, &revocation, now).await?;
                context.out.done(changed, "The token is revoked");
                Ok(())
            }
        }
    }
}

/// A token of 'token list'.
async fn by_id(context: &Context, id: Uuid) -> Result<(TenantId, Revocation), CliError> {
    let tenant = context.tenant().await?.id;
    let record = context.app.store.find_kept_record(tenant, id).await?;
    let record = record.ok_or_else(|| context.missing("token", &id.to_string()))?;
    let TokenRecord { jti, status, expires_at } = record;
    Ok((tenant, Revocation { jti, status, expires_at }))
}

fn text(argument: String) -> Result<String, CliError> {
    if argument != "-" {
        return Ok(argument);
    }
    let mut text = String::new();
    std::io::stdin().lock().take(128 * 1024).read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}

/// Finds whose token it is by its own word (`tid`), and believes it only when that tenant's key signed it.
async fn find(context: &Context, text: &str) -> Result<(Tenant, Box<AccessToken>), CliError> {
    let stranger = || {
        CliError::Refused(
            "this is no access token that this server signed; check that it is whole, and that --database is the one of \
             the server that issued it"
                .into(),
        )
    };
    if text.starts_with(ACCESS_TOKEN_PREFIX) {
        let tenant = context.tenant().await?;
        return match verify::read(&context.app, &tenant, text).await? {
            Read::AccessToken(token) => Ok((tenant, token)),
            Read::OtherJwt | Read::Unknown => Err(stranger()),
        };
    }
    let payload = text.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok()).ok_or_else(stranger)?;
    let claims: Value = serde_json::from_slice(&payload).map_err(|_| stranger())?;
    let tenant = claims["tid"].as_str().ok_or_else(stranger)?;
    let tenant = context.app.store.find_tenant(tenant).await?.ok_or_else(stranger)?;
    match verify::read(&context.app, &tenant, text).await? {
        Read::AccessToken(token) => Ok((tenant, token)),
        Read::OtherJwt | Read::Unknown => Err(stranger()),
    }
}

async fn inspect(context: &Context, tenant: &Tenant, token: (&str, &AccessToken)) -> Result<(), CliError> {
    let (text, token) = token;
    let state = context.app.store.token_state(tenant.id, token.jti, token.subject, &token.client_id).await?;
    let verdict = if token.expires_at <= context.now() {
        "expired"
    } else if state.revoked {
        "revoked"
    } else if !state.tenant_enabled {
        "inactive: the tenant is disabled"
    } else if !state.subject_enabled {
        "inactive: the client or the person is disabled or deleted"
    } else if token.claims.is_empty() {
        "inactive: its resource, its client's permissions or its groups are gone"
    } else {
        "active"
    };
    let header = text.split('.').next().and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let header: Value = header.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let value = json!({ "state": verdict, "header": header, "claims": token.claims });
    context.out.show(&value, || {
        let claims = serde_json::to_string_pretty(&token.claims).unwrap_or_default();
        let head = fields(&[
            ("State", verdict.to_owned()),
            ("Tenant", tenant.name.to_string()),
            (
                "Signed by",
                match header["kid"].as_str() {
                    Some(kid) => format!("{kid} ({})", header["alg"].as_str().unwrap_or("-")),
                    None => "(opaque)".to_owned(),
                },
            ),
            ("Expires", format_time(token.expires_at)),
        ]);
        format!("{head}\n{claims}")
    });
    Ok(())
}
