//! `grantor key`.

use super::context::{CliError, Context};
use super::output::table;
use crate::store::keys::StoredKey;
use crate::types::alg::Alg;
use crate::types::clock::{UnixTime, format_time};
use crate::types::id::TenantId;
use clap::Subcommand;
use serde_json::json;

#[derive(Subcommand)]
#[command(after_help = "Examples:\n  grantor key list\n  grantor key rotate")]
pub enum KeyCommand {
    /// List keys: announced, signing and retired ones
    List {
        /// Only of this algorithm
        #[arg(long)]
        alg: Option<Alg>,
    },
    /// Announce a successor, which signs after the announcement time
    ///
    /// The server does this by itself; nobody needs to.
    #[command(after_help = "Examples:\n  grantor key rotate                      announce now, sign in a day\n  \
                      grantor key rotate --alg RS256 --now    sign at once, as after a break-in")]
    Rotate {
        /// Algorithm
        #[arg(long, default_value = "RS256")]
        alg: Alg,
        /// Sign with it at once: resource servers that cache the JWKS refuse its tokens until they fetch it again
        #[arg(long)]
        now: bool,
    },
    /// Take a key that no longer signs out of the JWKS at once: every token it signed becomes invalid
    #[command(after_help = "Examples:\n  grantor key retire Yx3…                 this key\n  \
                      grantor key retire --alg RS256          every RS256 key that no longer signs")]
    Retire {
        /// Key id; may begin with a dash
        #[arg(required_unless_present = "alg", allow_hyphen_values = true)]
        kid: Option<String>,
        /// Every key of this algorithm that no longer signs
        #[arg(long, conflicts_with = "kid")]
        alg: Option<Alg>,
    },
}

impl KeyCommand {
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        let tenant = context.tenant().await?.id;
        match self {
            Self::List { alg } => list(context, tenant, alg).await,
            Self::Rotate { alg, now } => rotate(context, tenant, alg, now).await,
            Self::Retire { kid, alg } => retire(context, tenant, kid.as_deref(), alg).await,
        }
    }
}

async fn list(context: &Context, tenant: TenantId, alg: Option<Alg>) -> Result<(), CliError> {
    let now = context.now();
    let mut keys = context.app.store.list_keys(tenant, now).await?;
    keys.retain(|key| alg.is_none_or(|alg| key.alg == alg));
    let value: Vec<_> = keys
        .iter()
        .map(|key| {
            let mut value = json!({
                "kid": key.kid, "alg": key.alg, "state": state(key, now),
                "created_at": key.created_at, "activates_at": key.activates_at,
            });
            for (name, at) in [("retires_at", key.retires_at), ("expires_at", key.expires_at)] {
                if let Some(at) = at {
                    value[name] = at.into();
                }
            }
            value
        })
        .collect();
    context.out.show(&value, || {
        let time = |at: Option<UnixTime>| at.map_or("-".into(), format_time);
        let rows = keys.iter().map(|key| {
            vec![
                key.kid.clone(),
                key.alg.to_string(),
                state(key, now).to_owned(),
                format_time(key.activates_at),
                time(key.retires_at),
                time(key.expires_at),
            ]
        });
        let headers = ["kid", "alg", "state", "signs from", "until", "published until"];
        table(&headers, rows.collect(), "No keys of this algorithm.")
    });
    Ok(())
}

fn state(key: &StoredKey, now: UnixTime) -> &'static str {
    if key.retires_at.is_some_and(|end| end <= now) {
        "retired"
    } else if key.activates_at > now {
        "announced"
    } else {
        "signing"
    }
}

async fn rotate(context: &Context, tenant: TenantId, alg: Alg, at_once: bool) -> Result<(), CliError> {
    let now = context.now();
    let smith = context.app.keysmith()?;
    let keys = context.app.store.list_keys(tenant, now).await?;
    let announced = keys.iter().find(|key| key.alg == alg && key.activates_at > now);
    if let Some(announced) = announced.filter(|_| !at_once) {
        return Err(CliError::Refused(format!(
            "a successor is announced already: {} signs from {}; to sign with a new key at once, add --now",
            announced.kid,
            format_time(announced.activates_at)
        )));
    }
    let activates_at = if at_once { now } else { now + smith.schedule.announce };
    if at_once {
        eprintln!(
            "grantor: the new key signs at once; resource servers that cached the JWKS will refuse its tokens until they \
             fetch it again"
        );
    }
    // A tenant without a key of the algorithm gets its first one, which signs at once: nobody relies on another.
    let made = if keys.iter().any(|key| key.alg == alg && key.retires_at.is_none()) {
        smith.rotate(tenant, alg, (now, activates_at), false).await?.map(|kid| (kid, activates_at))
    } else {
        let resources = context.app.store.list_resources(tenant).await?;
        if alg != Alg::Rs256 && !resources.iter().any(|resource| resource.settings.alg == alg) {
            return Err(CliError::Refused(format!(
                "the tenant has no {alg} key and no resource that asks for one; see: grantor resource update … --alg {alg}"
            )));
        }
        smith.ensure(tenant, alg, now).await?;
        let keys = context.app.store.list_keys(tenant, now).await?;
        keys.into_iter().rfind(|key| key.alg == alg).map(|key| (key.kid, key.activates_at))
    };
    let Some((kid, activates_at)) = made else {
        return Err(CliError::Refused("somebody else rotated at the same moment; see: grantor key list".into()));
    };
    context.out.show(&json!({ "kid": kid, "alg": alg, "activates_at": activates_at }), || {
        format!("The {alg} key {kid} signs from {}.", format_time(activates_at))
    });
    Ok(())
}

async fn retire(context: &Context, tenant: TenantId, kid: Option<&str>, alg: Option<Alg>) -> Result<(), CliError> {
    let now = context.now();
    let keys = context.app.store.list_keys(tenant, now).await?;
    let chosen: Vec<&StoredKey> = match kid {
        Some(kid) => {
            let key = keys.iter().find(|key| key.kid == kid);
            let key =
                key.ok_or_else(|| CliError::Refused(format!("there is no key '{kid}'; see: grantor key list")))?;
            if state(key, now) != "retired" {
                return Err(CliError::Refused(format!(
                    "the key is {}; first run: grantor key rotate --alg {} --now",
                    state(key, now),
                    key.alg
                )));
            }
            vec![key]
        }
        None => keys.iter().filter(|key| Some(key.alg) == alg && state(key, now) == "retired").collect(),
    };
    let mut retired = Vec::new();
    for key in chosen {
        if context.app.store.expire_key(tenant, &key.kid, now).await? {
            retired.push(key.kid.clone());
        }
    }
    context.out.show(&json!({ "retired": retired }), || match retired.as_slice() {
        [] => "Nothing to do: no key of this algorithm has stopped signing.".into(),
        kids => format!("No longer published: {}.", kids.join(", ")),
    });
    Ok(())
}
