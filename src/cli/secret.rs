//! `grantor client secret`.

use super::context::{CliError, Context};
use super::output::{fields, table};
use crate::store::secrets::{NewSecret, StoredSecret};
use crate::types::Invalid;
use crate::types::clock::{UnixTime, format_time};
use crate::types::duration::Seconds;
use crate::types::id::{SecretId, TenantId};
use crate::types::secret::{CLIENT_SECRET_PREFIX, Secret, SecretHash};
use clap::Subcommand;
use serde_json::{Value, json};
use std::io::Read;

#[derive(Subcommand)]
#[command(
    after_help = "Examples:\n  grantor client secret add billing --expires-in 180d\n  grantor client secret list billing\n  grantor client secret retire billing SECRET_ID --after 24h"
)]
pub enum SecretCommand {
    /// Add a secret; the others stay valid
    #[command(after_help = "Example:\n  grantor client secret add billing --expires-in 180d")]
    Add {
        /// Client id
        client: String,
        /// End it after this time [default: never]
        #[arg(long, value_name = "DURATION")]
        expires_in: Option<Seconds>,
        /// Read it from standard input instead of making one
        #[arg(long)]
        secret_stdin: bool,
    },
    /// List secrets: when each was last used and when it ends
    List {
        /// Client id
        client: String,
    },
    /// End a secret, now or after a time
    #[command(after_help = "Example:\n  grantor client secret retire billing 0198f0a2-… --after 24h")]
    Retire {
        /// Client id
        client: String,
        /// Secret id, as 'grantor client secret list' shows it
        #[arg(value_parser = secret_id)]
        secret: String,
        /// Let it work for this long still
        #[arg(long, value_name = "DURATION")]
        after: Option<Seconds>,
    },
}

impl SecretCommand {
    pub async fn run(self, context: &Context, tenant: TenantId) -> Result<(), CliError> {
        let (store, now) = (&context.app.store, context.now());
        match self {
            Self::Add { client, expires_in, secret_stdin } => {
                let found = context.find_client(tenant, &client).await?;
                let (secret, mut stored) = if secret_stdin { chosen(context)? } else { generated(context) };
                stored.expires_at = expires_in.map(|time| now + time.get());
                store.add_secret(tenant, &found, &stored, now).await?;
                let mut value =
                    json!({ "client_id": found.client_id, "secret_id": stored.id, "client_secret": secret.expose() });
                let mut lines = vec![("Client id", client.clone())];
                if let Some(shown) = to_show(&secret, &stored) {
                    lines.push(("Client secret", format!("{shown}   (shown this once)")));
                }
                if let Some(end) = stored.expires_at {
                    value["expires_at"] = end.into();
                }
                lines.push(("Secret id", stored.id.to_string()));
                lines.push(("Expires", stored.expires_at.map_or("never".into(), format_time)));
                context.out.show(&value, || fields(&lines));
            }
            Self::List { client } => {
                let found = context.find_client(tenant, &client).await?;
                let value: Vec<Value> = found.secrets.iter().map(|secret| as_json(secret, now)).collect();
                context.out.show(&value, || {
                    let rows = found.secrets.iter().map(|secret| {
                        vec![
                            secret.id.to_string(),
                            if secret.hint.is_empty() { "(chosen)".into() } else { format!("{}…", secret.hint) },
                            format_time(secret.created_at),
                            secret.last_used_at.map_or("never".into(), format_time),
                            secret.expires_at.map_or("never".into(), format_time),
                            if secret.is_live(now) { "live" } else { "expired" }.into(),
                        ]
                    });
                    let headers = ["secret id", "secret", "created", "last used", "expires", "state"];
                    let empty = format!("No secrets. Add one with: grantor client secret add {client}");
                    table(&headers, rows.collect(), &empty)
                });
            }
            Self::Retire { client, secret, after } => {
                let found = context.find_client(tenant, &client).await?;
                let Some(held) = found.secrets.iter().find(|held| held.id.to_string() == secret) else {
                    return Err(CliError::Refused(format!(
                        "the client has no secret {secret}; see: grantor client secret list {client}"
                    )));
                };
                let end = after.map(|time| now + time.get());
                let changed = store.retire_secret(tenant, &found, (held.id, end), now).await?;
                // One that ends sooner keeps its end: retiring never makes a secret live longer.
                let end = if changed { end } else { held.expires_at.or(end) };
                let when = match end {
                    None => "has ended".to_owned(),
                    Some(end) if end <= now => format!("ended {}", format_time(end)),
                    Some(end) => format!("ends {}", format_time(end)),
                };
                context.out.done(changed, &format!("The secret {secret} {when}"));
                let left = |held: &&StoredSecret| held.id.to_string() != secret && held.is_live(now);
                if changed && !found.secrets.iter().any(|held| left(&held)) {
                    eprintln!(
                        "grantor: that was the client's last secret that works; add one with: grantor client secret add {client}"
                    );
                }
            }
        }
        Ok(())
    }
}

fn secret_id(text: &str) -> Result<String, String> {
    let id = uuid::Uuid::try_parse(text).map_err(|_| "it is a UUID; see: grantor client secret list CLIENT")?;
    Ok(id.to_string())
}

/// A new secret of 256 random bits.
pub(super) fn generated(context: &Context) -> (Secret, NewSecret) {
    let secret = Secret::generate(CLIENT_SECRET_PREFIX, &context.app.random);
    let stored = of_generated(context, &secret);
    (secret, stored)
}

/// The stored form of a secret that this server generated.
pub(super) fn of_generated(context: &Context, secret: &Secret) -> NewSecret {
    let hint = secret.expose().chars().take(CLIENT_SECRET_PREFIX.len() + 4).collect();
    NewSecret { id: new_id(context), hash: SecretHash::sha256(secret), hint, expires_at: None }
}

/// What people are shown of a new secret: one that came from standard input is known to whoever gave it.
pub(super) fn to_show<'s>(secret: &'s Secret, stored: &NewSecret) -> Option<&'s str> {
    matches!(stored.hash, SecretHash::Sha256(_)).then(|| secret.expose())
}

/// What a person chose and gives on standard input: one line, read as `parse` reads it.
pub(super) fn from_stdin(parse: fn(&str) -> Result<Secret, Invalid>) -> Result<Secret, CliError> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(4096).read_to_end(&mut bytes)?;
    let text =
        String::from_utf8(bytes).map_err(|_| CliError::Usage("what is on standard input is not UTF-8 text".into()))?;
    Ok(parse(text.strip_suffix('\n').map_or(&*text, |line| line.trim_end_matches('\r')))?)
}

/// A secret that a person chose, from standard input.
pub(super) fn chosen(context: &Context) -> Result<(Secret, NewSecret), CliError> {
    let secret = from_stdin(Secret::chosen)?;
    let hash = SecretHash::argon2id(&secret, &context.app.random);
    Ok((secret, NewSecret { id: new_id(context), hash, hint: String::new(), expires_at: None }))
}

fn new_id(context: &Context) -> SecretId {
    context.app.random.uuid_v7(&context.app.clock).into()
}

/// What may be told about a secret.
pub(super) fn as_json(secret: &StoredSecret, now: UnixTime) -> Value {
    let mut value = json!({ "secret_id": secret.id, "created_at": secret.created_at, "live": secret.is_live(now) });
    if !secret.hint.is_empty() {
        value["hint"] = secret.hint.clone().into();
    }
    for (name, at) in [("expires_at", secret.expires_at), ("last_used_at", secret.last_used_at)] {
        if let Some(at) = at {
            value[name] = at.into();
        }
    }
    value
}
