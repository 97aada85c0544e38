//! `grantor doctor`: what is wrong with an installation, and what to do about it.

use super::Global;
use super::context::{CliError, Context};
use super::output::{Output, table};
use crate::config::{Config, ListenFlags};
use crate::store::{DatabaseUrl, Engine, StoreError};
use crate::types::clock::format_time;
use clap::Args;
use serde::Serialize;

/// Secrets that end within this time are told of.
const SOON: i64 = 30 * 86_400;

#[derive(Args)]
#[command(after_help = "\
Examples:
  grantor doctor
  grantor doctor --tenant contoso --json | jq '.[] | select(.state != \"ok\")'

Exit code 0 when nothing failed; warnings do not count.")]
pub struct Doctor {}

#[derive(Serialize)]
struct Check {
    check: &'static str,
    state: &'static str,
    found: String,
}

struct Checks(Vec<Check>);

impl Checks {
    fn put(&mut self, check: &'static str, state: &'static str, found: impl Into<String>) {
        self.0.push(Check { check, state, found: found.into() });
    }

    fn report(&self, json: bool) -> Result<(), CliError> {
        Output::new(json).show(&self.0, || {
            let rows = self.0.iter().map(|row| vec![row.check.into(), row.state.into(), row.found.clone()]);
            table(&["check", "state", "found"], rows.collect(), "")
        });
        match self.0.iter().filter(|check| check.state == "failed").count() {
            0 => Ok(()),
            failed => Err(CliError::Refused(format!("{failed} of {} checks failed; see above", self.0.len()))),
        }
    }
}

impl Doctor {
    pub async fn run(self, global: &Global) -> Result<(), CliError> {
        let mut checks = Checks(Vec::new());
        // Asked in the wrong folder, it must not make the database that it was to look at.
        if let Ok(config) = Config::load(&global.flags, &ListenFlags::default(), None)
            && let DatabaseUrl::Sqlite(path) = &config.database
            && !path.exists()
        {
            let text =
                format!("there is no database at {}; 'grantor serve' and every other command make one", path.display());
            checks.put("database", "failed", text);
            return checks.report(global.json);
        }
        match Context::open(global).await {
            Ok(context) => {
                let app = &context.app;
                let engine = if app.store.engine() == Engine::Sqlite { "SQLite" } else { "PostgreSQL" };
                checks.put("database", "ok", format!("{engine}, {}", app.config.database));
                if let Err(error) = examine(&context, &mut checks).await {
                    checks.put("database", "failed", error.to_string());
                }
            }
            Err(error) => checks.put("start", "failed", error.to_string()),
        }
        checks.report(global.json)
    }
}

async fn examine(context: &Context, checks: &mut Checks) -> Result<(), StoreError> {
    let (app, now) = (&context.app, context.now());
    match app.store.try_writing().await {
        Ok(()) => checks.put("writing", "ok", "the database takes writes"),
        Err(error) => checks.put("writing", "failed", error.to_string()),
    }
    let url = &app.public_url;
    match (&app.config.public_url, url.is_https()) {
        (None, _) => checks.put("public URL", "warning", format!("not set; {url} is taken from the listening address")),
        (Some(_), false) => {
            checks.put("public URL", "warning", format!("{url} is not https; MSAL and others refuse it"))
        }
        (Some(_), true) => checks.put("public URL", "ok", url.to_string()),
    }
    let Some(tenant) = app.store.find_tenant(context.tenant_word()).await? else {
        checks.put("tenant", "failed", format!("there is no tenant '{}'", context.tenant_word()));
        return Ok(());
    };
    let state = if tenant.enabled { "ok" } else { "warning" };
    checks.put("tenant", state, format!("{}{}", tenant.name, if tenant.enabled { "" } else { " is disabled" }));
    let resources = app.store.list_resources(tenant.id).await?;
    match app.key_ring(tenant.id).await {
        Err(error) => checks.put("signing keys", "failed", error.cause().unwrap_or_default()),
        Ok(ring) => {
            let algs = resources.iter().map(|resource| resource.settings.alg);
            let mut algs: Vec<_> = algs.chain([crate::types::alg::Alg::Rs256]).collect();
            algs.sort_unstable();
            algs.dedup();
            for alg in algs {
                match ring.signing(alg, now) {
                    Ok(key) => {
                        let next = key.retires_at.unwrap_or(key.activates_at + app.config.rotation.every);
                        checks.put(
                            "signing keys",
                            "ok",
                            format!("{alg} {}, rotates {}", key.jwk.kid, format_time(next)),
                        );
                    }
                    Err(error) => checks.put("signing keys", "failed", error.to_string()),
                }
            }
        }
    }
    let default = resources.iter().find(|resource| resource.settings.is_default);
    checks.put(
        "resources",
        "ok",
        format!("{}, default {}", resources.len(), default.map_or("none", |resource| resource.identifier.as_str())),
    );
    let ending = app.store.expiring_secrets(tenant.id, now + SOON).await?;
    if ending.is_empty() {
        checks.put("client secrets", "ok", "none ends within 30 days");
    }
    for (client, hint, end) in ending {
        let hint = if hint.is_empty() { "a chosen one".to_owned() } else { format!("{hint}…") };
        let word = if end <= now { "ended" } else { "ends" };
        checks.put("client secrets", "warning", format!("{hint} of {client} {word} {}", format_time(end)));
    }
    // The sweep waits an hour after expiry; what is older should be gone.
    match app.store.count_expired(now - 2 * 3600).await? {
        0 => checks.put("expired rows", "ok", "none"),
        count => checks.put(
            "expired rows",
            "warning",
            format!("{count} wait to be removed; a server that has run for an hour does it"),
        ),
    }
    Ok(())
}
