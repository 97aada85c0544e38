//! `grantor client`.

use super::client_settings::{self, Settings};
use super::context::{CliError, Context, Page};
use super::output::{fields, list, more, table, yes};
use super::secret::{self, SecretCommand};
use crate::grants::{self, GRANTS, Given, Grant};
use crate::store::clients::{Client, ClientParts, NewClient};
use crate::store::permissions::AllowedScope;
use crate::store::secrets::NewSecret;
use crate::tokens::scopes;
use crate::types::clock::format_time;
use crate::types::id::{ClientOid, ResourceId, TenantId};
use crate::types::name::{ClientId, DisplayName};
use crate::types::scope::{DEFAULT, OPENID_SCOPES, Scope};
use crate::types::secret::Secret;
use crate::types::uri::{Origin, RedirectUri};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

const CREATE_EXAMPLES: &str = "\
Examples:
  grantor client create --name billing --allow https://api.example.com/read
  grantor client create --name billing --allow https://api.example.com/.default --json
  grantor client create --name api-gateway --serves https://api.example.com
  grantor client create --name Web --redirect-uri https://web.example.com/cb --first-party
  grantor client create --name Phone --public --redirect-uri com.example.phone://cb --refresh always
  printf %s \"$SECRET\" | grantor client create --name legacy --id legacy-app --secret-stdin

The secret is shown once. A generated one is preferred: it costs the server next to nothing to check.";

#[derive(Subcommand)]
#[command(
    after_help = "Examples:\n  grantor client create --name billing --allow https://api.example.com/.default\n  grantor client allow billing https://api.example.com/write\n  grantor client secret add billing --expires-in 180d"
)]
pub enum ClientCommand {
    /// Make a client; prints its id and, once, its secret
    #[command(after_help = CREATE_EXAMPLES)]
    Create(Create),
    /// List clients
    List(Page),
    /// Show a client; never its secrets
    Show {
        /// Client id
        client: String,
    },
    /// Change a client; what is not named stays as it is
    #[command(
        after_help = "Examples:\n  grantor client update billing --name 'Billing (new)' --serves https://api.example.com\n  grantor client update web --first-party --logout-uri https://web.example.com/ --refresh-lifetime 30d"
    )]
    Update(Update),
    /// Stop issuing tokens to a client; those that are out become inactive
    Disable {
        /// Client id
        client: String,
    },
    /// Issue tokens again
    Enable {
        /// Client id
        client: String,
    },
    /// Delete a client
    Delete {
        /// Client id
        client: String,
    },
    /// Let a client have scopes
    #[command(after_help = "Example:\n  grantor client allow billing https://api.example.com/read")]
    Allow {
        /// Client id
        client: String,
        /// RESOURCE/VALUE, or RESOURCE/.default for all of them
        #[arg(required = true)]
        scopes: Vec<String>,
    },
    /// Take scopes from a client
    Deny {
        /// Client id
        client: String,
        /// RESOURCE/VALUE, or RESOURCE/.default for everything at the resource
        #[arg(required = true)]
        scopes: Vec<String>,
    },
    /// Secrets of a client: add a new one, move over, retire the old one
    #[command(subcommand)]
    Secret(SecretCommand),
}

#[derive(Args)]
pub struct Create {
    /// What people call it
    #[arg(long)]
    name: DisplayName,
    /// Client id [default: a new UUID]
    #[arg(long)]
    id: Option<ClientId>,
    /// A client that cannot keep a secret
    #[arg(long, conflicts_with = "secret_stdin")]
    public: bool,
    /// Read the secret from standard input instead of making one
    #[arg(long)]
    secret_stdin: bool,
    /// Let it have a scope: RESOURCE/VALUE or RESOURCE/.default; can be repeated
    #[arg(long = "allow", value_name = "SCOPE")]
    allow: Vec<String>,
    #[command(flatten)]
    adding: Adding,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Args)]
pub struct Update {
    /// Client id
    client: String,
    /// What people call it
    #[arg(long)]
    name: Option<DisplayName>,
    #[command(flatten)]
    adding: Adding,
    /// Do not allow a grant type any more
    #[arg(long, value_name = "GRANT", value_parser = grant_names())]
    remove_grant: Vec<String>,
    /// Forget a redirect URI
    #[arg(long, value_name = "URI")]
    remove_redirect_uri: Vec<RedirectUri>,
    /// It does not serve this resource any more
    #[arg(long, value_name = "RESOURCE")]
    remove_serves: Vec<String>,
    /// Do not send a browser there after signing out any more
    #[arg(long, value_name = "URI")]
    remove_logout_uri: Vec<RedirectUri>,
    /// Web pages of this origin may not call the server any more
    #[arg(long, value_name = "ORIGIN")]
    remove_cors_origin: Vec<Origin>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Args)]
pub struct Adding {
    /// Allow a grant type; can be repeated
    #[arg(long = "grant", value_name = "GRANT", value_parser = grant_names())]
    grants: Vec<String>,
    /// Register a redirect URI; can be repeated
    #[arg(long = "redirect-uri", value_name = "URI")]
    redirect_uris: Vec<RedirectUri>,
    /// It is a resource server and may introspect tokens of this resource; can be repeated
    #[arg(long = "serves", value_name = "RESOURCE")]
    serves: Vec<String>,
}

/// Every grant, also under its other spellings; what is kept is the name.
fn grant_names() -> impl TypedValueParser<Value = String> {
    let named = |grant: &&Grant| PossibleValue::new(grant.name).aliases(grant.aliases.iter().copied());
    let parser = PossibleValuesParser::new(GRANTS.iter().map(named));
    parser.map(|typed| grants::find(&typed).map_or(typed, |grant| grant.name.to_owned()))
}

impl ClientCommand {
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        let tenant = context.tenant().await?.id;
        let (store, now) = (&context.app.store, context.now());
        match self {
            Self::Create(create) => create.run(context, tenant).await?,
            Self::List(Page { after, limit }) => {
                let mut clients = store.list_clients(tenant, &after, limit + 1).await?;
                more(&mut clients, limit, |client| client.client_id.to_string());
                context.out.show(&clients, || {
                    let rows = clients.iter().map(|client| {
                        vec![
                            client.client_id.to_string(),
                            client.name.to_string(),
                            if client.public { "public" } else { "confidential" }.to_owned(),
                            yes(client.enabled),
                            format_time(client.created_at),
                        ]
                    });
                    let headers = ["client id", "name", "type", "enabled", "created"];
                    table(&headers, rows.collect(), "No clients. Make one with: grantor client create")
                });
            }
            Self::Show { client } => show(context, tenant, &client).await?,
            Self::Update(update) => update.run(context, tenant).await?,
            Self::Disable { client } => set_enabled(context, tenant, &client, false).await?,
            Self::Enable { client } => set_enabled(context, tenant, &client, true).await?,
            Self::Delete { client } => {
                let found = context.find_client(tenant, &client).await?;
                let deleted = store.delete_client(tenant, &found, now).await?;
                context.out.done(deleted, &format!("The client '{client}' is deleted"));
            }
            Self::Allow { client, scopes } => {
                let found = context.find_client(tenant, &client).await?;
                let allowed = permissions(context, tenant, &scopes).await?;
                let changed = store.allow_scopes(tenant, &found, &allowed.scopes, now).await?;
                context.out.done(changed, &format!("The client '{client}' may have {}", allowed.names.join(" ")));
            }
            Self::Deny { client, scopes } => {
                let found = context.find_client(tenant, &client).await?;
                let denied = permissions(context, tenant, &scopes).await?;
                let changed = store.deny_scopes(tenant, &found, &denied.scopes, now).await?;
                context.out.done(changed, &format!("The client '{client}' may not have {}", denied.names.join(" ")));
            }
            Self::Secret(command) => command.run(context, tenant).await?,
        }
        Ok(())
    }
}

impl Create {
    async fn run(self, context: &Context, tenant: TenantId) -> Result<(), CliError> {
        let secret = match (self.public, self.secret_stdin) {
            (true, _) => None,
            (false, true) => Some(secret::chosen(context)?),
            (false, false) => Some(secret::generated(context)),
        };
        let mut parts = parts_of(context, tenant, &self.adding).await?;
        if self.adding.grants.is_empty() {
            parts.add_grants = default_grants(self.public, !self.adding.redirect_uris.is_empty());
        }
        self.settings.add_to(&mut parts);
        if let Some(refused) = GRANTS
            .iter()
            .find(|grant| self.public && !grant.for_public && parts.add_grants.iter().any(|name| name == grant.name))
        {
            return Err(CliError::Refused(format!(
                "a public client cannot use {}: it has no secret; leave --public or that --grant away",
                refused.name
            )));
        }
        let allowed = permissions(context, tenant, &self.allow).await?.scopes;
        let oid = ClientOid::from(context.app.random.uuid_v7(&context.app.clock));
        // Unless chosen, the client id is random: it should not tell when the client was made.
        let client_id = match self.id {
            Some(id) => id,
            None => context.app.random.uuid_v4().to_string().parse()?,
        };
        let new = NewClient {
            oid,
            client_id: &client_id,
            public: self.public,
            name: &self.name,
            parts: &parts,
            allowed: &allowed,
            secret: secret.as_ref().map(|(_, stored)| stored),
        };
        context.app.store.create_client(tenant, &new, context.now()).await?;
        created(context, &new, secret.as_ref());
        Ok(())
    }
}

/// The grants of a client whose operator names none.
fn default_grants(public: bool, has_redirect_uris: bool) -> Vec<String> {
    let given = |grant: &&&Grant| match grant.by_default {
        Given::Confidential => !public,
        Given::WithRedirectUri => has_redirect_uris,
        Given::OnlyNamed => false,
    };
    GRANTS.iter().filter(given).map(|grant| grant.name.to_owned()).collect()
}

/// Shows a new client with its secret, this once.
fn created(context: &Context, new: &NewClient<'_>, secret: Option<&(Secret, NewSecret)>) {
    let shown = secret.and_then(|(secret, stored)| secret::to_show(secret, stored));
    let mut value = json!({ "client_id": new.client_id, "oid": new.oid, "name": new.name, "public": new.public });
    if let Some(secret) = shown {
        value["client_secret"] = secret.into();
    }
    context.out.show(&value, || {
        let mut lines = vec![("Client id", new.client_id.to_string())];
        if let Some(secret) = shown {
            lines.push(("Client secret", format!("{secret}   (shown this once)")));
        }
        lines.push(("Name", new.name.to_string()));
        fields(&lines)
    });
}

impl Update {
    async fn run(self, context: &Context, tenant: TenantId) -> Result<(), CliError> {
        let client = context.find_client(tenant, &self.client).await?;
        let mut parts = parts_of(context, tenant, &self.adding).await?;
        if client.public && parts.add_grants.iter().any(|name| GRANTS.iter().any(|g| g.name == name && !g.for_public)) {
            return Err(CliError::Refused(
                "a public client cannot use that grant type: it has no secret; make a client without --public instead"
                    .into(),
            ));
        }
        for (what, gone) in [
            ("grant type", self.remove_grant.iter().find(|grant| !client.grants.contains(grant)).map(String::as_str)),
            (
                "redirect URI",
                self.remove_redirect_uri.iter().map(RedirectUri::as_str).find(|uri| !holds(&client.redirect_uris, uri)),
            ),
            (
                "logout URI",
                self.remove_logout_uri.iter().map(RedirectUri::as_str).find(|uri| !holds(&client.logout_uris, uri)),
            ),
            (
                "CORS origin",
                self.remove_cors_origin.iter().map(Origin::as_str).find(|origin| !holds(&client.origins, origin)),
            ),
        ] {
            if let Some(gone) = gone {
                return Err(CliError::Refused(format!(
                    "the client has no {what} '{gone}'; see: grantor client show {}",
                    self.client
                )));
            }
        }
        parts.remove_grants = self.remove_grant;
        parts.remove_redirect_uris = self.remove_redirect_uri;
        parts.remove_logout_uris = self.remove_logout_uri;
        parts.remove_origins = self.remove_cors_origin;
        self.settings.add_to(&mut parts);
        parts.remove_serves = resources(context, tenant, &self.remove_serves).await?;
        if parts.remove_serves.iter().any(|resource| !client.serves(*resource)) {
            return Err(CliError::Refused(format!(
                "the client does not serve that; see: grantor client show {}",
                self.client
            )));
        }
        context.app.store.update_client(tenant, &client, (self.name.as_ref(), &parts), context.now()).await?;
        show(context, tenant, &self.client).await
    }
}

fn holds(items: &[String], wanted: &str) -> bool {
    items.iter().any(|item| item == wanted)
}

async fn parts_of(context: &Context, tenant: TenantId, adding: &Adding) -> Result<ClientParts, CliError> {
    Ok(ClientParts {
        add_grants: adding.grants.clone(),
        add_redirect_uris: adding.redirect_uris.clone(),
        add_serves: resources(context, tenant, &adding.serves).await?,
        ..ClientParts::default()
    })
}

async fn resources(context: &Context, tenant: TenantId, words: &[String]) -> Result<Vec<ResourceId>, CliError> {
    let mut found = Vec::with_capacity(words.len());
    for word in words {
        found.push(context.find_resource(tenant, word).await?.id);
    }
    Ok(found)
}

/// Scopes that were found, with the names that they have whatever way they were written.
pub(super) struct Permissions {
    pub(super) scopes: Vec<AllowedScope>,
    names: Vec<String>,
}

/// Scopes as people write them, found the way a token request finds them.
pub(super) async fn permissions(
    context: &Context,
    tenant: TenantId,
    words: &[String],
) -> Result<Permissions, CliError> {
    let resources = context.app.store.list_resources(tenant).await?;
    let mut found = Permissions { scopes: Vec::with_capacity(words.len()), names: Vec::with_capacity(words.len()) };
    for word in words {
        let scope: Scope = word.parse()?;
        if scope.tokens().any(|token| OPENID_SCOPES.contains(&token)) {
            return Err(CliError::Refused(format!(
                "'{word}' asks for identity, not for a resource, and needs no permission. Write RESOURCE/VALUE; see what \
                 there is with: grantor resource list"
            )));
        }
        if scope.tokens().count() != 1 {
            return Err(CliError::Usage(format!("'{word}' is not one scope")));
        }
        let asked = scopes::resolve(&resources, &scope, &[]).map_err(|error| {
            let said = error.description();
            CliError::Refused(format!(
                "{said} Write it as RESOURCE/VALUE; see what there is with: grantor resource list"
            ))
        })?;
        let value = if asked.all { DEFAULT } else { asked.values[0] };
        found.scopes.push(AllowedScope { resource: asked.resource.id, value: value.to_owned() });
        found.names.push(format!("{}/{value}", asked.resource.identifier));
    }
    Ok(found)
}

async fn set_enabled(context: &Context, tenant: TenantId, word: &str, enabled: bool) -> Result<(), CliError> {
    let client = context.find_client(tenant, word).await?;
    context.app.store.set_client_enabled(tenant, &client, enabled, context.now()).await?;
    let state = if enabled { "enabled" } else { "disabled" };
    context.out.done(client.enabled != enabled, &format!("The client '{word}' is {state}"));
    Ok(())
}

async fn show(context: &Context, tenant: TenantId, word: &str) -> Result<(), CliError> {
    let client = context.find_client(tenant, word).await?;
    let resources = context.app.store.list_resources(tenant).await?;
    let name = |id: ResourceId| {
        resources.iter().find(|resource| resource.id == id).map_or("(deleted)", |resource| resource.identifier.as_str())
    };
    let allowed: Vec<String> =
        client.allowed.iter().map(|allowed| format!("{}/{}", name(allowed.resource), allowed.value)).collect();
    let serves: Vec<&str> = client.serves.iter().map(|resource| name(*resource)).collect();
    context.out.show(&as_json(&client, &allowed, &serves, context.now()), || {
        let mut lines = vec![
            ("Client id", client.client_id.to_string()),
            ("Object id", client.oid.to_string()),
            ("Name", client.name.to_string()),
            ("Type", if client.public { "public" } else { "confidential" }.to_owned()),
            ("Enabled", yes(client.enabled)),
            ("Grants", list(&client.grants)),
            ("Redirect URIs", list(&client.redirect_uris)),
            ("May have", list(&allowed)),
            ("Serves", list(&serves)),
            ("Secrets", format!("{}   (grantor client secret list {word})", client.secrets.len())),
        ];
        lines.extend(client_settings::lines(&client));
        lines.push(("Created", format_time(client.created_at)));
        fields(&lines)
    });
    Ok(())
}

fn as_json(client: &Client, allowed: &[String], serves: &[&str], now: i64) -> Value {
    let mut value = json!({
        "client_id": client.client_id,
        "oid": client.oid,
        "name": client.name,
        "public": client.public,
        "enabled": client.enabled,
        "grants": client.grants,
        "redirect_uris": client.redirect_uris,
        "allowed": allowed,
        "serves": serves,
        "secrets": client.secrets.iter().map(|secret| secret::as_json(secret, now)).collect::<Vec<_>>(),
        "created_at": client.created_at,
    });
    client_settings::add_json(client, &mut value);
    value
}
