//! What attackers found once, each by what they did.

use crate::support::browser::{Ask, PASSWORD};
use crate::support::{API, PUBLIC_URL, START, TestApp, fresh_database};
use axum::body::Body;
use axum::http::{Request, header};
use grantor::app::App;
use grantor::config::{Config, Flags, ListenFlags};
use grantor::extract::peer::Peer;
use grantor::types::clock::Clock;
use grantor::types::random::Random;

/// An application with a configuration file.
async fn configured(toml: &str) -> TestApp {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("grantor.toml");
    std::fs::write(&file, toml).unwrap();
    let flags = Flags { keys: Some(folder.path().join("keys")), config: Some(file), ..Flags::default() };
    let database = fresh_database(&folder).await;
    let base = TestApp::open(folder, database, Clock::manual(START), PUBLIC_URL).await;
    let mut config = Config::load(&flags, &ListenFlags::default(), None).unwrap();
    config.database = base.database.clone();
    let app = App::open(config, PUBLIC_URL.parse().unwrap(), base.clock.clone(), Random::system()).await.unwrap();
    base.over(app)
}

// A client that starts many workers at once was told that its right secret was wrong too often.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_right_chosen_secret_that_comes_many_times_at_once_is_never_refused() {
    let test = TestApp::new().await;
    test.resource(API, |_| ()).await;
    let all = format!("{API}/.default");
    let client = test.client_with_chosen("old", "a secret that somebody chose", &[&all]).await;
    let asked: Vec<_> = (0..48)
        .map(|_| {
            let (test, client, all) = (test.over(test.app.clone()), client.clone(), all.clone());
            tokio::spawn(async move { test.request_token(&client, &all).await.status.as_u16() })
        })
        .collect();
    for answer in asked {
        assert_eq!(answer.await.unwrap(), 200);
    }
    // And wrong ones that come at once are still counted, every one.
    let wrong = crate::support::TestClient { id: client.id.clone(), secret: "another that nobody chose".into() };
    let asked: Vec<_> = (0..30)
        .map(|_| {
            let (test, wrong, all) = (test.over(test.app.clone()), wrong.clone(), all.clone());
            tokio::spawn(async move { test.request_token(&wrong, &all).await.status.as_u16() })
        })
        .collect();
    let mut looked_at = 0;
    for answer in asked {
        let status = answer.await.unwrap();
        assert!([401, 429].contains(&status), "{status}");
        looked_at += usize::from(status == 401);
    }
    assert_eq!(looked_at, 10);
    assert_eq!(test.request_token(&client, &all).await.status.as_u16(), 200, "who is at work goes on");
}

/// Wrong passwords from an address behind a proxy, then the right one from another; its status.
async fn guess_behind_a_proxy(test: &TestApp, peer: &str) -> u16 {
    let mut last = 0;
    for (forwarded, password) in (0..10).map(|_| ("198.51.100.7", "wrong password")).chain([("203.0.113.5", PASSWORD)])
    {
        let browser = test.browser();
        let page = browser.get(&Ask::web().path()).await;
        let (csrf, then) =
            (crate::support::browser::field(&page, "csrf"), crate::support::browser::field(&page, "then"));
        let form = [("csrf", csrf.as_str()), ("then", &then), ("username", "alice"), ("password", password)];
        let request = Request::post("/login")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            // What stands before the proxy's own entry was written by whoever asked.
            .header("x-forwarded-for", format!("127.0.0.1, 10.9.9.9, {forwarded}, 10.0.0.2"))
            .extension(Peer(peer.parse().unwrap()));
        last = browser.send(request, Body::from(serde_urlencoded::to_string(form).unwrap())).await.status.as_u16();
    }
    last
}

// One person's wrong passwords kept everybody out who came through the same proxy.
#[tokio::test]
async fn behind_a_trusted_proxy_the_address_is_the_one_that_it_names() {
    let test = configured("[server]\ntrusted_proxies = [\"10.0.0.0/8\"]\n").await;
    test.people().await;
    assert_eq!(guess_behind_a_proxy(&test, "10.0.0.1").await, 303);
}

#[tokio::test]
async fn nobody_else_is_believed_about_the_address() {
    let test = configured("[server]\ntrusted_proxies = [\"10.0.0.0/8\"]\n").await;
    test.people().await;
    assert_eq!(guess_behind_a_proxy(&test, "192.0.2.1").await, 429);
}

// A session that was used every few seconds ended, because its use was written down once a minute.
#[tokio::test]
async fn a_short_idle_time_counts_from_the_last_use() {
    let test = configured("[sessions]\nidle = \"20s\"\nlifetime = \"1h\"\n").await;
    test.people().await;
    let browser = test.browser();
    browser.code(&Ask::web()).await;
    for _ in 0..20 {
        test.clock.advance(10);
        assert_eq!(
            crate::support::browser::main_id(&browser.get("/account").await).as_deref(),
            Some("grantor-account")
        );
    }
    test.clock.advance(21);
    assert_eq!(crate::support::browser::main_id(&browser.get("/account").await).as_deref(), Some("grantor-login"));
}

#[tokio::test]
async fn a_page_sets_its_cookie_once() {
    let (test, _) = TestApp::with_people().await;
    for path in [Ask::web().path().as_str(), "/account"] {
        assert_eq!(test.get(path).await.headers.get_all(header::SET_COOKIE).iter().count(), 1, "{path}");
    }
}
