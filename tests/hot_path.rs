//! The request that counts: client credentials with a JWT, answered from memory alone.

use crate::support::cli::{Cli, Server};
use crate::support::{API, TestApp};
use serde_json::Value;

/// What runs beside the requests: following changes, leasing indexes, writing down uses, sweeping.
const BESIDE: &[&str] = &[
    "FROM changes",
    "status_lists",
    "UPDATE client_secrets SET last_used_at",
    "DELETE FROM",
    "signing_keys",
    "SAVEPOINT",
    "RELEASE",
    // The ends of transactions: whatever was done between them is seen.
    "BEGIN",
    "COMMIT",
];

/// Every statement that the server's log tells of.
fn statements(server: &Server) -> Vec<String> {
    let log = server.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let statement = |line: Value| {
        let whole = line["db.statement"].as_str().filter(|text| !text.trim().is_empty());
        whole.or(line["summary"].as_str()).map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    lines.filter_map(statement).collect()
}

#[tokio::test]
async fn client_credentials_with_a_jwt_do_no_statement_once_warm() {
    let cli = Cli::new().await;
    let server = cli.quickstart_with(&["--log", "sqlx=debug", "--log-format", "json"]);
    let warm = server.token();
    let of_requests = |from: usize| -> Vec<String> {
        let beside = |statement: &String| BESIDE.iter().any(|word| statement.contains(word));
        statements(&server).into_iter().skip(from).filter(|statement| !beside(statement)).collect()
    };
    let before = statements(&server).len();
    assert!(before > 10, "the log tells of every statement, so those of the start are in it");
    for _ in 0..300 {
        assert_ne!(server.token(), warm);
    }
    assert_eq!(of_requests(before), Vec::<String>::new());

    // What asks the database is seen.
    let introspecting = [
        ("client_id", server.made("serving_client_id")),
        ("client_secret", server.made("serving_client_secret")),
        ("token", warm.as_str()),
    ];
    assert_eq!(server.post("introspection_endpoint", &introspecting).1["active"], true);
    assert!(of_requests(before).iter().any(|statement| statement.contains("FROM revocations")));
}

#[tokio::test]
async fn a_thousand_tokens_leave_no_row_behind() {
    let (test, client) = TestApp::with_client().await;
    let scope = format!("{API}/.default");
    let rows = async || {
        let mut rows = 0;
        for table in ["kept_tokens", "grants", "grant_tokens", "refresh_tokens", "revocations", "changes", "sessions"] {
            rows += test.number(&format!("SELECT COUNT(*) FROM {table}")).await;
        }
        rows
    };
    test.token(&client, &scope).await;
    let before = rows().await;
    for _ in 0..1000 {
        test.token(&client, &scope).await;
    }
    assert_eq!(rows().await, before);
}

// What is remembered of a decision is what it was made from: each part of it changes what comes next.
#[tokio::test]
async fn a_remembered_decision_ends_with_each_thing_that_it_was_made_from() {
    let (test, client) = TestApp::with_client().await;
    let scope = format!("{API}/.default");
    let said = async |claim: &str| crate::support::claims(&test.token(&client, &scope).await)[claim].clone();
    assert_eq!((said("groups").await, said("scope").await), (Value::Null, "read write".into()));
    let group = test.group("kafka-rest").await;
    test.add_client(&group, "app").await;
    assert_eq!(said("groups").await, Value::from(vec!["kafka-rest"]));
    let resource = test.find_resource(API).await;
    let settings = grantor::store::resources::SettingChanges { lifetime: Some(60), ..Default::default() };
    test.update_resource(&resource, settings, Default::default()).await;
    assert_eq!(test.request_token(&client, &scope).await.json()["expires_in"], 60);
    test.set_client_enabled("app", false).await;
    test.request_token(&client, &scope).await.assert_error(401, "invalid_client", 2005);
}

#[tokio::test]
async fn scopes_and_targets_are_decided_apart() {
    let (test, client) = TestApp::with_client().await;
    test.token(&client, &format!("{API}/read")).await;
    test.token(&client, &format!("{API}/.default")).await;
    let scope = async |scope: &str| {
        crate::support::claims(&test.token(&client, &format!("{API}/{scope}")).await)["scope"].clone()
    };
    assert_eq!(scope("read").await, "read");
    assert_eq!(scope(".default").await, "read write");
    let ask = async |target: &str| {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &client.id),
            ("client_secret", &client.secret),
            ("resource", target),
        ];
        test.post("/oauth2/v2.0/token", &form).await
    };
    assert_eq!(ask(API).await.status, 200);
    ask("https://other.example.com").await.assert_error(400, "invalid_target", 4005);
    assert_eq!(ask(API).await.status, 200);
}
