//! What tests stand on: an application over a database of its own, a clock that the test moves, and short ways to set
//! things up and to talk to the router.
//!
//! `GRANTOR_TEST_DATABASE` names a PostgreSQL server to run on; without it each test has a SQLite file.

pub mod answers;
pub mod browser;
pub mod cli;
pub mod grants;
pub mod people;
pub mod status;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use grantor::app::App;
use grantor::config::{Config, Flags, ListenFlags};
use grantor::server::front::Front;
use grantor::server::router::router;
use grantor::store::DatabaseUrl;
use grantor::store::clients::{Client, ClientParts, NewClient};
use grantor::store::groups::Group;
use grantor::store::members::Member;
use grantor::store::permissions::AllowedScope;
use grantor::store::resources::{
    NewResource, Resource, ResourceParts, ResourceSettings, ResourceUpdate, SettingChanges,
};
use grantor::store::secrets::NewSecret;
use grantor::store::tenants::Tenant;
use grantor::store::users::{NewUser, User};
use grantor::types::alg::Alg;
use grantor::types::clock::Clock;
use grantor::types::id::{ClientOid, GroupId, MemberId, ResourceId, SecretId, TenantId, UserId};
use grantor::types::name::TenantName;
use grantor::types::policy::{ClaimsProfile, GroupFormat, GroupsPolicy, TokenFormat};
use grantor::types::random::Random;
use grantor::types::secret::{CLIENT_SECRET_PREFIX, Secret, SecretHash};
use http_body_util::BodyExt;
use serde_json::Value;
use sqlx::{Connection, Executor};
use std::sync::Arc;
use tempfile::TempDir;
use tower::ServiceExt;
use uuid::Uuid;

/// Where the test clock starts: 2026-11-21T00:00:00Z.
pub const START: i64 = 1_795_219_200;

/// The public URL of every test application.
pub const PUBLIC_URL: &str = "https://login.example.com";

/// The resource of [`TestApp::with_client`].
pub const API: &str = "https://api.example.com";

/// An application over a database of its own.
pub struct TestApp {
    pub app: Arc<App>,
    pub router: Front,
    pub clock: Clock,
    pub database: DatabaseUrl,
    /// Holds the SQLite file and the keys.
    pub folder: Arc<TempDir>,
    /// The tenant that is set up and asked; `default` unless [`TestApp::beside`] made another.
    pub tenant_name: &'static str,
}

/// A client with its secret in clear.
#[derive(Debug, Clone)]
pub struct TestClient {
    pub id: String,
    pub secret: String,
}

/// What a request was answered with.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header as text; empty when absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Asserts status, `error` and the reason code of an error answer; hands back the body for more.
    #[track_caller]
    pub fn assert_error(&self, status: u16, error: &str, code: u32) -> Value {
        let body = self.json();
        assert_eq!(
            (self.status.as_u16(), body["error"].as_str(), &body["error_codes"][0]),
            (status, Some(error), &Value::from(code)),
            "{body}"
        );
        assert_eq!(self.header("cache-control"), "no-store");
        assert!(self.header("content-type").starts_with("application/json"));
        body
    }
}

/// A database of its own for one test, on the engine under test.
pub async fn fresh_database(folder: &TempDir) -> DatabaseUrl {
    match std::env::var("GRANTOR_TEST_DATABASE") {
        Ok(server) => {
            let name = format!("grantor_{}", Random::system().uuid_v4().simple());
            let mut admin = sqlx::PgConnection::connect(&server).await.expect("GRANTOR_TEST_DATABASE must answer");
            let statement = format!("CREATE DATABASE {name}");
            admin.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
            let mut url = url::Url::parse(&server).unwrap();
            url.set_path(&name);
            url.as_str().parse().unwrap()
        }
        Err(_) => folder.path().join("grantor.db").to_str().unwrap().parse().unwrap(),
    }
}

impl TestApp {
    /// An application with the default tenant and nothing else.
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = fresh_database(&folder).await;
        Self::open(folder, database, Clock::manual(START), PUBLIC_URL).await
    }

    /// Over a given database: a second server beside the first, or the same one restarted.
    pub async fn open(folder: TempDir, database: DatabaseUrl, clock: Clock, public_url: &str) -> Self {
        let flags = Flags { keys: Some(folder.path().join("keys")), ..Flags::default() };
        let mut config = Config::load(&flags, &ListenFlags::default(), None).unwrap();
        config.database = database.clone();
        let app = App::open(config, public_url.parse().unwrap(), clock.clone(), Random::system()).await.unwrap();
        let (router, folder) = (router(app.clone()), Arc::new(folder));
        Self { router, app, clock, database, folder, tenant_name: TenantName::DEFAULT }
    }

    /// The same application seen from a new tenant: what is set up is set up there, what is asked is asked there.
    pub async fn beside(&self, tenant_name: &'static str) -> Self {
        self.app.create_tenant(&tenant_name.parse().unwrap()).await.unwrap();
        self.sync().await;
        let (app, router, folder) = (self.app.clone(), self.router.clone(), self.folder.clone());
        Self { app, router, clock: self.clock.clone(), database: self.database.clone(), folder, tenant_name }
    }

    /// The same database and clock under another application.
    pub fn over(&self, app: Arc<App>) -> Self {
        let (router, folder) = (router(app.clone()), self.folder.clone());
        let (clock, database) = (self.clock.clone(), self.database.clone());
        Self { app, router, clock, database, folder, tenant_name: self.tenant_name }
    }

    /// The same application, for statements past the store in another database.
    pub fn at_database(&self, database: &DatabaseUrl) -> Self {
        Self { database: database.clone(), ..self.over(self.app.clone()) }
    }

    /// A path of the tenant's.
    pub fn at(&self, path: &str) -> String {
        if self.tenant_name == TenantName::DEFAULT { path.to_owned() } else { format!("/{}{path}", self.tenant_name) }
    }

    /// With the resource [`API`] (scopes `read` and `write`, role `Operator`) and the client `app` that may have both.
    pub async fn with_client() -> (Self, TestClient) {
        let test = Self::new().await;
        test.resource(API, |_| ()).await;
        let client = test.client("app", &[&format!("{API}/.default")]).await;
        (test, client)
    }

    /// The tenant.
    pub async fn tenant(&self) -> Tenant {
        self.app.store.find_tenant(self.tenant_name).await.unwrap().unwrap()
    }

    /// The tenant's id.
    pub async fn tenant_id(&self) -> TenantId {
        self.tenant().await.id
    }

    /// Makes a resource with scopes `read` and `write` and role `Operator`; `change` adjusts what it decides.
    pub async fn resource(&self, identifier: &str, change: impl FnOnce(&mut ResourceSettings)) -> Resource {
        let parts = ResourceParts {
            add_scopes: vec!["read".parse().unwrap(), "write".parse().unwrap()],
            add_roles: vec!["Operator".parse().unwrap()],
            ..ResourceParts::default()
        };
        self.resource_with(identifier, parts, change).await
    }

    /// Makes a resource with given parts.
    pub async fn resource_with(
        &self,
        identifier: &str,
        parts: ResourceParts,
        change: impl FnOnce(&mut ResourceSettings),
    ) -> Resource {
        let mut settings = ResourceSettings {
            is_default: false,
            alg: Alg::Rs256,
            lifetime: 3600,
            groups: GroupsPolicy::All,
            group_format: GroupFormat::Name,
            group_limit: 200,
            claims_profile: ClaimsProfile::Standard,
            token_format: TokenFormat::Jwt,
        };
        change(&mut settings);
        let tenant = self.tenant_id().await;
        self.app.keysmith().unwrap().ensure(tenant, settings.alg, self.clock.now()).await.unwrap();
        let id = ResourceId::from(self.app.random.uuid_v7(&self.clock));
        let role_ids: Vec<Uuid> = parts.add_roles.iter().map(|_| self.app.random.uuid_v7(&self.clock)).collect();
        let identifier_value = identifier.parse().unwrap();
        let new =
            NewResource { id, identifier: &identifier_value, settings: &settings, parts: &parts, role_ids: &role_ids };
        self.app.store.create_resource(tenant, &new, self.clock.now()).await.unwrap();
        self.sync().await;
        self.find_resource(identifier).await
    }

    /// Changes a resource; roles cannot be added this way.
    pub async fn update_resource(&self, resource: &Resource, settings: SettingChanges, parts: ResourceParts) {
        let update = ResourceUpdate { settings: &settings, parts: &parts, role_ids: &[] };
        self.app.store.update_resource(self.tenant_id().await, resource, &update, self.clock.now()).await.unwrap();
        self.sync().await;
    }

    /// A resource by its identifier.
    pub async fn find_resource(&self, identifier: &str) -> Resource {
        let resources = self.app.store.list_resources(self.tenant_id().await).await.unwrap();
        resources.into_iter().find(|resource| resource.identifier.as_str() == identifier).unwrap()
    }

    /// Makes a confidential client with a generated secret. `allowed` are `<resource>/<value>` or `<resource>/.default`.
    pub async fn client(&self, id: &str, allowed: &[&str]) -> TestClient {
        let secret = Secret::generate(CLIENT_SECRET_PREFIX, &self.app.random);
        self.client_with(id, allowed, Some((&secret, SecretHash::sha256(&secret)))).await;
        TestClient { id: id.into(), secret: secret.expose().into() }
    }

    /// Makes a client with a given secret, or a public one without.
    pub async fn client_with(&self, id: &str, allowed: &[&str], secret: Option<(&Secret, SecretHash)>) -> Client {
        let tenant = self.tenant_id().await;
        let resources = self.app.store.list_resources(tenant).await.unwrap();
        let allowed: Vec<AllowedScope> = allowed
            .iter()
            .map(|text| {
                let (identifier, value) = text.rsplit_once('/').unwrap();
                let resource = resources.iter().find(|resource| resource.identifier.as_str() == identifier).unwrap();
                AllowedScope { resource: resource.id, value: value.into() }
            })
            .collect();
        let stored = secret.map(|(_, hash)| NewSecret {
            id: SecretId::from(self.app.random.uuid_v7(&self.clock)),
            hash,
            hint: String::new(),
            expires_at: None,
        });
        let parts = ClientParts {
            add_grants: stored.iter().map(|_| "client_credentials".to_owned()).collect(),
            ..ClientParts::default()
        };
        let (client_id, name) = (id.parse().unwrap(), id.parse().unwrap());
        let new = NewClient {
            oid: ClientOid::from(self.app.random.uuid_v7(&self.clock)),
            client_id: &client_id,
            public: stored.is_none(),
            name: &name,
            parts: &parts,
            allowed: &allowed,
            secret: stored.as_ref(),
        };
        self.app.store.create_client(tenant, &new, self.clock.now()).await.unwrap();
        self.sync().await;
        self.find_client(id).await
    }

    /// Makes a confidential client whose secret a person chose.
    pub async fn client_with_chosen(&self, id: &str, secret: &str, allowed: &[&str]) -> TestClient {
        let chosen = Secret::from(secret.to_owned());
        self.client_with(id, allowed, Some((&chosen, SecretHash::argon2id(&chosen, &self.app.random)))).await;
        TestClient { id: id.into(), secret: secret.into() }
    }

    /// Enables or disables a client.
    pub async fn set_client_enabled(&self, id: &str, enabled: bool) {
        let (tenant, client) = (self.tenant_id().await, self.find_client(id).await);
        self.app.store.set_client_enabled(tenant, &client, enabled, self.clock.now()).await.unwrap();
        self.sync().await;
    }

    /// Deletes a client.
    pub async fn delete_client(&self, id: &str) {
        let (tenant, client) = (self.tenant_id().await, self.find_client(id).await);
        self.app.store.delete_client(tenant, &client, self.clock.now()).await.unwrap();
        self.sync().await;
    }

    /// Lets a client use these grants and no others.
    pub async fn set_grants(&self, id: &str, grants: &[&str]) {
        let client = self.find_client(id).await;
        let parts = ClientParts {
            remove_grants: client.grants.clone(),
            add_grants: grants.iter().map(|grant| (*grant).to_owned()).collect(),
            ..ClientParts::default()
        };
        let now = self.clock.now();
        self.app.store.update_client(self.tenant_id().await, &client, (None, &parts), now).await.unwrap();
        self.sync().await;
    }

    /// Enables or disables the tenant.
    pub async fn set_tenant_enabled(&self, enabled: bool) {
        self.app.store.set_tenant_enabled(&self.tenant().await, enabled, self.clock.now()).await.unwrap();
        self.sync().await;
    }

    /// A client as stored.
    pub async fn find_client(&self, id: &str) -> Client {
        self.app.store.find_client(self.tenant_id().await, id).await.unwrap().unwrap()
    }

    /// A client that serves a resource and so may introspect its tokens.
    pub async fn serving_client(&self, id: &str, resource: &str) -> TestClient {
        let made = self.client(id, &[]).await;
        let client = self.find_client(id).await;
        let parts = ClientParts { add_serves: vec![self.find_resource(resource).await.id], ..ClientParts::default() };
        let now = self.clock.now();
        self.app.store.update_client(self.tenant_id().await, &client, (None, &parts), now).await.unwrap();
        self.sync().await;
        made
    }

    /// Makes a group.
    pub async fn group(&self, name: &str) -> Group {
        let group = Group {
            id: GroupId::from(self.app.random.uuid_v7(&self.clock)),
            name: name.parse().unwrap(),
            description: String::new(),
            created_at: self.clock.now(),
        };
        self.app.store.create_group(self.tenant_id().await, &group).await.unwrap();
        group
    }

    /// Puts a client into a group.
    pub async fn add_client(&self, group: &Group, client: &str) {
        let member = Member::Subject(MemberId::Client(self.find_client(client).await.oid));
        self.app.store.add_member(self.tenant_id().await, group, member, self.clock.now()).await.unwrap();
        self.sync().await;
    }

    /// Puts a group into a group.
    pub async fn add_group(&self, outer: &Group, inner: &Group) {
        let now = self.clock.now();
        self.app.store.add_member(self.tenant_id().await, outer, Member::Group(inner), now).await.unwrap();
        self.sync().await;
    }

    /// Makes a user without a password.
    pub async fn user(&self, username: &str) -> UserId {
        self.new_user(username, None).await.id
    }

    /// Makes a user who can sign in.
    pub async fn user_with(&self, username: &str, password: &str) -> User {
        let password = Secret::password(password).unwrap();
        self.new_user(username, Some(&SecretHash::argon2id(&password, &self.app.random))).await
    }

    async fn new_user(&self, username: &str, password: Option<&SecretHash>) -> User {
        let (tenant, username) = (self.tenant_id().await, username.parse().unwrap());
        let id = UserId::from(self.app.random.uuid_v7(&self.clock));
        let new = NewUser { id, username: &username, display_name: None, email: None, password };
        self.app.store.create_user(tenant, &new, self.clock.now()).await.unwrap();
        self.sync().await;
        self.app.store.find_user(tenant, username.as_str()).await.unwrap().unwrap()
    }

    /// Lets the application follow the log of changes, as the server does by itself once a second.
    pub async fn sync(&self) {
        self.app.sync().await.unwrap();
    }

    /// Sends any request.
    pub async fn send(&self, request: Request<Body>) -> Reply {
        let head = request.method() == Method::HEAD;
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        // RFC 9110 §8.6: on a connection a wrong length cuts the body off.
        if let Some(length) = parts.headers.get(header::CONTENT_LENGTH).filter(|_| !head) {
            assert_eq!(length.to_str().unwrap(), body.len().to_string(), "the length that is told");
        }
        Reply { status: parts.status, headers: parts.headers, body }
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// GET with a bearer token.
    pub async fn get_as(&self, path: &str, token: &str) -> Reply {
        let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// POST of a form, without further headers.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Reply {
        self.post_raw(path, &[], serde_urlencoded::to_string(form).unwrap()).await
    }

    /// POST of a form with Basic credentials.
    pub async fn post_as(&self, path: &str, client: &TestClient, form: &[(&str, &str)]) -> Reply {
        let credentials = basic(&client.id, &client.secret);
        self.post_raw(path, &[("authorization", &credentials)], serde_urlencoded::to_string(form).unwrap()).await
    }

    /// POST of a body that is said to be a form, with any headers.
    pub async fn post_raw(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Reply {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(body.into()).unwrap()).await
    }

    /// A token request with credentials in the body.
    pub async fn request_token(&self, client: &TestClient, scope: &str) -> Reply {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &client.id),
            ("client_secret", &client.secret),
            ("scope", scope),
        ];
        self.post(&self.at("/oauth2/v2.0/token"), &form).await
    }

    /// An access token that must be issued.
    pub async fn token(&self, client: &TestClient, scope: &str) -> String {
        let reply = self.request_token(client, scope).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        reply.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// What introspection says to `caller`.
    pub async fn introspect(&self, caller: &TestClient, token: &str) -> Value {
        let reply = self.post_as(&self.at("/introspect"), caller, &[("token", token)]).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        reply.json()
    }

    /// A second server over the same database and key-encryption key, with the same clock.
    pub async fn second_server(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("keys")).unwrap();
        std::fs::copy(self.folder.path().join("keys/kek"), folder.path().join("keys/kek")).unwrap();
        Self::open(folder, self.database.clone(), self.clock.clone(), PUBLIC_URL).await
    }

    /// Runs a statement past the store; answers how many rows it touched.
    pub async fn execute(&self, statement: &str) -> u64 {
        let statement = sqlx::AssertSqlSafe(statement.to_owned());
        match &self.database {
            DatabaseUrl::Sqlite(path) => {
                let mut conn = sqlx::SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
                sqlx::query(statement).execute(&mut conn).await.unwrap().rows_affected()
            }
            DatabaseUrl::Postgres(url) => {
                let mut conn = sqlx::PgConnection::connect(url).await.unwrap();
                sqlx::query(statement).execute(&mut conn).await.unwrap().rows_affected()
            }
        }
    }

    /// The one number that a query past the store answers.
    pub async fn number(&self, query: &str) -> i64 {
        let query = sqlx::AssertSqlSafe(query.to_owned());
        match &self.database {
            DatabaseUrl::Sqlite(path) => {
                let mut conn = sqlx::SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
                sqlx::query_scalar(query).fetch_one(&mut conn).await.unwrap()
            }
            DatabaseUrl::Postgres(url) => {
                let mut conn = sqlx::PgConnection::connect(url).await.unwrap();
                sqlx::query_scalar(query).fetch_one(&mut conn).await.unwrap()
            }
        }
    }
}

/// An `Authorization` header's value.
pub fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

/// A part of a JWT as JSON: 0 is the header, 1 the claims. Nothing is verified.
pub fn jwt_part(token: &str, part: usize) -> Value {
    let encoded = token.split('.').nth(part).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap()
}

/// The claims of a JWT. Nothing is verified.
pub fn claims(token: &str) -> Value {
    jwt_part(token, 1)
}

/// True when there is a null anywhere: several client libraries refuse a whole answer for one.
pub fn holds_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(holds_null),
        Value::Object(members) => members.values().any(holds_null),
        _ => false,
    }
}
