//! `grantor key` and `grantor token`.

use crate::support::cli::{Cli, words};
use crate::support::jwt_part;
use serde_json::{Value, json};

fn states(cli: &Cli) -> Vec<String> {
    let list = cli.json(&["key", "list"]);
    list.as_array().unwrap().iter().map(|key| key["state"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_rotated_key_is_announced_and_signs_a_day_later() {
    let cli = Cli::new().await;
    assert_eq!(states(&cli), ["signing"]);
    let made = cli.json(&["key", "rotate"]);
    assert_eq!(states(&cli), ["signing", "announced"]);
    let list = cli.json(&["key", "list"]);
    let (old, new) = (&list[0], &list[1]);
    assert_eq!((&new["kid"], &new["activates_at"]), (&made["kid"], &made["activates_at"]));
    assert_eq!(new["activates_at"].as_i64().unwrap() - new["created_at"].as_i64().unwrap(), 86_400);
    assert_eq!(old["retires_at"], new["activates_at"]);
    // An old token is verified for as long as it lives.
    assert!(old["expires_at"].as_i64().unwrap() >= old["retires_at"].as_i64().unwrap() + 3600);
    cli.refused(
        &["key", "retire", "--", new["kid"].as_str().unwrap()],
        &["announced", "grantor key rotate --alg RS256 --now"],
    );
    cli.refused(
        &["key", "retire", "--", old["kid"].as_str().unwrap()],
        &["signing", "grantor key rotate --alg RS256 --now"],
    );
    assert_eq!(cli.json(&words("key retire --alg RS256"))["retired"], json!([]));
}

#[tokio::test]
async fn rotate_now_signs_at_once_and_the_old_key_can_be_retired() {
    let cli = Cli::new().await;
    let old = cli.json(&["key", "list"])[0]["kid"].as_str().unwrap().to_owned();
    let said = cli.run(&words("key rotate --now --json"));
    assert!(said.err.contains("resource servers that cached the JWKS will refuse"), "{said:?}");
    let new = said.json()["kid"].as_str().unwrap().to_owned();
    let mut states = states(&cli);
    states.sort_unstable();
    assert_eq!(states, ["retired", "signing"]);
    assert_eq!(cli.json(&["key", "retire", "--", &old])["retired"], json!([old]));
    let list = cli.json(&["key", "list"]);
    assert_eq!((list.as_array().unwrap().len(), list[0]["kid"].as_str().unwrap()), (1, new.as_str()));
    cli.refused(&["key", "retire", "--", &old], &["grantor key list"]);
    cli.ok(&words("key rotate --now"));
    let text = cli.ok(&words("key retire --alg RS256"));
    assert_eq!(text, format!("No longer published: {new}.\n"));
    assert_eq!(
        cli.ok(&words("key retire --alg RS256")),
        "Nothing to do: no key of this algorithm has stopped signing.\n"
    );
}

#[tokio::test]
async fn a_key_is_of_one_algorithm_and_one_tenant() {
    let cli = Cli::new().await;
    cli.refused(&words("key rotate --alg ES256"), &["no ES256 key", "grantor resource update"]);
    assert_eq!(cli.ok(&words("key list --alg ES256")), "No keys of this algorithm.\n");
    cli.ok(&words("resource create api --alg ES256"));
    cli.ok(&words("key rotate --alg ES256 --now"));
    assert_eq!(cli.json(&words("key list --alg ES256")).as_array().unwrap().len(), 2);
    assert_eq!(cli.json(&words("key list --alg RS256")).as_array().unwrap().len(), 1);
    cli.ok(&["tenant", "create", "contoso"]);
    assert_eq!(cli.json(&words("key list --tenant contoso")).as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_private_key_is_never_shown() {
    let cli = Cli::new().await;
    let list = cli.json(&["key", "list"]);
    let members: Vec<&String> = list[0].as_object().unwrap().keys().collect();
    assert_eq!(members, ["kid", "alg", "state", "created_at", "activates_at"]);
}

#[tokio::test]
async fn a_token_is_inspected_and_revoked() {
    let cli = Cli::new().await;
    let server = cli.quickstart();
    let token = server.token();
    let state = |token: &str| cli.json(&["token", "inspect", token])["state"].as_str().unwrap().to_owned();
    let told = cli.json(&["token", "inspect", &token]);
    assert_eq!(told["state"], "active");
    assert_eq!((&told["header"], &told["claims"]), (&jwt_part(&token, 0), &jwt_part(&token, 1)));
    let text = cli.ok(&["token", "inspect", &token]);
    assert!(text.contains("RS256") && text.contains("\"aud\": \"https://hib.azurehdinsight.net\""), "{text}");
    assert!(!text.contains(token.rsplit('.').next().unwrap()), "the signature is shown: {text}");

    let introspect = |token: &str| {
        let form = [
            ("client_id", server.made("serving_client_id")),
            ("client_secret", server.made("serving_client_secret")),
            ("token", token),
        ];
        server.post("introspection_endpoint", &form).1["active"].clone()
    };
    assert_eq!(introspect(&token), true);
    assert_eq!(cli.json(&["token", "revoke", &token])["changed"], true);
    // At once.
    assert_eq!(introspect(&token), false);
    assert_eq!(
        (state(&token).as_str(), cli.json(&["token", "revoke", &token])["changed"].clone()),
        ("revoked", json!(false))
    );

    // From standard input, as it is pasted.
    let other = server.token();
    let said = cli.run_with(&words("token inspect - --json"), &format!("  {other}\n"));
    assert_eq!(said.json()["state"], "active", "{said:?}");
    let said = cli.run_with(&words("token revoke -"), &format!("{other}\n"));
    assert_eq!((said.code, said.out.as_str()), (0, "The token is revoked.\n"), "{said:?}");
    assert_eq!(introspect(&other), false);

    let third = server.token();
    cli.ok(&["client", "disable", server.made("client_id")]);
    assert_eq!(state(&third), "inactive: the client or the person is disabled or deleted");
    cli.ok(&["tenant", "disable", "default"]);
    assert_eq!(state(&third), "inactive: the tenant is disabled");
}

#[tokio::test]
async fn what_this_server_did_not_sign_is_refused() {
    let cli = Cli::new().await;
    let foreign = {
        let cli = Cli::new().await;
        cli.quickstart().token()
    };
    let server = cli.quickstart();
    let token = server.token();
    let mut parts: Vec<&str> = token.split('.').collect();
    let forged_claims = foreign.split('.').nth(1).unwrap();
    parts[1] = forged_claims;
    let forged = parts.join(".");
    let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
    for text in [foreign.as_str(), &forged, &unsigned, "x", "", "a.b.c", "eyJ.eyJ.x"] {
        for verb in ["inspect", "revoke"] {
            cli.refused(&["token", verb, text], &["no access token that this server signed", "--database"]);
            let said = cli.run_with(&["token", verb, "-"], text);
            assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
        }
    }
}

#[tokio::test]
async fn an_expired_token_is_told_as_such_and_needs_no_revocation() {
    let cli = Cli::new().await;
    // A lifetime so short that the token ends while the test looks, without waiting for a fixed time.
    let server = cli.quickstart();
    cli.ok(&["resource", "update", server.made("resource"), "--lifetime", "10s"]);
    let mut token = String::new();
    server.within_two_seconds("the shorter lifetime", || {
        token = server.token();
        let claims = jwt_part(&token, 1);
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap() == 10
    });
    let state = |token: &str| -> Value { cli.json(&["token", "inspect", token])["state"].clone() };
    while state(&token) == "active" {}
    assert_eq!(state(&token), "expired");
    assert_eq!(cli.json(&["token", "revoke", &token])["changed"], false);
    assert_eq!(cli.ok(&["token", "revoke", &token]), "No change. The token has expired.\n");
}

#[tokio::test]
async fn nothing_is_sealed_under_another_key_encryption_key() {
    let cli = Cli::new().await;
    cli.ok(&words("resource create api"));
    let before = cli.json(&["key", "list"]);
    let other = cli.folder.path().join("elsewhere");
    std::fs::create_dir(&other).unwrap();
    let kek = cli.write("elsewhere/kek", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    std::fs::set_permissions(&kek, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let keys = other.to_str().unwrap();
    for line in ["resource create second --alg ES256", "key rotate --now", "key rotate", "tenant create contoso"] {
        let line = [words(line), vec!["--keys", keys]].concat();
        cli.refused(&line, &["sealed under another key-encryption key", "GRANTOR_KEY_ENCRYPTION_KEY"]);
    }
    assert_eq!(cli.json(&["key", "list"]), before);
    cli.ok(&words("resource create second --alg ES256"));
}

#[tokio::test]
async fn a_successor_is_announced_once() {
    let cli = Cli::new().await;
    let announced = cli.json(&["key", "rotate"])["kid"].as_str().unwrap().to_owned();
    cli.refused(&["key", "rotate"], &["announced already", &announced, "--now"]);
    assert_eq!(cli.json(&["key", "list"]).as_array().unwrap().len(), 2);
}
