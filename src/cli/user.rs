//! `grantor user`.

use super::context::{CliError, Context, Page};
use super::output::{fields, list, more, table, yes};
use super::secret::from_stdin;
use crate::store::users::{Ended, NewUser, User, UserUpdate};
use crate::types::clock::format_time;
use crate::types::email::Email;
use crate::types::id::{TenantId, UserId};
use crate::types::name::{DisplayName, UserName};
use crate::types::secret::{Secret, SecretHash};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

const EXAMPLES: &str = "\
Examples:
  grantor user create ann --email ann@example.com --display-name 'Ann Lee'
  printf %s \"$PASSWORD\" | grantor user create bob --password-stdin
  printf %s \"$PASSWORD\" | grantor user password ann --password-stdin
  grantor group add data-engineers --user ann
  grantor user disable ann";

const CREATE_EXAMPLES: &str = "\
Examples:
  printf %s \"$PASSWORD\" | grantor user create ann --password-stdin
  grantor user create bob --email bob@example.com --display-name 'Bob Ray'

A user without a password cannot sign in until one is set with: grantor user password bob --password-stdin";

#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum UserCommand {
    /// Make a user
    #[command(after_help = CREATE_EXAMPLES)]
    Create(Create),
    /// List users
    List(Page),
    /// Show a user; never the password
    Show {
        /// Name or id
        user: String,
    },
    /// Change a user; what is not named stays as it is
    #[command(after_help = "Example:\n  grantor user update ann --email ann.lee@example.com --no-display-name")]
    Update(Update),
    /// Let a user sign in no longer; ends sessions and authorizations
    Disable {
        /// Name or id
        user: String,
    },
    /// Let a user sign in again
    Enable {
        /// Name or id
        user: String,
    },
    /// Delete a user; ends sessions and authorizations
    Delete {
        /// Name or id
        user: String,
    },
    /// Set a password; ends sessions and authorizations
    #[command(after_help = "Example:\n  printf %s \"$PASSWORD\" | grantor user password ann --password-stdin")]
    Password {
        /// Name or id
        user: String,
        /// Read it from standard input: 8 to 512 characters on one line
        #[arg(long, required = true)]
        password_stdin: bool,
    },
}

#[derive(Args)]
pub struct Create {
    /// What they type to sign in, unique in the tenant; case does not matter
    name: UserName,
    /// Read a password from standard input: 8 to 512 characters on one line
    #[arg(long)]
    password_stdin: bool,
    /// Where to write to them
    #[arg(long)]
    email: Option<Email>,
    /// What they are called
    #[arg(long, value_name = "NAME")]
    display_name: Option<DisplayName>,
}

#[derive(Args)]
pub struct Update {
    /// Name or id
    user: String,
    /// Where to write to them
    #[arg(long)]
    email: Option<Email>,
    /// Forget the email address
    #[arg(long, conflicts_with = "email")]
    no_email: bool,
    /// What they are called
    #[arg(long, value_name = "NAME")]
    display_name: Option<DisplayName>,
    /// Forget the display name
    #[arg(long, conflicts_with = "display_name")]
    no_display_name: bool,
}

impl UserCommand {
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        let tenant = context.tenant().await?.id;
        let (store, now) = (&context.app.store, context.now());
        match self {
            Self::Create(create) => create.run(context, tenant).await?,
            Self::List(page) => show_list(context, tenant, &page).await?,
            Self::Show { user } => show(context, tenant, &user).await?,
            Self::Update(update) => update.run(context, tenant).await?,
            Self::Disable { user } => {
                let found = context.find_user(tenant, &user).await?;
                let ended = store.set_user_enabled(tenant, &found, false, now).await?;
                done(context, found.enabled, &format!("The user '{}' is disabled", found.username), ended);
            }
            Self::Enable { user } => {
                let found = context.find_user(tenant, &user).await?;
                store.set_user_enabled(tenant, &found, true, now).await?;
                context.out.done(!found.enabled, &format!("The user '{}' is enabled", found.username));
            }
            Self::Delete { user } => {
                let found = context.find_user(tenant, &user).await?;
                let ended = store.delete_user(tenant, &found, now).await?;
                done(context, true, &format!("The user '{}' is deleted", found.username), ended);
            }
            Self::Password { user, .. } => {
                let found = context.find_user(tenant, &user).await?;
                let password = password(context)?;
                let ended = store.set_password(tenant, &found, &password, now).await?;
                done(context, true, &format!("The user '{}' has a new password", found.username), ended);
            }
        }
        Ok(())
    }
}

impl Create {
    async fn run(self, context: &Context, tenant: TenantId) -> Result<(), CliError> {
        let password = if self.password_stdin { Some(password(context)?) } else { None };
        let new = NewUser {
            id: UserId::from(context.app.random.uuid_v7(&context.app.clock)),
            username: &self.name,
            display_name: self.display_name.as_ref(),
            email: self.email.as_ref(),
            password: password.as_ref(),
        };
        context.app.store.create_user(tenant, &new, context.now()).await?;
        show(context, tenant, self.name.as_str()).await
    }
}

impl Update {
    async fn run(self, context: &Context, tenant: TenantId) -> Result<(), CliError> {
        let user = context.find_user(tenant, &self.user).await?;
        let update = UserUpdate {
            display_name: changed(self.display_name, self.no_display_name),
            email: changed(self.email, self.no_email),
        };
        context.app.store.update_user(tenant, &user, &update, context.now()).await?;
        show(context, tenant, &self.user).await
    }
}

/// A new value, its removal, or neither.
fn changed<T>(value: Option<T>, remove: bool) -> Option<Option<T>> {
    if remove { Some(None) } else { value.map(Some) }
}

/// The stored form of the password on standard input.
fn password(context: &Context) -> Result<SecretHash, CliError> {
    Ok(SecretHash::argon2id(&from_stdin(Secret::password)?, &context.app.random))
}

/// Prints how things are now, and what ended with it.
fn done(context: &Context, changed: bool, what: &str, ended: Ended) {
    let value = json!({
        "changed": changed, "sessions_ended": ended.sessions, "authorizations_ended": ended.authorizations,
    });
    context.out.show(&value, || {
        let no_change = if changed { "" } else { "No change. " };
        format!("{no_change}{what}. Ended: sessions {}, authorizations {}.", ended.sessions, ended.authorizations)
    });
}

async fn show_list(context: &Context, tenant: TenantId, page: &Page) -> Result<(), CliError> {
    let mut users = context.app.store.list_users(tenant, &page.after, page.limit + 1).await?;
    more(&mut users, page.limit, |user| user.username.to_string());
    let value: Vec<Value> = users.iter().map(as_json).collect();
    context.out.show(&value, || {
        let rows = users.iter().map(|user| {
            vec![
                user.username.to_string(),
                or_dash(&user.display_name),
                or_dash(&user.email),
                yes(user.enabled),
                last_login(user),
                user.id.to_string(),
            ]
        });
        let headers = ["user", "display name", "email", "enabled", "last login", "id"];
        table(&headers, rows.collect(), "No users. Make one with: grantor user create")
    });
    Ok(())
}

async fn show(context: &Context, tenant: TenantId, word: &str) -> Result<(), CliError> {
    let user = context.find_user(tenant, word).await?;
    let details = context.app.store.user_details(user.id).await?;
    let mut value = as_json(&user);
    value["has_password"] = details.has_password.into();
    value["groups"] = json!(details.groups);
    value["owns"] = json!(details.owns);
    context.out.show(&value, || {
        let password = if details.has_password {
            "set".to_owned()
        } else {
            format!("none: cannot sign in   (grantor user password {} --password-stdin)", user.username)
        };
        fields(&[
            ("User", user.username.to_string()),
            ("Id", user.id.to_string()),
            ("Display name", or_dash(&user.display_name)),
            ("Email", or_dash(&user.email)),
            ("Enabled", yes(user.enabled)),
            ("Password", password),
            ("Last login", last_login(&user)),
            ("Groups", list(&details.groups)),
            ("Owns groups", list(&details.owns)),
            ("Created", format_time(user.created_at)),
        ])
    });
    Ok(())
}

fn or_dash(text: &Option<String>) -> String {
    text.clone().unwrap_or_else(|| "-".into())
}

fn last_login(user: &User) -> String {
    user.last_login_at.map_or("never".into(), format_time)
}

fn as_json(user: &User) -> Value {
    let mut value = json!({
        "id": user.id, "username": user.username, "enabled": user.enabled, "created_at": user.created_at,
    });
    for (name, text) in [("display_name", &user.display_name), ("email", &user.email)] {
        if let Some(text) = text {
            value[name] = text.clone().into();
        }
    }
    if let Some(at) = user.last_login_at {
        value["last_login_at"] = at.into();
    }
    value
}
