//! The account page, and groups in the hands of their owners: what is shown to whom, and what a button does.

use crate::support::answers::fields;
use crate::support::browser::{Ask, Browser, PASSWORD, main_id};
use crate::support::status::{place, set_bits};
use crate::support::{API, Reply, TestApp, claims};
use axum::body::Body;
use axum::http::Request;
use grantor::store::groups::Group;
use grantor::types::id::MemberId;
use uuid::Uuid;

const SESSION: &str = "__Host-grantor_session";

/// With alice and bob.
async fn with_two() -> (TestApp, crate::support::TestClient) {
    let (test, web) = TestApp::with_people().await;
    test.user_with("bob", PASSWORD).await;
    (test, web)
}

async fn is_signed_in(browser: &Browser<'_>) -> bool {
    main_id(&browser.get("/account").await).as_deref() == Some("grantor-account")
}

/// Posts a form of the account page.
async fn press(browser: &Browser<'_>, path: &str, form: &[(&str, &str)]) -> Reply {
    let csrf = fields(&browser.get("/account").await)["csrf"].clone();
    browser.post(path, &[&[("csrf", csrf.as_str())], form].concat()).await
}

/// The ids of a person's sessions, the last used first.
async fn sessions(test: &TestApp, username: &str) -> Vec<String> {
    let user = test.find_user(username).await.id;
    let lines = test.app.store.list_sessions(user, test.clock.now()).await.unwrap();
    lines.into_iter().map(|line| line.id.to_string()).collect()
}

#[tokio::test]
async fn it_shows_the_person_their_own_things_and_nobody_elses() {
    let (test, web) = with_two().await;
    test.update_user("alice", Some("Alice <A>"), Some("alice@example.com")).await;
    let (alices, bobs) = (test.group("alices").await, test.group("bobs").await);
    test.add_user_owner(&alices, "alice").await;
    test.add_user_owner(&bobs, "bob").await;
    test.add_user(&alices, "bob").await;
    test.add_user(&bobs, "alice").await;
    let (browser, theirs) = (test.browser_at("192.0.2.7"), test.browser_at("192.0.2.8"));
    browser.tokens(&web, &Ask::web()).await;
    theirs.sign_in("bob").await;

    let text = browser.get("/account").await.text();
    for shown in ["Alice &#60;A&#62;", "alice@example.com", "192.0.2.7", ">web<", "See your name", "alices", "1 member"]
    {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    for hidden in ["192.0.2.8", "bobs", "Alice <A>"] {
        assert!(!text.contains(hidden), "{hidden}: {text}");
    }
    let text = theirs.get("/account").await.text();
    assert!(text.contains("You have not given any application access") && text.contains("192.0.2.8"), "{text}");
    assert!(!text.contains("192.0.2.7") && !text.contains("alice"), "{text}");
    test.browser().get("/account").await.assert_page(200, "grantor-login");
}

#[tokio::test]
async fn a_browser_is_named_as_it_names_itself() {
    let (test, _) = with_two().await;
    let browser = test.browser();
    let page = browser.get("/account").await;
    let mut form: Vec<(String, String)> = fields(&page).into_iter().collect();
    form.extend([("username".into(), "alice".into()), ("password".into(), PASSWORD.into())]);
    let name = format!("<b>Firefox</b>{}", "x".repeat(500));
    let request =
        Request::post("/login").header("content-type", "application/x-www-form-urlencoded").header("user-agent", &name);
    browser.send(request, Body::from(serde_urlencoded::to_string(&form).unwrap())).await;
    let text = browser.get("/account").await.text();
    assert!(text.contains("&#60;b&#62;Firefox&#60;/b&#62;") && !text.contains(&"x".repeat(200)), "{text}");
    assert!(test.browser().sign_in("alice").await.text().contains("Unknown browser"));
}

#[tokio::test]
async fn a_person_ends_their_sessions() {
    let (test, _) = with_two().await;
    let (browser, elsewhere) = (test.browser(), test.browser());
    elsewhere.sign_in("alice").await;
    let other = sessions(&test, "alice").await[0].clone();
    browser.sign_in("alice").await;
    let own = sessions(&test, "alice").await.into_iter().find(|id| *id != other).unwrap();
    for id in ["", "x", "5d7e3ad0-2b67-4c36-8a3c-8d0ff2e0b1b2", "nul\0"] {
        press(&browser, "/account/sessions", &[("id", id)]).await.assert_page(200, "grantor-account");
    }
    assert!(is_signed_in(&browser).await && is_signed_in(&elsewhere).await);
    let reply = press(&browser, "/account/sessions", &[("id", &other)]).await;
    reply.assert_page(200, "grantor-account");
    assert!(reply.text().contains("That browser is signed out."));
    assert!(is_signed_in(&browser).await && !is_signed_in(&elsewhere).await);
    // Their own one, too: then the cookie goes with it.
    let cookie = browser.cookie(SESSION).unwrap();
    press(&browser, "/account/sessions", &[("id", &own)]).await.assert_page(200, "grantor-login");
    assert!(browser.cookie(SESSION).is_none());
    browser.set_cookie(SESSION, &cookie);
    assert!(!is_signed_in(&browser).await);
}

#[tokio::test]
async fn nobody_ends_the_session_of_another_person() {
    let (test, web) = with_two().await;
    let (alices, bobs) = (test.browser(), test.browser());
    let online = Ask::web().with("scope", &format!("openid {API}/read"));
    let tokens = alices.tokens(&web, &online).await;
    bobs.sign_in("bob").await;
    let id = sessions(&test, "alice").await[0].clone();
    press(&bobs, "/account/sessions", &[("id", &id)]).await.assert_page(200, "grantor-account");
    assert!(is_signed_in(&alices).await);
    let token = tokens["access_token"].as_str().unwrap();
    assert_eq!(test.get_as("/oauth2/v2.0/userinfo", token).await.status.as_u16(), 200);
    // Nor does a withdrawal reach beyond one's own.
    press(&bobs, "/account/consents", &[("client_id", "web")]).await.assert_page(200, "grantor-account");
    assert_eq!(test.get_as("/oauth2/v2.0/userinfo", token).await.status.as_u16(), 200);
    press(&alices, "/account/sessions", &[("id", &id)]).await.assert_page(200, "grantor-login");
    assert!(!is_signed_in(&alices).await);
    test.get_as("/oauth2/v2.0/userinfo", token).await.assert_error(401, "invalid_token", 5003);
}

// M058
#[tokio::test]
async fn withdrawing_ends_everything_that_the_client_got() {
    let (test, web) = with_two().await;
    let all = format!("{API}/.default");
    test.web_client("other", &[&all], "https://other.example.com/cb").await;
    let serving = test.serving_client("api-server", API).await;
    let (browser, elsewhere, theirs) = (test.browser(), test.browser(), test.browser());
    let first = browser.tokens(&web, &Ask::web()).await;
    let second = elsewhere.tokens(&web, &Ask::web()).await;
    theirs.sign_in("bob").await;
    theirs.code(&Ask::web()).await;
    let bobs = theirs.tokens(&web, &Ask::web()).await;
    let pending = browser.code(&Ask::web()).await;
    let other = Ask::web().with("client_id", "other").with("redirect_uri", "https://other.example.com/cb");
    browser.code(&other).await;
    let token = |tokens: &serde_json::Value| tokens["access_token"].as_str().unwrap().to_owned();
    let refreshed = test.refresh(&web, first["refresh_token"].as_str().unwrap()).await.json();

    let reply = press(&browser, "/account/consents", &[("client_id", "web")]).await;
    reply.assert_page(200, "grantor-account");
    assert!(reply.text().contains("The application has no access any more."));
    assert!(reply.text().contains("<bdi>other</bdi>") && !reply.text().contains("<bdi>web</bdi>"), "{}", reply.text());
    test.clock.advance(3);
    for ended in [&first, &second, &refreshed] {
        let token = token(ended);
        assert_eq!(test.introspect(&serving, &token).await["active"], false);
        let (list, index) = place(&token);
        assert!(set_bits(&test.get(&list).await).contains(&index), "who validates by themselves is told");
    }
    for ended in [&refreshed, &second] {
        let Some(refresh) = ended["refresh_token"].as_str() else { continue };
        test.refresh(&web, refresh).await.assert_error(400, "invalid_grant", 4106);
    }
    test.redeem(&web, &pending).await.assert_error(400, "invalid_grant", 4101);
    // Another person's, and the other client's, stay.
    let (list, index) = place(&token(&bobs));
    assert!(!set_bits(&test.get(&list).await).contains(&index));
    assert_eq!(test.introspect(&serving, &token(&bobs)).await["active"], true);
    assert_eq!(test.refresh(&web, bobs["refresh_token"].as_str().unwrap()).await.status.as_u16(), 200);
    browser.get(&other.path()).await.assert_code();
    browser.get(&Ask::web().path()).await.assert_page(200, "grantor-consent");
    for unknown in ["", "nobody", "nul\0"] {
        press(&browser, "/account/consents", &[("client_id", unknown)]).await.assert_page(200, "grantor-account");
    }
}

fn path(group: &Group) -> String {
    format!("/account/groups/{}", group.id)
}

/// The names of the direct members.
async fn members(test: &TestApp, group: &Group) -> Vec<String> {
    let mut lines = test.app.store.list_members(group.id, (Uuid::nil(), 10)).await.unwrap();
    lines.sort_by(|one, other| one.place().cmp(&other.place()));
    lines.into_iter().map(|line| line.name).collect()
}

#[tokio::test]
async fn an_owner_adds_and_removes_members_and_tokens_follow() {
    let (test, web) = with_two().await;
    let (group, inner) = (test.group("staff").await, test.group("admins").await);
    test.add_group(&group, &inner).await;
    test.add_user_owner(&group, "alice").await;
    let browser = test.browser();
    browser.sign_in("alice").await;
    let page = browser.get(&path(&group)).await;
    page.assert_page(200, "grantor-group");
    assert!(page.text().contains("<bdi>staff</bdi>") && page.text().contains("<bdi>admins</bdi>"));
    let add = async |kind: &str, name: &str| {
        press(&browser, &path(&group), &[("operation", "add"), ("kind", kind), ("name", name)]).await
    };
    let remove = async |kind: &str, id: &str| {
        press(&browser, &path(&group), &[("operation", "remove"), ("kind", kind), ("id", id)]).await
    };
    for (kind, name, said) in [
        ("user", "bob", "bob is now a member."),
        ("user", "BOB", "BOB is a member already."),
        ("client", "web", "web is now a member."),
        ("client", "web", "web is a member already."),
        ("user", "web", "There is no user “web”."),
        ("client", "bob", "There is no application “bob”."),
        ("user", "nobody", "There is no user “nobody”."),
        ("user", "nul\0", "There is no user “nul"),
        ("client", "nul\0", "There is no application “nul"),
        ("user", " ", "Enter a name."),
        ("user", "<b>", "There is no user “&#60;b&#62;”."),
    ] {
        let reply = add(kind, name).await;
        reply.assert_page(200, "grantor-group");
        assert!(reply.text().contains(said), "{kind} {name:?}: {}", reply.text());
    }
    assert_eq!(members(&test, &group).await, ["web", "admins", "bob"]);
    test.sync().await;
    let own = claims(&test.token(&web, &format!("{API}/.default")).await);
    assert_eq!(own["groups"], serde_json::json!(["staff"]));

    let (bob, client) = (test.find_user("bob").await.id.to_string(), test.find_client("web").await.oid.to_string());
    for (kind, id) in [("client", bob.as_str()), ("user", "x"), ("", ""), ("group", &bob)] {
        remove(kind, id).await.assert_page(200, "grantor-group");
    }
    assert_eq!(members(&test, &group).await, ["web", "admins", "bob"]);
    assert!(remove("user", &bob).await.text().contains("bob is no longer a member."));
    remove("client", &client).await.assert_page(200, "grantor-group");
    assert!(remove("group", &inner.id.to_string()).await.text().contains("admins is no longer a member."));
    assert!(members(&test, &group).await.is_empty());
    test.sync().await;
    assert!(claims(&test.token(&web, &format!("{API}/.default")).await).get("groups").is_none());
    press(&browser, &path(&group), &[("operation", "x")]).await.assert_page(200, "grantor-group");
}

#[tokio::test]
async fn who_is_no_owner_neither_sees_nor_changes_a_group() {
    let (test, _) = with_two().await;
    let (group, other) = (test.group("staff").await, test.group("other").await);
    test.add_user_owner(&group, "alice").await;
    test.add_user_owner(&other, "bob").await;
    // A member is no owner.
    test.add_user(&group, "bob").await;
    let (browser, stranger) = (test.browser(), test.browser());
    browser.sign_in("bob").await;
    let bob = test.find_user("bob").await.id.to_string();
    let (add, remove) = (
        [("operation", "add"), ("kind", "user"), ("name", "alice")],
        [("operation", "remove"), ("kind", "user"), ("id", bob.as_str())],
    );
    let shown = browser.get(&path(&group)).await;
    shown.assert_error_page(403, 4215);
    assert!(!shown.text().contains("staff"));
    press(&browser, &path(&group), &add).await.assert_error_page(403, 4215);
    press(&browser, &path(&group), &remove).await.assert_error_page(403, 4215);
    assert_eq!(members(&test, &group).await, ["bob"]);
    // A group that is not there answers the same.
    browser.get("/account/groups/5d7e3ad0-2b67-4c36-8a3c-8d0ff2e0b1b2").await.assert_error_page(403, 4215);
    // Nobody is signed in: the login page, and then on to the group.
    let login = stranger.get(&path(&group)).await;
    login.assert_page(200, "grantor-login");
    let csrf = fields(&login)["csrf"].clone();
    let form = [&[("csrf", csrf.as_str())], &add[..]].concat();
    stranger.post(&path(&group), &form).await.assert_page(200, "grantor-login");
    assert_eq!(members(&test, &group).await, ["bob"]);
    let reply = stranger.log_in(&login, "alice", PASSWORD).await;
    assert_eq!(reply.header("location"), path(&group));
    stranger.get(&path(&group)).await.assert_page(200, "grantor-group");

    // An operator takes the ownership away while the page is open.
    let (tenant, now) = (test.tenant_id().await, test.clock.now());
    let alice = MemberId::User(test.find_user("alice").await.id);
    press(&stranger, &path(&group), &remove).await.assert_page(200, "grantor-group");
    assert!(test.app.store.remove_owner(tenant, &group, alice, now).await.unwrap());
    press(&stranger, &path(&group), &add).await.assert_error_page(403, 4215);
    assert!(members(&test, &group).await.is_empty());
    press(&browser, &path(&other), &add).await.assert_page(200, "grantor-group");
    assert_eq!(members(&test, &other).await, ["alice"]);
}

#[tokio::test]
async fn a_group_of_another_tenant_is_out_of_reach() {
    let (test, _) = with_two().await;
    let other = test.beside("t1").await;
    other.people().await;
    other.user_with("carol", PASSWORD).await;
    let theirs = other.group("staff").await;
    other.add_user_owner(&theirs, "alice").await;
    let browser = test.browser();
    browser.sign_in("alice").await;
    browser.get(&path(&theirs)).await.assert_error_page(403, 4215);
    let owner = other.browser();
    owner.sign_in("alice").await;
    let at = format!("/t1{}", path(&theirs));
    let csrf = fields(&owner.get(&at).await)["csrf"].clone();
    let add = |name| [("csrf", csrf.as_str()), ("operation", "add"), ("kind", "user"), ("name", name)];
    let reply = owner.post(&at, &add("bob")).await;
    assert!(reply.text().contains("There is no user “bob”."), "{}", reply.text());
    assert!(owner.post(&at, &add("carol")).await.text().contains("carol is now a member."));
}
