//! RFC 6749 §4.1: the authorization code grant from the request to the token. What a token is for, out of what was
//! authorized, is in `rfc6749_chosen_scope`.

use crate::support::browser::{Ask, CHALLENGE, NATIVE, VERIFIER, WEB_CALLBACK, answer, main_id};
use crate::support::grants::TOKEN;
use crate::support::{API, PUBLIC_URL, TestApp, TestClient, claims, holds_null};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantor::store::client_settings::SettingChanges;
use grantor::types::refresh_token::RefreshToken;
use grantor::types::secret::sha256;
use std::sync::Arc;
use tokio::sync::Barrier;

#[tokio::test]
async fn s4_1_a_person_signs_in_consents_and_the_client_gets_tokens() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    let page = browser.get(&Ask::web().path()).await;
    assert_eq!(main_id(&page).as_deref(), Some("grantor-login"), "{}", page.text());
    let reply = browser.log_in(&page, "alice", "wrong password").await;
    assert_eq!(main_id(&reply).as_deref(), Some("grantor-login"));
    let reply = browser.log_in(&page, "Alice", crate::support::browser::PASSWORD).await;
    assert_eq!(reply.status.as_u16(), 303, "{}", reply.text());
    let page = browser.follow(&reply).await;
    assert_eq!(main_id(&page).as_deref(), Some("grantor-consent"), "{}", page.text());
    let reply = browser.decide(&page, "approve").await;
    assert_eq!(reply.status.as_u16(), 303, "{}", reply.text());
    assert!(reply.header("location").starts_with(&format!("{WEB_CALLBACK}?code=")), "{}", reply.header("location"));
    let mut answer = answer(&reply);
    assert_eq!(answer["state"], "a state/&?");
    assert_eq!(answer["iss"], PUBLIC_URL);
    let code = answer.remove("code").unwrap();

    let tokens = test.redeem(&web, &code).await;
    assert_eq!(tokens.status.as_u16(), 200, "{}", tokens.text());
    let tokens = tokens.json();
    let user = test.app.store.find_user(test.tenant_id().await, "alice").await.unwrap().unwrap();
    let access = claims(tokens["access_token"].as_str().unwrap());
    assert_eq!(access["sub"], user.id.to_string());
    assert_eq!(access["aud"], API);
    assert_eq!(access["scope"], "read");
    let id_token = claims(tokens["id_token"].as_str().unwrap());
    assert_eq!((&id_token["aud"], &id_token["nonce"]), (&"web".into(), &"n-0S6_WzA2Mj".into()));

    let refreshed = test.refresh(&web, tokens["refresh_token"].as_str().unwrap()).await;
    assert_eq!(refreshed.status.as_u16(), 200, "{}", refreshed.text());
    assert_eq!(claims(refreshed.json()["access_token"].as_str().unwrap())["sub"], user.id.to_string());
    let info = test.get_as("/oauth2/v2.0/userinfo", refreshed.json()["access_token"].as_str().unwrap()).await;
    assert_eq!(info.json()["preferred_username"], "alice");
}

// M025
#[tokio::test]
async fn s4_1_2_a_code_lives_for_sixty_seconds() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    for (waited, good) in [(0, true), (59, true), (60, false), (61, false), (86_400, false)] {
        let code = browser.code(&Ask::web()).await;
        test.clock.advance(waited);
        let reply = test.redeem(&web, &code).await;
        if good {
            reply.tokens();
        } else {
            reply.assert_error(400, "invalid_grant", 4101);
        }
    }
}

// M027 M030: and a stranger's attempt neither spends the code nor revokes what came from it.
#[tokio::test]
async fn s4_1_3_a_code_is_for_its_own_client() {
    let (test, web) = TestApp::with_people().await;
    let other = test.client("other", &[&format!("{API}/.default")]).await;
    test.set_grants("other", &["authorization_code", "refresh_token"]).await;
    test.redirects("other", WEB_CALLBACK).await;
    let code = test.browser().code(&Ask::web()).await;
    test.redeem(&other, &code).await.assert_error(400, "invalid_grant", 4101);
    test.redeem_native(&code).await.assert_error(400, "invalid_grant", 4101);
    let tokens = test.redeem(&web, &code).await.tokens();
    test.redeem(&other, &code).await.assert_error(400, "invalid_grant", 4101);
    test.redeem_native(&code).await.assert_error(400, "invalid_grant", 4101);
    test.assert_alive(&web, &tokens.access, true).await;
    test.refresh(&web, &tokens.refresh).await.tokens();
    // Its own codes it does redeem.
    let code = test.browser().code(&Ask::web().with("client_id", "other")).await;
    test.redeem(&other, &code).await.tokens();
}

// M030 M043
#[tokio::test]
async fn s4_1_3_the_redirect_uri_of_the_request_is_repeated() {
    let (test, web) = TestApp::with_people().await;
    test.redirects("web", "https://app.example.com/other").await;
    let code = test.browser().code(&Ask::web()).await;
    let body = test.redeem_with(&web, &code, &[("redirect_uri", "")]).await.assert_error(400, "invalid_request", 1006);
    assert!(body["error_description"].as_str().unwrap().contains("redirect_uri"), "{body}");
    for wrong in ["https://app.example.com/other", "https://app.example.com/cb/", "https://app.example.com/CB", "x"] {
        let reply = test.redeem_with(&web, &code, &[("redirect_uri", wrong)]).await;
        reply.assert_error(400, "invalid_grant", 4103);
    }
    test.redeem(&web, &code).await.tokens();
}

// M030: RFC 8252 §7.3: the port is the one of the request.
#[tokio::test]
async fn s4_1_3_the_port_of_a_loopback_redirect_uri_is_repeated() {
    let (test, _) = TestApp::with_people().await;
    let code = test.browser().code(&Ask::native()).await;
    let form = |uri| {
        [
            ("grant_type", "authorization_code"),
            ("client_id", NATIVE),
            ("code", code.as_str()),
            ("redirect_uri", uri),
            ("code_verifier", VERIFIER),
        ]
    };
    for wrong in ["http://127.0.0.1/cb", "http://127.0.0.1:49153/cb"] {
        test.post(TOKEN, &form(wrong)).await.assert_error(400, "invalid_grant", 4103);
    }
    test.post(TOKEN, &form("http://127.0.0.1:49152/cb")).await.tokens();
}

// M030
#[tokio::test]
async fn s4_1_3_a_redirect_uri_that_was_not_sent_need_not_be_repeated() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    let ask = Ask::web().without("redirect_uri");
    for repeated in ["", WEB_CALLBACK] {
        let code = browser.code(&ask).await;
        let other = [("redirect_uri", "https://app.example.com/other")];
        test.redeem_with(&web, &code, &other).await.assert_error(400, "invalid_grant", 4103);
        test.redeem_with(&web, &code, &[("redirect_uri", repeated)]).await.tokens();
    }
}

// M143
#[tokio::test]
async fn s4_1_3_a_wrong_verifier_does_not_spend_the_code() {
    let (test, web) = TestApp::with_people().await;
    let code = test.browser().code(&Ask::web()).await;
    let other = "A".repeat(43);
    for wrong in ["", CHALLENGE, "short", &other, &VERIFIER.to_lowercase(), &format!("{VERIFIER}=")] {
        let reply = test.redeem_with(&web, &code, &[("code_verifier", wrong)]).await;
        reply.assert_error(400, "invalid_grant", 4104);
    }
    test.redeem(&web, &code).await.tokens();
}

// M143: RFC 9700 §2.1.1: a verifier without a challenge is a downgrade.
#[tokio::test]
async fn s4_1_3_a_verifier_without_a_challenge_is_refused() {
    let (test, web) = TestApp::with_people().await;
    test.settings("web", SettingChanges { require_pkce: Some(false), ..SettingChanges::default() }).await;
    let ask = Ask::web().without("code_challenge").without("code_challenge_method");
    let code = test.browser().code(&ask).await;
    test.redeem(&web, &code).await.assert_error(400, "invalid_grant", 4105);
    test.redeem_with(&web, &code, &[("code_verifier", "")]).await.tokens();
    // The other way round: with a challenge a verifier is needed, whatever the client need not do.
    let code = test.browser().code(&Ask::web()).await;
    test.redeem_with(&web, &code, &[("code_verifier", "")]).await.assert_error(400, "invalid_grant", 4104);
}

#[tokio::test]
async fn s4_1_2_a_code_stands_for_the_person_who_agreed() {
    let (test, web) = TestApp::with_people().await;
    test.user_with("bob", crate::support::browser::PASSWORD).await;
    for name in ["alice", "bob"] {
        let reply = test.browser().authorize_as(&Ask::web(), name).await;
        let tokens = test.redeem(&web, &answer(&reply)["code"]).await.tokens();
        let person = test.person(name).await.id.to_string();
        assert_eq!(
            (&tokens.claims()["sub"], &tokens.claims()["preferred_username"]),
            (&person.as_str().into(), &name.into())
        );
        assert_eq!(claims(tokens.body["id_token"].as_str().unwrap())["sub"], person);
    }
}

// M026
#[tokio::test]
async fn s4_1_2_a_second_use_is_denied_and_revokes_all_that_came_from_the_first() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    let code = browser.code(&Ask::web()).await;
    let tokens = test.redeem(&web, &code).await.tokens();
    let refreshed = test.refresh(&web, &tokens.refresh).await.tokens();
    let apart = browser.web_tokens(&web, &Ask::web()).await;
    for access in [&tokens.access, &refreshed.access] {
        test.assert_alive(&web, access, true).await;
    }
    test.redeem(&web, &code).await.assert_error(400, "invalid_grant", 4102);
    for access in [&tokens.access, &refreshed.access] {
        test.assert_alive(&web, access, false).await;
        test.get_as("/oauth2/v2.0/userinfo", access).await.assert_error(401, "invalid_token", 5003);
    }
    test.refresh(&web, &refreshed.refresh).await.assert_error(400, "invalid_grant", 4106);
    test.redeem(&web, &code).await.assert_error(400, "invalid_grant", 4102);
    // What came from another code is none of it.
    test.assert_alive(&web, &apart.access, true).await;
    test.refresh(&web, &apart.refresh).await.tokens();
}

// M026: even a second use with nothing else right: who has the code has stolen it.
#[tokio::test]
async fn s4_1_2_a_second_use_counts_whatever_else_is_wrong_and_after_the_code_expired() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    let wrong = [("code_verifier", "A".repeat(43)), ("redirect_uri", "https://evil.example.com/".into())];
    for (name, value) in &wrong {
        let code = browser.code(&Ask::web()).await;
        let tokens = test.redeem(&web, &code).await.tokens();
        test.redeem_with(&web, &code, &[(name, value)]).await.assert_error(400, "invalid_grant", 4102);
        test.assert_alive(&web, &tokens.access, false).await;
    }
    let code = browser.code(&Ask::web()).await;
    let tokens = test.redeem(&web, &code).await.tokens();
    test.clock.advance(1800);
    test.assert_alive(&web, &tokens.access, true).await;
    test.redeem(&web, &code).await.assert_error(400, "invalid_grant", 4102);
    test.assert_alive(&web, &tokens.access, false).await;
    test.refresh(&web, &tokens.refresh).await.assert_error(400, "invalid_grant", 4106);
}

// M026
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s4_1_2_of_sixteen_redemptions_at_once_over_two_servers_one_is_answered_and_then_revoked() {
    let (first, web) = TestApp::with_people().await;
    let first = Arc::new(first);
    let second = Arc::new(first.second_server().await);
    for _ in 0..5 {
        let code = first.browser().code(&Ask::web()).await;
        let barrier = Arc::new(Barrier::new(16));
        let asking: Vec<_> = (0..16)
            .map(|at| {
                let server = if at % 2 == 0 { first.clone() } else { second.clone() };
                let (barrier, web, code) = (barrier.clone(), web.clone(), code.clone());
                tokio::spawn(async move {
                    barrier.wait().await;
                    server.redeem(&web, &code).await
                })
            })
            .collect();
        let mut good = Vec::new();
        for reply in asking {
            let reply = reply.await.unwrap();
            if reply.status == 200 {
                good.push(reply.tokens());
            } else {
                reply.assert_error(400, "invalid_grant", 4102);
            }
        }
        assert_eq!(good.len(), 1);
        for server in [&first, &second] {
            server.assert_alive(&web, &good[0].access, false).await;
            server.refresh(&web, &good[0].refresh).await.assert_error(400, "invalid_grant", 4106);
        }
        // Nothing was issued beside the one answer.
        assert_eq!(first.count("grant_tokens").await, first.count("revocations").await);
        assert_eq!(first.count("refresh_tokens").await, first.count("grants").await);
    }
}

#[tokio::test]
async fn s4_1_2_a_code_is_worth_nothing_once_consent_is_withdrawn() {
    let (test, web) = TestApp::with_people().await;
    let code = test.browser().code(&Ask::web()).await;
    test.withdraw("web").await;
    test.redeem(&web, &code).await.assert_error(400, "invalid_grant", 4101);
    assert_eq!(test.count("grant_tokens").await, 0);
    // Another client's code stays, and asking again helps.
    let kept = test.browser().code(&Ask::native()).await;
    let again = test.browser().code(&Ask::web()).await;
    test.redeem(&web, &again).await.tokens();
    test.withdraw("web").await;
    test.redeem_native(&kept).await.tokens();
}

#[tokio::test]
async fn s4_1_2_a_code_of_a_person_who_was_disabled_stays_worth_nothing() {
    let (test, web) = TestApp::with_people().await;
    let code = test.browser().code(&Ask::web()).await;
    test.set_person_enabled("alice", false).await;
    test.redeem(&web, &code).await.assert_error(400, "invalid_grant", 4101);
    test.set_person_enabled("alice", true).await;
    test.redeem(&web, &code).await.assert_error(400, "invalid_grant", 4101);
    let again = test.browser().code(&Ask::web()).await;
    test.redeem(&web, &again).await.tokens();
}

#[tokio::test]
async fn s4_1_3_a_client_that_is_disabled_or_deleted_redeems_nothing() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    let code = browser.code(&Ask::web()).await;
    test.set_client_enabled("web", false).await;
    test.redeem(&web, &code).await.assert_error(401, "invalid_client", 2005);
    test.set_client_enabled("web", true).await;
    test.set_grants("web", &["client_credentials"]).await;
    test.redeem(&web, &code).await.assert_error(400, "unauthorized_client", 3002);
    test.set_grants("web", &["authorization_code", "refresh_token"]).await;
    test.redeem(&web, &code).await.tokens();
    let code = browser.code(&Ask::web()).await;
    test.delete_client("web").await;
    test.redeem(&web, &code).await.assert_error(401, "invalid_client", 2002);
    // One of the same name has nothing to do with it.
    let namesake = test.client("web", &[&format!("{API}/.default")]).await;
    test.redirects("web", WEB_CALLBACK).await;
    test.set_grants("web", &["authorization_code", "refresh_token"]).await;
    test.redeem(&namesake, &code).await.assert_error(400, "invalid_grant", 4101);
    let code = test.browser().code(&Ask::web()).await;
    test.redeem(&namesake, &code).await.tokens();
}

// M030 M040
#[tokio::test]
async fn s4_1_3_a_public_client_names_itself_and_a_confidential_one_authenticates() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    let code = browser.code(&Ask::native()).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", "http://127.0.0.1:49152/cb"),
        ("code_verifier", VERIFIER),
    ];
    test.post(TOKEN, &form).await.assert_error(401, "invalid_client", 2001);
    let tokens = test.redeem_native(&code).await.tokens();
    assert_eq!(tokens.claims()["client_id"], NATIVE);
    let code = browser.code(&Ask::web()).await;
    let wrong = TestClient { secret: "grcs_wrong".into(), ..web.clone() };
    test.redeem(&wrong, &code).await.assert_error(401, "invalid_client", 2002);
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", "web"),
        ("code", &code),
        ("redirect_uri", WEB_CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    test.post(TOKEN, &form).await.assert_error(401, "invalid_client", 2002);
    test.redeem(&web, &code).await.tokens();
}

// M013 M036
#[tokio::test]
async fn s4_1_3_the_code_is_required_once_and_an_unknown_one_is_refused() {
    let (test, web) = TestApp::with_people().await;
    let code = test.browser().code(&Ask::web()).await;
    let body = test.redeem(&web, "").await.assert_error(400, "invalid_request", 1006);
    assert!(body["error_description"].as_str().unwrap().contains("code"), "{body}");
    let twice = [("grant_type", "authorization_code"), ("code", code.as_str()), ("code", &code)];
    test.post_as(TOKEN, &web, &twice).await.assert_error(400, "invalid_request", 1005);
    for unknown in ["x", "\0", "grac_", &code[..code.len() - 1], &format!("{code}A"), &code.to_uppercase()] {
        test.redeem(&web, unknown).await.assert_error(400, "invalid_grant", 4101);
    }
    let beside = test.beside("elsewhere").await;
    let theirs = beside.people().await;
    beside.redeem(&theirs, &code).await.assert_error(400, "invalid_grant", 4101);
    test.redeem(&web, &code).await.tokens();
}

// M034
#[tokio::test]
async fn s5_1_the_answer_is_not_stored_and_holds_no_null() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    let all = ["access_token", "expires_in", "id_token", "refresh_token", "scope", "token_type"];
    let plain = format!("{API}/read");
    for (scope, members) in [
        (None, all.to_vec()),
        (Some("openid"), vec!["access_token", "expires_in", "id_token", "scope", "token_type"]),
        (Some(plain.as_str()), vec!["access_token", "expires_in", "scope", "token_type"]),
    ] {
        let ask = scope.map_or_else(Ask::web, |scope| Ask::web().with("scope", scope));
        let reply = test.redeem(&web, &browser.code(&ask).await).await;
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(reply.header("pragma"), "no-cache");
        assert!(reply.header("content-type").starts_with("application/json"));
        let body = reply.tokens().body;
        assert!(!holds_null(&body), "{body}");
        let mut named: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
        named.sort_unstable();
        assert_eq!(named, members);
        assert_eq!((&body["token_type"], &body["expires_in"]), (&"Bearer".into(), &3600.into()));
    }
}

// M041 M042 M044
#[tokio::test]
async fn s10_4_codes_refresh_tokens_and_session_cookies_are_kept_as_hashes_alone() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    let open = browser.code(&Ask::web()).await;
    let spent = browser.code(&Ask::web()).await;
    let first = test.redeem(&web, &spent).await.tokens();
    let second = test.refresh(&web, &first.refresh).await.tokens();
    let cookies: Vec<String> = browser.cookies.lock().unwrap().values().cloned().collect();
    let session = cookies.iter().find(|value| value.starts_with("grse_")).unwrap();
    let stored = test.every_value().await;
    let holds = |needle: &[u8]| -> Vec<&str> {
        let found = stored.iter().filter(|(_, value)| value.windows(needle.len()).any(|part| part == needle));
        found.map(|(column, _)| column.as_str()).collect()
    };
    let tokens = [&open, &spent, &first.refresh, &second.refresh, &first.access, &second.access, &web.secret];
    for clear in tokens.into_iter().chain(&cookies) {
        assert!(clear.len() > 40, "{clear}");
        assert!(holds(clear.as_bytes()).is_empty(), "{clear} stands in {:?}", holds(clear.as_bytes()));
        // Neither as it is without its prefix, nor as the bytes that it stands for.
        let bare = clear.split_once('_').map_or(clear.as_str(), |(_, bare)| bare);
        assert!(holds(bare.as_bytes()).is_empty());
        if let Ok(bytes) = URL_SAFE_NO_PAD.decode(bare) {
            let secret = &bytes[bytes.len() - 32..];
            assert!(holds(secret).is_empty(), "{clear} stands in {:?}", holds(secret));
        }
    }
    // The search finds what is there.
    assert_eq!(holds(&sha256(open.as_bytes())), ["codes.hash"]);
    assert_eq!(holds(&sha256(spent.as_bytes())), ["codes.hash"]);
    assert_eq!(holds(&sha256(session.as_bytes())), ["sessions.token_hash"]);
    let refresh: RefreshToken = second.refresh.parse().unwrap();
    assert_eq!(holds(&refresh.hash()), ["refresh_tokens.hash"]);
    assert_eq!(holds(&refresh.family()), ["grants.family"]);
    assert!(holds(b"alice").contains(&"users.username"));
}
