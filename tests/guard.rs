//! `grantor guard`: the real process before a real server that comes and goes.

use crate::support::cli::{Cli, Server, exchange, until};
use serde_json::Value;
use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Long enough for anything; only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A revoked token is refused at the latest then.
const REVOKED_WITHIN: Duration = Duration::from_secs(10);

const RESOURCE: &str = "https://hib.azurehdinsight.net";

/// A guard; killed when dropped.
struct Guard {
    child: Child,
    address: String,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Guard {
    /// Before the server at `url`; with credentials it asks about opaque tokens.
    fn before(cli: &Cli, url: &str, credentials: Option<(&str, &str)>, flags: &[&str]) -> Self {
        let mut command = cli.bare(&["guard", "--server", url, "--listen", "127.0.0.1:0", "--log-format", "json"]);
        if let Some((id, secret)) = credentials {
            command.args(["--client-id", id]).env("GRANTOR_GUARD_CLIENT_SECRET", secret);
        }
        let log = cli.path("guard.log");
        let child = command.args(flags).stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap());
        let child = child.spawn().unwrap();
        let mut address = String::new();
        let said = until(PATIENCE, || {
            let log = std::fs::read_to_string(&log).unwrap();
            let lines = log.split_inclusive('\n').filter(|line| line.ends_with('\n') && line.contains("guarding"));
            let line = lines.map(|line| serde_json::from_str::<Value>(line).unwrap()).next();
            line.inspect(|line| line["address"].as_str().unwrap().clone_into(&mut address)).is_some()
        });
        assert!(said, "{}", std::fs::read_to_string(&log).unwrap());
        Self { child, address }
    }

    /// Before the example's server, with its serving client.
    fn of(cli: &Cli, server: &Server) -> Self {
        let own = (server.made("serving_client_id"), server.made("serving_client_secret"));
        Self::before(cli, server.made("public_url"), Some(own), &[])
    }

    fn status(&self, token: &str) -> u16 {
        check(&self.address, "", token).0
    }
}

/// The check at an address: status and what it says of the token.
fn check(address: &str, query: &str, token: &str) -> (u16, Vec<String>) {
    let request = format!(
        "GET /gateway/check{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    let (status, head, body) = exchange(address, request.as_bytes());
    let mut said: Vec<String> = head
        .lines()
        .filter(|line| ["x-auth-", "x-consumer-", "www-authenticate"].iter().any(|name| line.starts_with(name)))
        .map(str::to_owned)
        .collect();
    said.sort_unstable();
    let error: Value = serde_json::from_str(&body).unwrap();
    said.push(error["error_codes"].to_string());
    (status, said)
}

fn readyz(address: &str) -> u16 {
    exchange(address, b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").0
}

fn address(server: &Server) -> String {
    server.made("public_url").split_once("://").unwrap().1.to_owned()
}

/// A port that is free, and stays so as long as nobody else takes it.
fn free() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// An API key of the example's client.
fn key(cli: &Cli, server: &Server) -> String {
    let line = ["token", "issue", "--client", server.made("client_id"), "--resource", RESOURCE, "--lifetime", "1d"];
    cli.json(&[&line[..], &["--format", "opaque"]].concat())["access_token"].as_str().unwrap().to_owned()
}

/// Fails when an answer to a question that was asked too late still lets the token through.
#[track_caller]
fn assert_refused_in_time(guard: &Guard, token: &str) {
    let revoked_at = Instant::now();
    loop {
        let asked = revoked_at.elapsed();
        if guard.status(token) == 401 {
            return;
        }
        assert!(asked < REVOKED_WITHIN, "still let through when asked {asked:?} after the revocation");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[tokio::test]
async fn it_answers_as_the_server_does() {
    let cli = Cli::new().await;
    let server = cli.quickstart();
    let guard = Guard::of(&cli, &server);
    assert_eq!(readyz(&guard.address), 200);
    let (jwt, opaque) = (server.token(), key(&cli, &server));
    let forged = format!("{}x", &jwt[..jwt.len() - 4]);
    for token in [&jwt, &opaque, &forged, "grat_x", "", "x.y.z"] {
        for query in [
            "",
            "/",
            "/v1/topics?page=2",
            "?resource=https://hib.azurehdinsight.net&scope=kafka.rest&group=kafka-rest&role=Kafka.User",
            "?resource=https://other.example.com",
            "?scope=admin",
            "?group=owners",
            "?role=Owner",
        ] {
            let (ours, theirs) = (check(&guard.address, query, token), check(&address(&server), query, token));
            assert_eq!(ours, theirs, "{token:.20} {query}");
        }
    }
    assert_eq!((guard.status(&jwt), guard.status(&opaque)), (200, 200));
    // A tenant is chosen with --server, and an address that is none lets nothing through.
    for path in ["/t1/gateway/check", "/gateway", "/"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {jwt}\r\n\r\n");
        assert_eq!(exchange(&guard.address, request.as_bytes()).0, 403, "{path}");
    }
    let body = format!("{{\"headers\":{{\"authorization\":\"Bearer {jwt}\"}}}}");
    let request =
        format!("POST /gateway/middleman HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    assert_eq!(exchange(&guard.address, request.as_bytes()).0, 200);
    for bad in [
        "POST /gateway/middleman HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n{",
        "GET /gateway/middleman HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let (status, _, body) = exchange(&guard.address, bad.as_bytes());
        assert!(status == 403 && body.contains("GRT7009"), "{body}");
    }
}

#[tokio::test]
async fn a_revoked_token_is_refused_within_ten_seconds() {
    let cli = Cli::new().await;
    let server = cli.quickstart();
    let guard = Guard::of(&cli, &server);
    for token in [server.token(), key(&cli, &server)] {
        assert_eq!(guard.status(&token), 200);
        cli.ok(&["token", "revoke", &token]);
        assert_refused_in_time(&guard, &token);
    }
}

#[tokio::test]
async fn it_goes_on_while_the_server_is_away_and_recovers() {
    let cli = Cli::new().await;
    let listen = free();
    let server = cli.quickstart_with(&["--listen", &listen]);
    let guard = Guard::of(&cli, &server);
    let (jwt, revoked, opaque) = (server.token(), server.token(), key(&cli, &server));
    let late = key(&cli, &server);
    assert_eq!((guard.status(&jwt), guard.status(&revoked), guard.status(&opaque)), (200, 200, 200));
    cli.ok(&["token", "revoke", &revoked]);
    assert_refused_in_time(&guard, &revoked);
    // A key that the guard has not met.
    cli.ok(&["key", "rotate", "--now"]);
    let mut unmet = String::new();
    let old = kid(&jwt);
    server.within_two_seconds("the new key", || {
        unmet = server.token();
        kid(&unmet) != old
    });
    drop(server);
    // What was heard of the opaque token is believed for a few seconds, and that there is no such key for one.
    assert!(until(PATIENCE, || (guard.status(&opaque), guard.status(&unmet)) == (503, 503)));
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(3) {
        assert_eq!((guard.status(&jwt), guard.status(&revoked)), (200, 401));
        assert_eq!((guard.status(&late), guard.status(&unmet)), (503, 503));
        assert_eq!(readyz(&guard.address), 200);
    }
    let server = cli.quickstart_with(&["--listen", &listen]);
    assert_eq!(address(&server), listen);
    assert!(until(PATIENCE, || guard.status(&unmet) == 200));
    assert_eq!((guard.status(&jwt), guard.status(&opaque), guard.status(&revoked)), (200, 200, 401));
}

fn kid(token: &str) -> String {
    crate::support::jwt_part(token, 0)["kid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn tokens_of_a_key_that_signs_at_once_pass() {
    let cli = Cli::new().await;
    let server = cli.quickstart();
    let guard = Guard::of(&cli, &server);
    let before = server.token();
    assert_eq!(guard.status(&before), 200);
    cli.ok(&["key", "rotate", "--now"]);
    let mut after = String::new();
    server.within_two_seconds("the new key", || {
        after = server.token();
        kid(&after) != kid(&before)
    });
    assert!(until(Duration::from_secs(2), || guard.status(&after) == 200));
    assert_eq!(guard.status(&before), 200);
}

#[tokio::test]
async fn started_first_it_waits_for_the_server() {
    let cli = Cli::new().await;
    let listen = free();
    let guard = Guard::before(&cli, &format!("http://{listen}"), None, &[]);
    assert_eq!(readyz(&guard.address), 503);
    let jwt = format!("{}.e30.x", "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJSUzI1NiIsImtpZCI6IngifQ");
    assert_eq!((guard.status(&jwt), guard.status("grat_x"), guard.status("x")), (503, 503, 401));
    let server = cli.quickstart_with(&["--listen", &listen]);
    assert!(until(PATIENCE, || readyz(&guard.address) == 200));
    assert_eq!(guard.status(&server.token()), 200);
    // Without a client of its own it cannot ask about opaque tokens.
    assert_eq!(guard.status(&key(&cli, &server)), 503);
}

#[tokio::test]
async fn wrong_credentials_let_no_opaque_token_through() {
    let cli = Cli::new().await;
    let server = cli.quickstart();
    let own = (server.made("serving_client_id"), "grcs_wrong");
    let guard = Guard::before(&cli, server.made("public_url"), Some(own), &[]);
    let key = key(&cli, &server);
    assert_eq!((guard.status(&key), guard.status(&server.token())), (503, 200));
    // A client that serves nothing learns nothing.
    let made = cli.json(&["client", "create", "--name", "nobody", "--id", "nobody"]);
    let own = ("nobody", made["client_secret"].as_str().unwrap());
    let guard = Guard::before(&cli, server.made("public_url"), Some(own), &[]);
    assert_eq!(guard.status(&key), 401);
}

#[tokio::test]
async fn it_speaks_tls_to_a_server_that_it_was_told_to_trust() {
    let cli = Cli::new().await;
    let server = cli.quickstart_with(&["--tls"]);
    let form = ["token", "issue", "--client", server.made("client_id"), "--resource", RESOURCE, "--lifetime", "1d"];
    let url = server.made("public_url");
    let mut bound = cli.json(&form);
    let jwt = bound["access_token"].take().as_str().unwrap().to_owned();
    let own = (server.made("serving_client_id"), server.made("serving_client_secret"));
    let trusting = Guard::before(&cli, url, Some(own), &["--ca", server.made("ca_file")]);
    assert_eq!(readyz(&trusting.address), 200);
    assert_eq!(trusting.status(&key(&cli, &server)), 200);
    assert_ne!(trusting.status(&jwt), 503);
    let other = Guard::before(&cli, url, Some(own), &[]);
    assert_eq!((readyz(&other.address), other.status(&jwt)), (503, 503));
}

#[tokio::test]
async fn wrong_usage_is_told() {
    let cli = Cli::new().await;
    let run = |args: &[&str]| cli.run_bare(&[&["guard"], args].concat());
    for (args, code, word) in [
        (&["--server", "http://login.example.com"][..], 1, "use https"),
        (&["--server", "nonsense"], 2, "nonsense"),
        (&["--server", "http://127.0.0.1:1", "--client-id", "x"], 2, "GRANTOR_GUARD_CLIENT_SECRET"),
        (&["--server", "http://127.0.0.1:1", "--ca", "nowhere.pem"], 1, "nowhere.pem"),
        (&["--server", "http://127.0.0.1:1", "--listen", "203.0.113.1:1"], 1, "--listen"),
    ] {
        let said = run(args);
        assert!(said.code == code && said.err.contains(word), "{args:?} {said:?}");
    }
}

// After a break-in nothing that the old key signed may pass: not for as long as the JWKS may be cached either.
#[tokio::test]
async fn a_retired_key_is_not_believed_for_long() {
    let cli = Cli::new().await;
    let server = cli.quickstart();
    let guard = Guard::of(&cli, &server);
    let stolen = server.token();
    assert_eq!(guard.status(&stolen), 200);
    cli.ok(&["key", "rotate", "--now"]);
    cli.ok(&["key", "retire", "--alg", "RS256"]);
    assert_refused_in_time(&guard, &stolen);
    assert!(until(PATIENCE, || guard.status(&server.token()) == 200));
}
