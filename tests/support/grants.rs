//! Codes, refresh tokens and what hangs on them, as tests of the grants of people need them.

use super::browser::{Ask, Browser, NATIVE, VERIFIER, WEB_CALLBACK};
use super::{Reply, TestApp, TestClient, claims};
use axum::http::StatusCode;
use grantor::store::DatabaseUrl;
use grantor::store::client_settings::SettingChanges;
use grantor::store::clients::ClientParts;
use grantor::store::groups::Group;
use grantor::store::members::Member;
use grantor::store::permissions::AllowedScope;
use grantor::store::users::User;
use grantor::types::id::MemberId;
use serde_json::Value;
use sqlx::{Connection, Row};
use uuid::Uuid;

/// The token endpoint.
pub const TOKEN: &str = "/oauth2/v2.0/token";

/// What an answer of the token endpoint carries.
#[derive(Debug, Clone)]
pub struct Tokens {
    pub access: String,
    /// Empty when there is none.
    pub refresh: String,
    pub body: Value,
}

impl Tokens {
    fn of(body: Value) -> Self {
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        Self { access: text("access_token"), refresh: text("refresh_token"), body }
    }

    /// The claims of the access token.
    pub fn claims(&self) -> Value {
        claims(&self.access)
    }
}

impl Reply {
    /// The tokens of an answer that must be a good one.
    #[track_caller]
    pub fn tokens(&self) -> Tokens {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text());
        Tokens::of(self.json())
    }
}

impl Browser<'_> {
    /// A code that `web` redeems at once.
    pub async fn web_tokens(&self, web: &TestClient, ask: &Ask) -> Tokens {
        Tokens::of(self.tokens(web, ask).await)
    }

    /// A code that `native` redeems at once.
    pub async fn native_tokens(&self, ask: &Ask) -> Tokens {
        let code = self.code(ask).await;
        self.test.redeem_native(&code).await.tokens()
    }
}

impl TestApp {
    /// The token endpoint's answer to a code of `web` with more parameters.
    pub async fn redeem_with(&self, web: &TestClient, code: &str, more: &[(&str, &str)]) -> Reply {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", WEB_CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        form.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
        form.extend(more.iter().filter(|(_, value)| !value.is_empty()));
        self.post_as(&self.at(TOKEN), web, &form).await
    }

    /// The token endpoint's answer to a code of `native`.
    pub async fn redeem_native(&self, code: &str) -> Reply {
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", NATIVE),
            ("code", code),
            ("redirect_uri", "http://127.0.0.1:49152/cb"),
            ("code_verifier", VERIFIER),
        ];
        self.post(&self.at(TOKEN), &form).await
    }

    /// The token endpoint's answer to a refresh token of `web` with more parameters.
    pub async fn refresh_with(&self, web: &TestClient, token: &str, more: &[(&str, &str)]) -> Reply {
        let form = [&[("grant_type", "refresh_token"), ("refresh_token", token)], more].concat();
        self.post_as(&self.at(TOKEN), web, &form).await
    }

    /// The token endpoint's answer to a refresh token of `native`.
    pub async fn refresh_native(&self, token: &str) -> Reply {
        let form = [("grant_type", "refresh_token"), ("client_id", NATIVE), ("refresh_token", token)];
        self.post(&self.at(TOKEN), &form).await
    }

    /// Decides something about a client anew.
    pub async fn settings(&self, id: &str, settings: SettingChanges) {
        self.update_client(id, ClientParts { settings, ..ClientParts::default() }).await;
    }

    async fn permission(&self, text: &str) -> AllowedScope {
        let (identifier, value) = text.rsplit_once('/').unwrap();
        AllowedScope { resource: self.find_resource(identifier).await.id, value: value.into() }
    }

    /// Allows a client `<resource>/<value>`.
    pub async fn allow(&self, id: &str, scope: &str) {
        let (tenant, client, scope) =
            (self.tenant_id().await, self.find_client(id).await, self.permission(scope).await);
        self.app.store.allow_scopes(tenant, &client, &[scope], self.clock.now()).await.unwrap();
        self.sync().await;
    }

    /// Takes `<resource>/<value>` from a client.
    pub async fn deny(&self, id: &str, scope: &str) {
        let (tenant, client, scope) =
            (self.tenant_id().await, self.find_client(id).await, self.permission(scope).await);
        assert!(self.app.store.deny_scopes(tenant, &client, &[scope], self.clock.now()).await.unwrap());
        self.sync().await;
    }

    /// A person as stored.
    pub async fn person(&self, name: &str) -> User {
        self.app.store.find_user(self.tenant_id().await, name).await.unwrap().unwrap()
    }

    /// Enables or disables a person.
    pub async fn set_person_enabled(&self, name: &str, enabled: bool) {
        let user = self.person(name).await;
        self.app.store.set_user_enabled(self.tenant_id().await, &user, enabled, self.clock.now()).await.unwrap();
        self.sync().await;
    }

    /// Takes back what `alice` agreed to with a client.
    pub async fn withdraw(&self, id: &str) {
        let (user, client) = (self.person("alice").await, self.find_client(id).await);
        assert!(self.app.store.withdraw_consents(user.id, client.oid, self.clock.now()).await.unwrap());
    }

    /// Puts a person into a group.
    pub async fn add_person(&self, group: &Group, name: &str) {
        let member = Member::Subject(MemberId::User(self.person(name).await.id));
        self.app.store.add_member(self.tenant_id().await, group, member, self.clock.now()).await.unwrap();
        self.sync().await;
    }

    /// Takes a person out of a group.
    pub async fn remove_person(&self, group: &Group, name: &str) {
        let member = Member::Subject(MemberId::User(self.person(name).await.id));
        self.app.store.remove_member(self.tenant_id().await, group, member, self.clock.now()).await.unwrap();
        self.sync().await;
    }

    /// True when the bit of an access token is set, whatever copies of the list there are.
    pub async fn bit(&self, access: &str) -> bool {
        let place = claims(access)["status"]["status_list"].clone();
        let list = place["uri"].as_str().unwrap().rsplit('/').next().unwrap().parse::<Uuid>().unwrap();
        self.app.store.revoked_indexes(list.into()).await.unwrap().contains(&place["idx"].as_i64().unwrap())
    }

    /// Asserts that an access token is dead, for introspection and in the status list, or alive in both.
    #[track_caller]
    pub fn assert_alive<'a>(
        &'a self,
        client: &'a TestClient,
        access: &'a str,
        alive: bool,
    ) -> impl Future<Output = ()> + 'a {
        let at = std::panic::Location::caller();
        async move {
            let active = self.introspect(client, access).await["active"] == true;
            assert_eq!((active, self.bit(access).await), (alive, !alive), "asked at {at}");
        }
    }

    /// The number of rows of a table.
    pub async fn count(&self, table: &str) -> i64 {
        self.number(&format!("SELECT COUNT(*) FROM {table}")).await
    }

    /// Every value of every text and binary column of the database, as `table.column` and its bytes.
    pub async fn every_value(&self) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        match &self.database {
            DatabaseUrl::Sqlite(path) => {
                let mut conn = sqlx::SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
                let columns: Vec<(String, String)> = sqlx::query_as(
                    "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'",
                )
                .fetch_all(&mut conn)
                .await
                .unwrap();
                for (table, column) in columns {
                    let query =
                        format!("SELECT CAST(\"{column}\" AS BLOB) FROM \"{table}\" WHERE \"{column}\" IS NOT NULL");
                    for row in sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(&mut conn).await.unwrap() {
                        found.push((format!("{table}.{column}"), row.get::<Vec<u8>, _>(0)));
                    }
                }
            }
            DatabaseUrl::Postgres(url) => {
                let mut conn = sqlx::PgConnection::connect(url).await.unwrap();
                let columns: Vec<(String, String, String)> = sqlx::query_as(
                    "SELECT table_name::text, column_name::text, data_type::text FROM information_schema.columns \
                     WHERE table_schema = 'public' AND data_type IN ('text', 'bytea')",
                )
                .fetch_all(&mut conn)
                .await
                .unwrap();
                for (table, column, kind) in columns {
                    let value = if kind == "bytea" { column.clone() } else { format!("convert_to({column}, 'UTF8')") };
                    let query = format!("SELECT {value} FROM {table} WHERE {column} IS NOT NULL");
                    for row in sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(&mut conn).await.unwrap() {
                        found.push((format!("{table}.{column}"), row.get::<Vec<u8>, _>(0)));
                    }
                }
            }
        }
        found
    }
}
