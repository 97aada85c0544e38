//! `grantor tenant`.

use super::context::{CliError, Context, Page};
use super::output::{fields, more, table, yes};
use crate::store::tenants::Tenant;
use crate::types::clock::format_time;
use crate::types::name::TenantName;
use clap::Subcommand;
use serde_json::json;
use std::io::IsTerminal;

#[derive(Subcommand)]
#[command(
    after_help = "Examples:\n  grantor tenant create contoso\n  grantor client list --tenant contoso\n  grantor tenant disable contoso"
)]
pub enum TenantCommand {
    /// Make a tenant with its own issuer, keys, clients, groups and resources
    #[command(after_help = "Example:\n  grantor tenant create contoso")]
    Create {
        /// Lower-case name; the first segment of its URLs
        name: String,
    },
    /// List tenants
    List(Page),
    /// Show a tenant
    Show {
        /// Name or id
        name: String,
    },
    /// Stop issuing tokens; those that are out become inactive
    Disable {
        /// Name or id
        name: String,
    },
    /// Issue tokens again
    Enable {
        /// Name or id
        name: String,
    },
    /// Delete a tenant and everything in it
    Delete {
        /// Name or id
        name: String,
        /// Do not ask at the terminal first: nothing of it can be brought back
        #[arg(long)]
        yes: bool,
    },
}

impl TenantCommand {
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        let store = &context.app.store;
        match self {
            Self::Create { name } => {
                let name: TenantName = name.parse()?;
                context.app.create_tenant(&name).await?;
                show(context, &context.find_tenant(name.as_str()).await?);
            }
            Self::List(Page { after, limit }) => {
                let mut tenants = store.list_tenants(&after, limit + 1).await?;
                more(&mut tenants, limit, |tenant| tenant.name.to_string());
                context.out.show(&tenants, || {
                    let rows = tenants.iter().map(|tenant| {
                        vec![
                            tenant.name.to_string(),
                            tenant.id.to_string(),
                            yes(tenant.enabled),
                            format_time(tenant.created_at),
                        ]
                    });
                    table(&["name", "id", "enabled", "created"], rows.collect(), "No tenants.")
                });
            }
            Self::Show { name } => show(context, &context.find_tenant(&name).await?),
            Self::Disable { name } => set_enabled(context, &name, false).await?,
            Self::Enable { name } => set_enabled(context, &name, true).await?,
            Self::Delete { name, yes } => {
                let tenant = context.find_tenant(&name).await?;
                if !yes && std::io::stdin().is_terminal() {
                    confirm(&tenant)?;
                }
                let deleted = store.delete_tenant(&tenant, context.now()).await?;
                context.out.done(deleted, &format!("The tenant '{}' is deleted", tenant.name));
            }
        }
        Ok(())
    }
}

/// Asks a person who may have meant another one.
fn confirm(tenant: &Tenant) -> Result<(), CliError> {
    eprint!(
        "This deletes the tenant '{0}' with all its clients, groups, resources and keys. Type its name to go on: ",
        tenant.name
    );
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if answer.trim() == tenant.name.as_str() {
        return Ok(());
    }
    Err(CliError::Refused("nothing was deleted".into()))
}

async fn set_enabled(context: &Context, name: &str, enabled: bool) -> Result<(), CliError> {
    let tenant = context.find_tenant(name).await?;
    context.app.store.set_tenant_enabled(&tenant, enabled, context.now()).await?;
    let word = if enabled { "enabled" } else { "disabled" };
    context.out.done(tenant.enabled != enabled, &format!("The tenant '{}' is {word}", tenant.name));
    Ok(())
}

fn show(context: &Context, tenant: &Tenant) {
    let issuer = context.app.issuer(tenant);
    let value = json!({
        "name": tenant.name, "id": tenant.id, "enabled": tenant.enabled, "issuer": issuer, "created_at": tenant.created_at,
    });
    context.out.show(&value, || {
        fields(&[
            ("Name", tenant.name.to_string()),
            ("Id", tenant.id.to_string()),
            ("Enabled", yes(tenant.enabled)),
            ("Issuer", issuer.clone()),
            ("Created", format_time(tenant.created_at)),
        ])
    });
}
