//! `grantor group`.

use crate::support::cli::{Cli, words};
use serde_json::{Value, json};

const API: &str = "https://api.example.com";

/// The groups `outer`, `middle` and `inner`, each inside the one before, and the client `app` in `inner`.
async fn nested() -> Cli {
    let cli = Cli::with_client().await;
    for name in ["outer", "middle", "inner"] {
        cli.ok(&["group", "create", name]);
    }
    cli.ok(&words("group add outer --group middle"));
    cli.ok(&words("group add middle --group inner"));
    cli.ok(&words("group add inner --client app"));
    cli
}

fn pairs(list: &Value) -> Vec<(&str, &str)> {
    let text = |item: &'_ Value, name: &str| -> usize { item[name].as_str().unwrap().len() };
    list.as_array()
        .unwrap()
        .iter()
        .map(|item| {
            assert!(text(item, "id") == 36, "{item}");
            (item["kind"].as_str().unwrap(), item["name"].as_str().unwrap())
        })
        .collect()
}

#[tokio::test]
async fn a_group_is_made_listed_shown_and_deleted() {
    let cli = Cli::new().await;
    assert_eq!(cli.ok(&["group", "list"]), "No groups. Make one with: grantor group create\n");
    let made = cli.json(&["group", "create", "Data engineers", "--description", "All of them"]);
    assert_eq!((&made["name"], &made["description"]), (&json!("Data engineers"), &json!("All of them")));
    for member in ["owners", "roles", "member_of"] {
        assert_eq!(made[member], json!([]), "{member}");
    }
    assert_eq!(made["claims"], json!({}));
    assert_eq!(cli.json(&["group", "show", made["id"].as_str().unwrap()]), made);
    cli.ok(&["group", "create", "a"]);
    let names = |line: &str| -> Vec<String> {
        let list = cli.json(&words(line));
        list.as_array().unwrap().iter().map(|group| group["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("group list").len(), 2);
    assert_eq!(names("group list --limit 1").len(), 1);
    assert_eq!(names("group list --after zzz").len(), 0);
    assert_eq!(cli.ok(&["group", "delete", "Data engineers"]), "The group 'Data engineers' is deleted.\n");
    assert_eq!(names("group list"), ["a"]);
    for name in ["", " a", "a,b", "a\nb", "0198f0a2-0000-7000-8000-000000000000", &"a".repeat(121)] {
        cli.misused(&["group", "create", "--", name], &["group name"]);
    }
    cli.misused(&["group", "create", "b", "--description", "two\nlines"], &["one line"]);
}

#[tokio::test]
async fn members_are_clients_users_and_groups() {
    let cli = nested().await;
    cli.ok(&["user", "create", "ann"]);
    assert_eq!(cli.json(&words("group add middle --user ann"))["changed"], true);
    assert_eq!(cli.json(&words("group add middle --user ann"))["changed"], false);
    assert_eq!(pairs(&cli.json(&["group", "members", "outer"])), [("group", "middle")]);
    assert_eq!(pairs(&cli.json(&["group", "members", "middle"])), [("group", "inner"), ("user", "ann")]);
    let all = [("client", "app"), ("group", "inner"), ("group", "middle"), ("user", "ann")];
    assert_eq!(pairs(&cli.json(&words("group members outer --transitive"))), all);
    assert_eq!(cli.json(&["group", "show", "inner"])["member_of"], json!(["middle"]));

    // Only a direct member can be removed.
    assert_eq!(cli.json(&words("group remove outer --client app"))["changed"], false);
    assert_eq!(
        cli.ok(&words("group remove outer --client app")),
        "No change. 'app' is not directly in the group 'outer'.\n"
    );
    assert_eq!(cli.json(&words("group remove middle --user ann"))["changed"], true);
    assert_eq!(cli.json(&words("group remove outer --group middle"))["changed"], true);
    assert_eq!(cli.ok(&words("group members outer --transitive")), "No members.\n");
}

#[tokio::test]
async fn of_tells_each_group_and_the_way_to_it() {
    let cli = nested().await;
    cli.ok(&["user", "create", "ann"]);
    cli.ok(&words("group add middle --user ann"));
    let ways = |line: &str| -> Vec<(String, Value)> {
        let list = cli.json(&words(line));
        let list = list.as_array().unwrap().iter();
        list.map(|group| (group["name"].as_str().unwrap().to_owned(), group["path"].clone())).collect()
    };
    let expected = [
        ("inner".to_owned(), json!(["inner"])),
        ("middle".to_owned(), json!(["inner", "middle"])),
        ("outer".to_owned(), json!(["inner", "middle", "outer"])),
    ];
    assert_eq!(ways("group of --client app"), expected);
    assert_eq!(ways("group of --user ann")[1], ("outer".to_owned(), json!(["middle", "outer"])));
    let text = cli.ok(&words("group of --client app"));
    assert!(text.contains("direct") && text.contains("inner > middle > outer"), "{text}");
    cli.ok(&words("client create --name B --id b"));
    assert_eq!(cli.ok(&words("group of --client b")), "In no group.\n");
}

#[tokio::test]
async fn a_group_never_comes_to_be_inside_itself() {
    let cli = nested().await;
    for (group, member) in [("inner", "outer"), ("inner", "middle"), ("middle", "outer"), ("outer", "outer")] {
        cli.refused(&["group", "add", group, "--group", member], &["inside itself", "--transitive"]);
    }
    // A second way to the same group is no circle.
    cli.ok(&words("group add outer --group inner"));
    assert_eq!(cli.json(&words("group of --client app")).as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn owners_are_clients_and_users() {
    let cli = nested().await;
    cli.ok(&["user", "create", "ann"]);
    assert_eq!(cli.ok(&words("group owner add outer --client app")), "'app' owns the group 'outer'.\n");
    assert_eq!(cli.json(&words("group owner add outer --client app"))["changed"], false);
    cli.ok(&words("group owner add outer --user ann"));
    let owners = json!([{ "kind": "client", "name": "app" }, { "kind": "user", "name": "ann" }]);
    assert_eq!(cli.json(&["group", "show", "outer"])["owners"], owners);
    // An owner is not for that a member.
    assert_eq!(pairs(&cli.json(&["group", "members", "outer"])), [("group", "middle")]);
    assert_eq!(cli.json(&words("group owner remove outer --client app"))["changed"], true);
    assert_eq!(cli.json(&words("group owner remove outer --client app"))["changed"], false);
    assert_eq!(cli.json(&words("group owner remove outer --user ann"))["changed"], true);
    assert_eq!(cli.json(&["group", "show", "outer"])["owners"], json!([]));
}

#[tokio::test]
async fn claims_are_set_replaced_and_unset() {
    let cli = nested().await;
    let claims = |cli: &Cli| cli.json(&["group", "show", "outer"])["claims"].clone();
    for (name, value) in [
        ("kafka_role", r#""admin""#),
        ("level", "-3"),
        ("ratio", "0.5"),
        ("flag", "true"),
        ("list", r#"["a",1]"#),
        ("https://example.com/tree", r#"{"a":{"b":[]}}"#),
    ] {
        cli.ok(&["group", "claim", "set", "outer", name, value]);
        assert_eq!(claims(&cli)[name], serde_json::from_str::<Value>(value).unwrap(), "{name}");
    }
    cli.ok(&["group", "claim", "set", "outer", "level", "4"]);
    assert_eq!(claims(&cli)["level"], 4);
    assert_eq!(cli.json(&words("group claim unset outer level"))["changed"], true);
    assert_eq!(cli.json(&words("group claim unset outer level"))["changed"], false);
    assert_eq!(claims(&cli).get("level"), None);
}

#[tokio::test]
async fn a_claim_that_is_no_json_or_null_or_reserved_is_refused() {
    let cli = nested().await;
    for (value, says) in [
        ("admin", "put a text in double quotes"),
        ("", "JSON"),
        ("null", "null is not allowed"),
        (r#"{"a":[null]}"#, "null is not allowed"),
        (&format!("\"{}\"", "x".repeat(2048)), "2048 bytes"),
    ] {
        cli.misused(&["group", "claim", "set", "outer", "x", value], &[says]);
    }
    for name in ["iss", "sub", "aud", "exp", "groups", "roles", "scope", "scp", "cnf", "tid", "_claim_names", "status"]
    {
        cli.misused(&["group", "claim", "set", "outer", name, "1"], &["only the server writes this claim"]);
    }
    cli.misused(&["group", "claim", "set", "outer", "a b", "1"], &["claim name"]);
    assert_eq!(cli.json(&["group", "show", "outer"])["claims"], json!({}));
}

#[tokio::test]
async fn roles_are_granted_and_revoked() {
    let cli = nested().await;
    assert_eq!(cli.json(&["group", "role", "grant", "outer", API, "Operator"])["changed"], true);
    assert_eq!(cli.json(&["group", "role", "grant", "outer", API, "Operator"])["changed"], false);
    assert_eq!(cli.json(&["group", "show", "outer"])["roles"], json!([{ "resource": API, "role": "Operator" }]));
    cli.refused(&["group", "role", "grant", "outer", API, "Nobody"], &["grantor resource update"]);
    assert_eq!(cli.json(&["group", "role", "revoke", "outer", API, "Operator"])["changed"], true);
    assert_eq!(cli.json(&["group", "role", "revoke", "outer", API, "Operator"])["changed"], false);
    // A removed role leaves the groups.
    cli.ok(&["group", "role", "grant", "outer", API, "Operator"]);
    cli.ok(&["resource", "update", API, "--remove-role", "Operator"]);
    assert_eq!(cli.json(&["group", "show", "outer"])["roles"], json!([]));
}

#[tokio::test]
async fn a_deleted_group_or_client_leaves_the_others() {
    let cli = nested().await;
    cli.ok(&["group", "delete", "middle"]);
    assert_eq!(cli.ok(&["group", "members", "outer"]), "No members.\n");
    assert_eq!(cli.json(&words("group of --client app")).as_array().unwrap().len(), 1);
    cli.ok(&["client", "delete", "app"]);
    assert_eq!(cli.ok(&["group", "members", "inner"]), "No members.\n");
}

#[tokio::test]
async fn members_are_listed_page_by_page() {
    let cli = nested().await;
    cli.ok(&["user", "create", "ann"]);
    cli.ok(&words("group add inner --user ann"));
    for list in ["group members inner", "group members outer --transitive"] {
        let all = cli.json(&words(list));
        let first = cli.run(&[&words(list)[..], &["--limit", "1", "--json"]].concat());
        let after = first.err.trim().rsplit(' ').next().unwrap().to_owned();
        assert!(first.err.contains("there are more; go on with --after"), "{}", first.err);
        let rest = cli.json(&[&words(list)[..], &["--after", &after]].concat());
        assert_eq!(rest.as_array().unwrap().len() + 1, all.as_array().unwrap().len(), "{list}");
        assert!(!rest.to_string().contains(&after), "{rest}");
    }
    for list in ["group members inner", "group members outer --transitive"] {
        // What cannot be seen is not shown either.
        cli.misused(&[&words(list)[..], &["--after", "a\u{202e}nn"]].concat(), &["'ann…' is not usable"]);
    }
    let first = cli.run(&words("group members outer --transitive --limit 2"));
    let after = first.err.trim().rsplit(' ').next().unwrap().to_owned();
    cli.ok(&words("group remove middle --group inner"));
    let on = [&words("group members outer --transitive --after")[..], &[&after]].concat();
    cli.refused(&on, &["'outer'", "begin again without --after"]);
}
