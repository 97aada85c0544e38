//! `grantor token`.

use super::context::{CliError, Context};
use super::output::fields;
use crate::store::tenants::Tenant;
use crate::tokens::verify::{self, AccessToken, Read};
use crate::types::clock::format_time;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Subcommand;
use serde_json::{Value, json};
use std::io::Read as _;

#[derive(Subcommand)]
#[command(after_help = "Examples:\n  grantor token inspect eyJ…\n  grantor token revoke eyJ…")]
pub enum TokenCommand {
    /// Show what is in a token and what it is worth
    #[command(after_help = "Examples:\n  grantor token inspect eyJ…\n  pbpaste | grantor token inspect -")]
    Inspect {
        /// The token, or - to read it from standard input
        token: String,
    },
    /// Revoke a token: introspection shows it at once, the status list within 10 seconds
    #[command(after_help = "Example:\n  pbpaste | grantor token revoke -")]
    Revoke {
        /// The token, or - to read it from standard input
        token: String,
    },
}

impl TokenCommand {
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Inspect { token } => {
                let text = text(token)?;
                let (tenant, token) = find(context, &text).await?;
                inspect(context, &tenant, (&text, &token)).await
            }
            Self::Revoke { token } => {
                let (tenant, token) = find(context, &text(token)?).await?;
                let now = context.now();
                if token.expires_at <= now {
                    context.out.done(false, "The token has expired");
                    return Ok(());
                }
                let changed = context.app.store.revoke_token(tenant.id, &token.revocation(), now).await?;
                context.out.done(changed, "The token is revoked");
                Ok(())
            }
        }
    }
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
    let payload = text.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok()).ok_or_else(stranger)?;
    let claims: Value = serde_json::from_slice(&payload).map_err(|_| stranger())?;
    let tenant = claims["tid"].as_str().ok_or_else(stranger)?;
    let tenant = context.app.store.find_tenant(tenant).await?.ok_or_else(stranger)?;
    let ring = context.app.key_ring(tenant.id).await?;
    match verify::read(&ring, text, context.now()) {
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
                format!("{} ({})", header["kid"].as_str().unwrap_or("-"), header["alg"].as_str().unwrap_or("-")),
            ),
            ("Expires", format_time(token.expires_at)),
        ]);
        format!("{head}\n{claims}")
    });
    Ok(())
}
