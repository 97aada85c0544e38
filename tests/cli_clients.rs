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
    // Who chose it has it; only one that was made is shown.
    assert!(made["client_id"] == "old" && made.get("client_secret").is_none(), "{made}");
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

/// What `client show` says about a client that acts for people.
fn settings(shown: &Value) -> Value {
    let members = [
        "first_party",
        "require_pkce",
        "refresh_policy",
        "refresh_rotation",
        "refresh_idle",
        "refresh_lifetime",
        "logout_uris",
    ];
    members.iter().map(|member| ((*member).to_owned(), shown[member].clone())).collect::<serde_json::Map<_, _>>().into()
}

#[tokio::test]
async fn a_client_has_the_documented_defaults_for_people() {
    let cli = Cli::new().await;
    for line in ["client create --name A --id a", "client create --name B --id b --public"] {
        cli.ok(&words(line));
    }
    let defaults = json!({
        "first_party": false, "require_pkce": true, "refresh_policy": "offline-access", "refresh_rotation": true,
        "refresh_idle": 14 * 86_400, "refresh_lifetime": 90 * 86_400, "logout_uris": [],
    });
    for id in ["a", "b"] {
        assert_eq!(settings(&cli.json(&["client", "show", id])), defaults, "{id}");
    }
    let text = cli.ok(&["client", "show", "a"]);
    for line in [
        "First party     no\n",
        "PKCE            required\n",
        "Refresh tokens  with offline_access, rotated, unused for at most 14d, for 90d in all\n",
        "Logout URIs     -\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[tokio::test]
async fn what_is_decided_for_people_is_written_by_create_and_changed_one_by_one() {
    let cli = Cli::new().await;
    cli.ok(&words(
        "client create --name Web --id web --first-party --require-pkce=false --refresh always --refresh-rotation=false \
         --refresh-idle 1h --refresh-lifetime 1d --logout-uri https://web.example.com/ --logout-uri http://localhost/bye",
    ));
    let mut expected = json!({
        "first_party": true, "require_pkce": false, "refresh_policy": "always", "refresh_rotation": false,
        "refresh_idle": 3600, "refresh_lifetime": 86_400,
        "logout_uris": ["http://localhost/bye", "https://web.example.com/"],
    });
    assert_eq!(settings(&cli.json(&words("client show web"))), expected);
    let text = cli.ok(&words("client show web"));
    let line = "Refresh tokens  always, not rotated, unused for at most 1h, for 1d in all\n";
    assert!(text.contains(line) && text.contains("PKCE            not required\n"), "{text}");
    for (flag, member, value) in [
        ("--first-party=false", "first_party", json!(false)),
        ("--require-pkce true", "require_pkce", json!(true)),
        ("--refresh offline-access", "refresh_policy", json!("offline-access")),
        ("--refresh-rotation=true", "refresh_rotation", json!(true)),
        ("--refresh-idle 1d", "refresh_idle", json!(86_400)),
        ("--refresh-lifetime 2d", "refresh_lifetime", json!(172_800)),
        ("--remove-logout-uri http://localhost/bye", "logout_uris", json!(["https://web.example.com/"])),
        ("--first-party", "first_party", json!(true)),
        ("--name Renamed", "first_party", json!(true)),
    ] {
        expected[member] = value;
        let shown = cli.json(&words(&format!("client update web {flag}")));
        assert_eq!(settings(&shown), expected, "{flag}");
    }
    cli.refused(
        &words("client update web --remove-logout-uri http://localhost/bye"),
        &["no logout URI", "grantor client show web"],
    );
}

#[tokio::test]
async fn what_cannot_be_decided_for_people_is_wrong_usage() {
    let cli = Cli::with_client().await;
    for flag in [
        "--first-party=perhaps",
        "--require-pkce",
        "--refresh sometimes",
        "--refresh-rotation=x",
        "--refresh-idle 0",
        "--refresh-lifetime soon",
        "--logout-uri http://app.example.com/",
        "--logout-uri /bye",
    ] {
        cli.misused(&words(&format!("client update app {flag}")), &["--help"]);
    }
}

#[tokio::test]
async fn rfc9700_s2_1_1_a_public_client_cannot_do_without_pkce() {
    let cli = Cli::with_client().await;
    cli.ok(&words("client create --name P --id phone --public"));
    for line in
        ["client create --name Q --id other --public --require-pkce=false", "client update phone --require-pkce=false"]
    {
        cli.refused(&words(line), &["must use PKCE", "RFC 9700 §2.1.1"]);
    }
    cli.refused(&words("client show other"), &[]);
    assert_eq!(cli.json(&words("client show phone"))["require_pkce"], true);
    assert_eq!(cli.json(&words("client update phone --require-pkce=true"))["require_pkce"], true);
    assert_eq!(cli.json(&words("client update app --require-pkce=false"))["require_pkce"], false);
}

#[tokio::test]
async fn rfc9700_s2_2_2_a_public_clients_refresh_tokens_are_rotated() {
    let cli = Cli::with_client().await;
    cli.ok(&words("client create --name P --id phone --public"));
    for line in [
        "client create --name Q --id other --public --refresh-rotation=false",
        "client update phone --name X --refresh-rotation=false",
    ] {
        cli.refused(&words(line), &["must be rotated", "RFC 9700 §2.2.2"]);
    }
    cli.refused(&words("client show other"), &[]);
    let shown = cli.json(&words("client show phone"));
    assert_eq!((&shown["refresh_rotation"], &shown["name"]), (&json!(true), &json!("P")), "nothing of it was done");
    assert_eq!(cli.json(&words("client update app --refresh-rotation=false"))["refresh_rotation"], false);
}

#[tokio::test]
async fn a_refresh_token_is_not_unused_for_longer_than_its_authorization_lasts() {
    let cli = Cli::with_client().await;
    let says = ["--refresh-idle", "--refresh-lifetime"];
    cli.refused(&words("client create --name x --refresh-idle 91d"), &says);
    cli.refused(&words("client create --name x --refresh-lifetime 13d"), &says);
    cli.refused(&words("client create --name x --refresh-idle 2h --refresh-lifetime 1h"), &["2h", "1h"]);
    assert_eq!(
        cli.json(&words("client create --name x --id x --refresh-idle 1h --refresh-lifetime 1h"))["client_id"],
        "x"
    );
    // Compared with what is there, not only with what is named.
    cli.ok(&words("client update app --refresh-lifetime 30d"));
    cli.refused(&words("client update app --refresh-idle 31d"), &["31d", "30d"]);
    cli.ok(&words("client update app --refresh-idle 30d"));
    cli.refused(&words("client update app --refresh-lifetime 29d"), &["30d", "29d"]);
    let shown = cli.json(&words("client show app"));
    assert_eq!((&shown["refresh_idle"], &shown["refresh_lifetime"]), (&json!(30 * 86_400), &json!(30 * 86_400)));
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
