//! What people see: every page with nasty values, its fixed ids, its labels, and the headers around it.

use crate::support::TestApp;
use axum::http::StatusCode;
use axum::response::Response;
use grantor::error::OAuthError;
use grantor::pages::account::{AccountPage, ConsentLine, GroupLine, SessionLine};
use grantor::pages::consent::{ConsentPage, Permission, PermissionLine};
use grantor::pages::device::{DeviceDonePage, DevicePage};
use grantor::pages::error::ErrorPage;
use grantor::pages::form_post::FormPostPage;
use grantor::pages::group::{GroupPage, MemberLine};
use grantor::pages::home::HomePage;
use grantor::pages::layout::Frame;
use grantor::pages::login::LoginPage;
use grantor::pages::logout::{LoggedOutPage, LogoutPage};
use grantor::pages::select::SelectPage;
use grantor::pages::texts::ENGLISH;
use grantor::types::random::Random;
use http_body_util::BodyExt;
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};

const REDIRECT: &str = "https://client.example.com:8443/callback?a=b;c";

/// A page as the browser gets it.
struct Shown {
    html: String,
    policy: String,
    response: axum::http::response::Parts,
}

impl Shown {
    async fn of(response: Result<Response, OAuthError>) -> Self {
        let (response, body) = response.unwrap().into_parts();
        let html = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        let policy = response.headers["content-security-policy"].to_str().unwrap().to_owned();
        Self { html, policy, response }
    }

    /// The first group of every match.
    fn all(&self, pattern: &str) -> Vec<String> {
        Regex::new(pattern).unwrap().captures_iter(&self.html).map(|found| found[1].to_owned()).collect()
    }

    fn ids(&self) -> Vec<String> {
        self.all(r#"<[^>]* id="([^"]*)""#)
    }

    fn tag(&self, id: &str) -> String {
        let found = Regex::new(&format!(r#"<[^>]* id="{id}"[^>]*>"#)).unwrap();
        found.find(&self.html).unwrap_or_else(|| panic!("no #{id} in {}", self.html)).as_str().to_owned()
    }
}

fn frame() -> Frame {
    Frame::new(&Random::system())
}

fn nasty() -> String {
    format!("<script>alert(1)</script>\"'><b onclick=x style=y>&amp;{}", "W".repeat(300))
}

fn fields() -> Vec<(String, String)> {
    vec![(nasty(), nasty()), ("state".to_owned(), "s".to_owned())]
}

fn login(username: &str, problem: Option<String>) -> LoginPage {
    LoginPage {
        frame: frame(),
        tenant: Some(nasty()),
        client: Some(nasty()),
        action: nasty(),
        csrf: nasty(),
        then: nasty(),
        username: username.to_owned(),
        problem,
    }
}

fn consent() -> ConsentPage {
    let line = PermissionLine { text: nasty(), code: Some(nasty()), new: true };
    ConsentPage {
        frame: frame(),
        client: nasty(),
        client_id: nasty(),
        user: nasty(),
        destination: nasty(),
        code: None,
        unverified: true,
        action: nasty(),
        csrf: nasty(),
        then: nasty(),
        permissions: vec![Permission { resource: Some(nasty()), lines: vec![line] }],
        switch: nasty(),
    }
}

fn account() -> AccountPage {
    let session =
        SessionLine { id: nasty(), device: nasty(), address: nasty(), since: nasty(), seen: nasty(), current: true };
    AccountPage {
        frame: frame(),
        username: nasty(),
        display_name: Some(nasty()),
        email: Some(nasty()),
        action: nasty(),
        csrf: nasty(),
        notice: Some(nasty()),
        sessions: vec![session.clone(), session],
        consents: vec![ConsentLine { client: nasty(), client_id: nasty(), permissions: vec![nasty()], since: nasty() }],
        groups: vec![GroupLine { name: nasty(), description: nasty(), members: 2, url: nasty() }],
        logout: nasty(),
    }
}

fn group() -> GroupPage {
    let member =
        MemberLine { kind: nasty(), raw_kind: nasty(), id: "x".to_owned(), name: nasty(), handle: "x".to_owned() };
    GroupPage {
        frame: frame(),
        name: nasty(),
        description: nasty(),
        action: nasty(),
        back: nasty(),
        csrf: nasty(),
        notice: Some(nasty()),
        problem: Some(nasty()),
        members: vec![member.clone(), member],
        more: true,
        kind: "client".to_owned(),
        entered: nasty(),
    }
}

fn device(code: &str, problem: Option<String>) -> DevicePage {
    let code = code.to_owned();
    DevicePage { frame: frame(), tenant: Some(nasty()), action: nasty(), csrf: nasty(), code, problem }
}

/// Every page under the id of its `<main>`, filled with nasty values.
async fn every_page() -> Vec<(&'static str, Shown)> {
    let error = ErrorPage {
        frame: frame(),
        title: nasty(),
        message: nasty(),
        error: nasty(),
        code: 4002,
        trace_id: nasty(),
        timestamp: nasty(),
        hint: Some(nasty()),
    };
    let select = SelectPage {
        frame: frame(),
        client: Some(nasty()),
        user: nasty(),
        username: nasty(),
        go_on: nasty(),
        switch: nasty(),
    };
    let logout = LogoutPage { frame: frame(), user: nasty(), action: nasty(), csrf: nasty(), fields: fields() };
    let form_post = FormPostPage { frame: frame(), action: nasty(), fields: fields() };
    let device_done = DeviceDonePage { frame: frame(), client: nasty(), approved: true };
    let logged_out = LoggedOutPage { frame: frame() };
    vec![
        ("grantor-login", Shown::of(login(&nasty(), Some(nasty())).respond(vec![REDIRECT.to_owned()])).await),
        ("grantor-consent", Shown::of(consent().respond(vec![REDIRECT.to_owned()])).await),
        ("grantor-select", Shown::of(select.respond()).await),
        ("grantor-device", Shown::of(device(&nasty(), Some(nasty())).respond()).await),
        ("grantor-device-done", Shown::of(device_done.respond()).await),
        ("grantor-form-post", Shown::of(form_post.respond()).await),
        ("grantor-error", Shown::of(error.respond(StatusCode::BAD_REQUEST)).await),
        ("grantor-logout", Shown::of(logout.respond(vec![])).await),
        ("grantor-logged-out", Shown::of(logged_out.respond()).await),
        ("grantor-account", Shown::of(account().respond()).await),
        ("grantor-group", Shown::of(group().respond()).await),
        ("grantor-home", Shown::of(HomePage { frame: frame(), issuer: nasty() }.respond()).await),
    ]
}

#[tokio::test]
async fn what_comes_from_outside_is_never_markup() {
    let tags = Regex::new(r"<[a-z][^>]*>").unwrap();
    let quoted = Regex::new(r#""[^"]*""#).unwrap();
    let active = Regex::new(r"\s(style|on[a-z]+)\s*=").unwrap();
    for (name, page) in every_page().await {
        assert!(!page.html.contains("<script>") && !page.html.contains("<b "), "{name}: {}", page.html);
        let shows_nothing = name == "grantor-logged-out";
        assert!(shows_nothing || page.html.contains("&#60;script&#62;alert(1)"), "{name} shows no value");
        // Without its quoted values, an attribute of these names would be ours.
        for tag in tags.find_iter(&page.html) {
            let bare = quoted.replace_all(tag.as_str(), "").into_owned();
            assert!(!active.is_match(&bare) && !bare.contains(['\'', '"']), "{name}: {}", tag.as_str());
        }
    }
}

#[tokio::test]
async fn every_page_has_one_main_with_its_id_one_first_heading_a_title_and_a_language() {
    for (name, page) in every_page().await {
        assert_eq!(page.all(r#"<main id="([^"]*)">"#), [name]);
        assert_eq!(page.html.matches("<main").count(), 1, "{name}");
        assert_eq!(page.html.matches("<h1").count(), 1, "{name}");
        assert_eq!(page.all(r"<title>(.)").len(), 1, "{name}");
        assert!(page.html.contains(r#"<html lang="en" dir="ltr">"#), "{name}");
        // A heading does not skip a level.
        let levels: Vec<u32> = page.all(r"<h([1-6])").iter().map(|level| level.parse().unwrap()).collect();
        assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{name}: {levels:?}");
        let ids = page.ids();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{name} repeats an id: {ids:?}");
    }
}

#[tokio::test]
async fn scripted_browsers_find_the_ids_they_know() {
    let known: &[(&str, &[&str])] = &[
        ("grantor-login", &["username", "password", "login"]),
        ("grantor-consent", &["approve", "deny", "switch"]),
        ("grantor-select", &["continue", "switch"]),
        ("grantor-device", &["user-code", "continue"]),
        ("grantor-device-done", &[]),
        ("grantor-form-post", &["continue"]),
        ("grantor-error", &[]),
        ("grantor-logout", &["logout"]),
        ("grantor-logged-out", &[]),
        ("grantor-account", &["logout"]),
        ("grantor-group", &["member-kind-user", "member-kind-client", "member-name", "add-member"]),
        ("grantor-home", &[]),
    ];
    let pages = every_page().await;
    for ((name, page), (known_name, wanted)) in pages.iter().zip(known) {
        assert_eq!(name, known_name);
        let ids = page.ids();
        for id in *wanted {
            assert!(ids.iter().any(|found| found == id), "{name} lacks #{id}");
        }
    }
    let of = |name: &str| &pages.iter().find(|(found, _)| *found == name).unwrap().1;
    let consent = of("grantor-consent");
    assert!(consent.tag("approve").contains(r#"name="decision" value="approve""#));
    assert!(consent.tag("deny").contains(r#"name="decision" value="deny""#));
    let group = of("grantor-group");
    assert_eq!(group.all(r#"class="[^"]*(remove-member)"#).len(), 2);
    assert_eq!(group.all(r#"name="operation" value="([a-z]*)""#), ["add", "remove", "remove"]);
    assert!(group.tag("member-kind-client").contains(" checked"));
    assert!(!group.tag("member-kind-user").contains(" checked"));
}

// RFC 8628 §5.4: who is asked for a device compares the code, and is sent nowhere.
#[tokio::test]
async fn a_device_is_asked_for_with_its_code() {
    let of_device = ConsentPage { code: Some("WDJB-MJHT".to_owned()), destination: String::new(), ..consent() };
    let page = Shown::of(of_device.respond(vec![])).await;
    assert_eq!(page.all(r#"<code id="user-code">([^<]*)</code>"#), ["WDJB-MJHT"]);
    assert!(page.html.contains(ENGLISH.device.afterwards) && !page.html.contains("You will be sent"), "{}", page.html);
    assert!(page.tag("approve").contains(r#"aria-describedby="unverified""#));
    assert!(page.tag("unverified").contains("care"));
    let without = Shown::of(device("", None).respond()).await;
    assert!(without.tag("user-code").contains("autofocus") && without.html.contains(ENGLISH.device.enter));
    let with = Shown::of(device("WDJB-MJHT", None).respond()).await;
    assert!(!with.tag("user-code").contains("autofocus") && with.html.contains(ENGLISH.device.compare));
    let denied = DeviceDonePage { frame: frame(), client: "Television".to_owned(), approved: false };
    assert!(Shown::of(denied.respond()).await.html.contains(ENGLISH.device.denied_title));
}

#[tokio::test]
async fn the_one_nonce_of_a_page_is_in_its_policy() {
    let mut seen = BTreeSet::new();
    for (name, page) in every_page().await {
        let nonces: BTreeSet<String> = page.all(r#" nonce="([^"]*)""#).into_iter().collect();
        let nonce = nonces.first().unwrap();
        assert_eq!((nonces.len(), nonce.len()), (1, 22), "{name}");
        assert!(page.policy.contains(&format!("style-src 'nonce-{nonce}';")), "{name}: {}", page.policy);
        assert_eq!(page.html.matches("<style").count(), 1, "{name}");
        let script = page.policy.contains(&format!("script-src 'nonce-{nonce}';"));
        assert_eq!(script, name == "grantor-form-post", "{name}: {}", page.policy);
        assert_eq!(page.html.matches("<script").count(), usize::from(script), "{name}");
        for fixed in ["default-src 'none';", "base-uri 'none';", "frame-ancestors 'none'", "form-action 'self'"] {
            assert!(page.policy.contains(fixed), "{name} lacks {fixed}");
        }
        assert_eq!(page.response.headers["x-frame-options"], "DENY");
        assert_eq!(page.response.headers["content-type"], "text/html; charset=utf-8");
        assert!(!page.response.headers.contains_key("cross-origin-opener-policy"), "it would break popups");
        let status = if name == "grantor-error" { StatusCode::BAD_REQUEST } else { StatusCode::OK };
        assert_eq!(page.response.status, status, "{name}");
        assert!(seen.insert(nonce.clone()), "a nonce is used once");
    }
}

#[tokio::test]
async fn a_form_may_lead_to_the_client_and_nowhere_else() {
    let targets = [
        ("https://client.example.com/cb?x=1", "https://client.example.com"),
        (REDIRECT, "https://client.example.com:8443"),
        ("http://127.0.0.1:49152/", "http://127.0.0.1:49152"),
        // The grammar has no word for an IPv6 host or an odd one.
        ("http://[::1]:49152/", "http:"),
        ("https://a;script-src.example.com/", "https:"),
        ("com.example.app:/callback", "com.example.app:"),
        ("msauth.com.example.app://auth", "msauth.com.example.app:"),
        ("https:", "https:"),
    ];
    for (target, source) in targets {
        let page = Shown::of(login("", None).respond(vec![target.to_owned()])).await;
        assert!(page.policy.contains(&format!("form-action 'self' {source}; base-uri")), "{target}: {}", page.policy);
    }
    for unreadable in ["", ":", "*", "; script-src *:", "/callback"] {
        let page = Shown::of(login("", None).respond(vec![unreadable.to_owned()])).await;
        assert!(page.policy.contains("form-action 'self'; base-uri"), "{}", page.policy);
    }
    let post = FormPostPage { frame: frame(), action: REDIRECT.to_owned(), fields: fields() };
    let post = Shown::of(post.respond()).await;
    assert!(post.policy.contains("form-action 'self' https://client.example.com:8443 https:;"), "{}", post.policy);
}

#[tokio::test]
async fn every_label_and_description_refers_to_what_is_there_and_every_field_has_one() {
    let own_id = Regex::new(r#" id="([^"]*)""#).unwrap();
    for (name, page) in every_page().await {
        let ids = page.ids();
        let labels = page.all(r#"<label for="([^"]*)""#);
        let mut referred = labels.clone();
        for list in page.all(r#" aria-(?:describedby|labelledby)="([^"]*)""#) {
            referred.extend(list.split(' ').map(str::to_owned));
        }
        for id in &referred {
            assert!(ids.contains(id), "{name}: nothing has the id {id}");
        }
        for input in page.all(r"(<input [^>]*>)") {
            let id = own_id.captures(&input).map(|found| found[1].to_owned());
            let labelled = id.is_some_and(|id| labels.contains(&id));
            assert!(labelled || input.contains(r#"type="hidden""#), "{name}: {input} has no label");
        }
    }
}

#[tokio::test]
async fn the_focus_starts_where_something_is_to_be_entered_and_a_problem_is_read_with_it() {
    let fresh = Shown::of(login("", None).respond(vec![])).await;
    assert!(fresh.tag("username").contains(" autofocus") && !fresh.tag("password").contains(" autofocus"));
    assert!(fresh.tag("username").contains(r#" autocomplete="username""#));
    assert!(fresh.tag("password").contains(r#" autocomplete="current-password""#));
    assert!(!fresh.html.contains(r#"aria-invalid=""#) && !fresh.html.contains(r#"role="alert""#));

    let again = Shown::of(login("ada", Some("Wrong.".to_owned())).respond(vec![])).await;
    assert!(!again.tag("username").contains(" autofocus") && again.tag("password").contains(" autofocus"));
    assert!(again.tag("username").contains(r#" value="ada""#));
    assert!(again.tag("password").contains(r#" aria-describedby="problem""#));
    assert!(again.tag("problem").contains(r#" role="alert""#));
    assert!(again.html.contains("<title>Problem: Sign in"));
}

#[tokio::test]
async fn several_equal_buttons_have_names_that_tell_them_apart() {
    let mut page = account();
    page.sessions[0].device = "Firefox on Linux".to_owned();
    page.consents[0].client = "Console".to_owned();
    let page = Shown::of(page.respond()).await;
    assert!(page.html.contains(r#"aria-label="Sign out: Firefox on Linux""#), "{}", page.html);
    assert!(page.html.contains(r#"aria-label="Withdraw access: Console""#));
    let mut page = group();
    page.members[0].name = "ada".to_owned();
    assert!(Shown::of(page.respond()).await.html.contains(r#"aria-label="Remove: ada""#));
}

#[tokio::test]
async fn what_is_empty_is_said_in_a_sentence() {
    let mut page = account();
    (page.sessions, page.consents, page.groups) = (vec![], vec![], vec![]);
    let page = Shown::of(page.respond()).await;
    let t = &ENGLISH.account;
    for sentence in [t.sessions_empty, t.consents_empty, t.groups_empty] {
        assert!(page.html.contains(sentence), "{sentence}");
    }
    let mut page = group();
    page.members = vec![];
    assert!(Shown::of(page.respond()).await.html.contains(ENGLISH.group.members_empty));
    let mut page = consent();
    (page.permissions, page.unverified) = (vec![], false);
    let page = Shown::of(page.respond(vec![])).await;
    assert!(page.html.contains(ENGLISH.consent.no_permissions) && !page.html.contains("unverified"));
}

/// WCAG 2.2 §1.4.3 and §1.4.11: relative luminance of `#rrggbb` or `#rgb`.
fn luminance(colour: &str) -> f64 {
    let digits: Vec<u32> = colour[1..].chars().map(|digit| digit.to_digit(16).unwrap()).collect();
    let parts: Vec<u32> = match digits.len() {
        3 => digits.iter().map(|digit| digit * 17).collect(),
        _ => digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect(),
    };
    let linear = |part: u32| {
        let part = f64::from(part) / 255.0;
        if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * linear(parts[0]) + 0.7152 * linear(parts[1]) + 0.0722 * linear(parts[2])
}

#[tokio::test]
async fn every_pair_of_colours_has_the_contrast_of_wcag_aa() {
    let page = Shown::of(login("", None).respond(vec![])).await;
    let palettes: Vec<String> = page.all(r"(?s):root \{([^}]*--ink: [^}]*)\}");
    assert_eq!(palettes.len(), 2, "light and dark");
    let variable = Regex::new(r"--([a-z-]+): (#[0-9a-f]+);").unwrap();
    let text: &[(&str, &[&str])] = &[
        ("ink", &["paper", "card", "tint"]),
        ("quiet", &["paper", "card", "tint"]),
        ("link", &["paper", "card", "tint"]),
        ("press", &["paper", "card", "tint"]),
        ("on-link", &["link", "press"]),
        ("bad", &["bad-tint", "card"]),
        ("good", &["good-tint"]),
        ("care", &["care-tint"]),
    ];
    for palette in palettes {
        let colours: BTreeMap<&str, f64> = variable
            .captures_iter(&palette)
            .map(|found| found.extract::<2>().1)
            .map(|[n, c]| (n, luminance(c)))
            .collect();
        let contrast = |one: &str, other: &str| {
            let (one, other) = (colours[one] + 0.05, colours[other] + 0.05);
            if one > other { one / other } else { other / one }
        };
        for (ink, papers) in text {
            for paper in *papers {
                assert!(contrast(ink, paper) >= 4.5, "{ink} on {paper}: {}", contrast(ink, paper));
            }
        }
        for paper in ["card", "paper"] {
            assert!(contrast("edge", paper) >= 3.0, "edge on {paper}: {}", contrast("edge", paper));
        }
    }
}

#[test]
fn a_text_takes_its_value() {
    assert_eq!(ENGLISH.signed_in_as("Ada {}"), "Signed in as Ada {}");
    assert_eq!((ENGLISH.consent.asks.before(), ENGLISH.consent.asks.after()), ("", " would like to use your account"));
    let count = ENGLISH.account.group_members;
    assert_eq!([count(0), count(1), count(12)], ["No members", "1 member", "12 members"]);
    assert_eq!([count(1000), count(1001)], ["1000 members", "More than 1000 members"]);
}

#[tokio::test]
async fn the_address_of_the_server_shows_its_issuer() {
    let reply = TestApp::new().await.get("/").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.text().contains("https://login.example.com/.well-known/oauth-authorization-server"));
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(reply.header("referrer-policy"), "no-referrer");
    assert_eq!(reply.header("x-content-type-options"), "nosniff");
}
