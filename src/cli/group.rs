//! `grantor group`.

use super::context::{CliError, Context, Page};
use super::output::{fields, go_on, list, more, table};
use crate::store::groups::Group;
use crate::store::members::{Member, MemberLine};
use crate::types::Invalid;
use crate::types::claim::{ClaimName, ClaimValue};
use crate::types::clock::format_time;
use crate::types::id::{GroupId, TenantId};
use crate::types::name::{GroupName, RoleName};
use clap::{Args, Subcommand};
use serde_json::json;
use uuid::Uuid;

const EXAMPLES: &str = "\
Examples:
  grantor group create kafka-rest --description 'May use the Kafka REST proxy'
  grantor group add kafka-rest --client billing
  grantor group add kafka-rest --user ann
  grantor group add kafka-rest --group data-engineers
  grantor group claim set kafka-admins kafka_role '\"admin\"'
  grantor group role grant kafka-rest https://hib.azurehdinsight.net Kafka.User";

#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum GroupCommand {
    /// Make a group
    Create {
        /// Name, unique in the tenant
        name: GroupName,
        /// What it is for
        #[arg(long, default_value = "")]
        description: String,
    },
    /// List groups
    List(Page),
    /// Show a group with its owners, claims and roles
    Show {
        /// Name or id
        group: String,
    },
    /// Delete a group
    Delete {
        /// Name or id
        group: String,
    },
    /// Add a member: a client, a user or another group
    Add {
        /// Name or id
        group: String,
        #[command(flatten)]
        member: MemberArgs,
    },
    /// Remove a direct member
    Remove {
        /// Name or id
        group: String,
        #[command(flatten)]
        member: MemberArgs,
    },
    /// List members
    #[command(
        after_help = "Examples:\n  grantor group members staff\n  grantor group members staff --transitive --limit 2000"
    )]
    Members {
        /// Name or id
        group: String,
        /// Members of the groups inside as well, each once
        #[arg(long)]
        transitive: bool,
        #[command(flatten)]
        page: MembersPage,
    },
    /// List the groups that a client or user is in, and by which way
    Of {
        #[command(flatten)]
        subject: SubjectArgs,
    },
    /// Owners: who may add and remove members
    #[command(subcommand)]
    Owner(OwnerCommand),
    /// Claims that the group stamps into its members' tokens
    #[command(subcommand)]
    Claim(ClaimCommand),
    /// Roles that the group gives its members
    #[command(subcommand)]
    Role(RoleCommand),
}

#[derive(Args)]
pub struct MembersPage {
    /// Go on where the page before ended, as it said
    #[arg(long, value_name = "END")]
    after: Option<String>,
    /// At most so many, up to 10000
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct MemberArgs {
    /// Client id
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// User id or name
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// Group name or id
    #[arg(long = "group", value_name = "NAME")]
    inner: Option<String>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct SubjectArgs {
    /// Client id
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// User id or name
    #[arg(long, value_name = "ID")]
    user: Option<String>,
}

#[derive(Subcommand)]
pub enum OwnerCommand {
    /// Make a client or user an owner
    Add {
        /// Name or id
        group: String,
        #[command(flatten)]
        owner: SubjectArgs,
    },
    /// End an ownership
    Remove {
        /// Name or id
        group: String,
        #[command(flatten)]
        owner: SubjectArgs,
    },
}

#[derive(Subcommand)]
pub enum ClaimCommand {
    /// Set a claim; two groups that set the same one merge as a list
    #[command(after_help = "Example:\n  grantor group claim set kafka-admins kafka_role '\"admin\"'")]
    Set {
        /// Name or id
        group: String,
        /// Claim name
        name: ClaimName,
        /// JSON; a text stands in double quotes
        #[arg(allow_negative_numbers = true)]
        value: ClaimValue,
    },
    /// Remove a claim
    Unset {
        /// Name or id
        group: String,
        /// Claim name
        name: String,
    },
}

#[derive(Subcommand)]
pub enum RoleCommand {
    /// Give the group's members a role on a resource
    Grant {
        /// Name or id
        group: String,
        /// Resource identifier
        resource: String,
        /// Role of the resource
        role: RoleName,
    },
    /// Take a role away
    Revoke {
        /// Name or id
        group: String,
        /// Resource identifier
        resource: String,
        /// Role of the resource
        role: RoleName,
    },
}

impl GroupCommand {
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        let tenant = context.tenant().await?.id;
        let (store, now) = (&context.app.store, context.now());
        match self {
            Self::Create { name, description } => {
                if description.chars().count() > 500 || description.chars().any(char::is_control) {
                    return Err(CliError::Usage("the description must be one line of at most 500 characters".into()));
                }
                let id = GroupId::from(context.app.random.uuid_v7(&context.app.clock));
                let group = Group { id, name, description, created_at: now };
                store.create_group(tenant, &group).await?;
                show(context, &group).await?;
            }
            Self::List(Page { after, limit }) => {
                let mut groups = store.list_groups(tenant, &after, limit + 1).await?;
                more(&mut groups, limit, |group| group.name.to_string());
                context.out.show(&groups, || {
                    let rows = groups
                        .iter()
                        .map(|group| vec![group.name.to_string(), group.id.to_string(), group.description.clone()]);
                    let empty = "No groups. Make one with: grantor group create";
                    table(&["name", "id", "description"], rows.collect(), empty)
                });
            }
            Self::Show { group } => show(context, &context.find_group(tenant, &group).await?).await?,
            Self::Delete { group } => {
                let found = context.find_group(tenant, &group).await?;
                let deleted = store.delete_group(tenant, &found, now).await?;
                context.out.done(deleted, &format!("The group '{}' is deleted", found.name));
            }
            Self::Add { group, member } => change_member(context, tenant, (&group, &member), true).await?,
            Self::Remove { group, member } => change_member(context, tenant, (&group, &member), false).await?,
            Self::Members { group, transitive, page } => {
                let found = context.find_group(tenant, &group).await?;
                let goes_on = page.after.is_some();
                let mut members = match transitive {
                    true => all_members(context, &found, page).await?,
                    false => members(context, &found, page).await?,
                };
                members.sort_unstable_by(|one, other| one.place().cmp(&other.place()));
                context.out.show(&members, || {
                    let rows =
                        members.iter().map(|line| vec![line.kind.clone(), line.name.clone(), line.id.to_string()]);
                    table(
                        &["kind", "name", "id"],
                        rows.collect(),
                        if goes_on { "No more members." } else { "No members." },
                    )
                });
            }
            Self::Of { subject } => of(context, tenant, &subject).await?,
            Self::Owner(command) => command.run(context, tenant).await?,
            Self::Claim(command) => command.run(context, tenant).await?,
            Self::Role(command) => command.run(context, tenant).await?,
        }
        Ok(())
    }
}

/// A page of direct members.
async fn members(context: &Context, group: &Group, page: MembersPage) -> Result<Vec<MemberLine>, CliError> {
    let after = match page.after.as_deref().map(|text| (text, Uuid::try_parse(text))) {
        None => Uuid::nil(),
        Some((_, Ok(id))) => id,
        Some((text, Err(_))) => {
            return Err(Invalid::new("id", text, "it is not what a page of this list ended with").into());
        }
    };
    let mut members = context.app.store.list_members(group.id, (after, page.limit + 1)).await?;
    more(&mut members, page.limit, |line| line.id.to_string());
    Ok(members)
}

/// A page of members at any depth.
async fn all_members(context: &Context, group: &Group, page: MembersPage) -> Result<Vec<MemberLine>, CliError> {
    let after = page.after.as_deref().map(str::parse).transpose()?;
    let Some(found) = context.app.store.list_all_members(group.id, after, page.limit).await? else {
        return Err(CliError::Refused(format!(
            "the group in which that page ended is not inside '{}' as it was; begin again without --after",
            group.name
        )));
    };
    if let Some(next) = found.next {
        go_on(&next.to_string());
    }
    Ok(found.lines)
}

impl OwnerCommand {
    async fn run(self, context: &Context, tenant: TenantId) -> Result<(), CliError> {
        let (store, now) = (&context.app.store, context.now());
        let (group, owner, add) = match &self {
            Self::Add { group, owner } => (group, owner, true),
            Self::Remove { group, owner } => (group, owner, false),
        };
        let found = context.find_group(tenant, group).await?;
        let subject = context.find_subject(tenant, owner.client.as_deref(), owner.user.as_deref()).await?;
        let word = owner.client.as_deref().or(owner.user.as_deref()).unwrap_or_default();
        if add {
            let changed = store.add_owner(tenant, &found, subject, now).await?;
            context.out.done(changed, &format!("'{word}' owns the group '{}'", found.name));
        } else {
            let changed = store.remove_owner(tenant, &found, subject, now).await?;
            context.out.done(changed, &format!("'{word}' does not own the group '{}'", found.name));
        }
        Ok(())
    }
}

impl ClaimCommand {
    async fn run(self, context: &Context, tenant: TenantId) -> Result<(), CliError> {
        let (store, now) = (&context.app.store, context.now());
        match self {
            Self::Set { group, name, value } => {
                let found = context.find_group(tenant, &group).await?;
                store.set_claim(tenant, &found, (&name, &value), now).await?;
                let what = format!("The group '{}' stamps {}: {}", found.name, name.as_str(), value.json());
                context.out.done(true, &what);
            }
            Self::Unset { group, name } => {
                let found = context.find_group(tenant, &group).await?;
                let changed = store.unset_claim(tenant, &found, &name, now).await?;
                context.out.done(changed, &format!("The group '{}' does not stamp {name}", found.name));
            }
        }
        Ok(())
    }
}

impl RoleCommand {
    async fn run(self, context: &Context, tenant: TenantId) -> Result<(), CliError> {
        let (store, now) = (&context.app.store, context.now());
        let (group, resource, role, grant) = match &self {
            Self::Grant { group, resource, role } => (group, resource, role, true),
            Self::Revoke { group, resource, role } => (group, resource, role, false),
        };
        let found = context.find_group(tenant, group).await?;
        let at = context.find_resource(tenant, resource).await?;
        if grant {
            let changed = store.grant_role(tenant, &found, (at.id, role), now).await?;
            context.out.done(changed, &format!("The group '{}' gives the role {role} on {resource}", found.name));
        } else {
            let changed = store.revoke_role(tenant, &found, (at.id, role), now).await?;
            let what = format!("The group '{}' does not give the role {role} on {resource}", found.name);
            context.out.done(changed, &what);
        }
        Ok(())
    }
}

async fn change_member(
    context: &Context,
    tenant: TenantId,
    what: (&str, &MemberArgs),
    add: bool,
) -> Result<(), CliError> {
    let (word, args) = what;
    let (store, now) = (&context.app.store, context.now());
    let group = context.find_group(tenant, word).await?;
    let inner;
    let member = if let Some(name) = &args.inner {
        inner = context.find_group(tenant, name).await?;
        Member::Group(&inner)
    } else {
        Member::Subject(context.find_subject(tenant, args.client.as_deref(), args.user.as_deref()).await?)
    };
    let name = args.inner.as_ref().or(args.client.as_ref()).or(args.user.as_ref()).map_or("", String::as_str);
    if add {
        let changed = store.add_member(tenant, &group, member, now).await?;
        context.out.done(changed, &format!("'{name}' is in the group '{}'", group.name));
    } else {
        let changed = store.remove_member(tenant, &group, member, now).await?;
        context.out.done(changed, &format!("'{name}' is not directly in the group '{}'", group.name));
    }
    Ok(())
}

async fn of(context: &Context, tenant: TenantId, subject: &SubjectArgs) -> Result<(), CliError> {
    let member = context.find_subject(tenant, subject.client.as_deref(), subject.user.as_deref()).await?;
    let membership = context.app.store.membership(tenant, member).await?;
    let paths = context.app.store.member_paths(member).await?;
    let value: Vec<_> = membership
        .groups
        .iter()
        .map(|group| json!({ "name": group.name, "id": group.id, "path": paths.to(group.id) }))
        .collect();
    context.out.show(&value, || {
        let rows = membership.groups.iter().map(|group| {
            let path = paths.to(group.id);
            let way = if path.len() < 2 { "direct".to_owned() } else { path.join(" > ") };
            vec![group.name.clone(), group.id.to_string(), way]
        });
        table(&["group", "id", "by way of"], rows.collect(), "In no group.")
    });
    Ok(())
}

async fn show(context: &Context, group: &Group) -> Result<(), CliError> {
    let details = context.app.store.group_details(group.id).await?;
    let named = |pairs: &[(String, String)], between: &str| {
        pairs.iter().map(|(first, second)| format!("{first}{between}{second}")).collect::<Vec<_>>()
    };
    let mut value = json!({
        "id": group.id, "name": group.name, "description": group.description, "created_at": group.created_at,
        "member_of": details.member_of,
    });
    let pairs = |pairs: &[(String, String)], first: &str, second: &str| {
        pairs.iter().map(|(a, b)| json!({ first: a, second: b })).collect::<Vec<_>>()
    };
    value["owners"] = pairs(&details.owners, "kind", "name").into();
    value["roles"] = pairs(&details.roles, "resource", "role").into();
    value["claims"] = details
        .claims
        .iter()
        .map(|(name, text)| (name.clone(), serde_json::from_str(text).unwrap_or_default()))
        .collect::<serde_json::Map<_, _>>()
        .into();
    context.out.show(&value, || {
        fields(&[
            ("Name", group.name.to_string()),
            ("Id", group.id.to_string()),
            ("Description", if group.description.is_empty() { "-".into() } else { group.description.clone() }),
            ("Member of", list(&details.member_of)),
            ("Owners", list(&named(&details.owners, " "))),
            ("Claims", list(&named(&details.claims, ": "))),
            ("Roles", list(&named(&details.roles, " "))),
            ("Created", format_time(group.created_at)),
        ])
    });
    Ok(())
}
