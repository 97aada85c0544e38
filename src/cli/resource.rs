//! `grantor resource`.

use super::context::{CliError, Context};
use super::output::{fields, list, table, yes};
use crate::store::resources::{NewResource, Resource, ResourceParts, ResourceSettings, ResourceUpdate, SettingChanges};
use crate::types::alg::Alg;
use crate::types::clock::format_time;
use crate::types::duration::Seconds;
use crate::types::id::{GroupId, ResourceId, TenantId};
use crate::types::name::RoleName;
use crate::types::policy::{ClaimsProfile, GroupFormat, GroupsPolicy, TokenFormat};
use crate::types::scope::{ScopeDescription, ScopeValue};
use crate::types::uri::ResourceIdentifier;
use clap::{Args, Subcommand};
use uuid::Uuid;

/// The shortest and longest lifetime of an access token, in seconds.
const LIFETIMES: std::ops::RangeInclusive<i64> = 10..=30 * 86_400;

const CREATE_EXAMPLES: &str = "\
Examples:
  grantor resource create https://api.example.com --scope read --scope write --default
  grantor resource create https://hib.azurehdinsight.net --role Kafka.User --groups all --require-group kafka-rest
  grantor resource create api://legacy --claims-profile entra --alg ES256 --lifetime 15m";

#[derive(Subcommand)]
#[command(after_help = CREATE_EXAMPLES)]
pub enum ResourceCommand {
    /// Make a resource that tokens can be asked for
    #[command(after_help = CREATE_EXAMPLES)]
    Create {
        /// Absolute URI or plain word; the audience of its tokens
        id: ResourceIdentifier,
        #[command(flatten)]
        parts: Adding,
        #[command(flatten)]
        settings: Settings,
    },
    /// List resources
    List,
    /// Show a resource
    Show {
        /// Its identifier
        id: String,
    },
    /// Change a resource; what is not named stays as it is
    #[command(
        after_help = "Example:\n  grantor resource update https://api.example.com --scope admin --remove-scope write"
    )]
    Update {
        /// Its identifier
        id: String,
        #[command(flatten)]
        parts: Adding,
        #[command(flatten)]
        removing: Removing,
        #[command(flatten)]
        settings: Settings,
    },
    /// Say what a scope means, for the person who is asked to consent
    #[command(
        after_help = "Examples:\n  grantor resource describe https://api.example.com read 'See your orders'\n  grantor resource describe https://api.example.com read ''      takes the description away"
    )]
    Describe {
        /// Its identifier
        id: String,
        /// One of its scopes
        scope: ScopeValue,
        /// One line of at most 200 characters; empty, there is none any more
        text: ScopeDescription,
    },
    /// Delete a resource; tokens that are out stay valid until they expire
    Delete {
        /// Its identifier
        id: String,
    },
}

#[derive(Args)]
pub struct Adding {
    /// Add a scope; can be repeated
    #[arg(long = "scope", value_name = "VALUE")]
    scopes: Vec<ScopeValue>,
    /// Add a role; can be repeated
    #[arg(long = "role", value_name = "NAME")]
    roles: Vec<RoleName>,
    /// Only subjects in this group get tokens; repeated, in one of them
    #[arg(long = "require-group", value_name = "GROUP")]
    require_groups: Vec<String>,
}

#[derive(Args)]
pub struct Removing {
    /// Remove a scope, and every client's permission for it
    #[arg(long, value_name = "VALUE")]
    remove_scope: Vec<ScopeValue>,
    /// Remove a role, from the groups that give it too
    #[arg(long, value_name = "NAME")]
    remove_role: Vec<RoleName>,
    /// Do not require this group any more
    #[arg(long, value_name = "GROUP")]
    remove_require_group: Vec<String>,
}

impl Removing {
    /// A name that is not there is a typing mistake, and what was meant would stay.
    fn check(&self, resource: &Resource) -> Result<(), CliError> {
        let scope = self
            .remove_scope
            .iter()
            .map(ScopeValue::as_str)
            .find(|scope| !resource.scopes.iter().any(|held| held == scope));
        let role =
            self.remove_role.iter().map(RoleName::as_str).find(|role| !resource.roles.iter().any(|held| held == role));
        match scope.map(|scope| ("scope", scope)).or(role.map(|role| ("role", role))) {
            Some((what, name)) => Err(CliError::Refused(format!(
                "the resource has no {what} '{name}'; see: grantor resource show {}",
                resource.identifier
            ))),
            None => Ok(()),
        }
    }
}

#[derive(Args)]
pub struct Settings {
    /// Use it when a request names no resource; with =false, no longer
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    default: Option<bool>,
    /// Signature algorithm: RS256, PS256, ES256 or EdDSA [default: RS256]
    #[arg(long)]
    alg: Option<Alg>,
    /// Lifetime of access tokens, such as 15m or 1h [default: 1h]
    #[arg(long)]
    lifetime: Option<Seconds>,
    /// Groups in the token: none, assigned (those with a role here or required here) or all [default: all]
    #[arg(long, value_name = "POLICY")]
    groups: Option<GroupsPolicy>,
    /// How groups are written: id or name [default: name, with the Entra profile id]
    #[arg(long, value_name = "FORMAT")]
    group_format: Option<GroupFormat>,
    /// More groups than this are left to an endpoint that the token names [default: 200]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..=2000))]
    group_limit: Option<i64>,
    /// Shape of the token: standard (RFC 9068) or entra [default: standard]
    #[arg(long, value_name = "PROFILE")]
    claims_profile: Option<ClaimsProfile>,
    /// Tokens as jwt, or opaque: random characters that the resource server asks introspection about [default: jwt]
    #[arg(long, value_name = "FORMAT")]
    token_format: Option<TokenFormat>,
}

impl Settings {
    fn lifetime(&self) -> Result<Option<i64>, CliError> {
        match self.lifetime {
            Some(lifetime) if !LIFETIMES.contains(&lifetime.get()) => {
                Err(CliError::Usage(format!("a lifetime of {lifetime} is not possible; use 10s to 30d")))
            }
            lifetime => Ok(lifetime.map(Seconds::get)),
        }
    }

    fn initial(&self) -> Result<ResourceSettings, CliError> {
        let claims_profile = self.claims_profile.unwrap_or(ClaimsProfile::Standard);
        let format = if claims_profile == ClaimsProfile::Entra { GroupFormat::Id } else { GroupFormat::Name };
        Ok(ResourceSettings {
            is_default: self.default.unwrap_or(false),
            alg: self.alg.unwrap_or(Alg::Rs256),
            lifetime: self.lifetime()?.unwrap_or(3600),
            groups: self.groups.unwrap_or(GroupsPolicy::All),
            group_format: self.group_format.unwrap_or(format),
            group_limit: self.group_limit.unwrap_or(200),
            claims_profile,
            token_format: self.token_format.unwrap_or(TokenFormat::Jwt),
        })
    }

    fn changes(&self) -> Result<SettingChanges, CliError> {
        Ok(SettingChanges {
            is_default: self.default,
            alg: self.alg,
            lifetime: self.lifetime()?,
            groups: self.groups,
            group_format: self.group_format,
            group_limit: self.group_limit,
            claims_profile: self.claims_profile,
            token_format: self.token_format,
        })
    }
}

impl ResourceCommand {
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        let tenant = context.tenant().await?.id;
        match self {
            Self::Create { id, parts, settings } => {
                let settings = settings.initial()?;
                let parts = parts_of(context, tenant, parts, None).await?;
                create(context, tenant, (&id, &settings, &parts)).await?;
                show(context, &context.find_resource(tenant, id.as_str()).await?);
            }
            Self::List => {
                let resources = context.app.store.list_resources(tenant).await?;
                context.out.show(&resources, || {
                    let rows = resources.iter().map(|resource| {
                        vec![
                            resource.identifier.to_string(),
                            yes(resource.settings.is_default),
                            resource.settings.alg.to_string(),
                            format!("{}s", resource.settings.lifetime),
                            list(&resource.scopes),
                            list(&resource.roles),
                        ]
                    });
                    let headers = ["resource", "default", "alg", "lifetime", "scopes", "roles"];
                    table(&headers, rows.collect(), "No resources. Make one with: grantor resource create")
                });
            }
            Self::Show { id } => show(context, &context.find_resource(tenant, &id).await?),
            Self::Update { id, parts, removing, settings } => {
                let resource = context.find_resource(tenant, &id).await?;
                removing.check(&resource)?;
                let changes = settings.changes()?;
                let parts = parts_of(context, tenant, parts, Some(removing)).await?;
                if let Some(alg) = changes.alg {
                    context.app.keysmith()?.ensure(tenant, alg, context.now()).await?;
                }
                let role_ids = role_ids(context, &parts);
                let update = ResourceUpdate { settings: &changes, parts: &parts, role_ids: &role_ids };
                context.app.store.update_resource(tenant, &resource, &update, context.now()).await?;
                show(context, &context.find_resource(tenant, &id).await?);
            }
            Self::Describe { id, scope, text } => {
                let resource = context.find_resource(tenant, &id).await?;
                let what = (&scope, &text);
                let changed = context.app.store.describe_scope(tenant, &resource, what, context.now()).await?;
                let said = match text.as_str() {
                    "" => format!("The scope '{}' of {id} has no description", scope.as_str()),
                    text => format!("The scope '{}' of {id} is described as '{text}'", scope.as_str()),
                };
                context.out.done(changed, &said);
            }
            Self::Delete { id } => {
                let resource = context.find_resource(tenant, &id).await?;
                let deleted = context.app.store.delete_resource(tenant, &resource, context.now()).await?;
                context.out.done(deleted, &format!("The resource '{id}' is deleted"));
            }
        }
        Ok(())
    }
}

/// Makes a resource, and the tenant's first key of its algorithm when there is none.
pub(super) async fn create(
    context: &Context,
    tenant: TenantId,
    new: (&ResourceIdentifier, &ResourceSettings, &ResourceParts),
) -> Result<(), CliError> {
    let (identifier, settings, parts) = new;
    let (app, now) = (&context.app, context.now());
    app.keysmith()?.ensure(tenant, settings.alg, now).await?;
    let id = ResourceId::from(app.random.uuid_v7(&app.clock));
    let role_ids = role_ids(context, parts);
    let new = NewResource { id, identifier, settings, parts, role_ids: &role_ids };
    Ok(app.store.create_resource(tenant, &new, now).await?)
}

fn role_ids(context: &Context, parts: &ResourceParts) -> Vec<Uuid> {
    parts.add_roles.iter().map(|_| context.app.random.uuid_v7(&context.app.clock)).collect()
}

async fn parts_of(
    context: &Context,
    tenant: TenantId,
    adding: Adding,
    removing: Option<Removing>,
) -> Result<ResourceParts, CliError> {
    let mut parts = ResourceParts {
        add_scopes: adding.scopes,
        add_roles: adding.roles,
        add_required: groups(context, tenant, &adding.require_groups).await?,
        ..ResourceParts::default()
    };
    if let Some(removing) = removing {
        parts.remove_scopes = removing.remove_scope;
        parts.remove_roles = removing.remove_role;
        parts.remove_required = groups(context, tenant, &removing.remove_require_group).await?;
    }
    Ok(parts)
}

async fn groups(context: &Context, tenant: TenantId, words: &[String]) -> Result<Vec<GroupId>, CliError> {
    let mut found = Vec::with_capacity(words.len());
    for word in words {
        found.push(context.find_group(tenant, word).await?.id);
    }
    Ok(found)
}

fn show(context: &Context, resource: &Resource) {
    let settings = &resource.settings;
    let required: Vec<&str> = resource.required_groups.iter().map(|group| group.name.as_str()).collect();
    context.out.show(resource, || {
        let mut lines = vec![
            ("Resource", resource.identifier.to_string()),
            ("Id", resource.id.to_string()),
            ("Default", yes(settings.is_default)),
            ("Scopes", list(&resource.scopes)),
        ];
        lines.extend(resource.descriptions.iter().map(|(scope, text)| ("", format!("{scope}: {text}"))));
        lines.extend([
            ("Roles", list(&resource.roles)),
            ("Algorithm", settings.alg.to_string()),
            ("Lifetime", format!("{}s", settings.lifetime)),
            ("Groups", format!("{}, as {}, at most {}", settings.groups, settings.group_format, settings.group_limit)),
            ("Requires", list(&required)),
            ("Claims profile", settings.claims_profile.to_string()),
            ("Token format", settings.token_format.to_string()),
            ("Created", format_time(resource.created_at)),
        ]);
        fields(&lines)
    });
}
