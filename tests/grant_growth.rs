//! Tables do not grow with use: what a live authorization keeps is bounded, and what ended is removed to the last row.

use crate::support::browser::Ask;
use crate::support::grants::Tokens;
use crate::support::{START, TestApp, TestClient};
use grantor::store::client_settings::SettingChanges;
use grantor::sweep;
use grantor::types::duration::Seconds;
use std::collections::BTreeMap;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// Tables of what people authorized.
const TABLES: &[&str] = &["codes", "grant_tokens", "grants", "refresh_tokens", "revocations", "sessions"];

impl TestApp {
    async fn kept(&self) -> BTreeMap<&'static str, i64> {
        let mut kept = BTreeMap::new();
        for table in TABLES {
            kept.insert(*table, self.count(table).await);
        }
        kept
    }

    async fn sweep(&self) {
        sweep::once(&self.app).await.unwrap();
        self.sync().await;
    }
}

/// Refreshes once an hour for so many days and sweeps once a day; hands back the last tokens.
async fn live(test: &TestApp, web: &TestClient, first: Tokens, days: i64) -> Tokens {
    let mut tokens = first;
    for hour in 1..=days * 24 {
        test.clock.advance(HOUR);
        tokens = test.refresh(web, &tokens.refresh).await.tokens();
        if hour % 24 == 0 {
            test.sweep().await;
            let kept = test.kept().await;
            assert_eq!((kept["grants"], kept["refresh_tokens"]), (1, 2), "on day {}", hour / 24);
            // Those of the last hour before the sweep and of the hour that it leaves alone.
            assert!(kept["grant_tokens"] <= 3, "{kept:?} on day {}", hour / 24);
            assert_eq!((kept["codes"], kept["revocations"]), (0, 0), "on day {}", hour / 24);
            let sessions = if hour >= 7 * 24 + 2 { 0 } else { kept["sessions"] };
            assert!(kept["sessions"] <= 1 && kept["sessions"] == sessions, "on day {}", hour / 24);
        }
    }
    tokens
}

#[tokio::test]
async fn thirty_days_of_hourly_refreshing_keep_a_handful_of_rows() {
    let (test, web) = TestApp::with_people().await;
    let first = test.browser().web_tokens(&web, &Ask::web()).await;
    let last = live(&test, &web, first, 30).await;
    // And the rows that are left are those that are needed.
    test.assert_alive(&web, &last.access, true).await;
    test.refresh(&web, &last.refresh).await.tokens();
    assert_eq!(test.app.store.count_expired(test.clock.now() - HOUR).await.unwrap(), 0);
}

#[tokio::test]
async fn without_rotation_there_is_one_refresh_token_however_long_it_is_used() {
    let (test, web) = TestApp::with_people().await;
    let off = SettingChanges { refresh_rotation: Some(false), ..SettingChanges::default() };
    test.settings("web", off).await;
    let tokens = test.browser().web_tokens(&web, &Ask::web()).await;
    for _ in 0..10 {
        for _ in 0..24 {
            test.clock.advance(HOUR);
            test.refresh(&web, &tokens.refresh).await.tokens();
        }
        test.sweep().await;
        let kept = test.kept().await;
        assert_eq!((kept["grants"], kept["refresh_tokens"]), (1, 1));
        assert!(kept["grant_tokens"] <= 3, "{kept:?}");
    }
}

// Every way in which an authorization comes to its end, and then nothing is left of any.
#[tokio::test]
async fn after_everything_ended_the_sweep_leaves_nothing() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    // Used, replayed, withdrawn, never redeemed, without refresh token, and one that is only forgotten.
    let used = browser.web_tokens(&web, &Ask::web()).await;
    test.refresh(&web, &used.refresh).await.tokens();
    let replayed = browser.web_tokens(&web, &Ask::web()).await;
    let next = test.refresh(&web, &replayed.refresh).await.tokens();
    test.refresh(&web, &next.refresh).await.tokens();
    test.refresh(&web, &replayed.refresh).await.assert_error(400, "invalid_grant", 4107);
    browser.native_tokens(&Ask::native()).await;
    let native = test.find_client("native").await.oid;
    let alice = test.person("alice").await;
    assert!(test.app.store.withdraw_consents(alice.id, native, test.clock.now()).await.unwrap());
    browser.code(&Ask::web()).await;
    browser.web_tokens(&web, &Ask::web().with("scope", "openid")).await;
    let before = test.kept().await;
    assert!(TABLES.iter().all(|table| before[table] > 0), "{before:?}");
    // The sweep takes nothing that is still good.
    test.sweep().await;
    assert_eq!(test.kept().await, before);
    // Nothing is used any more: the longest that anything lives are ninety days, and an hour's grace.
    test.clock.advance(90 * DAY + HOUR);
    test.sweep().await;
    let nearly = test.kept().await;
    assert!(nearly["grants"] <= 1 && nearly["grant_tokens"] == 0, "{nearly:?}");
    test.clock.advance(1);
    test.sweep().await;
    let after = test.kept().await;
    assert!(after.values().all(|rows| *rows == 0), "{after:?}");
    assert_eq!(test.app.store.count_expired(test.clock.now()).await.unwrap(), 0);
}

#[tokio::test]
async fn an_authorization_whose_refresh_token_was_never_used_is_swept_at_its_end() {
    let (test, web) = TestApp::with_people().await;
    let (idle, whole) = (Some(Seconds::of(100)), Some(Seconds::of(1000)));
    let settings = SettingChanges { refresh_idle: idle, refresh_lifetime: whole, ..SettingChanges::default() };
    test.settings("web", settings).await;
    test.browser().web_tokens(&web, &Ask::web()).await;
    for (at, grants) in [(1000, 1), (1000 + HOUR, 1), (HOUR + HOUR, 1), (2 * HOUR + 1, 0)] {
        test.clock.advance(START + at - test.clock.now());
        test.sweep().await;
        assert_eq!(test.count("grants").await, grants, "after {at} seconds");
    }
    assert_eq!(test.count("refresh_tokens").await, 0);
}

// A code that was spent is kept for as long as a second use can be told from a wrong one, with what hangs on it.
#[tokio::test]
async fn the_sweep_does_not_take_what_a_replay_is_known_by() {
    let (test, web) = TestApp::with_people().await;
    let code = test.browser().code(&Ask::web()).await;
    let tokens = test.redeem(&web, &code).await.tokens();
    let next = test.refresh(&web, &tokens.refresh).await.tokens();
    let last = test.refresh(&web, &next.refresh).await.tokens();
    test.clock.advance(HOUR + 59);
    test.sweep().await;
    assert_eq!(test.count("codes").await, 1);
    test.clock.advance(DAY);
    test.sweep().await;
    assert_eq!(test.count("codes").await, 0);
    let last = test.refresh(&web, &last.refresh).await.tokens();
    // An old refresh token has no row, and is known all the same.
    test.refresh(&web, &tokens.refresh).await.assert_error(400, "invalid_grant", 4107);
    test.refresh(&web, &last.refresh).await.assert_error(400, "invalid_grant", 4106);
    test.assert_alive(&web, &last.access, false).await;
}
