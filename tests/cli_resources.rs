//! `grantor tenant` and `grantor resource`.

use crate::support::cli::{Cli, words};
use serde_json::{Value, json};

fn names(list: &Value, member: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|item| item[member].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_tenant_is_made_listed_shown_disabled_enabled_and_deleted() {
    let mut cli = Cli::new().await;
    cli.set("GRANTOR_PUBLIC_URL", "https://login.example.com");
    let made = cli.json(&["tenant", "create", "contoso"]);
    assert_eq!((&made["name"], &made["enabled"]), (&json!("contoso"), &json!(true)));
    assert_eq!(made["issuer"], "https://login.example.com/contoso");
    assert_eq!(cli.json(&["tenant", "show", "default"])["issuer"], "https://login.example.com");
    assert_eq!(cli.json(&["tenant", "show", made["id"].as_str().unwrap()]), made);

    assert_eq!(names(&cli.json(&["tenant", "list"]), "name"), ["contoso", "default"]);
    assert_eq!(names(&cli.json(&words("tenant list --limit 1")), "name"), ["contoso"]);
    assert_eq!(names(&cli.json(&words("tenant list --after contoso")), "name"), ["default"]);

    assert_eq!(cli.json(&["tenant", "disable", "contoso"])["changed"], true);
    assert_eq!(cli.json(&["tenant", "disable", "contoso"])["changed"], false);
    assert_eq!(cli.json(&["tenant", "show", "contoso"])["enabled"], false);
    assert_eq!(cli.ok(&["tenant", "enable", "contoso"]), "The tenant 'contoso' is enabled.\n");
    assert_eq!(cli.ok(&["tenant", "enable", "contoso"]), "No change. The tenant 'contoso' is enabled.\n");

    assert_eq!(cli.json(&["tenant", "show", "contoso"])["enabled"], true);
    assert_eq!(cli.json(&words("tenant delete contoso --yes"))["changed"], true);
    cli.refused(&["tenant", "show", "contoso"], &["grantor tenant list"]);
    cli.refused(&words("tenant delete default --yes"), &["disable it instead"]);
    // Only a person at a terminal is asked.
    cli.ok(&words("tenant create fabrikam"));
    assert_eq!(cli.json(&words("tenant delete fabrikam"))["changed"], true);
}

#[tokio::test]
async fn a_tenant_name_that_is_an_endpoint_or_a_uuid_is_refused() {
    let cli = Cli::new().await;
    for name in ["oauth2", "common", "organizations", "jwks", "token", "v2.0", "metrics", "statuslists"] {
        cli.misused(&["tenant", "create", name], &[name, "endpoint"]);
    }
    cli.misused(&words("tenant create 0198f0a2-0000-7000-8000-000000000000"), &["UUID"]);
    for name in ["", "Contoso", "a b", "-a", ".well-known", "a/b", &"a".repeat(64)] {
        cli.misused(&["tenant", "create", "--", name], &["lower-case letters"]);
    }
}

#[tokio::test]
async fn what_a_tenant_holds_is_its_own() {
    let cli = Cli::with_client().await;
    cli.ok(&["tenant", "create", "contoso"]);
    let there = |line: &str| words(&format!("{line} --tenant contoso")).join(" ");
    for noun in ["client", "resource", "group"] {
        assert_eq!(cli.json(&words(&there(&format!("{noun} list")))), json!([]));
    }
    cli.refused(&words(&there("client show app")), &["grantor client list"]);
    // The same names again.
    cli.ok(&words(&there("resource create https://api.example.com --scope other")));
    cli.ok(&words(&there("client create --name Other --id app --allow https://api.example.com/other")));
    assert_eq!(cli.json(&["client", "show", "app"])["allowed"], json!(["https://api.example.com/.default"]));
    assert_eq!(cli.json(&words(&there("key list"))).as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_resource_is_made_with_every_flag() {
    let cli = Cli::new().await;
    cli.ok(&["group", "create", "staff"]);
    cli.ok(&["group", "create", "admins"]);
    let made = cli.json(&words(
        "resource create api://x --scope read --scope write --role Reader --role Writer --default --alg ES256 \
         --lifetime 15m --groups assigned --group-format id --group-limit 7 --require-group staff \
         --require-group admins --claims-profile entra",
    ));
    for (member, value) in [
        ("identifier", json!("api://x")),
        ("scopes", json!(["read", "write"])),
        ("roles", json!(["Reader", "Writer"])),
        ("is_default", json!(true)),
        ("alg", json!("ES256")),
        ("lifetime", json!(900)),
        ("groups", json!("assigned")),
        ("group_format", json!("id")),
        ("group_limit", json!(7)),
        ("claims_profile", json!("entra")),
    ] {
        assert_eq!(made[member], value, "{member}");
    }
    let mut required = names(&made["required_groups"], "name");
    required.sort_unstable();
    assert_eq!(required, ["admins", "staff"]);
    assert_eq!(cli.json(&["resource", "show", "api://x"]), made);
    // A key of the algorithm is there at once.
    assert_eq!(cli.json(&words("key list --alg ES256"))[0]["state"], "signing");
    for alg in ["RS256", "PS256", "EdDSA"] {
        let made = cli.json(&["resource", "create", alg, "--alg", alg]);
        assert_eq!(made["alg"], alg);
    }
}

#[tokio::test]
async fn a_resource_has_the_documented_defaults() {
    let cli = Cli::new().await;
    let made = cli.json(&["resource", "create", "kafka"]);
    let defaults = [
        ("is_default", json!(false)),
        ("alg", json!("RS256")),
        ("lifetime", json!(3600)),
        ("groups", json!("all")),
        ("group_format", json!("name")),
        ("group_limit", json!(200)),
        ("claims_profile", json!("standard")),
        ("required_groups", json!([])),
    ];
    for (member, value) in defaults {
        assert_eq!(made[member], value, "{member}");
    }
    // Entra writes ids.
    let made = cli.json(&words("resource create legacy --claims-profile entra"));
    assert_eq!(made["group_format"], "id");
    let made = cli.json(&words("resource create legacy2 --claims-profile entra --group-format name --groups none"));
    assert_eq!((&made["group_format"], &made["groups"]), (&json!("name"), &json!("none")));
}

#[tokio::test]
async fn an_update_changes_what_is_named_and_nothing_else() {
    let cli = Cli::new().await;
    cli.ok(&["group", "create", "staff"]);
    let create = "resource create api --scope read --scope write --role Reader --lifetime 2h --group-limit 7";
    let before = cli.json(&words(create));
    assert_eq!(cli.json(&["resource", "update", "api"]), before);
    let line = "resource update api --scope admin --remove-scope write --role Writer --remove-role Reader --require-group staff";
    let after = cli.json(&words(line));
    assert_eq!((&after["scopes"], &after["roles"]), (&json!(["admin", "read"]), &json!(["Writer"])));
    assert_eq!(names(&after["required_groups"], "name"), ["staff"]);
    assert_eq!((&after["lifetime"], &after["group_limit"]), (&json!(7200), &json!(7)));
    let line = "resource update api --alg EdDSA --lifetime 30s --groups none --group-format id --group-limit 0 \
                --claims-profile entra --default --remove-require-group staff";
    let after = cli.json(&words(line));
    assert_eq!((&after["alg"], &after["lifetime"], &after["groups"]), (&json!("EdDSA"), &json!(30), &json!("none")));
    assert_eq!((&after["group_limit"], &after["is_default"]), (&json!(0), &json!(true)));
    assert_eq!((&after["required_groups"], &after["scopes"]), (&json!([]), &json!(["admin", "read"])));
    assert_eq!(cli.json(&words("key list --alg EdDSA"))[0]["state"], "signing");
    cli.misused(&words("resource update api --lifetime 100d"), &["10s to 30d"]);
}

#[tokio::test]
async fn only_one_resource_is_the_default() {
    let cli = Cli::new().await;
    cli.ok(&words("resource create one --default"));
    cli.ok(&words("resource create two --default"));
    let defaults = |cli: &Cli| -> Vec<String> {
        let list = cli.json(&["resource", "list"]);
        let chosen = list.as_array().unwrap().iter().filter(|item| item["is_default"] == true).cloned().collect();
        names(&Value::Array(chosen), "identifier")
    };
    assert_eq!(defaults(&cli), ["two"]);
    cli.ok(&words("resource update one --default"));
    assert_eq!(defaults(&cli), ["one"]);
    cli.ok(&words("resource update one --default=false"));
    assert!(defaults(&cli).is_empty());
}

#[tokio::test]
async fn what_is_not_there_cannot_be_removed() {
    let cli = Cli::new().await;
    cli.ok(&words("resource create api --scope read --role Reader"));
    for (flag, hint) in [("--remove-scope raed", "no scope 'raed'"), ("--remove-role Raeder", "no role 'Raeder'")] {
        cli.refused(&words(&format!("resource update api {flag} --scope other")), &[hint, "grantor resource show api"]);
    }
    assert_eq!(cli.json(&["resource", "show", "api"])["scopes"], json!(["read"]));
    cli.ok(&words("resource update api --remove-scope read --remove-role Reader"));
    cli.ok(&words("client create --name A --id a --redirect-uri https://a.example/cb"));
    for flag in ["--remove-redirect-uri https://a.example/bc", "--remove-serves api"] {
        cli.refused(&words(&format!("client update a {flag}")), &["grantor client show a"]);
    }
    cli.ok(&words("client update a --remove-redirect-uri https://a.example/cb"));
}

#[tokio::test]
async fn a_removed_scope_or_resource_leaves_the_clients() {
    let cli = Cli::new().await;
    cli.ok(&words("resource create api --scope read --scope write"));
    cli.ok(&words("client create --name A --id a --allow api/read --allow api/write --serves api"));
    cli.ok(&words("resource update api --remove-scope write"));
    assert_eq!(cli.json(&["client", "show", "a"])["allowed"], json!(["api/read"]));
    assert_eq!(cli.json(&["resource", "delete", "api"])["changed"], true);
    let client = cli.json(&["client", "show", "a"]);
    assert_eq!((&client["allowed"], &client["serves"]), (&json!([]), &json!([])));
    assert_eq!(cli.ok(&["resource", "list"]), "No resources. Make one with: grantor resource create\n");
}

#[tokio::test]
async fn a_required_group_cannot_be_deleted_under_the_resource() {
    let cli = Cli::new().await;
    cli.ok(&["group", "create", "staff"]);
    cli.ok(&words("resource create api --require-group staff"));
    cli.refused(&["group", "delete", "staff"], &["grantor resource update api --remove-require-group staff"]);
    cli.ok(&words("resource update api --remove-require-group staff"));
    cli.ok(&["group", "delete", "staff"]);
}

#[tokio::test]
async fn a_scope_is_described_anew_and_no_more() {
    let cli = Cli::with_client().await;
    let api = "https://api.example.com";
    assert_eq!(cli.json(&["resource", "show", api])["descriptions"], json!({}));
    let describe = |scope: &str, text: &str| cli.json(&["resource", "describe", api, scope, text])["changed"].clone();
    assert_eq!(describe("write", "Change your orders"), true);
    assert_eq!(describe("write", "Change your orders"), false);
    assert_eq!(describe("read", "Bestellungen über 100 € sehen"), true);
    let shown = cli.json(&["resource", "show", api]);
    let described = json!({ "read": "Bestellungen über 100 € sehen", "write": "Change your orders" });
    assert_eq!((&shown["descriptions"], &shown["scopes"]), (&described, &json!(["read", "write"])));
    let text = cli.ok(&["resource", "show", api]);
    assert!(text.contains("\n                write: Change your orders\n"), "{text}");
    // Adding the scope once more changes nothing about it; removing it takes the description along.
    cli.ok(&["resource", "update", api, "--scope", "write"]);
    assert_eq!(cli.json(&["resource", "show", api])["descriptions"], described);
    cli.ok(&["resource", "update", api, "--remove-scope", "write"]);
    cli.ok(&["resource", "update", api, "--scope", "write"]);
    assert_eq!(cli.json(&["resource", "show", api])["descriptions"]["write"], Value::Null);
    assert_eq!(describe("read", ""), true);
    assert_eq!(describe("read", ""), false);
    assert_eq!(cli.json(&["resource", "show", api])["descriptions"], json!({}));
}

#[tokio::test]
async fn a_description_is_one_line_of_at_most_200_characters() {
    let cli = Cli::with_client().await;
    let api = "https://api.example.com";
    for text in [&"x".repeat(201), "two\nlines", " space", "space ", " "] {
        cli.misused(&["resource", "describe", api, "read", text], &["one line of at most 200 characters"]);
    }
    assert_eq!(cli.json(&["resource", "describe", api, "read", &"ü".repeat(200)])["changed"], true);
    cli.refused(&["resource", "describe", api, "admin", "x"], &["no scope 'admin'"]);
}
