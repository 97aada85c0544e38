//! `grantor serve` and `grantor quickstart`, and how a change made on the command line reaches them.

use crate::support::cli::{Cli, Server, http, log_until, words};
use crate::support::{claims, jwt_part};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

#[tokio::test]
async fn the_token_line_of_quickstart_is_the_documented_one_and_works_as_pasted() {
    let cli = Cli::new().await;
    let server = cli.quickstart();
    let url = server.made("public_url");
    let line = server.made["curl"]["token"].as_str().unwrap();
    let expected = format!(
        "curl -X POST -H \"Content-Type: application/x-www-form-urlencoded\" -d 'client_id={}&client_secret={}\
         &grant_type=client_credentials&scope=https://hib.azurehdinsight.net/.default' '{url}/default/oauth2/v2.0/token'",
        server.made("client_id"),
        server.made("client_secret"),
    );
    assert_eq!(line, expected);
    let paste = |line: &str| -> Value {
        let said =
            std::process::Command::new("sh").args(["-c", &format!("{line} --silent --show-error")]).output().unwrap();
        assert!(said.status.success(), "{line}: {said:?}");
        serde_json::from_slice(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"))
    };
    let answer = paste(line);
    let token = answer["access_token"].as_str().unwrap();
    assert_eq!(claims(token)["groups"], json!(["data-engineers", "kafka-rest"]));
    let curl = |name: &str| server.made["curl"][name].as_str().unwrap().replace("TOKEN", token);
    assert_eq!(paste(&curl("introspect"))["active"], true);
    assert_eq!(paste(&curl("jwks"))["keys"][0]["kid"], jwt_part(token, 0)["kid"]);
    let revoked =
        std::process::Command::new("sh").args(["-c", &format!("{} --fail", curl("revoke"))]).output().unwrap();
    assert!(revoked.status.success(), "{revoked:?}");
    assert_eq!(paste(&curl("introspect")), json!({ "active": false }));
}

#[tokio::test]
async fn people_read_the_same_lines_that_programs_do() {
    let cli = Cli::new().await;
    let server = cli.quickstart();
    let text = cli.read_until(
        &["quickstart", "--listen", "127.0.0.1:0", "--public-url", server.made("public_url")],
        "Stop with Ctrl-C",
    );
    for name in ["token", "introspect", "jwks", "revoke"] {
        let line = server.made["curl"][name].as_str().unwrap();
        assert_eq!(text.lines().filter(|other| *other == line).count(), 1, "{line}: {text}");
    }
    for name in ["client_id", "client_secret", "resource"] {
        assert!(text.contains(server.made(name)), "{name}: {text}");
    }
}

#[tokio::test]
async fn a_second_quickstart_keeps_everything() {
    let cli = Cli::new().await;
    let first = cli.quickstart();
    let (made, kid) = (first.made.clone(), jwt_part(&first.token(), 0)["kid"].clone());
    cli.ok(&words("group create mine"));
    let (status, out, log) = first.terminate();
    assert_eq!((status.code(), out.as_str()), (Some(0), ""), "{log}");
    assert!(log.contains("stopping"), "{log}");

    let second = cli.quickstart();
    for name in
        ["client_id", "client_secret", "serving_client_id", "serving_client_secret", "resource", "scope", "password"]
    {
        assert_eq!(second.made[name], made[name], "{name}");
    }
    assert_eq!(jwt_part(&second.token(), 0)["kid"], kid);
    cli.ok(&words("group show mine"));
    assert_eq!(cli.json(&["client", "list"]).as_array().unwrap().len(), 3);
    assert_eq!(cli.json(&["user", "list"]).as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn quickstart_makes_new_credentials_when_the_old_ones_are_lost() {
    let cli = Cli::new().await;
    let first = cli.quickstart().made("client_secret").to_owned();
    let file = cli.folder.path().join("keys/quickstart.json");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::remove_file(&file).unwrap();
    let second = cli.quickstart();
    assert_ne!(second.made("client_secret"), first);
    assert_eq!(claims(&second.token())["groups"], json!(["data-engineers", "kafka-rest"]));
    // A secret that somebody retired is replaced, for the same client.
    let (id, secret) = (second.made("client_id").to_owned(), second.made("client_secret").to_owned());
    let secrets = cli.json(&["client", "secret", "list", &id]);
    drop(second);
    cli.ok(&["client", "secret", "retire", &id, secrets[0]["secret_id"].as_str().unwrap()]);
    let third = cli.quickstart();
    assert_eq!(third.made("client_id"), id);
    assert_ne!(third.made("client_secret"), secret);
    third.token();
    drop(third);
    std::fs::write(&file, "nonsense").unwrap();
    cli.refused(&words("quickstart --listen 127.0.0.1:0"), &["quickstart.json", "delete the file to start afresh"]);
}

#[tokio::test]
async fn quickstart_leaves_apart_what_an_operator_took_apart() {
    let cli = Cli::new().await;
    drop(cli.quickstart());
    cli.ok(&words("group remove kafka-rest --group data-engineers"));
    assert_eq!(claims(&cli.quickstart().token())["groups"], json!(["data-engineers"]));
    cli.misused(&words("quickstart --tenant contoso --listen 127.0.0.1:0"), &["default tenant"]);
}

#[tokio::test]
async fn the_last_use_of_a_secret_is_written_down() {
    let cli = Cli::new().await;
    let server = cli.quickstart();
    let list = ["client", "secret", "list", server.made("client_id")].map(str::to_owned);
    let list: Vec<&str> = list.iter().map(String::as_str).collect();
    assert_eq!(cli.json(&list)[0].get("last_used_at"), None);
    assert!(cli.ok(&list).contains("never"));
    let issued = claims(&server.token())["iat"].as_i64().unwrap();
    server.terminate();
    let used = cli.json(&list)[0]["last_used_at"].as_i64().unwrap();
    assert!((issued - 1..=issued + 1).contains(&used), "{used} and {issued}");
}

/// What a token request is answered with: the error and the reason code, or nothing when a token is issued.
fn refusal(server: &Server, scope: &str) -> Option<(String, i64)> {
    let (_, body) = server.request_token(scope);
    Some((body.get("error")?.as_str()?.to_owned(), body["error_codes"][0].as_i64()?))
}

#[tokio::test]
async fn a_change_of_a_client_reaches_a_running_server_within_two_seconds() {
    let cli = Cli::new().await;
    let server = cli.quickstart();
    let (client, scope) = (server.made("client_id"), server.made("scope"));
    server.token();
    cli.ok(&["client", "disable", client]);
    server.within_two_seconds("client disable", || refusal(&server, scope) == Some(("invalid_client".into(), 2005)));
    cli.ok(&["client", "enable", client]);
    server.within_two_seconds("client enable", || refusal(&server, scope).is_none());

    cli.ok(&words("resource create https://other.example.com --scope read"));
    let other = "https://other.example.com/read";
    server.within_two_seconds("resource create", || refusal(&server, other) == Some(("invalid_scope".into(), 4003)));
    cli.ok(&["client", "allow", client, other]);
    server.within_two_seconds("client allow", || refusal(&server, other).is_none());
    cli.ok(&["client", "deny", client, other]);
    server.within_two_seconds("client deny", || refusal(&server, other) == Some(("invalid_scope".into(), 4003)));

    let secrets = cli.json(&["client", "secret", "list", client]);
    cli.ok(&["client", "secret", "retire", client, secrets[0]["secret_id"].as_str().unwrap()]);
    server.within_two_seconds("secret retire", || refusal(&server, scope) == Some(("invalid_client".into(), 2002)));
}

#[tokio::test]
async fn a_change_of_groups_reaches_a_running_server_within_two_seconds() {
    let cli = Cli::new().await;
    let server = cli.quickstart();
    let client = server.made("client_id");
    let groups = || claims(&server.token())["groups"].clone();
    assert_eq!(groups(), json!(["data-engineers", "kafka-rest"]));
    cli.ok(&["group", "create", "kafka-admins"]);
    cli.ok(&["group", "add", "kafka-admins", "--client", client]);
    server.within_two_seconds("group add", || groups() == json!(["data-engineers", "kafka-admins", "kafka-rest"]));
    cli.ok(&["group", "claim", "set", "kafka-admins", "kafka_role", "\"admin\""]);
    server.within_two_seconds("claim set", || claims(&server.token())["kafka_role"] == "admin");
    cli.ok(&words("group remove kafka-rest --group data-engineers"));
    server.within_two_seconds("group remove", || {
        let claims = claims(&server.token());
        claims["groups"] == json!(["data-engineers", "kafka-admins"]) && claims.get("roles").is_none()
    });
    cli.ok(&["group", "delete", "kafka-admins"]);
    server.within_two_seconds("group delete", || groups() == json!(["data-engineers"]));
}

#[tokio::test]
async fn a_change_of_a_resource_or_key_reaches_a_running_server_within_two_seconds() {
    let cli = Cli::new().await;
    let server = cli.quickstart();
    let (resource, scope) = (server.made("resource"), server.made("scope"));
    cli.ok(&["resource", "update", resource, "--lifetime", "5m", "--groups", "none"]);
    server.within_two_seconds("resource update", || {
        let (_, body) = server.request_token(scope);
        body["expires_in"] == 300 && claims(body["access_token"].as_str().unwrap()).get("groups").is_none()
    });
    let kid = || jwt_part(&server.token(), 0)["kid"].clone();
    let published = || -> Vec<Value> {
        let keys = server.get("jwks_uri").1["keys"].as_array().unwrap().clone();
        keys.into_iter().map(|key| key["kid"].clone()).collect()
    };
    let old = kid();
    let announced = cli.json(&["key", "rotate"])["kid"].clone();
    server.within_two_seconds("key rotate", || published().contains(&announced));
    assert_eq!(kid(), old);
    let new = cli.json(&words("key rotate --now"))["kid"].clone();
    server.within_two_seconds("key rotate --now", || kid() == new && published().contains(&new));
    cli.ok(&["key", "retire", old.as_str().unwrap()]);
    server.within_two_seconds("key retire", || !published().contains(&old));
    cli.ok(&["resource", "update", resource, "--alg", "ES256"]);
    server.within_two_seconds("resource update --alg", || jwt_part(&server.token(), 0)["alg"] == "ES256");
    cli.ok(&words("group create nobody"));
    cli.ok(&["resource", "update", resource, "--require-group", "nobody"]);
    server.within_two_seconds("require-group", || refusal(&server, scope) == Some(("access_denied".into(), 4009)));
}

#[tokio::test]
async fn a_change_of_a_tenant_reaches_a_running_server_within_two_seconds() {
    let cli = Cli::new().await;
    let server = cli.quickstart();
    let scope = server.made("scope");
    server.token();
    cli.ok(&["tenant", "disable", "default"]);
    server.within_two_seconds("tenant disable", || refusal(&server, scope) == Some(("invalid_request".into(), 1009)));
    cli.ok(&["tenant", "enable", "default"]);
    server.within_two_seconds("tenant enable", || refusal(&server, scope).is_none());
    let jwks = format!("{}/contoso/jwks", server.made("public_url"));
    assert_eq!(http("GET", &jwks, "", "").0, 404);
    cli.ok(&["tenant", "create", "contoso"]);
    server.within_two_seconds("tenant create", || http("GET", &jwks, "", "").0 == 200);
    cli.ok(&words("tenant delete contoso --yes"));
    server.within_two_seconds("tenant delete", || http("GET", &jwks, "", "").0 == 404);
}

#[tokio::test]
async fn serve_tells_its_address_and_answers_there() {
    let cli = Cli::new().await;
    let mut command = cli.bare(&words("serve --listen 127.0.0.1:0 --log-format json"));
    let (_running, line) = log_until(command.args(["--database", &cli.database_url()]), "serving");
    let line: Value = serde_json::from_str(&line).unwrap();
    let address = line["address"].as_str().unwrap();
    assert_eq!(line["issuer"], format!("http://{address}"));
    assert_eq!(http("GET", &format!("http://{address}/livez"), "", "").0, 200);
    assert_eq!(http("GET", &format!("http://{address}/readyz"), "", "").0, 200);

    // The port is taken now.
    for verb in ["serve", "quickstart"] {
        cli.refused(&[verb, "--listen", address], &["cannot listen on", address, "--listen"]);
    }
}

#[tokio::test]
async fn a_body_that_is_said_to_be_too_large_is_refused_before_it_comes() {
    let cli = Cli::new().await;
    let server = cli.quickstart();
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let endless = format!("{form}Content-Length: 99999999999\r\n");
    let (status, body) = http("POST", server.made("token_endpoint"), &endless, "a=b");
    assert_eq!((status, &body["error_codes"][0]), (413, &Value::from(1003)), "{body}");
    let (status, body) = http("POST", server.made("token_endpoint"), &format!("{form}Content-Length: 3\r\n"), "a=b");
    assert_eq!((status, &body["error_codes"][0]), (401, &Value::from(2001)), "{body}");
}

// M005 M049 M059: every endpoint that takes a secret or a token is on the one listener.
#[tokio::test]
async fn serve_does_not_let_secrets_travel_in_clear() {
    let cli = Cli::new().await;
    for line in [
        "serve --listen 0.0.0.0:0 --public-url http://login.example.com",
        "serve --listen 127.0.0.1:0 --public-url http://login.example.com",
        "serve --listen 0.0.0.0:0 --public-url http://localhost:8080",
        "quickstart --listen 0.0.0.0:0 --public-url http://login.example.com",
    ] {
        cli.refused(&words(line), &["in clear", "--tls-cert", "https --public-url"]);
    }
    cli.misused(&words("serve --listen 0.0.0.0:0"), &["--public-url"]);
    assert!(!cli.folder.path().join("keys").exists(), "a refused server made keys");
}

#[tokio::test]
async fn half_of_the_certificate_is_refused() {
    let mut cli = Cli::new().await;
    cli.misused(&words("serve --listen 127.0.0.1:0 --tls-cert a.pem"), &["--tls-key"]);
    cli.misused(&words("serve --listen 127.0.0.1:0 --tls-key a.pem"), &["--tls-cert"]);
    let file = cli.write("grantor.toml", "[server]\ntls_cert = 'a.pem'\n");
    cli.misused(&["serve", "--listen", "127.0.0.1:0", "--config", &file], &["server.tls_cert and server.tls_key"]);
    let both = words("serve --listen 127.0.0.1:0 --tls-cert missing.pem --tls-key missing.key");
    cli.refused(&both, &["missing.pem"]);
    cli.set("GRANTOR_TLS_CERT", "a.pem");
    cli.misused(&words("serve --listen 127.0.0.1:0"), &["--tls-key"]);
}

#[tokio::test]
async fn quickstart_speaks_https_with_a_certificate_of_its_own() {
    let cli = Cli::new().await;
    let server = cli.quickstart_with(&["--tls"]);
    assert!(server.made("token_endpoint").starts_with("https://127.0.0.1:"), "{}", server.made);
    let line = server.made["curl"]["token"].as_str().unwrap();
    assert!(line.starts_with(&format!("curl --cacert '{}' -X POST", server.made("ca_file"))), "{line}");
    let said = std::process::Command::new("sh").args(["-c", line]).output().unwrap();
    let answer: Value = serde_json::from_slice(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    assert_eq!(answer["token_type"], "Bearer", "{answer}");
}
