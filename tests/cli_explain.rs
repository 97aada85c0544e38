//! `grantor explain` and `grantor doctor`.

use crate::support::cli::{Cli, words};
use serde_json::{Value, json};

const API: &str = "https://api.example.com";
const EXPLAIN: &str = "explain --client app --scope https://api.example.com/.default";

/// `app` in `inner`, which is in `outer`; `outer` gives a role and both set a claim.
async fn nested() -> Cli {
    let cli = Cli::with_client().await;
    for line in [
        "group create outer",
        "group create inner",
        "group add outer --group inner",
        "group add inner --client app",
        "group role grant outer https://api.example.com Operator",
        "group claim set outer level 1",
        "group claim set inner level 2",
        "group claim set inner own true",
    ] {
        cli.ok(&words(line));
    }
    cli
}

/// The lines of a claim: value and reason.
fn lines(told: &Value, name: &str) -> Vec<(Value, String)> {
    let claims = told["claims"].as_array().unwrap().iter().filter(|line| line["name"] == name);
    claims.map(|line| (line["value"].clone(), line["because"].as_str().unwrap().to_owned())).collect()
}

#[tokio::test]
async fn every_claim_is_told_with_where_it_comes_from() {
    let mut cli = nested().await;
    cli.set("GRANTOR_PUBLIC_URL", "https://login.example.com");
    let told = cli.json(&words(EXPLAIN));
    assert_eq!((&told["issued"], &told["resource"]), (&json!(true), &json!(API)));
    let one = |name: &str| lines(&told, name).pop().unwrap_or_else(|| panic!("no {name} in {told}"));
    assert_eq!(one("iss"), (json!("https://login.example.com"), "the tenant's issuer".into()));
    assert_eq!(one("aud"), (json!(API), "the resource asked for".into()));
    assert_eq!(one("sub"), (json!("app"), "the client acts for itself".into()));
    assert_eq!(one("scope"), (json!("read write"), "asked for, and allowed to the client".into()));
    assert_eq!(
        lines(&told, "groups"),
        [
            (json!("inner"), "app > inner (groups: all)".into()),
            (json!("outer"), "app > inner > outer (groups: all)".into())
        ]
    );
    assert_eq!(lines(&told, "roles"), [(json!("Operator"), "group outer: app > inner > outer".into())]);
    let both = "group inner: app > inner sets 2; group outer: app > inner > outer sets 1";
    assert_eq!(one("level"), (json!([2, 1]), both.into()));
    assert_eq!(one("own"), (json!(true), "group inner: app > inner sets true".into()));
    for name in ["client_id", "azp", "tid", "oid", "iat", "exp", "jti", "status", "typ"] {
        assert_eq!(lines(&told, name).len(), 1, "{name}");
    }
    let text = cli.ok(&words(EXPLAIN));
    for part in ["CLAIM", "BECAUSE", "app > inner > outer", "Operator", "read write"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test]
async fn the_claims_are_those_of_a_real_token() {
    let cli = Cli::new().await;
    let server = cli.quickstart();
    cli.ok(&words("group claim set kafka-rest level 1"));
    let explain = ["explain", "--client", server.made("client_id"), "--scope", server.made("scope")];
    let mut cli = cli;
    cli.set("GRANTOR_PUBLIC_URL", server.made("issuer"));
    let told = cli.json(&explain);
    let names = |told: &Value| {
        let mut names: Vec<String> =
            told["claims"].as_array().unwrap().iter().map(|line| line["name"].as_str().unwrap().to_owned()).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    let in_token = || {
        let claims = crate::support::claims(&server.token());
        let mut names: Vec<String> = claims.as_object().unwrap().keys().cloned().collect();
        names.sort_unstable();
        names
    };
    server.within_two_seconds("the claim that was set", || in_token() == names(&told));
    let claims = crate::support::claims(&server.token());
    for line in told["claims"].as_array().unwrap() {
        let name = line["name"].as_str().unwrap();
        if name != "groups" && name != "roles" && line["value"] != "(per token)" {
            assert_eq!(claims[name], line["value"], "{name}");
        }
    }
}

#[tokio::test]
async fn the_resource_policy_is_told() {
    let cli = nested().await;
    cli.ok(&["resource", "update", API, "--groups", "assigned"]);
    let told = cli.json(&words(EXPLAIN));
    assert_eq!(lines(&told, "groups"), [(json!("outer"), "app > inner > outer (groups: assigned)".into())]);
    cli.ok(&["resource", "update", API, "--groups", "none"]);
    assert_eq!(lines(&cli.json(&words(EXPLAIN)), "groups"), []);
    cli.ok(&["resource", "update", API, "--groups", "all", "--group-limit", "1"]);
    let told = cli.json(&words(EXPLAIN));
    assert_eq!(lines(&told, "groups"), []);
    assert!(lines(&told, "_claim_sources")[0].1.contains("limit of 1"), "{told}");
    cli.ok(&["resource", "update", API, "--claims-profile", "entra", "--group-limit", "9", "--group-format", "id"]);
    let told = cli.json(&words(EXPLAIN));
    assert_eq!(lines(&told, "scp")[0].0, "read write");
    assert_eq!(lines(&told, "groups")[0].0, cli.json(&["group", "show", "inner"])["id"]);
}

/// Asserts that `line` is answered with no, for the same reason in text and in JSON.
#[track_caller]
fn assert_no(cli: &Cli, line: &str, says: &[&str]) {
    cli.refused(&words(line), &[&["no token: "], says].concat());
    let said = cli.run(&words(&format!("{line} --json")));
    let told = said.json();
    assert_eq!((said.code, &told["issued"]), (1, &json!(false)), "{said:?}");
    assert!(says.iter().all(|word| said.out.contains(word)), "{told}");
    assert!(told["error"].is_string() && told["code"].is_number(), "{told}");
    assert!(said.err.contains("no token: "), "{said:?}");
}

#[tokio::test]
async fn every_no_names_the_rule_and_what_to_do() {
    let cli = nested().await;
    let at = |scope: &str| format!("explain --client app --scope {API}/{scope}");
    assert_no(&cli, "explain --client nobody --scope x/.default", &["no client 'nobody'", "grantor client list"]);
    assert_no(&cli, &at("admin"), &["invalid_scope", "unknown", "admin"]);
    assert_no(&cli, "explain --client app --scope https://other.example.com/.default", &["grantor resource list"]);
    assert_no(&cli, "explain --client app", &["names no resource", "grantor resource list"]);
    assert_no(&cli, "explain --client app --resource https://other.example.com", &["invalid_target"]);
    cli.ok(&words("resource create https://other.example.com --scope read --require-group outer"));
    assert_no(&cli, &format!("{} --resource https://other.example.com", at("read")), &["different resources"]);
    cli.ok(&words("client create --name B --id b"));
    let allow = "grantor client allow b";
    assert_no(&cli, "explain --client b --scope https://api.example.com/read", &["may not have this scope", allow]);
    cli.ok(&words("client allow b https://other.example.com/read"));
    let let_in = "grantor group add 'outer' --client b";
    assert_no(&cli, "explain --client b --scope https://other.example.com/read", &["access_denied", let_in]);
    cli.ok(&words("group add inner --client b"));
    cli.ok(&words("explain --client b --scope https://other.example.com/read"));

    let held = cli.json(&["client", "secret", "list", "app"])[0]["secret_id"].as_str().unwrap().to_owned();
    let retired = cli.run(&["client", "secret", "retire", "app", &held]);
    assert!(retired.err.contains("last secret that works"), "{retired:?}");
    assert_no(&cli, &at(".default"), &["no secret that works", "grantor client secret add app"]);
    cli.ok(&words("client secret add app"));
    cli.ok(&words("client update app --remove-grant client_credentials"));
    assert_no(&cli, &at(".default"), &["grantor client update app --grant client_credentials"]);
    cli.ok(&words("client disable app"));
    assert_no(&cli, &at(".default"), &["the client is disabled", "grantor client enable app"]);
    cli.ok(&words("tenant disable default"));
    assert_no(&cli, &at(".default"), &["the tenant is disabled", "grantor tenant enable default"]);
    cli.ok(&words("tenant enable default"));
    cli.ok(&words("client create --name P --id p --public"));
    assert_no(&cli, "explain --client p --scope https://api.example.com/read", &["public client", "--public"]);
}

fn check<'a>(told: &'a Value, name: &str) -> Vec<(&'a str, &'a str)> {
    let rows = told.as_array().unwrap().iter().filter(|row| row["check"] == name);
    rows.map(|row| (row["state"].as_str().unwrap(), row["found"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn doctor_finds_a_sound_installation_sound() {
    let mut cli = Cli::with_client().await;
    cli.set("GRANTOR_PUBLIC_URL", "https://login.example.com");
    let told = cli.json(&["doctor"]);
    assert!(told.as_array().unwrap().iter().all(|row| row["state"] == "ok"), "{told}");
    assert_eq!(check(&told, "public URL"), [("ok", "https://login.example.com")]);
    for name in ["database", "writing", "tenant", "signing keys", "resources", "client secrets", "expired rows"] {
        assert_eq!(check(&told, name).len(), 1, "{name}");
    }
    let text = cli.ok(&["doctor"]);
    assert!(text.contains("CHECK") && text.contains("none ends within 30 days"), "{text}");
}

#[tokio::test]
async fn doctor_warns_and_still_succeeds() {
    let cli = Cli::with_client().await;
    cli.ok(&words("client secret add app --expires-in 29d"));
    let told = cli.run_with(&words("client secret add app --expires-in 1d --secret-stdin"), "a word that I chose");
    assert_eq!(told.code, 0);
    let told = cli.json(&["doctor"]);
    let secrets = check(&told, "client secrets");
    assert!(secrets.len() == 2 && secrets.iter().all(|(state, _)| *state == "warning"), "{secrets:?}");
    assert!(secrets[0].1.starts_with("a chosen one of app ends "), "{secrets:?}");
    assert!(secrets[1].1.starts_with("grcs_") && secrets[1].1.contains(" of app ends "), "{secrets:?}");
    assert_eq!(check(&told, "public URL")[0].0, "warning");
    cli.ok(&words("tenant disable default"));
    assert_eq!(check(&cli.json(&["doctor"]), "tenant"), [("warning", "default is disabled")]);
}

#[tokio::test]
async fn doctor_fails_without_the_key_encryption_key_and_says_so() {
    let cli = Cli::with_client().await;
    let kek = cli.folder.path().join("keys/kek");
    let right = std::fs::read_to_string(&kek).unwrap();
    std::fs::remove_file(&kek).unwrap();
    let said = cli.run(&["doctor", "--json"]);
    assert_eq!(said.code, 1, "{said:?}");
    let told = said.json();
    assert_eq!(check(&told, "signing keys")[0].0, "failed");
    assert!(check(&told, "signing keys")[0].1.contains("put the file 'kek' back"), "{told}");
    assert!(said.err.contains("1 of "), "{said:?}");
    // Nothing made a new one in its place, and what needs it is refused.
    assert!(!kek.exists());
    cli.refused(&["key", "rotate"], &["key-encryption key is missing", "GRANTOR_KEY_ENCRYPTION_KEY"]);
    cli.refused(&["serve", "--listen", "127.0.0.1:0"], &["key-encryption key is missing"]);
    // What only changes data works.
    cli.ok(&["group", "create", "staff"]);

    cli.write("keys/kek", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let open = cli.run(&["doctor"]);
    assert!(open.code == 1 && open.out.contains("chmod 600"), "{open:?}");
    std::fs::set_permissions(&kek, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let other = cli.run(&["doctor"]);
    assert!(other.code == 1 && other.out.contains("sealed under another"), "{other:?}");
    std::fs::write(&kek, "nonsense").unwrap();
    let unreadable = cli.run(&["doctor"]);
    assert!(unreadable.code == 1 && unreadable.out.contains("32 bytes in base64"), "{unreadable:?}");
    std::fs::remove_file(&kek).unwrap();
    let mut cli = cli;
    cli.set("GRANTOR_KEY_ENCRYPTION_KEY", &right);
    cli.ok(&["doctor"]);
}

#[tokio::test]
async fn doctor_names_a_database_that_is_away_and_a_tenant_that_is_not_there() {
    let cli = Cli::new().await;
    let said = cli.run_bare(&words("doctor --json --database postgres://nobody@127.0.0.1:1/x"));
    assert_eq!((said.code, check(&said.json(), "start")[0].0), (1, "failed"), "{said:?}");
    let said = cli.run_bare(&words("doctor --json --database nowhere.db"));
    assert_eq!((said.code, check(&said.json(), "database")[0].0), (1, "failed"), "{said:?}");
    assert!(!cli.folder.path().join("nowhere.db").exists(), "the database was made");
    cli.ok(&["tenant", "list"]);
    let said = cli.run(&words("doctor --tenant nobody"));
    assert!(said.code == 1 && said.out.contains("there is no tenant 'nobody'"), "{said:?}");
}
