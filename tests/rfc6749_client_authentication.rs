//! RFC 6749 §2: how clients prove who they are.

use crate::rfc6749_token::{GRANT, TOKEN, assert_issued, body_of, with_basic};
use crate::support::{API, PUBLIC_URL, TestApp, TestClient, basic, claims};
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use grantor::store::secrets::NewSecret;
use grantor::types::id::SecretId;
use grantor::types::secret::{CLIENT_SECRET_PREFIX, Secret, SecretHash};

// M001
#[tokio::test]
async fn s2_2_a_client_id_alone_is_no_authentication() {
    let (test, client) = TestApp::with_client().await;
    let id = &client.id;
    test.post_raw(TOKEN, &[], format!("{GRANT}&client_id={id}")).await.assert_error(401, "invalid_client", 2002);
    with_basic(&test, &STANDARD.encode(format!("{id}:")), "").await.assert_error(401, "invalid_client", 2002);
    with_basic(&test, &STANDARD.encode(id), "").await.assert_error(401, "invalid_client", 2003);
    test.post_raw(TOKEN, &[], GRANT).await.assert_error(401, "invalid_client", 2001);
    assert_issued(&test.post_raw(TOKEN, &[], body_of(&client)).await);
}

// M001 M021 M033
#[tokio::test]
async fn s4_4_a_public_client_gets_no_token_for_itself() {
    let (test, client) = TestApp::with_client().await;
    test.client_with("public", &[&format!("{API}/.default")], None).await;
    let request = format!("{GRANT}&client_id=public");
    test.post_raw(TOKEN, &[], request.clone()).await.assert_error(400, "unauthorized_client", 3003);
    // Not even when somebody registered the grant for it.
    test.set_grants("public", &["client_credentials"]).await;
    test.post_raw(TOKEN, &[], request).await.assert_error(400, "unauthorized_client", 3003);
    let form = [("client_id", "public"), ("token", "x")];
    test.post("/introspect", &form).await.assert_error(401, "invalid_client", 2009);
    // It has no secret that could be right.
    let secret = format!("{GRANT}&client_id=public&client_secret=grcs_anything-at-all");
    test.post_raw(TOKEN, &[], secret).await.assert_error(401, "invalid_client", 2002);
    assert_issued(&test.post_raw(TOKEN, &[], body_of(&client)).await);
}

// M007
#[tokio::test]
async fn s2_3_more_than_one_method_is_refused() {
    let (test, client) = TestApp::with_client().await;
    let header = basic(&client.id, &client.secret);
    let one = [("authorization", header.as_str())];
    let two = [("authorization", header.as_str()), ("authorization", header.as_str())];
    let body = body_of(&client);
    let assertion = "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=a.b.c";
    test.post_raw(TOKEN, &one, body.clone()).await.assert_error(400, "invalid_request", 2004);
    test.post_raw(TOKEN, &two, GRANT).await.assert_error(400, "invalid_request", 2004);
    for (headers, body) in [(&one[..], format!("{GRANT}{assertion}")), (&[], format!("{body}{assertion}"))] {
        test.post_raw(TOKEN, headers, body).await.assert_error(400, "invalid_request", 2004);
    }
    // One that is not offered is not two.
    test.post_raw(TOKEN, &[], format!("{GRANT}{assertion}")).await.assert_error(401, "invalid_client", 2008);
    assert_issued(&test.post_raw(TOKEN, &one, format!("{GRANT}&scope={API}/.default")).await);
    assert_issued(&test.post_raw(TOKEN, &[], body).await);
}

// M007
#[tokio::test]
async fn s2_3_1_the_client_id_may_be_repeated_in_the_body_when_it_is_the_same() {
    let (test, client) = TestApp::with_client().await;
    let encoded = STANDARD.encode(format!("{}:{}", client.id, client.secret));
    let scope = format!("&scope={API}/.default");
    assert_issued(&with_basic(&test, &encoded, &format!("&client_id={}{scope}", client.id)).await);
    with_basic(&test, &encoded, &format!("&client_id=other{scope}")).await.assert_error(400, "invalid_request", 2007);
}

/// What encoders in the field make of a word.
fn spellings(text: &str) -> Vec<String> {
    let percent = |keep: &str| -> String {
        text.bytes()
            .map(|byte| {
                let c = char::from(byte);
                if c.is_ascii_alphanumeric() || keep.contains(c) { c.to_string() } else { format!("%{byte:02X}") }
            })
            .collect()
    };
    vec![
        text.to_owned(),
        percent("-._~"),                     // Python's quote(safe='')
        percent("-._~").replace("%20", "+"), // Go's QueryEscape
        percent("-._*").replace("%20", "+"), // Java's URLEncoder
        percent("!'()*"),                    // oauth4webapi
    ]
}

// M003
#[tokio::test]
async fn s2_3_1_basic_credentials_are_understood_raw_and_form_encoded_in_both_alphabets() {
    let (test, generated) = TestApp::with_client().await;
    let allowed = format!("{API}/.default");
    let mut clients = vec![generated];
    for (at, secret) in [
        "co:lon:s and more",
        "plus+plus+plus",
        "100%25 %zz % sure",
        "a space or two",
        "tilde~tilde~",
        "Grüße-日本語-🔑",
        "a&b=c?d/e_f-g",
    ]
    .iter()
    .enumerate()
    {
        clients.push(test.client_with_chosen(&format!("chosen-{at}_x.y"), secret, &[&allowed]).await);
    }
    for client in &clients {
        for (id, secret) in spellings(&client.id).iter().zip(spellings(&client.secret)) {
            let pair = format!("{id}:{secret}");
            for encoded in [
                STANDARD.encode(&pair),
                STANDARD_NO_PAD.encode(&pair),
                URL_SAFE.encode(&pair),
                URL_SAFE_NO_PAD.encode(&pair),
            ] {
                let reply = with_basic(&test, &encoded, &format!("&scope={allowed}")).await;
                assert_eq!(reply.status, StatusCode::OK, "{pair}: {}", reply.text());
            }
        }
        let wrong = format!("{}:{}x", client.id, client.secret);
        with_basic(&test, &STANDARD.encode(wrong), "").await.assert_error(401, "invalid_client", 2002);
    }
}

// M003: Python's requests and btoa send Latin-1; RFC 7617 §2.1 leaves that open.
#[tokio::test]
async fn s2_3_1_basic_credentials_are_understood_in_latin_1() {
    let (test, _) = TestApp::with_client().await;
    test.client_with_chosen("umlaut", "Grüße aus Köln", &[&format!("{API}/.default")]).await;
    let latin1: Vec<u8> = "umlaut:Grüße aus Köln".chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    assert_issued(&with_basic(&test, &STANDARD.encode(latin1), &format!("&scope={API}/.default")).await);
    with_basic(&test, &STANDARD.encode(b"umlaut:Gr\xFC\xDFe"), "").await.assert_error(401, "invalid_client", 2002);
}

// M003
#[tokio::test]
async fn s2_3_1_body_credentials_are_form_decoded() {
    let (test, _) = TestApp::with_client().await;
    for (at, secret) in ["co:lon:s and more", "plus+plus+plus", "Grüße % ~ 🔑 &=?"].iter().enumerate() {
        let client = test.client_with_chosen(&format!("chosen-{at}"), secret, &[&format!("{API}/.default")]).await;
        assert_issued(&test.request_token(&client, &format!("{API}/.default")).await);
        // A secret that was decoded once is not decoded again.
        let twice = TestClient { secret: spellings(secret)[1].clone(), ..client };
        test.request_token(&twice, "").await.assert_error(401, "invalid_client", 2002);
    }
}

// M003
#[tokio::test]
async fn s2_3_1_the_scheme_is_any_case_and_what_is_no_basic_pair_is_refused() {
    let (test, client) = TestApp::with_client().await;
    let encoded = STANDARD.encode(format!("{}:{}", client.id, client.secret));
    let body = format!("{GRANT}&scope={API}/.default");
    for scheme in ["Basic", "basic", "BASIC"] {
        assert_issued(&test.post_raw(TOKEN, &[("authorization", &format!("{scheme} {encoded}"))], body.clone()).await);
    }
    for (value, code) in [
        ("Basic", 2003),
        ("Basic ", 2003),
        ("Basic !!!", 2003),
        (encoded.as_str(), 2003),
        ("Bearer abc", 2008),
        ("Digest username=\"x\"", 2008),
    ] {
        let reply = test.post_raw(TOKEN, &[("authorization", value)], body.clone()).await;
        reply.assert_error(401, "invalid_client", code);
    }
}

// M004
#[tokio::test]
async fn s2_3_1_credentials_in_the_query_are_not_read() {
    let (test, client) = TestApp::with_client().await;
    let query = format!("{TOKEN}?{}", body_of(&client));
    test.post_raw(&query, &[], "").await.assert_error(401, "invalid_client", 2001);
    test.post_raw(&query, &[], GRANT).await.assert_error(401, "invalid_client", 2001);
    // They do not even contradict those in the body: MSAL puts a query on this endpoint.
    let query =
        format!("{TOKEN}?client-request-id=5d7e3ad0-2b67-4c36-8a3c-8d0ff2e0b1b2&client_id=other&client_secret=x");
    assert_issued(&test.post_raw(&query, &[], body_of(&client)).await);
}

// M006
#[tokio::test]
async fn s2_3_1_wrong_chosen_secrets_are_throttled_and_a_known_right_one_is_still_accepted() {
    let (test, _) = TestApp::with_client().await;
    let scope = format!("{API}/.default");
    let client = test.client_with_chosen("chosen", "correct horse battery", &[&scope]).await;
    let other = test.client_with_chosen("other", "staple correct horse", &[&scope]).await;
    assert_issued(&test.request_token(&client, &scope).await);
    let guess = |at: u32| TestClient { id: "chosen".into(), secret: format!("wrong guess {at}") };
    for at in 0..10 {
        test.request_token(&guess(at), "").await.assert_error(401, "invalid_client", 2002);
    }
    let refused = test.request_token(&guess(10), "").await;
    refused.assert_error(429, "temporarily_unavailable", 2010);
    assert_eq!(refused.header("retry-after"), "60");
    // Nobody who is at work is locked out, and nobody else is touched.
    assert_issued(&test.request_token(&client, &scope).await);
    assert_issued(&test.request_token(&other, &scope).await);
    // A minute later guesses are read again, and counted again.
    test.clock.advance(60);
    test.request_token(&guess(11), "").await.assert_error(401, "invalid_client", 2002);
}

#[tokio::test]
async fn s10_10_who_guessed_too_often_is_answered_late_and_without_a_look_at_the_database() {
    let (test, _) = TestApp::with_client().await;
    let client = test.client_with_chosen("chosen", "correct horse battery", &[]).await;
    let guess = TestClient { secret: "wrong guess".into(), ..client };
    for _ in 0..10 {
        test.request_token(&guess, "").await.assert_error(401, "invalid_client", 2002);
    }
    test.app.store.close().await;
    let free = || test.app.held_back.available_permits();
    let all = free();
    let asked: Vec<_> = (0..8)
        .map(|_| {
            let (test, guess) = (test.over(test.app.clone()), guess.clone());
            tokio::spawn(async move { test.request_token(&guess, "").await })
        })
        .collect();
    // They are all held back before the first of them is answered.
    while free() > all - 8 {
        assert!(!asked[0].is_finished());
        tokio::task::yield_now().await;
    }
    for asked in asked {
        asked.await.unwrap().assert_error(429, "temporarily_unavailable", 2010);
    }
    assert_eq!(free(), all);
    // Nothing grows with their number: where no place is left to wait at, nobody waits.
    let _taken = test.app.held_back.acquire_many(all.try_into().unwrap()).await.unwrap();
    test.request_token(&guess, "").await.assert_error(429, "temporarily_unavailable", 2010);
}

// M003 M006
#[tokio::test]
async fn s2_3_1_a_right_form_encoded_secret_never_counts_as_a_guess() {
    let (test, _) = TestApp::with_client().await;
    let client = test.client_with_chosen("chosen", "100% right, ~always", &[&format!("{API}/.default")]).await;
    let pair = STANDARD.encode(format!("{}:{}", client.id, spellings(&client.secret)[1]));
    for _ in 0..15 {
        assert_issued(&with_basic(&test, &pair, &format!("&scope={API}/.default")).await);
    }
    // A wrong one counts once, not once for each reading.
    let wrong = STANDARD.encode(format!("{}:wrong%20guess", client.id));
    for _ in 0..10 {
        with_basic(&test, &wrong, "").await.assert_error(401, "invalid_client", 2002);
    }
    with_basic(&test, &wrong, "").await.assert_error(429, "temporarily_unavailable", 2010);
}

// M035 M036
#[tokio::test]
async fn s5_2_unknown_client_and_wrong_secret_are_one_answer() {
    let (test, client) = TestApp::with_client().await;
    let ask = async |id: &str, secret: &str| {
        let client = TestClient { id: id.into(), secret: secret.into() };
        let mut body = test.request_token(&client, "").await.assert_error(401, "invalid_client", 2002);
        for member in ["trace_id", "correlation_id"] {
            body[member].take();
        }
        body
    };
    assert_eq!(ask("nobody", &client.secret).await, ask(&client.id, "grcs_wrong").await);
}

// M036
#[tokio::test]
async fn s5_2_an_expired_secret_is_refused_and_a_newer_one_works() {
    let (test, client) = TestApp::with_client().await;
    let (tenant, stored) = (test.tenant_id().await, test.find_client(&client.id).await);
    let newer = Secret::generate(CLIENT_SECRET_PREFIX, &test.app.random);
    let row = NewSecret {
        id: SecretId::from(test.app.random.uuid_v7(&test.clock)),
        hash: SecretHash::sha256(&newer),
        hint: String::new(),
        expires_at: None,
    };
    test.app.store.add_secret(tenant, &stored, &row, test.clock.now()).await.unwrap();
    let end = test.clock.now() + 600;
    test.app.store.retire_secret(tenant, &stored, (stored.secrets[0].id, Some(end)), test.clock.now()).await.unwrap();
    test.sync().await;
    let scope = format!("{API}/.default");
    let newer = TestClient { id: client.id.clone(), secret: newer.expose().into() };
    assert_issued(&test.request_token(&client, &scope).await);
    assert_issued(&test.request_token(&newer, &scope).await);
    test.clock.advance(600);
    test.request_token(&client, &scope).await.assert_error(401, "invalid_client", 2006);
    assert_issued(&test.request_token(&newer, &scope).await);
}

// M036
#[tokio::test]
async fn s5_2_a_disabled_client_is_told_so_only_when_its_secret_is_right() {
    let (test, client) = TestApp::with_client().await;
    let scope = format!("{API}/.default");
    test.set_client_enabled(&client.id, false).await;
    test.request_token(&client, &scope).await.assert_error(401, "invalid_client", 2005);
    let guess = TestClient { secret: "grcs_wrong".into(), ..client.clone() };
    test.request_token(&guess, &scope).await.assert_error(401, "invalid_client", 2002);
    test.set_client_enabled(&client.id, true).await;
    assert_issued(&test.request_token(&client, &scope).await);
    test.delete_client(&client.id).await;
    test.request_token(&client, &scope).await.assert_error(401, "invalid_client", 2002);
}

#[tokio::test]
async fn a_disabled_or_unknown_tenant_issues_nothing() {
    let (test, client) = TestApp::with_client().await;
    assert_issued(&test.post_raw(&format!("/default{TOKEN}"), &[], body_of(&client)).await);
    let by_id = format!("/{}{TOKEN}", test.tenant_id().await);
    assert_issued(&test.post_raw(&by_id, &[], body_of(&client)).await);
    for unknown in ["/nobody", "/common", "/00000000-0000-0000-0000-000000000000", "/%00", "/%C3%A9", "/DEFAULT"] {
        let reply = test.post_raw(&format!("{unknown}{TOKEN}"), &[], body_of(&client)).await;
        reply.assert_error(404, "invalid_request", 1008);
    }
    test.set_tenant_enabled(false).await;
    test.post_raw(TOKEN, &[], body_of(&client)).await.assert_error(400, "invalid_request", 1009);
    test.set_tenant_enabled(true).await;
    assert_issued(&test.post_raw(TOKEN, &[], body_of(&client)).await);
}

#[tokio::test]
async fn a_client_is_known_in_its_own_tenant_alone() {
    let (test, client) = TestApp::with_client().await;
    let beside = test.beside("other").await;
    beside.resource(API, |_| ()).await;
    beside.request_token(&client, "").await.assert_error(401, "invalid_client", 2002);
    let namesake = beside.client(&client.id, &[&format!("{API}/.default")]).await;
    beside.request_token(&client, "").await.assert_error(401, "invalid_client", 2002);
    test.request_token(&namesake, "").await.assert_error(401, "invalid_client", 2002);
    let token = beside.token(&namesake, &format!("{API}/.default")).await;
    assert_eq!(claims(&token)["iss"], format!("{PUBLIC_URL}/other"));
}

// ---- §3.2: the endpoint
