//! RFC 6749 §6, RFC 9700 §4.14.2: refreshing. The rule of which token may be used is in `refresh_line`, what a token is
//! for in `rfc6749_chosen_scope`.

use crate::support::browser::{Ask, NATIVE, PASSWORD, WEB_CALLBACK, answer};
use crate::support::grants::{TOKEN, Tokens};
use crate::support::{API, START, TestApp, TestClient, claims, holds_null};
use grantor::store::client_settings::SettingChanges;
use grantor::types::duration::Seconds;
use grantor::types::policy::RefreshPolicy;
use grantor::types::secret::{Secret, SecretHash};
use serde_json::json;

const DAY: i64 = 86_400;

fn rotation(on: bool) -> SettingChanges {
    SettingChanges { refresh_rotation: Some(on), ..SettingChanges::default() }
}

fn lifetimes(idle: u32, whole: u32) -> SettingChanges {
    let (refresh_idle, refresh_lifetime) = (Some(Seconds::of(idle)), Some(Seconds::of(whole)));
    SettingChanges { refresh_idle, refresh_lifetime, ..SettingChanges::default() }
}

async fn with_tokens() -> (TestApp, TestClient, Tokens) {
    let (test, web) = TestApp::with_people().await;
    let tokens = test.browser().web_tokens(&web, &Ask::web()).await;
    (test, web, tokens)
}

// M145 M151
#[tokio::test]
async fn s6_each_use_gives_a_new_refresh_token_and_a_new_access_token() {
    let (test, web, first) = with_tokens().await;
    let mut seen = vec![first.refresh.clone(), first.access.clone()];
    let mut tokens = first;
    for _ in 0..4 {
        test.clock.advance(600);
        let reply = test.refresh(&web, &tokens.refresh).await;
        assert_eq!((reply.header("cache-control"), reply.header("pragma")), ("no-store", "no-cache"));
        assert!(!holds_null(&reply.json()), "{}", reply.text());
        tokens = reply.tokens();
        assert_eq!((&tokens.body["token_type"], &tokens.body["expires_in"]), (&json!("Bearer"), &json!(3600)));
        assert_eq!(tokens.claims()["iat"], test.clock.now());
        // When the person signed in, not when the token was made.
        assert_eq!(tokens.claims()["auth_time"], START);
        for new in [&tokens.refresh, &tokens.access] {
            assert!(!seen.contains(new));
            seen.push(new.clone());
        }
    }
}

// M151: replay of one that was rotated away revokes the active one, and the access tokens.
#[tokio::test]
async fn rfc9700_s4_14_2_an_old_token_ends_the_family_and_no_other() {
    let (test, web, first) = with_tokens().await;
    let apart = test.browser().web_tokens(&web, &Ask::web()).await;
    let second = test.refresh(&web, &first.refresh).await.tokens();
    let third = test.refresh(&web, &second.refresh).await.tokens();
    for access in [&first.access, &second.access, &third.access] {
        test.assert_alive(&web, access, true).await;
    }
    test.refresh(&web, &first.refresh).await.assert_error(400, "invalid_grant", 4107);
    for access in [&first.access, &second.access, &third.access] {
        test.assert_alive(&web, access, false).await;
    }
    for token in [&first, &second, &third] {
        test.refresh(&web, &token.refresh).await.assert_error(400, "invalid_grant", 4106);
    }
    test.assert_alive(&web, &apart.access, true).await;
    test.refresh(&web, &apart.refresh).await.tokens();
}

#[tokio::test]
async fn s6_a_lost_answer_can_be_asked_for_again() {
    let (test, web, first) = with_tokens().await;
    let lost = test.refresh(&web, &first.refresh).await.tokens();
    test.clock.advance(3 * DAY);
    let again = test.refresh(&web, &first.refresh).await.tokens();
    let next = test.refresh(&web, &again.refresh).await.tokens();
    // The lost one turned up elsewhere.
    test.refresh(&web, &lost.refresh).await.assert_error(400, "invalid_grant", 4107);
    test.refresh(&web, &next.refresh).await.assert_error(400, "invalid_grant", 4106);
}

// M038 M041: another client's attempt uses nothing up and ends nothing.
#[tokio::test]
async fn s6_a_refresh_token_is_for_its_own_client() {
    let (test, web, first) = with_tokens().await;
    let other = test.client("other", &[&format!("{API}/.default")]).await;
    test.set_grants("other", &["authorization_code", "refresh_token"]).await;
    let second = test.refresh(&web, &first.refresh).await.tokens();
    for token in [&first.refresh, &second.refresh] {
        test.refresh(&other, token).await.assert_error(400, "invalid_grant", 4106);
        test.refresh_native(token).await.assert_error(400, "invalid_grant", 4106);
    }
    test.assert_alive(&web, &second.access, true).await;
    test.refresh(&web, &second.refresh).await.tokens();
}

// M038
#[tokio::test]
async fn s6_a_confidential_client_authenticates_and_a_public_one_names_itself() {
    let (test, web, first) = with_tokens().await;
    let native = test.browser().native_tokens(&Ask::native()).await;
    let form = |token| [("grant_type", "refresh_token"), ("refresh_token", token)];
    for token in [first.refresh.as_str(), &native.refresh] {
        test.post(TOKEN, &form(token)).await.assert_error(401, "invalid_client", 2001);
    }
    let named = [&form(&first.refresh)[..], &[("client_id", "web")]].concat();
    test.post(TOKEN, &named).await.assert_error(401, "invalid_client", 2002);
    let wrong = TestClient { secret: "grcs_wrong".into(), ..web.clone() };
    test.refresh(&wrong, &first.refresh).await.assert_error(401, "invalid_client", 2002);
    test.refresh(&web, &first.refresh).await.tokens();
    let next = test.refresh_native(&native.refresh).await.tokens();
    assert_eq!(next.claims()["client_id"], NATIVE);
}

// M013 M036 M041
#[tokio::test]
async fn s6_the_token_is_required_once_and_an_unknown_one_ends_nothing() {
    let (test, web, first) = with_tokens().await;
    let second = test.refresh(&web, &first.refresh).await.tokens();
    let body = test.refresh(&web, "").await.assert_error(400, "invalid_request", 1006);
    assert!(body["error_description"].as_str().unwrap().contains("refresh_token"), "{body}");
    let twice = [("refresh_token", second.refresh.as_str())];
    test.refresh_with(&web, &second.refresh, &twice).await.assert_error(400, "invalid_request", 1005);
    // Of the right grant but of another family: whoever made that up knows nothing.
    let mut made_up = second.refresh.clone().into_bytes();
    made_up[40] = if made_up[40] == b'A' { b'B' } else { b'A' };
    let made_up = String::from_utf8(made_up).unwrap();
    let cut = &second.refresh[..second.refresh.len() - 1];
    for unknown in ["x", "grrt_", "\0", cut, &made_up, &second.access, &second.refresh[5..]] {
        test.refresh(&web, unknown).await.assert_error(400, "invalid_grant", 4106);
    }
    let beside = test.beside("elsewhere").await;
    let theirs = beside.people().await;
    beside.refresh(&theirs, &second.refresh).await.assert_error(400, "invalid_grant", 4106);
    test.assert_alive(&web, &second.access, true).await;
    test.refresh(&web, &second.refresh).await.tokens();
}

#[tokio::test]
async fn s6_a_token_that_is_not_used_ends() {
    for (waited, good) in [(99, true), (100, false), (101, false)] {
        let (test, web) = TestApp::with_people().await;
        test.settings("web", lifetimes(100, 1000)).await;
        let first = test.browser().web_tokens(&web, &Ask::web()).await;
        test.clock.advance(50);
        let second = test.refresh(&web, &first.refresh).await.tokens();
        test.clock.advance(waited);
        let reply = test.refresh(&web, &second.refresh).await;
        if good {
            reply.tokens();
        } else {
            reply.assert_error(400, "invalid_grant", 4106);
        }
    }
}

#[tokio::test]
async fn s6_an_authorization_ends_however_much_it_is_used() {
    let (test, web) = TestApp::with_people().await;
    test.settings("web", lifetimes(100, 1000)).await;
    let mut tokens = test.browser().web_tokens(&web, &Ask::web()).await;
    for _ in 0..11 {
        test.clock.advance(90);
        tokens = test.refresh(&web, &tokens.refresh).await.tokens();
    }
    // 990 seconds after it began; of the successor's 100 seconds ten are left.
    test.clock.advance(9);
    tokens = test.refresh(&web, &tokens.refresh).await.tokens();
    test.clock.advance(1);
    test.refresh(&web, &tokens.refresh).await.assert_error(400, "invalid_grant", 4106);
}

#[tokio::test]
async fn s6_each_client_has_its_own_lifetimes_and_a_change_counts_for_what_comes_after() {
    let (test, web) = TestApp::with_people().await;
    test.settings(NATIVE, lifetimes(100, 1000)).await;
    let browser = test.browser();
    let (mine, native) = (browser.web_tokens(&web, &Ask::web()).await, browser.native_tokens(&Ask::native()).await);
    test.clock.advance(100);
    test.refresh_native(&native.refresh).await.assert_error(400, "invalid_grant", 4106);
    let mine = test.refresh(&web, &mine.refresh).await.tokens();
    // Fourteen days without use, ninety in all, unless something else is said.
    test.clock.advance(14 * DAY - 1);
    let mine = test.refresh(&web, &mine.refresh).await.tokens();
    test.settings("web", lifetimes(100, 1000)).await;
    let next = test.refresh(&web, &mine.refresh).await.tokens();
    test.clock.advance(100);
    test.refresh(&web, &next.refresh).await.assert_error(400, "invalid_grant", 4106);
}

#[tokio::test]
async fn s6_a_client_that_is_disabled_deleted_or_without_the_grant_refreshes_nothing() {
    let (test, web, first) = with_tokens().await;
    test.set_client_enabled("web", false).await;
    test.refresh(&web, &first.refresh).await.assert_error(401, "invalid_client", 2005);
    test.set_client_enabled("web", true).await;
    test.set_grants("web", &["authorization_code"]).await;
    test.refresh(&web, &first.refresh).await.assert_error(400, "unauthorized_client", 3002);
    test.set_grants("web", &["authorization_code", "refresh_token"]).await;
    let next = test.refresh(&web, &first.refresh).await.tokens();
    test.delete_client("web").await;
    test.refresh(&web, &next.refresh).await.assert_error(401, "invalid_client", 2002);
    let namesake = test.client("web", &[&format!("{API}/.default")]).await;
    test.redirects("web", WEB_CALLBACK).await;
    test.set_grants("web", &["authorization_code", "refresh_token"]).await;
    test.refresh(&namesake, &next.refresh).await.assert_error(400, "invalid_grant", 4106);
    assert!(test.bit(&next.access).await);
    assert_eq!(test.introspect(&namesake, &next.access).await, json!({ "active": false }));
}

#[tokio::test]
async fn s6_a_person_who_is_disabled_ends_it_and_enabling_does_not_bring_it_back() {
    let (test, web, first) = with_tokens().await;
    let next = test.refresh(&web, &first.refresh).await.tokens();
    test.set_person_enabled("alice", false).await;
    test.refresh(&web, &next.refresh).await.assert_error(400, "invalid_grant", 4106);
    test.set_person_enabled("alice", true).await;
    test.refresh(&web, &next.refresh).await.assert_error(400, "invalid_grant", 4106);
    assert!(test.bit(&next.access).await);
    let again = test.browser().web_tokens(&web, &Ask::web()).await;
    test.refresh(&web, &again.refresh).await.tokens();
}

#[tokio::test]
async fn s6_a_new_password_a_withdrawal_and_a_deleted_person_end_it() {
    for what in ["password", "withdrawal", "deletion", "of somebody else"] {
        let (test, web, first) = with_tokens().await;
        test.user_with("bob", PASSWORD).await;
        let (tenant, now) = (test.tenant_id().await, test.clock.now());
        let (alice, bob) = (test.person("alice").await, test.person("bob").await);
        let password = SecretHash::argon2id(&Secret::password("another password").unwrap(), &test.app.random);
        match what {
            "password" => drop(test.app.store.set_password(tenant, &alice, &password, now).await.unwrap()),
            "withdrawal" => test.withdraw("web").await,
            "deletion" => drop(test.app.store.delete_user(tenant, &alice, now).await.unwrap()),
            _ => drop(test.app.store.set_password(tenant, &bob, &password, now).await.unwrap()),
        }
        test.sync().await;
        let reply = test.refresh(&web, &first.refresh).await;
        if what == "of somebody else" {
            reply.tokens();
            test.assert_alive(&web, &first.access, true).await;
        } else {
            reply.assert_error(400, "invalid_grant", 4106);
            test.assert_alive(&web, &first.access, false).await;
        }
    }
}

#[tokio::test]
async fn openid_core_s11_a_refresh_token_is_given_for_offline_access_or_by_policy() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    let offline = Ask::web();
    let online = Ask::web().with("scope", &format!("openid {API}/read"));
    assert!(!browser.web_tokens(&web, &offline).await.refresh.is_empty());
    assert!(browser.web_tokens(&web, &online).await.refresh.is_empty());
    let always = SettingChanges { refresh_policy: Some(RefreshPolicy::Always), ..SettingChanges::default() };
    test.settings("web", always).await;
    let tokens = browser.web_tokens(&web, &online).await;
    test.refresh(&web, &tokens.refresh).await.tokens();
    // Without the grant there is none, whatever is asked or decided.
    test.set_grants("web", &["authorization_code"]).await;
    for ask in [&offline, &online] {
        let tokens = browser.web_tokens(&web, ask).await;
        assert!(tokens.refresh.is_empty());
        assert!(!tokens.body["scope"].as_str().unwrap().contains("offline_access"), "{}", tokens.body);
    }
}

// OpenID Connect Core §11: offline access outlives the session; what was given without it does not.
#[tokio::test]
async fn openid_core_s11_what_is_not_offline_ends_with_the_session() {
    let (test, web) = TestApp::with_people().await;
    let always = SettingChanges { refresh_policy: Some(RefreshPolicy::Always), ..SettingChanges::default() };
    test.settings("web", always).await;
    let browser = test.browser();
    let offline = browser.web_tokens(&web, &Ask::web()).await;
    let online = browser.web_tokens(&web, &Ask::web().with("scope", &format!("openid {API}/read"))).await;
    let other_browser = test.browser();
    let elsewhere = other_browser.web_tokens(&web, &Ask::web().with("scope", &format!("openid {API}/read"))).await;
    let session = online.claims()["sid"].as_str().unwrap().parse::<uuid::Uuid>().unwrap();
    let alice = test.person("alice").await;
    assert!(test.app.store.end_session(alice.id, session.into(), test.clock.now()).await.unwrap());
    test.refresh(&web, &online.refresh).await.assert_error(400, "invalid_grant", 4106);
    test.assert_alive(&web, &online.access, false).await;
    for kept in [&offline, &elsewhere] {
        test.assert_alive(&web, &kept.access, true).await;
        test.refresh(&web, &kept.refresh).await.tokens();
    }
}

#[tokio::test]
async fn openid_core_s12_2_an_id_token_comes_with_every_refresh_when_openid_was_granted() {
    let (test, web, first) = with_tokens().await;
    let before = claims(first.body["id_token"].as_str().unwrap());
    assert_eq!(before["nonce"], "n-0S6_WzA2Mj");
    let mut tokens = first;
    for _ in 0..3 {
        test.clock.advance(60);
        tokens = test.refresh(&web, &tokens.refresh).await.tokens();
        let after = claims(tokens.body["id_token"].as_str().unwrap());
        assert!(after.get("nonce").is_none(), "{after}");
        for same in ["iss", "sub", "aud", "azp", "auth_time", "sid"] {
            assert_eq!(after[same], before[same], "{same}");
        }
        assert_eq!(after["iat"], test.clock.now());
    }
    // Narrowed to a resource, identity is still what was granted.
    let scope = format!("{API}/read");
    let narrow = test.refresh_with(&web, &tokens.refresh, &[("scope", &scope)]).await.tokens();
    assert!(narrow.body["id_token"].is_string());
    let plain = Ask::web().with("scope", &format!("offline_access {API}/read"));
    let plain = test.browser().web_tokens(&web, &plain).await;
    assert!(plain.body.get("id_token").is_none());
    assert!(test.refresh(&web, &plain.refresh).await.tokens().body.get("id_token").is_none());
}

#[tokio::test]
async fn s6_groups_are_those_of_the_moment() {
    let (test, web, first) = with_tokens().await;
    assert!(first.claims().get("groups").is_none());
    let (outer, inner) = (test.group("outer").await, test.group("inner").await);
    test.add_group(&outer, &inner).await;
    test.add_person(&inner, "alice").await;
    let second = test.refresh(&web, &first.refresh).await.tokens();
    assert_eq!(second.claims()["groups"], json!(["inner", "outer"]));
    test.remove_person(&inner, "alice").await;
    let third = test.refresh(&web, &second.refresh).await.tokens();
    assert!(third.claims().get("groups").is_none());
}

// For clients that cannot keep a new token at each use; RFC 9700 §2.2.2 allows it where the client authenticates.
#[tokio::test]
async fn s6_without_rotation_the_token_stays_and_its_idle_end_moves() {
    let (test, web) = TestApp::with_people().await;
    test.settings("web", lifetimes(100, 1000)).await;
    test.settings("web", rotation(false)).await;
    let first = test.browser().web_tokens(&web, &Ask::web()).await;
    for _ in 0..11 {
        test.clock.advance(90);
        let next = test.refresh(&web, &first.refresh).await.tokens();
        assert_eq!(next.refresh, first.refresh);
        assert_ne!(next.access, first.access);
        assert_eq!(test.count("refresh_tokens").await, 1);
    }
    test.clock.advance(10);
    test.refresh(&web, &first.refresh).await.assert_error(400, "invalid_grant", 4106);
    let second = test.browser().web_tokens(&web, &Ask::web()).await;
    test.clock.advance(100);
    test.refresh(&web, &second.refresh).await.assert_error(400, "invalid_grant", 4106);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s6_without_rotation_many_uses_at_once_are_all_answered() {
    let (test, web) = TestApp::with_people().await;
    test.settings("web", rotation(false)).await;
    let first = test.browser().web_tokens(&web, &Ask::web()).await;
    let servers = [test.second_server().await, test.second_server().await];
    let asking = (0..24).map(|at| servers[at % 2].refresh(&web, &first.refresh));
    let (left, right): (Vec<_>, Vec<_>) = asking.enumerate().partition(|(at, _)| at % 2 == 0);
    let all = |asking: Vec<(usize, _)>| async {
        let mut replies = Vec::new();
        for (_, reply) in asking {
            replies.push(Box::pin(reply).await);
        }
        replies
    };
    let (left, right) = tokio::join!(all(left), all(right));
    for reply in left.into_iter().chain(right) {
        let tokens = reply.tokens();
        assert_eq!(tokens.refresh, first.refresh);
        test.assert_alive(&web, &tokens.access, true).await;
    }
}

// What is switched on or off counts from the next use, and nothing that was handed out is lost by it.
#[tokio::test]
async fn s6_rotation_can_be_switched_on_and_off() {
    let (test, web, first) = with_tokens().await;
    let second = test.refresh(&web, &first.refresh).await.tokens();
    test.settings("web", rotation(false)).await;
    for _ in 0..3 {
        assert_eq!(test.refresh(&web, &second.refresh).await.tokens().refresh, second.refresh);
    }
    test.settings("web", rotation(true)).await;
    let third = test.refresh(&web, &second.refresh).await.tokens();
    assert_ne!(third.refresh, second.refresh);
    let fourth = test.refresh(&web, &third.refresh).await.tokens();
    test.refresh(&web, &second.refresh).await.assert_error(400, "invalid_grant", 4107);
    test.refresh(&web, &fourth.refresh).await.assert_error(400, "invalid_grant", 4106);
}

// M145: RFC 9700 §2.2.2. The store refuses such a setting, so it is written past it.
#[tokio::test]
async fn rfc9700_s2_2_2_a_public_client_is_rotated_whatever_is_set() {
    let (test, _) = TestApp::with_people().await;
    assert_eq!(test.execute("UPDATE clients SET refresh_rotation = FALSE WHERE client_id = 'native'").await, 1);
    test.set_client_enabled(NATIVE, true).await;
    assert!(!test.find_client(NATIVE).await.settings.refresh_rotation);
    let first = test.browser().native_tokens(&Ask::native()).await;
    let second = test.refresh_native(&first.refresh).await.tokens();
    assert_ne!(second.refresh, first.refresh);
    let third = test.refresh_native(&second.refresh).await.tokens();
    test.refresh_native(&first.refresh).await.assert_error(400, "invalid_grant", 4107);
    test.refresh_native(&third.refresh).await.assert_error(400, "invalid_grant", 4106);
}

#[tokio::test]
async fn s6_a_refresh_token_stands_for_the_person_who_agreed() {
    let (test, web) = TestApp::with_people().await;
    test.user_with("bob", PASSWORD).await;
    for name in ["alice", "bob"] {
        let reply = test.browser().authorize_as(&Ask::web(), name).await;
        let tokens = test.redeem(&web, &answer(&reply)["code"]).await.tokens();
        let next = test.refresh(&web, &tokens.refresh).await.tokens();
        assert_eq!(next.claims()["sub"], test.person(name).await.id.to_string());
    }
}
