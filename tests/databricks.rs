//! The paths that the SDKs of Databricks use: host configuration, documents below `/oidc`, workspace and account form.

use crate::support::browser::{Ask, CHALLENGE, PASSWORD, VERIFIER, answer, main_id};
use crate::support::{PUBLIC_URL, Reply, START, TestApp, claims, fresh_database};
use grantor::store::resources::ResourceParts;
use grantor::types::clock::Clock;
use serde_json::json;

const CONFIG: &str = "/.well-known/databricks-config";
const OAUTH: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

const WORKSPACE: &str = "https://dbx.example.com";
const SCOPES: &[&str] = &["all-apis", "sql", "file.files", "dashboards.genie"];

/// Where the SDKs for Python and Go are called back.
const CALLBACK: &str = "http://localhost:8020";

impl TestApp {
    /// What docs/databricks.md sets up, in the tenant at hand, and the person `alice`.
    async fn workspace(&self) -> crate::support::TestClient {
        let parts = ResourceParts {
            add_scopes: SCOPES.iter().map(|scope| scope.parse().unwrap()).collect(),
            ..ResourceParts::default()
        };
        self.resource_with(WORKSPACE, parts, |settings| settings.is_default = true).await;
        let all = format!("{WORKSPACE}/.default");
        self.client_with("databricks-cli", &[&all], None).await;
        self.redirects("databricks-cli", CALLBACK).await;
        self.set_grants("databricks-cli", &["authorization_code", "refresh_token"]).await;
        self.user_with("alice", PASSWORD).await;
        self.client("jobs", &[&all]).await
    }

    async fn redeem_publicly(&self, path: &str, code: &str) -> Reply {
        let form = [
            ("redirect_uri", CALLBACK),
            ("grant_type", "authorization_code"),
            ("code_verifier", VERIFIER),
            ("code", code),
            ("client_id", "databricks-cli"),
        ];
        self.post(path, &form).await
    }
}

fn ask(scope: &str) -> Ask {
    Ask::web()
        .with("client_id", "databricks-cli")
        .with("redirect_uri", CALLBACK)
        .with("scope", scope)
        .with("code_challenge", CHALLENGE)
        .without("nonce")
}

#[tokio::test]
async fn the_configuration_of_a_host_leads_to_the_document_of_its_tenant() {
    let test = TestApp::new().await;
    let beside = test.beside("acme").await;
    let acme = beside.tenant_id().await;
    for (prefix, issuer) in [
        ("", PUBLIC_URL.to_owned()),
        ("/default", PUBLIC_URL.to_owned()),
        ("/acme", format!("{PUBLIC_URL}/acme")),
        (&format!("/{acme}"), format!("{PUBLIC_URL}/acme")),
    ] {
        let config = test.get(&format!("{prefix}{CONFIG}")).await;
        assert_eq!(config.json(), json!({ "oidc_endpoint": format!("{PUBLIC_URL}{prefix}/oidc") }));
        assert_eq!(config.header("content-type"), "application/json");
        for well_known in [OAUTH, OPENID] {
            let document = test.get(&format!("{prefix}/oidc{well_known}")).await.json();
            assert_eq!(document["issuer"], issuer, "{prefix}");
            assert_eq!(document["token_endpoint"], format!("{PUBLIC_URL}{prefix}/oidc/v1/token"));
            assert_eq!(document["authorization_endpoint"], format!("{PUBLIC_URL}{prefix}/oidc/v1/authorize"));
            assert_eq!(document["jwks_uri"], format!("{PUBLIC_URL}{prefix}/discovery/v2.0/keys"));
        }
    }
    test.get(&format!("/nobody{CONFIG}")).await.assert_error(404, "invalid_request", 1008);
}

#[tokio::test]
async fn an_account_is_a_tenant_by_name_or_id_and_never_another_one() {
    let test = TestApp::new().await;
    let beside = test.beside("acme").await;
    let id = beside.tenant_id().await.to_string();
    for (account, issuer) in [
        ("default", PUBLIC_URL.to_owned()),
        ("acme", format!("{PUBLIC_URL}/acme")),
        (&id, format!("{PUBLIC_URL}/acme")),
    ] {
        for well_known in [OAUTH, OPENID] {
            let document = test.get(&format!("/oidc/accounts/{account}{well_known}")).await.json();
            let base = format!("{PUBLIC_URL}/oidc/accounts/{account}/v1");
            assert_eq!(document["issuer"], issuer, "{account}");
            assert_eq!(document["token_endpoint"], format!("{base}/token"));
            assert_eq!(document["authorization_endpoint"], format!("{base}/authorize"));
        }
    }
    // Falling back to the default tenant would send people and secrets of one directory to another.
    for path in [format!("/oidc/accounts/0198f0a2-0000-7000-8000-000000000000{OAUTH}"), "/oidc/accounts/nobody".into()]
    {
        assert_eq!(test.get(&path).await.status.as_u16(), 404, "{path}");
    }
    test.post("/oidc/accounts/nobody/v1/token", &[]).await.assert_error(404, "invalid_request", 1008);
}

#[tokio::test]
async fn a_machine_gets_a_token_at_every_form_of_the_address() {
    let test = TestApp::new().await;
    let jobs = test.workspace().await;
    let beside = test.beside("acme").await;
    let theirs = beside.workspace().await;
    for (path, client, issuer) in [
        ("/oidc/v1/token", &jobs, PUBLIC_URL.to_owned()),
        ("/default/oidc/v1/token", &jobs, PUBLIC_URL.to_owned()),
        ("/oidc/accounts/default/v1/token", &jobs, PUBLIC_URL.to_owned()),
        ("/acme/oidc/v1/token", &theirs, format!("{PUBLIC_URL}/acme")),
        ("/oidc/accounts/acme/v1/token", &theirs, format!("{PUBLIC_URL}/acme")),
    ] {
        // As both SDKs send it, and more of the scopes that Databricks knows.
        for scope in ["all-apis", "sql file.files", "dashboards.genie"] {
            let form = [("grant_type", "client_credentials"), ("scope", scope)];
            let reply = test.post_as(path, client, &form).await;
            assert_eq!(reply.status.as_u16(), 200, "{path}: {}", reply.text());
            let token = claims(reply.json()["access_token"].as_str().unwrap());
            assert_eq!((&token["iss"], &token["aud"]), (&json!(issuer), &json!(WORKSPACE)), "{path}");
            let mut granted: Vec<_> = token["scope"].as_str().unwrap().split(' ').collect();
            granted.sort_unstable();
            let mut asked: Vec<_> = scope.split(' ').collect();
            asked.sort_unstable();
            assert_eq!(granted, asked);
        }
        test.get(path).await.assert_error(405, "invalid_request", 1001);
    }
    // A secret of one tenant is worth nothing at the address of another.
    let form = [("grant_type", "client_credentials"), ("scope", "all-apis")];
    test.post_as("/oidc/accounts/acme/v1/token", &jobs, &form).await.assert_error(401, "invalid_client", 2002);
}

#[tokio::test]
async fn a_person_signs_in_at_every_form_of_the_address() {
    let test = TestApp::new().await;
    test.workspace().await;
    let beside = test.beside("acme").await;
    beside.workspace().await;
    for (test, below, scope) in [
        (&test, "/oidc/v1", "all-apis offline_access"),
        (&test, "/default/oidc/v1", "offline_access all-apis"), // Go's order
        (&test, "/oidc/accounts/default/v1", "offline_access all-apis"),
        (&beside, "/acme/oidc/v1", "all-apis offline_access"),
        (&beside, "/oidc/accounts/acme/v1", "offline_access all-apis"),
    ] {
        let browser = test.browser();
        let page = browser.get(&format!("{below}/authorize?{}", ask(scope).query())).await;
        assert_eq!(main_id(&page).as_deref(), Some("grantor-login"), "{below}: {}", page.text());
        let to = browser.log_in(&page, "alice", PASSWORD).await;
        assert_eq!(to.status.as_u16(), 303, "{}", to.text());
        let page = browser.get(to.header("location")).await;
        assert_eq!(main_id(&page).as_deref(), Some("grantor-consent"), "{below}: {}", page.text());
        let reply = browser.decide(&page, "approve").await;
        assert!(reply.header("location").starts_with("http://localhost:8020?code="), "{}", reply.header("location"));
        let code = answer(&reply).remove("code").unwrap();
        let tokens = test.redeem_publicly(&format!("{below}/token"), &code).await;
        assert_eq!(tokens.status.as_u16(), 200, "{}", tokens.text());
        let tokens = tokens.json();
        assert_eq!(claims(tokens["access_token"].as_str().unwrap())["aud"], WORKSPACE);
        let refresh = tokens["refresh_token"].as_str().unwrap();
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh), ("client_id", "databricks-cli")];
        // The SDK for Python does not keep what rotation gave it: its next process presents the old one again.
        for _ in 0..2 {
            let refreshed = test.post(&format!("{below}/token"), &form).await;
            assert_eq!(refreshed.status.as_u16(), 200, "{}", refreshed.text());
            assert!(refreshed.json()["refresh_token"].is_string());
        }
    }
}

#[tokio::test]
async fn a_request_by_post_is_taken_too() {
    let test = TestApp::new().await;
    test.workspace().await;
    let reply = test.post_raw("/oidc/accounts/default/v1/authorize", &[], ask("sql").query()).await;
    assert_eq!(reply.status.as_u16(), 303);
    let page = test.get(reply.header("location")).await;
    assert_eq!(main_id(&page).as_deref(), Some("grantor-login"));
    // What people see of a failure is a page here too.
    let page = test.get("/oidc/v1/authorize").await;
    assert_eq!((page.status.as_u16(), main_id(&page).as_deref()), (400, Some("grantor-error")));
}

#[tokio::test]
async fn a_public_url_with_a_path_is_in_front_of_all_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let database = fresh_database(&folder).await;
    let public_url = "https://example.com/sso";
    let test = TestApp::open(folder, database, Clock::manual(START), public_url).await;
    for seen in ["", "/sso"] {
        let config = test.get(&format!("{seen}{CONFIG}")).await.json();
        assert_eq!(config["oidc_endpoint"], format!("{public_url}/oidc"));
        let document = test.get(&format!("{seen}/oidc/accounts/default{OAUTH}")).await.json();
        assert_eq!(document["token_endpoint"], format!("{public_url}/oidc/accounts/default/v1/token"));
    }
}
