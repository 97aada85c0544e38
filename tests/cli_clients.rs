//! `grantor client` and `grantor client secret`.

use crate::support::cli::{Cli, words};
use serde_json::{Value, json};

const API: &str = "https://api.example.com";

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item["client_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn create_prints_an_id_and_a_secret_that_nobody_shows_again() {
    let cli = Cli::new().await;
    let made = cli.json(&["client", "create", "--name", "Billing (new)"]);
    let (id, secret) = (made["client_id"].as_str().unwrap(), made["client_secret"].as_str().unwrap());
    assert_eq!(uuid::Uuid::parse_str(id).unwrap().get_version_num(), 4);
    assert!(secret.starts_with("grcs_") && secret.len() == 48, "{secret}");
    assert_eq!((&made["name"], &made["public"]), (&json!("Billing (new)"), &json!(false)));

    for line in ["client show ID", "client list", "client secret list ID", "client update ID --name x"] {
        for json in ["", " --json"] {
            let line = format!("{line}{json}").replace("ID", id);
            let text = cli.ok(&words(&line));
            for hidden in [secret, &secret[10..], "sha256:", "argon2"] {
                assert!(!text.contains(hidden), "{line}: {text}");
            }
        }
    }
    let shown = cli.json(&["client", "show", id]);
    assert_eq!(shown["grants"], json!(["client_credentials"]));
    assert_eq!(shown["secrets"].as_array().unwrap().len(), 1);
    let text = cli.ok(&["client", "create", "--name", "Text"]);
    assert_eq!(text.matches("(shown this once)").count(), 1, "{text}");
}

#[tokio::test]
async fn create_takes_every_flag() {
    let cli = Cli::with_client().await;
    cli.ok(&words(&format!(
        "client create --name Web --id web --grant client_credentials --redirect-uri https://a.example.com/cb \
         --redirect-uri http://localhost:8020 --allow {API}/read --allow {API}/write --serves {API}"
    )));
    let shown = cli.json(&["client", "show", "web"]);
    for (member, value) in [
        ("client_id", json!("web")),
        ("name", json!("Web")),
        ("public", json!(false)),
        ("enabled", json!(true)),
        ("grants", json!(["client_credentials"])),
        ("redirect_uris", json!(["http://localhost:8020", "https://a.example.com/cb"])),
        ("allowed", json!([format!("{API}/read"), format!("{API}/write")])),
        ("serves", json!([API])),
    ] {
        assert_eq!(shown[member], value, "{member}");
    }
    let text = cli.ok(&["client", "show", "web"]);
    assert!(text.contains("grantor client secret list web"), "{text}");
}

#[tokio::test]
async fn a_public_client_has_no_secret_and_gets_none() {
    let cli = Cli::new().await;
    let made = cli.json(&words("client create --name Phone --id phone --public"));
    assert_eq!((&made["public"], made.get("client_secret")), (&json!(true), None));
    let shown = cli.json(&["client", "show", "phone"]);
    assert_eq!((&shown["grants"], &shown["secrets"]), (&json!([]), &json!([])));
    cli.refused(&words("client secret add phone"), &["public client", "without --public"]);
    cli.refused(&words("client create --name P --public --grant client_credentials"), &["--public", "--grant"]);
    cli.refused(&words("client update phone --grant client_credentials"), &["without --public"]);
}

#[tokio::test]
async fn a_chosen_secret_is_read_from_standard_input() {
    let cli = Cli::new().await;
    let create = words("client create --name Old --id old --secret-stdin --json");
    for secret in ["short", "", &"x".repeat(513), "two\nlines-of-it"] {
        let said = cli.run_with(&create, secret);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{said:?}");
        assert!(said.err.contains("12 to 512 characters on one line"), "{said:?}");
        assert!(secret.is_empty() || !said.err.contains(secret), "{said:?}");
    }
    cli.refused(&["client", "show", "old"], &[]);
    let made = cli.run_with(&create, "a word that I chose\n").json();
    assert_eq!(made["client_secret"], "a word that I chose");
    let said = cli.run_with(&words("client secret add old --secret-stdin"), "another that I chose\r\n");
    assert_eq!(said.code, 0, "{said:?}");
    let shown = cli.ok(&["client", "secret", "list", "old"]);
    assert_eq!(shown.matches("(chosen)").count(), 2, "{shown}");
    assert!(!shown.contains("I chose"), "{shown}");
}

#[tokio::test]
async fn list_goes_on_after_a_client_and_stops_at_the_limit() {
    let cli = Cli::new().await;
    assert_eq!(cli.ok(&["client", "list"]), "No clients. Make one with: grantor client create\n");
    for id in ["c", "a", "b"] {
        cli.ok(&["client", "create", "--name", id, "--id", id]);
    }
    assert_eq!(ids(&cli.json(&["client", "list"])), ["a", "b", "c"]);
    assert_eq!(ids(&cli.json(&words("client list --limit 2"))), ["a", "b"]);
    assert_eq!(ids(&cli.json(&words("client list --after b --limit 2"))), ["c"]);
    assert_eq!(ids(&cli.json(&words("client list --after c"))), [""; 0]);
}

#[tokio::test]
async fn update_changes_what_is_named_and_nothing_else() {
    let cli = Cli::with_client().await;
    let before = cli.json(&["client", "show", "app"]);
    assert_eq!(cli.json(&["client", "update", "app"]), before);
    let after = cli.json(&words(&format!(
        "client update app --name Renamed --redirect-uri https://a.example.com/cb --serves {API} \
         --remove-grant client_credentials"
    )));
    assert_eq!((&after["name"], &after["grants"]), (&json!("Renamed"), &json!([])));
    assert_eq!((&after["serves"], &after["allowed"]), (&json!([API]), &before["allowed"]));
    let after = cli.json(&words(&format!(
        "client update app --remove-redirect-uri https://a.example.com/cb --remove-serves {API} --grant client_credentials"
    )));
    assert_eq!((&after["redirect_uris"], &after["serves"]), (&json!([]), &json!([])));
    assert_eq!((&after["name"], &after["grants"]), (&json!("Renamed"), &json!(["client_credentials"])));
    cli.misused(&words("client update app --grant password"), &["client_credentials"]);
}

#[tokio::test]
async fn a_client_is_disabled_enabled_and_deleted() {
    let cli = Cli::with_client().await;
    assert_eq!(cli.ok(&["client", "disable", "app"]), "The client 'app' is disabled.\n");
    assert_eq!(cli.ok(&["client", "disable", "app"]), "No change. The client 'app' is disabled.\n");
    assert_eq!(cli.json(&["client", "show", "app"])["enabled"], false);
    assert_eq!(cli.json(&["client", "enable", "app"])["changed"], true);
    assert_eq!(cli.json(&["client", "show", "app"])["enabled"], true);
    assert_eq!(cli.json(&["client", "delete", "app"])["changed"], true);
    cli.refused(&["client", "delete", "app"], &["grantor client list"]);
}

#[tokio::test]
async fn allow_and_deny_one_scope_and_all_of_them() {
    let cli = Cli::with_client().await;
    cli.ok(&words("client create --name B --id b"));
    let allowed = |cli: &Cli| cli.json(&["client", "show", "b"])["allowed"].clone();
    let (read, write, all) = (format!("{API}/read"), format!("{API}/write"), format!("{API}/.default"));
    assert_eq!(cli.json(&["client", "allow", "b", &read, &write])["changed"], true);
    assert_eq!(cli.json(&["client", "allow", "b", &read])["changed"], false);
    assert_eq!(allowed(&cli), json!([read, write]));
    assert_eq!(cli.json(&["client", "deny", "b", &write])["changed"], true);
    assert_eq!(cli.json(&["client", "deny", "b", &write])["changed"], false);
    cli.ok(&["client", "allow", "b", &all]);
    // Taking one away from all of them would change nothing.
    cli.refused(&["client", "deny", "b", &read], &["deny '<resource>/.default' first"]);
    assert_eq!(allowed(&cli).as_array().unwrap().len(), 2, "a refused command takes nothing");
    cli.ok(&["client", "deny", "b", &all]);
    assert_eq!(allowed(&cli), json!([]));
    for scope in [&format!("{API}/admin"), "https://other.example.com/read", "read", "openid"] {
        cli.refused(&["client", "allow", "b", scope], &["RESOURCE/VALUE", "grantor resource list"]);
    }
    cli.misused(&["client", "allow", "b", &format!("{read} {write}")], &["is not one scope"]);
    // Nothing of a refused command is done.
    cli.refused(&["client", "allow", "b", &read, &format!("{API}/admin")], &[]);
    assert_eq!(allowed(&cli), json!([]));
}

#[tokio::test]
async fn secrets_are_added_listed_and_retired() {
    let cli = Cli::with_client().await;
    let added = cli.json(&words("client secret add app --expires-in 180d"));
    assert!(added["client_secret"].as_str().unwrap().starts_with("grcs_"));
    let list = |cli: &Cli| cli.json(&words("client secret list app")).as_array().unwrap().clone();
    let [first, second] = &list(&cli)[..] else { panic!("not two secrets") };
    assert_eq!(second["secret_id"], added["secret_id"]);
    assert_eq!(second["expires_at"], added["expires_at"]);
    assert_eq!(second["expires_at"].as_i64().unwrap() - second["created_at"].as_i64().unwrap(), 180 * 86_400);
    assert_eq!((first.get("expires_at"), first.get("last_used_at"), &first["live"]), (None, None, &json!(true)));
    let hint = second["hint"].as_str().unwrap();
    assert!(hint.len() == 9 && added["client_secret"].as_str().unwrap().starts_with(hint));

    let (first, second) = (first["secret_id"].as_str().unwrap(), second["secret_id"].as_str().unwrap());
    cli.ok(&["client", "secret", "retire", "app", first, "--after", "24h"]);
    let ends = list(&cli)[0]["expires_at"].as_i64().unwrap();
    // A secret that ends sooner does not live longer for being retired.
    let said = cli.ok(&["client", "secret", "retire", "app", first, "--after", "48h"]);
    assert!(said.starts_with("No change."), "{said}");
    assert_eq!(list(&cli)[0]["expires_at"], ends);
    assert_eq!(cli.json(&["client", "secret", "retire", "app", second])["changed"], true);
    assert_eq!(list(&cli).len(), 1);
    cli.refused(&["client", "secret", "retire", "app", second], &["grantor client secret list app"]);
    // A secret of another client is not this client's.
    cli.ok(&words("client create --name B --id b"));
    cli.refused(&["client", "secret", "retire", "b", first], &["the client has no secret"]);
    assert_eq!(list(&cli).len(), 1);
}

#[tokio::test]
async fn a_client_has_at_most_ten_secrets() {
    let cli = Cli::with_client().await;
    for _ in 0..9 {
        cli.ok(&words("client secret add app"));
    }
    cli.refused(&words("client secret add app"), &["10 secrets already", "grantor client secret retire"]);
}
