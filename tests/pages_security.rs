//! What keeps the pages safe: headers on every one of them, forms that only our own pages send (RFC 6749 §10.12), no
//! frames (§10.13), and an approval that counts for what was shown and nothing else.

use crate::support::answers::fields;
use crate::support::browser::{Ask, Browser, PASSWORD, WEB_CALLBACK, main_id};
use crate::support::{API, Reply, TestApp, claims};
use axum::body::Body;
use axum::http::Request;
use grantor::store::clients::ClientParts;
use grantor::store::resources::{ResourceParts, SettingChanges};

const SESSION: &str = "__Host-grantor_session";

/// A form as it stands on a page: where it goes and what is in it.
type Form = (String, Vec<(String, String)>);

/// The first form of a page that has this field, with more fields that a person fills in or a button adds.
#[track_caller]
fn form(page: &Reply, action: &str, more: &[(&str, &str)]) -> Form {
    let text = page.text();
    assert!(text.contains(&format!("action=\"{action}\"")), "no form to {action}: {text}");
    let csrf = fields(page)["csrf"].clone();
    let mut given = vec![("csrf".to_owned(), csrf)];
    if let Some(then) = fields(page).get("then") {
        given.push(("then".to_owned(), then.clone()));
    }
    given.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    (action.to_owned(), given)
}

/// Sends a form with headers beside it; `csrf` in place of what stood on the page, nothing for none.
async fn send(browser: &Browser<'_>, form: &Form, csrf: Option<&str>, headers: &[(&str, &str)]) -> Reply {
    let kept = form.1.iter().filter(|(name, _)| name != "csrf").map(|(name, value)| (name.as_str(), value.as_str()));
    let given: Vec<(&str, &str)> = kept.chain(csrf.map(|csrf| ("csrf", csrf))).collect();
    let mut request = Request::post(&form.0).header("content-type", "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    browser.send(request, Body::from(serde_urlencoded::to_string(given).unwrap())).await
}

/// Sends a form in every way in which another site or another browser could; none of them may count.
async fn attack(browser: &Browser<'_>, form: &Form) {
    let test = browser.test;
    let right = form.1.iter().find(|(name, _)| name == "csrf").map(|(_, value)| value.clone()).unwrap();
    let theirs = fields(&test.browser().get(&test.at("/account")).await)["csrf"].clone();
    let (login, logout) = (form.0.ends_with("/login"), form.0.ends_with("/logout"));
    let assert_refused = |what: &str, reply: &Reply| {
        let id = main_id(reply);
        let expected = if login { "grantor-login" } else { "grantor-error" };
        assert_eq!(
            (reply.status.as_u16(), id.as_deref()),
            (400, Some(expected)),
            "{what} {}: {}",
            form.0,
            reply.text()
        );
        assert!(reply.header("location").is_empty() && !reply.header("set-cookie").contains("grse_"), "{what}");
    };
    for wrong in ["x", &theirs, &right.to_lowercase(), &right[1..], &format!("{right}=")] {
        assert_refused(wrong, &send(browser, form, Some(wrong), &[]).await);
    }
    for missing in [None, Some("")] {
        let reply = send(browser, form, missing, &[]).await;
        // A client asks for a logout by the same address; without our token the person is asked.
        if logout { reply.assert_page(200, "grantor-logout") } else { assert_refused("no token", &reply) }
    }
    for site in ["cross-site", "same-site", "anything"] {
        assert_refused(site, &send(browser, form, Some(&right), &[("sec-fetch-site", site)]).await);
    }
    // The token alone, in a browser that has another cookie, or none.
    let stranger = test.browser();
    let form_cookie = browser.cookie("__Host-grantor_form").unwrap();
    for cookie in [None, Some("grfo_x"), Some(&form_cookie[..form_cookie.len() - 1])] {
        if let Some(cookie) = cookie {
            stranger.set_cookie("__Host-grantor_form", cookie);
        }
        stranger.set_cookie(SESSION, &browser.cookie(SESSION).unwrap_or_default());
        assert_refused("another browser", &send(&stranger, form, Some(&right), &[]).await);
    }
    // No other way of sending it is a form.
    for content_type in ["text/plain", "application/json", "multipart/form-data; boundary=x"] {
        let request = Request::post(&form.0).header("content-type", content_type);
        let reply = browser.send(request, Body::from(serde_urlencoded::to_string(&form.1).unwrap())).await;
        reply.assert_error_page(400, 1002);
    }
    let in_url = format!("{}?{}", form.0, serde_urlencoded::to_string(&form.1).unwrap());
    let gone = browser.get(&in_url).await.header("location").to_owned();
    assert!(["", "/account"].contains(&gone.as_str()), "{gone}");
}

/// Sends a form as our own page does.
async fn submit(browser: &Browser<'_>, form: &Form, site: Option<&str>) -> Reply {
    let right = form.1.iter().find(|(name, _)| name == "csrf").map(|(_, value)| value.clone()).unwrap();
    let headers: Vec<_> = site.into_iter().map(|site| ("sec-fetch-site", site)).collect();
    send(browser, form, Some(&right), &headers).await
}

async fn is_signed_in(browser: &Browser<'_>) -> bool {
    main_id(&browser.get("/account").await).as_deref() == Some("grantor-account")
}

// M045
#[tokio::test]
async fn rfc6749_s10_12_nobody_signs_a_person_in_or_out_from_elsewhere() {
    let (test, _) = TestApp::with_people().await;
    let credentials = [("username", "alice"), ("password", PASSWORD)];
    for site in [None, Some("same-origin"), Some("none")] {
        let browser = test.browser();
        let login = form(&browser.get("/account").await, "/login", &credentials);
        attack(&browser, &login).await;
        assert!(!is_signed_in(&browser).await);
        assert_eq!(submit(&browser, &login, site).await.status.as_u16(), 303);
        assert!(is_signed_in(&browser).await);

        let logout = form(&browser.get("/oauth2/v2.0/logout").await, "/oauth2/v2.0/logout", &[]);
        attack(&browser, &logout).await;
        assert!(is_signed_in(&browser).await);
        submit(&browser, &logout, site).await.assert_page(200, "grantor-logged-out");
        assert!(!is_signed_in(&browser).await);
    }
    // The words say what the person can do about it.
    let browser = test.browser();
    let login = form(&browser.get("/account").await, "/login", &credentials);
    let old = send(&browser, &login, Some("x"), &[]).await;
    assert!(old.text().contains("This page was open for too long."), "{}", old.text());
    let blocked = send(&test.browser(), &login, Some("x"), &[]).await;
    assert!(blocked.text().contains("Your browser sent no cookie."), "{}", blocked.text());
}

// M045
#[tokio::test]
async fn rfc6749_s10_12_nobody_consents_for_a_person() {
    let (test, _) = TestApp::with_people().await;
    let browser = test.browser();
    browser.sign_in("alice").await;
    for decision in ["approve", "deny"] {
        let page = browser.get(&Ask::web().with("prompt", "consent").path()).await;
        let consent = form(&page, "/consent", &[("decision", decision)]);
        attack(&browser, &consent).await;
        let text = browser.get("/account").await.text();
        assert!(text.contains("You have not given any application access"), "{text}");
    }
    let page = browser.get(&Ask::web().path()).await;
    for undecided in ["", "yes", "APPROVE"] {
        let reply = submit(&browser, &form(&page, "/consent", &[("decision", undecided)]), None).await;
        reply.assert_page(200, "grantor-consent");
    }
    let approve = form(&page, "/consent", &[("decision", "approve")]);
    submit(&browser, &approve, Some("same-origin")).await.assert_code();
    for then in ["", "x", "authorize"] {
        let csrf = fields(&page)["csrf"].clone();
        let form = [("csrf", csrf.as_str()), ("then", then), ("decision", "approve")];
        browser.post("/consent", &form).await.assert_error_page(400, 4214);
    }
}

// M045
#[tokio::test]
async fn rfc6749_s10_12_nobody_changes_an_account_or_a_group_for_a_person() {
    let (test, web) = TestApp::with_people().await;
    test.user_with("bob", PASSWORD).await;
    let group = test.group("staff").await;
    test.add_user_owner(&group, "alice").await;
    let (browser, elsewhere) = (test.browser(), test.browser());
    let tokens = browser.tokens(&web, &Ask::web()).await;
    let access = tokens["access_token"].as_str().unwrap();
    elsewhere.sign_in("alice").await;
    let account = browser.get("/account").await;
    let other = other_session(&test, "alice", &browser).await;

    let end = form(&account, "/account/sessions", &[("id", &other)]);
    attack(&browser, &end).await;
    assert!(is_signed_in(&elsewhere).await);
    submit(&browser, &end, Some("same-origin")).await.assert_page(200, "grantor-account");
    assert!(!is_signed_in(&elsewhere).await);

    let withdraw = form(&account, "/account/consents", &[("client_id", "web")]);
    attack(&browser, &withdraw).await;
    assert_eq!(test.get_as("/oauth2/v2.0/userinfo", access).await.status.as_u16(), 200);
    submit(&browser, &withdraw, None).await.assert_page(200, "grantor-account");
    assert_eq!(test.get_as("/oauth2/v2.0/userinfo", access).await.status.as_u16(), 401);

    let path = format!("/account/groups/{}", group.id);
    let page = browser.get(&path).await;
    let add = form(&page, &path, &[("operation", "add"), ("kind", "user"), ("name", "bob")]);
    attack(&browser, &add).await;
    assert!(test.app.store.list_members(group.id, (uuid::Uuid::nil(), 10)).await.unwrap().is_empty());
    submit(&browser, &add, Some("none")).await.assert_page(200, "grantor-group");
    assert_eq!(test.app.store.list_members(group.id, (uuid::Uuid::nil(), 10)).await.unwrap().len(), 1);
    let bob = test.find_user("bob").await.id.to_string();
    let remove = form(&page, &path, &[("operation", "remove"), ("kind", "user"), ("id", &bob)]);
    attack(&browser, &remove).await;
    assert_eq!(test.app.store.list_members(group.id, (uuid::Uuid::nil(), 10)).await.unwrap().len(), 1);
    submit(&browser, &remove, None).await.assert_page(200, "grantor-group");
    assert!(test.app.store.list_members(group.id, (uuid::Uuid::nil(), 10)).await.unwrap().is_empty());
}

/// The id of a person's session that is not the browser's own.
async fn other_session(test: &TestApp, username: &str, browser: &Browser<'_>) -> String {
    let user = test.find_user(username).await.id;
    let own = grantor::types::secret::sha256(browser.cookie(SESSION).unwrap().as_bytes());
    let (tenant, now) = (test.tenant_id().await, test.clock.now());
    let own = test.app.store.find_session(tenant, own, now).await.unwrap().unwrap().id;
    let sessions = test.app.store.list_sessions(user, now).await.unwrap();
    sessions.into_iter().find(|line| line.id != own).unwrap().id.to_string()
}

// M040 M151
#[tokio::test]
async fn an_approval_counts_for_what_the_page_showed() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    browser.sign_in("alice").await;
    let ask = Ask::web().with("scope", &format!("openid {API}/.default"));
    let page = browser.get(&ask.path()).await;
    page.assert_page(200, "grantor-consent");
    assert!(!page.text().contains(&format!("{API}/admin")));
    // Meanwhile an operator gives the resource one more scope, which `.default` means too.
    let resource = test.find_resource(API).await;
    let parts = ResourceParts { add_scopes: vec!["admin".parse().unwrap()], ..ResourceParts::default() };
    test.update_resource(&resource, SettingChanges::default(), parts).await;
    let again = browser.decide(&page, "approve").await;
    again.assert_page(200, "grantor-consent");
    assert!(again.text().contains(&format!("{API}/admin")), "{}", again.text());
    browser.get(&ask.path()).await.assert_page(200, "grantor-consent");
    browser.decide(&page, "deny").await.assert_refused("access_denied", 4213);
    let code = browser.decide(&again, "approve").await.assert_code();
    let tokens = test.redeem(&web, &code).await.json();
    assert_eq!(claims(tokens["access_token"].as_str().unwrap())["scope"], "admin read write");
    // Of two pages that lie open, each approves its own.
    test.web_client("other", &[&format!("{API}/.default")], WEB_CALLBACK).await;
    let (first, second) = (ask.clone().with("prompt", "consent"), Ask::web().with("client_id", "other"));
    let (first, second) = (browser.get(&first.path()).await, browser.get(&second.path()).await);
    let digest = |page: &Reply| fields(page)["then"].split_once('?').unwrap().0.to_owned();
    let query = |page: &Reply| fields(page)["then"].split_once('?').unwrap().1.to_owned();
    let csrf = fields(&first)["csrf"].clone();
    let mixed = format!("{}?{}", digest(&first), query(&second));
    let form = [("csrf", csrf.as_str()), ("then", &mixed), ("decision", "approve")];
    browser.post("/consent", &form).await.assert_page(200, "grantor-consent");
    browser.decide(&second, "approve").await.assert_code();
}

#[tokio::test]
async fn an_approval_counts_for_the_person_whom_the_page_named() {
    let (test, web) = TestApp::with_people().await;
    test.user_with("bob", PASSWORD).await;
    let browser = test.browser();
    browser.sign_in("alice").await;
    let page = browser.get(&Ask::web().path()).await;
    assert!(page.text().contains("Signed in as <strong><bdi>alice</bdi>"));
    // In another window of the same browser somebody else signs in.
    let login = browser.get(&Ask::web().with("prompt", "login").path()).await;
    browser.log_in(&login, "bob", PASSWORD).await;
    let again = browser.decide(&page, "approve").await;
    again.assert_page(200, "grantor-consent");
    assert!(again.text().contains("Signed in as <strong><bdi>bob</bdi>"), "{}", again.text());
    let code = browser.decide(&again, "approve").await.assert_code();
    let tokens = test.redeem(&web, &code).await.json();
    assert_eq!(claims(tokens["id_token"].as_str().unwrap())["preferred_username"], "bob");
    // Nobody is signed in any more: no approval at all.
    let logout = browser.get("/oauth2/v2.0/logout").await;
    browser.post("/oauth2/v2.0/logout", &[("csrf", &fields(&logout)["csrf"])]).await;
    browser.decide(&again, "approve").await.assert_page(200, "grantor-login");
}

#[tokio::test]
async fn an_approval_does_not_outlive_what_the_client_may() {
    let (test, _) = TestApp::with_people().await;
    let browser = test.browser();
    browser.sign_in("alice").await;
    let page = browser.get(&Ask::web().path()).await;
    test.set_grants("web", &["client_credentials"]).await;
    browser.decide(&page, "approve").await.assert_refused("unauthorized_client", 3002);
    test.set_grants("web", &["authorization_code", "refresh_token"]).await;
    let remove_redirect_uris = vec![WEB_CALLBACK.parse().unwrap()];
    test.update_client("web", ClientParts { remove_redirect_uris, ..ClientParts::default() }).await;
    browser.decide(&page, "approve").await.assert_error_page(400, 4202);
    test.redirects("web", WEB_CALLBACK).await;
    test.set_client_enabled("web", false).await;
    browser.decide(&page, "approve").await.assert_error_page(400, 4201);
    test.set_client_enabled("web", true).await;
    browser.decide(&page, "approve").await.assert_code();
}

/// The directives of a page's policy.
fn policy(page: &Reply) -> Vec<(String, String)> {
    let policy = page.header("content-security-policy").to_owned();
    let parts = policy.split("; ").map(|part| part.split_once(' ').unwrap_or((part, "")));
    parts.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

// M046 M153
#[tokio::test]
async fn rfc6749_s10_13_every_page_has_the_headers_that_keep_it_safe() {
    let (test, _) = TestApp::with_people().await;
    let group = test.group("staff").await;
    test.add_user_owner(&group, "alice").await;
    let (browser, stranger) = (test.browser(), test.browser());
    browser.sign_in("alice").await;
    let at_client = "'self' https://app.example.com https:";
    let out = "/oauth2/v2.0/logout";
    let silent = Ask::web().with("prompt", "none").with("response_mode", "form_post");
    for (who, path, id, targets) in [
        (&stranger, Ask::web().path(), "grantor-login", at_client),
        (&stranger, "/account".to_owned(), "grantor-login", "'self'"),
        (&browser, Ask::web().path(), "grantor-consent", at_client),
        (&browser, Ask::web().with("prompt", "select_account").path(), "grantor-select", "'self'"),
        (&browser, "/account".to_owned(), "grantor-account", "'self'"),
        (&browser, format!("/account/groups/{}", group.id), "grantor-group", "'self'"),
        (&browser, out.to_owned(), "grantor-logout", "'self'"),
        (&stranger, out.to_owned(), "grantor-logged-out", "'self'"),
        (&stranger, silent.path(), "grantor-form-post", at_client),
        (&stranger, Ask::web().with("client_id", "x").path(), "grantor-error", "'self'"),
        (&stranger, "/".to_owned(), "grantor-home", "'self'"),
    ] {
        let (first, second) = (who.get(&path).await, who.get(&path).await);
        assert_eq!(main_id(&first).as_deref(), Some(id), "{}", first.text());
        for (name, value) in [
            ("content-type", "text/html; charset=utf-8"),
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("pragma", "no-cache"),
            ("strict-transport-security", "max-age=31536000"),
        ] {
            assert_eq!(first.header(name), value, "{id}");
        }
        let found = policy(&first);
        let directive = |name: &str| found.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
        assert_eq!(directive("default-src"), Some("'none'"), "{id}");
        assert_eq!((directive("frame-ancestors"), directive("base-uri")), (Some("'none'"), Some("'none'")), "{id}");
        assert_eq!(directive("form-action"), Some(targets), "{id}");
        assert_eq!(directive("script-src").is_some(), id == "grantor-form-post");
        assert!(!first.header("content-security-policy").contains("unsafe"), "{id}");
        // The nonce is on the page, has 128 bits, and is another one each time.
        let nonce = directive("style-src").unwrap().strip_prefix("'nonce-").unwrap().trim_end_matches('\'').to_owned();
        assert_eq!(nonce.len(), 22);
        assert!(first.text().contains(&format!("<style nonce=\"{nonce}\">")), "{id}");
        assert!(!second.text().contains(&nonce) && !second.header("content-security-policy").contains(&nonce), "{id}");
        assert_eq!(policy(&second).len(), found.len());
    }
}

#[tokio::test]
async fn an_error_of_a_page_is_a_page_with_its_status() {
    let (test, _) = TestApp::with_people().await;
    let browser = test.browser();
    let page = browser.sign_in("alice").await;
    let csrf = fields(&page)["csrf"].clone();
    let (id, group) = (uuid::Uuid::nil().to_string(), "/account/groups");
    for (reply, status, code) in [
        (browser.send(Request::put("/login"), Body::empty()).await, 405, 1001),
        (browser.send(Request::put("/consent"), Body::empty()).await, 405, 1001),
        (browser.get("/account/sessions").await, 405, 1001),
        (browser.get("/account/consents").await, 405, 1001),
        (browser.post("/account", &[]).await, 405, 1001),
        (browser.get(&format!("{group}/x")).await, 404, 1010),
        (browser.get(&format!("{group}/{id}")).await, 403, 4215),
        (browser.post(&format!("{group}/{id}"), &[("csrf", &csrf)]).await, 403, 4215),
        (browser.post("/consent", &[("csrf", &csrf)]).await, 400, 4214),
        (browser.post("/login", &[("x", &"y".repeat(70_000))]).await, 413, 1003),
        (browser.post("/login", &[("csrf", "x"), ("csrf", "x")]).await, 400, 1005),
        (browser.get("/nobody/account").await, 404, 1008),
        (browser.get("/oauth2/v2.0/authorize?%ff").await, 400, 1006),
    ] {
        reply.assert_error_page(status, code);
        let trace = reply.header("x-request-id");
        assert!(!trace.is_empty() && reply.text().contains(trace), "the page names what finds the log line");
    }
    // What is for programs stays JSON.
    test.get("/nothing/here/at/all").await.assert_error(404, "invalid_request", 1010);
    test.get("/oauth2/v2.0/token").await.assert_error(405, "invalid_request", 1001);
}

// After a form was refused, a reload by the address bar is a GET without it.
#[tokio::test]
async fn who_comes_to_a_form_without_it_is_led_to_the_account() {
    let (test, _) = TestApp::with_people().await;
    for path in ["/login", "/consent"] {
        let reply = test.browser().get(path).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (303, "/account"), "{path}");
    }
}

#[tokio::test]
async fn a_wrong_address_is_a_page_for_who_reads_pages_and_json_for_programs() {
    let test = TestApp::new().await;
    let request = Request::get("/no/such/page").header("accept", "text/html,application/xhtml+xml");
    test.send(request.body(Body::empty()).unwrap()).await.assert_error_page(404, 1010);
    test.get("/no/such/page").await.assert_error(404, "invalid_request", 1010);
}
