//! `grantor quickstart`: an example that works, set up and served by one command.

use super::Global;
use super::client::permissions;
use super::context::{CliError, Context};
use super::output::print_line;
use super::serve::{Door, serve};
use super::{resource, secret};
use crate::app::App;
use crate::config::{Config, ListenFlags};
use crate::grants::client_credentials::GRANT;
use crate::grants::{authorization_code, refresh_token};
use crate::keys::seal::write_private;
use crate::server::tls;
use crate::store::clients::{Client, ClientParts, NewClient};
use crate::store::groups::Group;
use crate::store::members::Member;
use crate::store::resources::{Resource, ResourceParts, ResourceSettings};
use crate::store::tenants::Tenant;
use crate::store::users::{NewUser, User};
use crate::types::alg::Alg;
use crate::types::clock::Clock;
use crate::types::email::Email;
use crate::types::id::{ClientOid, GroupId, MemberId, UserId};
use crate::types::name::{ClientId, DisplayName, UserName};
use crate::types::policy::{ClaimsProfile, GroupFormat, GroupsPolicy, TokenFormat};
use crate::types::random::Random;
use crate::types::secret::{CLIENT_SECRET_PREFIX, Secret, SecretHash};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;

const RESOURCE: &str = "https://hib.azurehdinsight.net";
const SCOPE: &str = "kafka.rest";
const ROLE: &str = "Kafka.User";
/// The security group whose members may use the resource.
const OUTER_GROUP: &str = "kafka-rest";
/// The group inside it that the client is in, so that a nested membership is seen.
const INNER_GROUP: &str = "data-engineers";

/// A person, member of the inner group and owner of the outer one.
const PERSON: &str = "alice";
/// A public client by which people sign in.
const APP: &str = "quickstart-app";

/// The file in the keys folder that keeps the example's secrets, so that a second run prints the same lines.
const CREDENTIALS_FILE: &str = "quickstart.json";

#[derive(Args)]
#[command(after_help = "\
Examples:
  grantor quickstart                                   http on 127.0.0.1:8080
  grantor quickstart --tls --listen 127.0.0.1:8443     https, with a development CA under keys/
  grantor quickstart --json | jq -r .curl.token        for scripts

A second run keeps all data and prints the same lines.")]
pub struct Quickstart {
    #[command(flatten)]
    listen: ListenFlags,
    /// Speak https with a certificate from a development CA under keys/
    #[arg(long)]
    tls: bool,
}

/// The example's credentials. They are kept readable by the owner alone, like the key-encryption key beside them.
#[derive(Serialize, Deserialize)]
struct Credentials {
    client_id: String,
    client_secret: String,
    serving_client_id: String,
    serving_client_secret: String,
    /// Of the example's person; made later where an older version wrote the file.
    #[serde(default)]
    password: String,
    /// Everything stands: what an operator took apart since is left apart.
    complete: bool,
}

impl Credentials {
    fn new(random: &Random) -> Self {
        let id = || random.uuid_v4().to_string();
        let secret = || Secret::generate(CLIENT_SECRET_PREFIX, random).expose().to_owned();
        Self {
            client_id: id(),
            client_secret: secret(),
            serving_client_id: id(),
            serving_client_secret: secret(),
            password: Secret::generate("", random).expose().to_owned(),
            complete: false,
        }
    }

    fn read(path: &Path) -> Result<Option<Self>, CliError> {
        match std::fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text).map(Some).map_err(|error| {
                CliError::Refused(format!("{}: {error}; delete the file to start afresh", path.display()))
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CliError::Refused(format!("{}: {error}", path.display()))),
        }
    }

    fn write(&self, path: &Path) -> Result<(), CliError> {
        let failed = |error: std::io::Error| CliError::Refused(format!("{}: {error}", path.display()));
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        // Written beside it and moved into place: it is never half there.
        let draft = path.with_extension("new");
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(failed)?;
        let _ = std::fs::remove_file(&draft);
        write_private(&draft, text.as_bytes()).and_then(|()| std::fs::rename(&draft, path)).map_err(failed)
    }
}

impl Quickstart {
    pub async fn run(self, global: &Global) -> Result<(), CliError> {
        let mut config = Config::load(&global.flags, &self.listen, None).map_err(CliError::Usage)?;
        // No balancer stands before an example.
        config.drain = Duration::ZERO;
        if config.tls.is_some() {
            return Err(CliError::Usage(
                "a certificate is configured: use 'grantor serve' for it, or --tls for an example".into(),
            ));
        }
        if global.tenant != "default" {
            return Err(CliError::Usage("the example is made in the default tenant".into()));
        }
        let door = Door::open(&config).await?;
        let public_url = door.public_url(&config, self.tls)?;
        let (clock, keys) = (Clock::System, config.keys.clone());
        let certificate = if self.tls {
            let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
            let host = public_url.host().trim_matches(['[', ']']).to_owned();
            if !names.contains(&host) {
                names.push(host);
            }
            let files = tls::development(&keys, &names, &clock).map_err(CliError::Refused)?;
            Some(tls::server_config(&files).map_err(CliError::Refused)?)
        } else {
            None
        };
        let app = App::open(config, public_url, clock, Random::system()).await?;
        let context = Context::over(app.clone(), global);
        let credentials = set_up(&context, &keys).await?;
        app.sync().await?;
        let ca_file = self.tls.then(|| keys.join(tls::DEV_CA));
        serve(app, (door, certificate), |_| announce(&context, &credentials, ca_file)).await
    }
}

/// Makes what is missing of the example and leaves alone what is there. The credentials are written down before they
/// are used, so that a run that was cut short is finished by the next one.
async fn set_up(context: &Context, keys: &Path) -> Result<Credentials, CliError> {
    let path = keys.join(CREDENTIALS_FILE);
    let mut credentials = match Credentials::read(&path)? {
        Some(known) => known,
        None => {
            let made = Credentials::new(&context.app.random);
            made.write(&path)?;
            made
        }
    };
    let tenant = context.tenant().await?;
    let outer = ensure_group(context, &tenant, OUTER_GROUP, "May use the Kafka REST proxy").await?;
    let inner = ensure_group(context, &tenant, INNER_GROUP, "Everybody who works with the data platform").await?;
    let mut wire = !credentials.complete;
    if !has_resource(context, &tenant).await? {
        make_resource(context, &tenant).await?;
        wire = true;
    }
    let resource = context.find_resource(tenant.id, RESOURCE).await?;
    let (id, secret) = (&credentials.client_id, &mut credentials.client_secret);
    wire |= ensure_client(context, &tenant, ("quickstart", id, secret), None).await?;
    let (id, secret) = (&credentials.serving_client_id, &mut credentials.serving_client_secret);
    ensure_client(context, &tenant, ("kafka-rest-proxy", id, secret), Some(&resource)).await?;
    if credentials.password.is_empty() && context.app.store.find_user(tenant.id, PERSON).await?.is_none() {
        Secret::generate("", &context.app.random).expose().clone_into(&mut credentials.password);
        credentials.write(&path)?;
    }
    let app = ensure_app(context, &tenant).await?;
    let (alice, is_new) = ensure_person(context, &tenant, &mut credentials.password).await?;
    if is_new || !credentials.complete {
        let (store, now) = (&context.app.store, context.now());
        store.add_member(tenant.id, &inner, Member::Subject(MemberId::User(alice.id)), now).await?;
        store.add_owner(tenant.id, &outer, MemberId::User(alice.id), now).await?;
        let allowed = permissions(context, tenant.id, &[format!("{RESOURCE}/{SCOPE}")]).await?;
        store.allow_scopes(tenant.id, &app, &allowed.scopes, now).await?;
    }
    if wire {
        let (store, now) = (&context.app.store, context.now());
        let client = context.find_client(tenant.id, &credentials.client_id).await?;
        store.grant_role(tenant.id, &outer, (resource.id, &ROLE.parse()?), now).await?;
        store.add_member(tenant.id, &outer, Member::Group(&inner), now).await?;
        store.add_member(tenant.id, &inner, Member::Subject(MemberId::Client(client.oid)), now).await?;
        let allowed = permissions(context, tenant.id, &[format!("{RESOURCE}/{SCOPE}")]).await?;
        store.allow_scopes(tenant.id, &client, &allowed.scopes, now).await?;
    }
    credentials.complete = true;
    credentials.write(&path)?;
    Ok(credentials)
}

async fn has_resource(context: &Context, tenant: &Tenant) -> Result<bool, CliError> {
    let resources = context.app.store.list_resources(tenant.id).await?;
    Ok(resources.iter().any(|resource| resource.identifier.as_str() == RESOURCE))
}

async fn make_resource(context: &Context, tenant: &Tenant) -> Result<(), CliError> {
    let others = context.app.store.list_resources(tenant.id).await?;
    let settings = ResourceSettings {
        is_default: !others.iter().any(|resource| resource.settings.is_default),
        alg: Alg::Rs256,
        lifetime: 3600,
        groups: GroupsPolicy::All,
        group_format: GroupFormat::Name,
        group_limit: 200,
        claims_profile: ClaimsProfile::Standard,
        token_format: TokenFormat::Jwt,
    };
    let parts =
        ResourceParts { add_scopes: vec![SCOPE.parse()?], add_roles: vec![ROLE.parse()?], ..ResourceParts::default() };
    resource::create(context, tenant.id, (&RESOURCE.parse()?, &settings, &parts)).await
}

async fn ensure_group(context: &Context, tenant: &Tenant, name: &str, description: &str) -> Result<Group, CliError> {
    if let Some(group) = context.app.store.find_group(tenant.id, name).await? {
        return Ok(group);
    }
    let id = GroupId::from(context.app.random.uuid_v7(&context.app.clock));
    let group = Group { id, name: name.parse()?, description: description.into(), created_at: context.now() };
    context.app.store.create_group(tenant.id, &group).await?;
    Ok(group)
}

/// Makes the client of that id and secret unless it is there, and gives it one more secret when the known one works
/// no more. Answers whether the client is new.
async fn ensure_client(
    context: &Context,
    tenant: &Tenant,
    wanted: (&str, &str, &mut String),
    serves: Option<&Resource>,
) -> Result<bool, CliError> {
    let (name, client_id, secret_text) = wanted;
    let (store, now) = (&context.app.store, context.now());
    let known = Secret::from(secret_text.clone());
    if let Some(client) = store.find_client(tenant.id, client_id).await? {
        if !client.secrets.iter().any(|secret| secret.is_live(now) && secret.hash.verify(&known)) {
            let (made, stored) = secret::generated(context);
            store.add_secret(tenant.id, &client, &stored, now).await?;
            made.expose().clone_into(secret_text);
        }
        return Ok(false);
    }
    let client_id: ClientId = client_id.parse()?;
    let parts = ClientParts {
        add_grants: vec![GRANT.name.into()],
        add_serves: serves.iter().map(|resource| resource.id).collect(),
        ..ClientParts::default()
    };
    let new = NewClient {
        oid: ClientOid::from(context.app.random.uuid_v7(&context.app.clock)),
        client_id: &client_id,
        public: false,
        name: &name.parse()?,
        parts: &parts,
        allowed: &[],
        secret: Some(&secret::of_generated(context, &known)),
    };
    store.create_client(tenant.id, &new, now).await?;
    Ok(true)
}

/// A public client as people start it on their own machines: it signs them in and listens on loopback.
async fn ensure_app(context: &Context, tenant: &Tenant) -> Result<Client, CliError> {
    let store = &context.app.store;
    if let Some(client) = store.find_client(tenant.id, APP).await? {
        return Ok(client);
    }
    let parts = ClientParts {
        add_grants: [authorization_code::GRANT.name, refresh_token::GRANT.name].map(str::to_owned).into(),
        add_redirect_uris: vec!["http://localhost".parse()?, "http://127.0.0.1".parse()?],
        ..ClientParts::default()
    };
    let new = NewClient {
        oid: ClientOid::from(context.app.random.uuid_v7(&context.app.clock)),
        client_id: &APP.parse()?,
        public: true,
        name: &"Quickstart app".parse()?,
        parts: &parts,
        allowed: &[],
        secret: None,
    };
    store.create_client(tenant.id, &new, context.now()).await?;
    context.find_client(tenant.id, APP).await
}

/// Makes the example's person unless there is one of that name; answers whether it is new. A password that an operator
/// changed since is not ours to print or to change back.
async fn ensure_person(context: &Context, tenant: &Tenant, password: &mut String) -> Result<(User, bool), CliError> {
    let store = &context.app.store;
    let username: UserName = PERSON.parse()?;
    if let Some((user, hash)) = store.find_credentials(tenant.id, &username).await? {
        let known = Secret::from(password.clone());
        if !hash.is_some_and(|hash| hash.verify(&known)) {
            password.clear();
        }
        return Ok((user, false));
    }
    let id = UserId::from(context.app.random.uuid_v7(&context.app.clock));
    let hash = SecretHash::argon2id(&Secret::from(password.clone()), &context.app.random);
    let display_name: DisplayName = "Alice Example".parse()?;
    let email: Email = "alice@example.com".parse()?;
    let new = NewUser {
        id,
        username: &username,
        display_name: Some(&display_name),
        email: Some(&email),
        password: Some(&hash),
    };
    store.create_user(tenant.id, &new, context.now()).await?;
    Ok((context.find_user(tenant.id, PERSON).await?, true))
}

/// Prints everything that a newcomer pastes next.
fn announce(context: &Context, credentials: &Credentials, ca_file: Option<PathBuf>) {
    let Credentials { client_id, client_secret, serving_client_id, serving_client_secret, password, .. } = credentials;
    let base = format!("{}/default", context.app.public_url);
    let curl = match &ca_file {
        Some(path) => format!("curl --cacert '{}'", path.display()),
        None => "curl".to_owned(),
    };
    let token = format!(
        "{curl} -X POST -H \"Content-Type: application/x-www-form-urlencoded\" -d 'client_id={client_id}&\
         client_secret={client_secret}&grant_type=client_credentials&scope={RESOURCE}/.default' '{base}/oauth2/v2.0/token'"
    );
    let introspect = format!(
        "{curl} -u '{serving_client_id}:{serving_client_secret}' -d 'token=TOKEN' '{base}/oauth2/v2.0/introspect'"
    );
    let jwks = format!("{curl} '{base}/discovery/v2.0/keys'");
    let revoke = format!("{curl} -u '{client_id}:{client_secret}' -d 'token=TOKEN' '{base}/oauth2/v2.0/revoke'");
    if context.out.is_json() {
        let mut value = json!({
            "issuer": context.app.public_url.as_str(),
            "public_url": context.app.public_url.as_str(),
            "tenant": "default",
            "client_id": client_id,
            "client_secret": client_secret,
            "resource": RESOURCE,
            "scope": format!("{RESOURCE}/.default"),
            "groups": [INNER_GROUP, OUTER_GROUP],
            "serving_client_id": serving_client_id,
            "serving_client_secret": serving_client_secret,
            "token_endpoint": format!("{base}/oauth2/v2.0/token"),
            "introspection_endpoint": format!("{base}/oauth2/v2.0/introspect"),
            "jwks_uri": format!("{base}/discovery/v2.0/keys"),
            "revocation_endpoint": format!("{base}/oauth2/v2.0/revoke"),
            "app_client_id": APP,
            "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
            "account": format!("{base}/account"),
            "username": PERSON,
            "password": password,
            "curl": { "token": token, "introspect": introspect, "jwks": jwks, "revoke": revoke },
        });
        if password.is_empty() {
            value.as_object_mut().and_then(|members| members.remove("password"));
        }
        if let Some(path) = &ca_file {
            value["ca_file"] = path.display().to_string().into();
        }
        context.out.show(&value, String::new);
        return;
    }
    let trust = ca_file.map_or(String::new(), |path| format!("Trust          {}\n", path.display()));
    print_line(&format!(
        "\
Grantor serves {url}

Client id      {client_id}
Client secret  {client_secret}
Resource       {RESOURCE}
Groups         {INNER_GROUP}, and by way of it {OUTER_GROUP}
{trust}
Get a token:
{token}

Ask what a token is worth, as the resource server would (put the access_token in place of TOKEN):
{introspect}

Fetch the keys that verify it:
{jwks}

Revoke it:
{revoke}

Sign in as a person: {base}/account
Username       {PERSON}
Password       {shown}
Applications that sign people in are public clients with a loopback address; this one is there: {APP}

From another terminal, in this folder:
  {program} explain --client {client_id} --scope {RESOURCE}/.default
  {program} --help

Stop with Ctrl-C. A second run keeps all data and prints the same lines.",
        url = context.app.public_url,
        shown = if password.is_empty() { "(changed since)" } else { password },
        // As it was called: after 'cargo run' it is not on the path.
        program = std::env::args().next().unwrap_or_else(|| "grantor".into()),
    ));
}
