//! `grantor token issue`, `list` and `revoke`: long-lived tokens and API keys.

use crate::support::cli::{Cli, Server, words};
use crate::support::{API, TestApp, TestClient, claims, jwt_part};
use grantor::grants::client_credentials::{Wanted, decide};
use grantor::sweep;
use grantor::tokens::issue::{Terms, mint_on};
use grantor::types::policy::TokenFormat;
use serde_json::{Value, json};

const RESOURCE: &str = "https://hib.azurehdinsight.net";
const DAY: i64 = 86_400;

impl Server {
    fn introspect(&self, token: &str) -> Value {
        let form = [
            ("client_id", self.made("serving_client_id")),
            ("client_secret", self.made("serving_client_secret")),
            ("token", token),
        ];
        self.post("introspection_endpoint", &form).1
    }
}

/// Issues a token by command.
fn issue(cli: &Cli, flags: &str) -> Value {
    let line = format!("token issue --client app --resource {API} {flags}");
    cli.json(&words(&line))
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

#[tokio::test]
async fn a_jwt_carries_what_the_client_may_have_now() {
    let cli = Cli::with_client().await;
    let made = issue(&cli, "--lifetime 365d");
    let said = claims(text(&made, "access_token"));
    assert_eq!((&said["sub"], &said["aud"], &said["scope"]), (&json!("app"), &json!(API), &json!("read write")));
    assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), 365 * DAY);
    assert_eq!((&said["jti"], &said["exp"]), (&made["id"], &made["expires_at"]));
    assert_eq!((text(&made, "format"), text(&made, "client_id"), text(&made, "resource")), ("jwt", "app", API));
    let made = issue(&cli, &format!("--lifetime 90d --scope {API}/read"));
    assert_eq!(claims(text(&made, "access_token"))["scope"], "read");
    let made = issue(&cli, "--lifetime 10s --scope write");
    assert_eq!(claims(text(&made, "access_token"))["scope"], "write");
    let listed = cli.json(&words("token list"));
    let mut scopes: Vec<&str> = listed.as_array().unwrap().iter().map(|line| text(line, "scope")).collect();
    scopes.sort_unstable();
    assert_eq!(scopes, ["read", "read write", "write"]);
}

#[tokio::test]
async fn an_api_key_is_shown_once() {
    let cli = Cli::with_client().await;
    let line = format!("token issue --client app --resource {API} --lifetime 365d --format opaque");
    let said = cli.ok(&words(&line));
    assert!(said.contains("grat_") && said.contains("(shown this once)"), "{said}");
    let key = said.split_whitespace().find(|word| word.starts_with("grat_")).unwrap();
    let id = said.lines().find(|line| line.starts_with("Id ")).and_then(|line| line.split_whitespace().last()).unwrap();
    let listed = cli.ok(&words("token list"));
    assert!(listed.contains(id) && listed.contains("(all)") && listed.contains("never"), "{listed}");
    assert!(!listed.contains(&key[5..]) && !cli.ok(&["token", "inspect", key]).contains(&key[5..]));
    let line = &cli.json(&words("token list"))[0];
    let members: Vec<&String> = line.as_object().unwrap().keys().collect();
    assert_eq!(members, ["id", "client_id", "resource", "format", "issued_at", "expires_at", "revoked"]);
    assert_eq!((text(line, "format"), &line["revoked"]), ("opaque", &json!(false)));
}

#[tokio::test]
async fn without_a_format_it_looks_like_the_resources_other_tokens() {
    let cli = Cli::with_client().await;
    cli.ok(&["resource", "update", API, "--token-format", "opaque"]);
    assert!(text(&issue(&cli, "--lifetime 1d"), "access_token").starts_with("grat_"));
    assert!(text(&issue(&cli, "--lifetime 1d --format jwt"), "access_token").starts_with("eyJ"));
}

#[tokio::test]
async fn lifetimes_have_bounds_and_refusals_have_hints() {
    let cli = Cli::with_client().await;
    cli.ok(&words("client create --name Other --id other"));
    let line = |client: &str, resource: &str, rest: &str| {
        format!("token issue --client {client} --resource {resource} {rest}")
    };
    for lifetime in ["9s", "3651d", "0s"] {
        let said = cli.run(&words(&line("app", API, &format!("--lifetime {lifetime}"))));
        assert!(said.code == 2 && said.out.is_empty(), "{lifetime} {said:?}");
    }
    for lifetime in ["10s", "3650d"] {
        cli.ok(&words(&line("app", API, &format!("--lifetime {lifetime}"))));
    }
    cli.misused(&words(&line("app", API, "")), &["--lifetime"]);
    cli.misused(&words(&line("app", API, "--lifetime 1d --format saml")), &["saml"]);
    let explain = format!("grantor explain --client other --scope '{API}/.default'");
    cli.refused(&words(&line("other", API, "--lifetime 1d")), &["GRT4003", &explain]);
    cli.refused(&words(&line("app", API, "--lifetime 1d --scope admin")), &["GRT4002", "grantor explain"]);
    cli.refused(&words(&line("nobody", API, "--lifetime 1d")), &["nobody", "grantor client list"]);
    cli.refused(&words(&line("app", "https://x.example", "--lifetime 1d")), &["x.example", "grantor resource list"]);
    cli.ok(&words("group create admins"));
    cli.ok(&["resource", "update", API, "--require-group", "admins"]);
    cli.refused(&words(&line("app", API, "--lifetime 1d")), &["GRT4009", "grantor explain"]);
    assert_eq!(cli.json(&words("token list")).as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_list_is_paged_and_of_one_client_and_one_tenant() {
    let cli = Cli::with_client().await;
    assert_eq!(cli.ok(&words("token list")), "No tokens. Issue one with: grantor token issue\n");
    cli.ok(&["client", "create", "--name", "b", "--id", "b", "--allow", &format!("{API}/read")]);
    let mut ids: Vec<String> = ["app", "app", "b"]
        .map(|client| {
            let line = format!("token issue --client {client} --resource {API} --lifetime 1d");
            text(&cli.json(&words(&line)), "id").to_owned()
        })
        .into();
    let of_b = ids[2].clone();
    ids.sort_unstable();
    let listed = |line: &str| -> Vec<String> {
        let lines = cli.json(&words(line));
        lines.as_array().unwrap().iter().map(|line| text(line, "id").to_owned()).collect()
    };
    assert_eq!(listed("token list"), ids);
    assert_eq!(listed("token list --client b"), std::slice::from_ref(&of_b));
    assert_eq!(listed("token list --limit 2"), ids[..2]);
    assert_eq!(listed(&format!("token list --limit 2 --after {}", ids[1])), ids[2..]);
    cli.refused(&words("token list --client nobody"), &["nobody"]);
    cli.ok(&words("tenant create t1"));
    assert!(listed("token list --tenant t1").is_empty());
    cli.refused(&["token", "revoke", &of_b, "--tenant", "t1"], &[&of_b]);
    assert_eq!(cli.json(&["token", "revoke", &of_b])["changed"], true);
}

#[tokio::test]
async fn a_key_is_revoked_by_itself_or_by_its_id_and_told_about() {
    let cli = Cli::new().await;
    let server = cli.quickstart();
    let line = format!(
        "token issue --client {} --resource {RESOURCE} --lifetime 30d --format opaque",
        server.made("client_id")
    );
    let state = |word: &str| text(&cli.json(&["token", "inspect", word]), "state").to_owned();
    for by_id in [false, true] {
        let made = cli.json(&words(&line));
        let (key, id) = (text(&made, "access_token"), text(&made, "id"));
        let answer = server.introspect(key);
        assert_eq!((&answer["active"], &answer["groups"]), (&json!(true), &json!(["data-engineers", "kafka-rest"])));
        assert_eq!(state(key), "active");
        let word = if by_id { id } else { key };
        assert_eq!(cli.ok(&["token", "revoke", word]), "The token is revoked.\n");
        assert_eq!(cli.json(&["token", "revoke", word])["changed"], false);
        assert_eq!((server.introspect(key)["active"].clone(), state(key).as_str()), (json!(false), "revoked"));
        let listed = cli.json(&words("token list"));
        let found = listed.as_array().unwrap().iter().find(|line| line["id"] == id).unwrap();
        assert_eq!(found["revoked"], true);
    }
    // Why one stands for nothing: not because its client were disabled.
    let made = cli.json(&words(&line));
    let key = text(&made, "access_token");
    cli.ok(&words(&format!("client deny {} {RESOURCE}/kafka.rest", server.made("client_id"))));
    cli.ok(&words(&format!("group role revoke kafka-rest {RESOURCE} Kafka.User")));
    assert_eq!(state(key), "inactive: its resource, its client's permissions or its groups are gone");
    cli.ok(&["client", "disable", server.made("client_id")]);
    assert_eq!(state(key), "inactive: the client or the person is disabled or deleted");
    let unknown = format!("grat_{}", "x".repeat(43));
    for verb in ["inspect", "revoke"] {
        cli.refused(&["token", verb, &unknown], &["no access token that this server signed"]);
    }
    cli.refused(&["token", "revoke", "0198f0a2-0000-7000-8000-000000000000"], &["0198f0a2"]);
}

/// Mints as `token issue` does, at the time of the test's clock.
async fn long_lived(test: &TestApp, client: &TestClient, lifetime: i64, format: TokenFormat) -> (String, uuid::Uuid) {
    let (tenant, stored) = (test.tenant().await, test.find_client(&client.id).await);
    let resources = [test.find_resource(API).await];
    let wanted = Wanted { client: &stored, resources: &resources, scope: "", targets: &[API] };
    let issuance = decide(&test.app, &tenant, wanted).await.unwrap();
    let terms = Terms { lifetime, format, by_operator: true, for_all: format == TokenFormat::Opaque };
    let minted = mint_on(&test.app, issuance, terms).await.unwrap();
    (minted.access_token, minted.record.jti)
}

#[tokio::test]
async fn the_last_use_is_written_down() {
    let (test, client) = TestApp::with_client().await;
    for format in [TokenFormat::Jwt, TokenFormat::Opaque] {
        let (token, jti) = long_lived(&test, &client, 365 * DAY, format).await;
        let used = async || {
            let lines = test.app.store.list_kept_tokens(test.tenant_id().await, None, (uuid::Uuid::nil(), 10)).await;
            lines.unwrap().into_iter().find(|line| line.id == jti).unwrap().last_used_at
        };
        assert_eq!(used().await, None);
        test.clock.advance(100);
        test.sync().await;
        assert_eq!(test.introspect(&client, &token).await["active"], true);
        test.app.flush_uses().await.unwrap();
        assert_eq!(used().await, Some(test.clock.now()));
        test.clock.advance(100);
        test.sync().await;
        let reply = test.get_as("/gateway/check", &token).await;
        assert_eq!(reply.status.as_u16(), 200);
        test.app.flush_uses().await.unwrap();
        assert_eq!(used().await, Some(test.clock.now()));
        // A refused one was not used.
        let before = used().await;
        test.app
            .store
            .set_client_enabled(test.tenant_id().await, &test.find_client("app").await, false, 0)
            .await
            .unwrap();
        test.clock.advance(100);
        test.sync().await;
        assert_eq!(test.get_as("/gateway/check", &token).await.status.as_u16(), 401);
        test.app.flush_uses().await.unwrap();
        assert_eq!(used().await, before);
        test.set_client_enabled("app", true).await;
    }
}

#[tokio::test]
async fn a_long_lived_jwt_outlasts_rotations_with_its_key_and_its_status_list() {
    // Issued before the rotation is announced, and between announcement and change.
    for announced_first in [false, true] {
        let (test, client) = TestApp::with_client().await;
        let tenant = test.tenant_id().await;
        let rotate = async || {
            let now = test.clock.now();
            let smith = test.app.keysmith().unwrap();
            smith.rotate(tenant, grantor::types::alg::Alg::Rs256, (now, now + DAY), false).await.unwrap().unwrap();
            test.sync().await;
        };
        let pass = async |seconds| {
            test.clock.advance(seconds);
            test.sync().await;
            sweep::once(&test.app).await.unwrap();
            test.sync().await;
        };
        if announced_first {
            rotate().await;
        }
        let (token, _) = long_lived(&test, &client, 365 * DAY, TokenFormat::Jwt).await;
        test.sync().await;
        if !announced_first {
            rotate().await;
        }
        let place = claims(&token)["status"]["status_list"].clone();
        let list = place["uri"].as_str().unwrap().strip_prefix(crate::support::PUBLIC_URL).unwrap().to_owned();
        for _ in 0..4 {
            pass(90 * DAY).await;
            let keys = test.get("/jwks").await.json();
            let kid = jwt_part(&token, 0)["kid"].clone();
            assert!(keys["keys"].as_array().unwrap().iter().any(|key| key["kid"] == kid), "{announced_first}");
            assert_eq!(test.introspect(&client, &token).await["active"], true, "{announced_first}");
            assert_eq!(test.get(&list).await.status.as_u16(), 200, "{announced_first}");
            assert_ne!(jwt_part(&test.token(&client, &format!("{API}/.default")).await, 0)["kid"], kid);
        }
        pass(6 * DAY).await;
        assert_eq!(test.introspect(&client, &token).await["active"], false);
        pass(30 * DAY).await;
        let keys = test.get("/jwks").await.json();
        let kid = jwt_part(&token, 0)["kid"].clone();
        assert!(keys["keys"].as_array().unwrap().iter().all(|key| key["kid"] != kid), "no longer than needed");
    }
}

#[tokio::test]
async fn with_its_client_or_its_resource_a_long_lived_jwt_is_revoked() {
    for resource in [false, true] {
        let (test, client) = TestApp::with_client().await;
        let (token, _) = long_lived(&test, &client, 365 * DAY, TokenFormat::Jwt).await;
        long_lived(&test, &client, 365 * DAY, TokenFormat::Opaque).await;
        if resource {
            let resource = test.find_resource(API).await;
            test.app.store.delete_resource(test.tenant_id().await, &resource, test.clock.now()).await.unwrap();
        } else {
            test.delete_client("app").await;
        }
        let jti = claims(&token)["jti"].as_str().unwrap().to_owned();
        assert_eq!(test.number("SELECT COUNT(*) FROM revocations").await, 1);
        let revoked = test.app.store.token_state(
            test.tenant_id().await,
            jti.parse().unwrap(),
            grantor::types::id::MemberId::Client(test.app.random.uuid_v4().into()),
            "app",
        );
        assert!(revoked.await.unwrap().revoked);
    }
}
