//! `grantor user`, and what ends when a person is disabled or deleted or gets a new password.

use crate::support::cli::{Cli, Said, words};
use crate::support::{API, TestApp, claims};
use grantor::store::{DatabaseUrl, Store};
use grantor::types::random::Random;
use grantor::types::secret::Secret;
use serde_json::{Value, json};
use uuid::Uuid;

const PASSWORD: &str = "correct horse battery";

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|user| user["username"].as_str().unwrap()).collect()
}

/// A UUID as a literal of the engine's.
fn uuid_literal(test: &TestApp, id: Uuid) -> String {
    match test.database {
        DatabaseUrl::Sqlite(_) => format!("x'{}'", id.simple()),
        DatabaseUrl::Postgres(_) => format!("'{id}'"),
    }
}

/// Bytes as a literal of the engine's.
fn bytes_literal(test: &TestApp, id: Uuid) -> String {
    match test.database {
        DatabaseUrl::Sqlite(_) => format!("x'{}'", id.simple()),
        DatabaseUrl::Postgres(_) => format!("'\\x{}'", id.simple()),
    }
}

/// Gives a user a session and an authorization of the client `app`; the access token `token` came from it.
async fn sign_in(test: &TestApp, username: &str, token: (Uuid, Uuid, i64)) {
    let (jti, list, index) = token;
    let [session, grant] = [Random::system().uuid_v4(), Random::system().uuid_v4()];
    let hash = bytes_literal(test, session);
    let [session, grant, jti, list] = [session, grant, jti, list].map(|id| uuid_literal(test, id));
    for statement in [
        format!(
            "INSERT INTO sessions (id, tenant_id, user_id, token_hash, auth_time, last_seen_at, ends_at, expires_at, \
             address, user_agent) SELECT {session}, tenant_id, id, {hash}, 0, 0, 99999999999, 99999999999, '', '' \
             FROM users WHERE username = '{username}'"
        ),
        format!(
            "INSERT INTO grants (id, tenant_id, client_id, user_id, session_id, authorized, offline, auth_time, family, \
             generation, created_at, expires_at) SELECT {grant}, u.tenant_id, c.id, u.id, {session}, '', TRUE, 0, \
             {hash}, 1, 0, 99999999999 FROM users u JOIN clients c ON c.tenant_id = u.tenant_id \
             WHERE u.username = '{username}' AND c.client_id = 'app'"
        ),
        format!(
            "INSERT INTO grant_tokens (jti, grant_id, list_id, list_index, expires_at) \
             VALUES ({jti}, {grant}, {list}, {index}, 99999999999)"
        ),
    ] {
        assert_eq!(test.execute(&statement).await, 1, "{statement}");
    }
}

/// The same with a token that nobody holds.
async fn sign_in_somewhere(test: &TestApp, username: &str) {
    sign_in(test, username, (Random::system().uuid_v4(), Random::system().uuid_v4(), 1)).await;
}

/// How many sessions, live authorizations and revoked tokens there are.
async fn open(test: &TestApp) -> [i64; 3] {
    [
        test.number("SELECT COUNT(*) FROM sessions").await,
        test.number("SELECT COUNT(*) FROM grants WHERE revoked_at IS NULL").await,
        test.number("SELECT COUNT(*) FROM revocations").await,
    ]
}

/// Users `ann` and `bob`, each signed in, and a way to look past the program.
async fn signed_in() -> (Cli, TestApp) {
    let cli = Cli::with_client().await;
    let past = TestApp::new().await.at_database(&cli.database);
    for name in ["ann", "bob"] {
        assert_eq!(cli.run_with(&["user", "create", name, "--password-stdin"], PASSWORD).code, 0);
        sign_in_somewhere(&past, name).await;
    }
    (cli, past)
}

async fn knows(cli: &Cli, username: &str, password: &str) -> bool {
    let store = Store::open(&cli.database).await.unwrap();
    let tenant = store.find_tenant("default").await.unwrap().unwrap().id;
    let (_, hash) = store.find_credentials(tenant, &username.parse().unwrap()).await.unwrap().unwrap();
    hash.is_some_and(|hash| hash.verify(&Secret::from(password.to_owned())))
}

#[tokio::test]
async fn a_user_is_made_with_every_flag_and_found_by_name_or_id() {
    let cli = Cli::new().await;
    let create = ["user", "create", "Ann", "--email", "ann@example.com", "--display-name", "Ann Lee"];
    let made = cli.run_with(&[&create[..], &["--password-stdin", "--json"]].concat(), PASSWORD).json();
    for (member, value) in [
        ("username", json!("ann")),
        ("email", json!("ann@example.com")),
        ("display_name", json!("Ann Lee")),
        ("enabled", json!(true)),
        ("has_password", json!(true)),
        ("groups", json!([])),
        ("owns", json!([])),
    ] {
        assert_eq!(made[member], value, "{member}");
    }
    assert_eq!(made.get("last_login_at"), None);
    for word in ["ann", "ANN", made["id"].as_str().unwrap()] {
        assert_eq!(cli.json(&["user", "show", word]), made, "{word}");
    }
    assert!(knows(&cli, "ann", PASSWORD).await && !knows(&cli, "ann", "another horse").await);
    let text = cli.ok(&["user", "show", "ann"]);
    assert!(text.contains("Password      set\n") && text.contains("Last login    never\n"), "{text}");
}

#[tokio::test]
async fn a_user_without_a_password_is_told_to_be_unable_to_sign_in() {
    let cli = Cli::new().await;
    let text = cli.ok(&["user", "create", "ann"]);
    assert!(text.contains("cannot sign in") && text.contains("grantor user password ann --password-stdin"), "{text}");
    let shown = cli.json(&["user", "show", "ann"]);
    assert_eq!((&shown["has_password"], shown.get("email"), shown.get("display_name")), (&json!(false), None, None));
    assert_eq!(cli.run_with(&words("user password ann --password-stdin"), PASSWORD).code, 0);
    assert_eq!(cli.json(&["user", "show", "ann"])["has_password"], true);
    assert!(!cli.ok(&["user", "show", "ann"]).contains("cannot sign in"));
}

#[tokio::test]
async fn what_cannot_be_a_user_name_or_an_email_is_refused() {
    let cli = Cli::new().await;
    for name in ["", "a b", "a:b", "a,b", "a\"b", "0198f0a2-0000-7000-8000-000000000000", &"a".repeat(121)] {
        cli.misused(&["user", "create", "--", name], &["user name"]);
    }
    for email in ["", "ann", "a@b@c", "a b@example.com", "ann@", &format!("ann@{}", "x".repeat(251))] {
        cli.misused(&["user", "create", "ann", "--email", email], &["email address"]);
    }
    cli.misused(&["user", "create", "ann", "--display-name", " Ann"], &["name ' Ann'"]);
    assert_eq!(cli.json(&["user", "list"]), json!([]));
    cli.ok(&["user", "create", "ann.lee@example.com", "--email", "ann.lee@example.com"]);
}

#[tokio::test]
async fn a_password_has_eight_to_512_characters_on_one_line() {
    let cli = Cli::new().await;
    let create = words("user create ann --password-stdin");
    for password in ["", "seven77", &"x".repeat(513), "two\nlines of it", "with a\ttab"] {
        let said = cli.run_with(&create, password);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{said:?}");
        assert!(said.err.contains("8 to 512 characters on one line"), "{said:?}");
        assert!(password.is_empty() || !said.err.contains(password), "{said:?}");
    }
    cli.refused(&["user", "show", "ann"], &[]);
    assert_eq!(cli.run_with(&create, "eight888\r\n").code, 0);
    assert!(knows(&cli, "ann", "eight888").await);
    for password in ["short", ""] {
        assert_eq!(cli.run_with(&words("user password ann --password-stdin"), password).code, 2);
    }
    assert!(knows(&cli, "ann", "eight888").await, "a refused password changes nothing");
    assert_eq!(cli.run_with(&words("user password ann --password-stdin"), &"ü".repeat(512)).code, 0);
    assert!(knows(&cli, "ann", &"ü".repeat(512)).await && !knows(&cli, "ann", "eight888").await);
}

#[tokio::test]
async fn a_password_is_never_shown_or_logged() {
    let cli = Cli::new().await;
    let hidden = |said: &Said| {
        for word in [PASSWORD, "argon2", "m=19456"] {
            assert!(!said.out.contains(word) && !said.err.contains(word), "{said:?}");
        }
    };
    for line in [
        "user create ann --password-stdin --log trace",
        "user create ann --password-stdin --log sqlx=trace,grantor=trace",
        "user password ann --password-stdin --log trace",
        "user password ann --password-stdin --json",
        "user password nobody --password-stdin --log trace",
    ] {
        hidden(&cli.run_with(&words(line), PASSWORD));
    }
    for line in
        ["user show ann", "user show ann --json", "user list", "user list --json", "user update ann --email a@b"]
    {
        hidden(&cli.run(&words(&format!("{line} --log trace"))));
    }
    assert!(knows(&cli, "ann", PASSWORD).await);
}

#[tokio::test]
async fn list_goes_on_after_a_user_and_stops_at_the_limit() {
    let cli = Cli::new().await;
    assert_eq!(cli.ok(&["user", "list"]), "No users. Make one with: grantor user create\n");
    for name in ["c", "a", "b"] {
        cli.ok(&["user", "create", name]);
    }
    assert_eq!(names(&cli.json(&["user", "list"])), ["a", "b", "c"]);
    assert_eq!(names(&cli.json(&words("user list --after B --limit 2"))), ["c"]);
    assert_eq!(names(&cli.json(&words("user list --after c"))), [""; 0]);
    let said = cli.run(&words("user list --limit 2 --json"));
    assert_eq!(names(&said.json()), ["a", "b"]);
    assert!(said.err.contains("--after b"), "{said:?}");
}

#[tokio::test]
async fn update_changes_what_is_named_and_nothing_else() {
    let cli = Cli::new().await;
    let create = ["user", "create", "ann", "--email", "ann@example.com", "--display-name", "Ann Lee"];
    assert_eq!(cli.run_with(&[&create[..], &["--password-stdin"]].concat(), PASSWORD).code, 0);
    let before = cli.json(&["user", "show", "ann"]);
    assert_eq!(cli.json(&["user", "update", "ann"]), before);
    let after = cli.json(&words("user update ann --email lee@example.com"));
    assert_eq!((&after["email"], &after["display_name"]), (&json!("lee@example.com"), &json!("Ann Lee")));
    let after = cli.json(&words("user update ann --no-email"));
    assert_eq!((after.get("email"), &after["display_name"]), (None, &json!("Ann Lee")));
    let after = cli.json(&["user", "update", "ann", "--no-display-name", "--email", "ann@example.com"]);
    assert_eq!((after.get("display_name"), &after["email"]), (None, &json!("ann@example.com")));
    assert_eq!(cli.json(&["user", "update", "ann", "--display-name", "Ann Lee"]), before);
    assert!(knows(&cli, "ann", PASSWORD).await);
}

#[tokio::test]
async fn show_lists_the_groups_that_a_user_is_in_and_owns() {
    let cli = Cli::new().await;
    for line in ["user create ann", "group create outer", "group create inner", "group create own"] {
        cli.ok(&words(line));
    }
    cli.ok(&words("group add outer --group inner"));
    cli.ok(&words("group add inner --user ANN"));
    cli.ok(&words("group owner add own --user ann"));
    let shown = cli.json(&["user", "show", "ann"]);
    // Directly: what lies around a group is shown by 'group of'.
    assert_eq!((&shown["groups"], &shown["owns"]), (&json!(["inner"]), &json!(["own"])));
    assert_eq!(cli.json(&words("group of --user ann")).as_array().unwrap().len(), 2);
    cli.ok(&words("group remove inner --user ann"));
    cli.ok(&words("group owner remove own --user ann"));
    let shown = cli.json(&["user", "show", "ann"]);
    assert_eq!((&shown["groups"], &shown["owns"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn a_deleted_user_leaves_groups_and_ownerships() {
    let cli = Cli::new().await;
    for line in
        ["user create ann", "group create staff", "group add staff --user ann", "group owner add staff --user ann"]
    {
        cli.ok(&words(line));
    }
    cli.ok(&words("user delete ann"));
    cli.refused(&words("user show ann"), &["grantor user list"]);
    assert_eq!(cli.json(&words("group members staff")), json!([]));
    assert_eq!(cli.json(&words("group show staff"))["owners"], json!([]));
    // Somebody else of the same name is not in them.
    cli.ok(&words("user create ann"));
    assert_eq!(cli.json(&words("user show ann"))["groups"], json!([]));
}

#[tokio::test]
async fn rfc9700_s4_15_a_user_does_not_take_the_name_of_a_client_nor_a_client_that_of_a_user() {
    let cli = Cli::new().await;
    cli.ok(&words("client create --name B --id Billing"));
    for name in ["billing", "Billing", "BILLING"] {
        cli.refused(&["user", "create", name], &["means a client ('Billing')", "choose another user name"]);
    }
    cli.ok(&words("user create billings"));
    let ann = cli.json(&words("user create ann"));
    for id in ["ann", "Ann", ann["id"].as_str().unwrap()] {
        cli.refused(&["client", "create", "--name", "x", "--id", id], &["means a user", "choose another client id"]);
    }
    cli.ok(&words("client create --name x --id ann-app"));
    // Another tenant's names are its own.
    cli.ok(&words("tenant create contoso"));
    cli.ok(&words("user create billing --tenant contoso"));
    cli.ok(&words("client create --name x --id ann --tenant contoso"));
}

#[tokio::test]
async fn disabling_a_user_ends_what_is_open_and_enabling_brings_none_of_it_back() {
    let (cli, past) = signed_in().await;
    assert_eq!(open(&past).await, [2, 2, 0]);
    let said = cli.ok(&words("user disable ann"));
    assert_eq!(said, "The user 'ann' is disabled. Ended: sessions 1, authorizations 1.\n");
    assert_eq!(open(&past).await, [1, 1, 1]);
    assert_eq!(cli.json(&words("user show ann"))["enabled"], false);
    let again = cli.json(&words("user disable ann"));
    assert_eq!(again, json!({ "changed": false, "sessions_ended": 0, "authorizations_ended": 0 }));
    assert_eq!(cli.ok(&words("user enable ann")), "The user 'ann' is enabled.\n");
    assert_eq!(cli.ok(&words("user enable ann")), "No change. The user 'ann' is enabled.\n");
    assert_eq!(open(&past).await, [1, 1, 1]);
    assert!(knows(&cli, "ann", PASSWORD).await);
}

#[tokio::test]
async fn a_new_password_ends_what_was_opened_with_the_old_one() {
    let (cli, past) = signed_in().await;
    let said = cli.run_with(&words("user password ann --password-stdin --json"), "another horse");
    assert_eq!(said.json(), json!({ "changed": true, "sessions_ended": 1, "authorizations_ended": 1 }));
    assert_eq!(open(&past).await, [1, 1, 1]);
    assert!(knows(&cli, "ann", "another horse").await && !knows(&cli, "ann", PASSWORD).await);
    // A name or an address is not what somebody signed in with.
    cli.ok(&words("user update bob --email bob@example.com"));
    assert_eq!(open(&past).await, [1, 1, 1]);
}

#[tokio::test]
async fn deleting_a_user_ends_what_is_open() {
    let (cli, past) = signed_in().await;
    let said = cli.ok(&words("user delete ann"));
    assert_eq!(said, "The user 'ann' is deleted. Ended: sessions 1, authorizations 1.\n");
    assert_eq!(open(&past).await, [1, 1, 1]);
    assert_eq!(cli.json(&words("user delete bob"))["sessions_ended"], 1);
    assert_eq!(open(&past).await, [0, 0, 2]);
}

#[tokio::test]
async fn deleting_a_client_revokes_the_tokens_that_people_gave_it() {
    let (cli, past) = signed_in().await;
    cli.ok(&words("client create --name Other --id other"));
    cli.ok(&words("client delete other"));
    assert_eq!(open(&past).await, [2, 2, 0]);
    cli.ok(&words("client delete app"));
    // A session is with this server, not with the client.
    assert_eq!(open(&past).await, [2, 0, 2]);
}

#[tokio::test]
async fn an_access_token_is_inactive_once_its_person_is_disabled() {
    let (test, client) = TestApp::with_client().await;
    let server = test.serving_client("api", API).await;
    for name in ["ann", "bob"] {
        test.user_with(name, PASSWORD).await;
    }
    let mut tokens = Vec::new();
    for name in ["ann", "bob"] {
        let token = test.token(&client, &format!("{API}/.default")).await;
        let claims = claims(&token);
        let status = &claims["status"]["status_list"];
        let list = status["uri"].as_str().unwrap().rsplit('/').next().unwrap().parse().unwrap();
        let jti = claims["jti"].as_str().unwrap().parse().unwrap();
        sign_in(&test, name, (jti, list, status["idx"].as_i64().unwrap())).await;
        assert_eq!(test.introspect(&server, &token).await["active"], true);
        tokens.push(token);
    }
    let (tenant, now) = (test.tenant_id().await, test.clock.now());
    let ann = test.app.store.find_user(tenant, "ann").await.unwrap().unwrap();
    let ended = test.app.store.set_user_enabled(tenant, &ann, false, now).await.unwrap();
    assert_eq!((ended.sessions, ended.authorizations), (1, 1));
    assert_eq!(test.introspect(&server, &tokens[0]).await, json!({ "active": false }));
    assert_eq!(test.introspect(&server, &tokens[1]).await["active"], true);
    // Once deleted, nothing can be changed any more.
    test.app.store.delete_user(tenant, &ann, now).await.unwrap();
    let refused = test.app.store.set_user_enabled(tenant, &ann, true, now).await.unwrap_err().to_string();
    assert!(refused.contains("grantor user list"), "{refused}");
}
