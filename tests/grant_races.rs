//! What happens at once to what a person authorized: redeeming, refreshing, withdrawing, signing out, new passwords,
//! the sweep. Whatever the order, nothing fails, and nothing outlives what ended it.

use crate::support::browser::{Ask, PASSWORD};
use crate::support::{API, Reply, TestApp, TestClient};
use grantor::store::client_settings::SettingChanges;
use grantor::store::users::User;
use grantor::sweep;
use grantor::types::id::SessionId;
use grantor::types::policy::RefreshPolicy;
use grantor::types::secret::{Secret, SecretHash};
use std::sync::{Arc, Mutex};
use tokio::sync::Barrier;

/// Two servers over one database.
struct Setup {
    servers: [TestApp; 2],
    web: TestClient,
    password: SecretHash,
    /// Access tokens that were answered.
    issued: Mutex<Vec<String>>,
}

impl Setup {
    async fn new() -> Arc<Self> {
        let (first, web) = TestApp::with_people().await;
        // Also what is not offline gets a refresh token: it ends with the session.
        let always = SettingChanges { refresh_policy: Some(RefreshPolicy::Always), ..SettingChanges::default() };
        first.settings("web", always).await;
        let second = first.second_server().await;
        let password = SecretHash::argon2id(&Secret::password(PASSWORD).unwrap(), &first.app.random);
        Arc::new(Self { servers: [first, second], web, password, issued: Mutex::default() })
    }

    fn ask() -> Ask {
        Ask::web().with("scope", &format!("openid {API}/read"))
    }

    async fn alice(&self) -> User {
        self.servers[0].person("alice").await
    }

    /// A refusal is as good as an answer; a failure is not.
    fn answered(&self, reply: &Reply) -> Result<(), String> {
        match reply.status.as_u16() {
            200 => self.issued.lock().unwrap().push(reply.tokens().access),
            400 | 401 => {}
            status => return Err(format!("{status}: {}", reply.text())),
        }
        Ok(())
    }

    /// Every access token that was answered since the last time has its bit.
    async fn assert_bits(&self) {
        let issued = std::mem::take(&mut *self.issued.lock().unwrap());
        for access in &issued {
            assert!(self.servers[0].bit(access).await, "a token outlived what ended it");
        }
    }

    /// The sessions of the person, by their ids.
    async fn sessions(&self) -> Vec<SessionId> {
        let (store, now) = (&self.servers[0].app.store, self.servers[0].clock.now());
        let lines = store.list_sessions(self.alice().await.id, now).await.unwrap();
        lines.into_iter().map(|line| line.id).collect()
    }
}

/// Something that happens at once with something else; true when it went as it may.
type Deed = std::pin::Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Runs all at once and asserts that none of them failed.
async fn at_once(deeds: Vec<Deed>) {
    let barrier = Arc::new(Barrier::new(deeds.len()));
    let running: Vec<_> = deeds
        .into_iter()
        .map(|deed| {
            let barrier = barrier.clone();
            tokio::spawn(async move {
                barrier.wait().await;
                deed.await
            })
        })
        .collect();
    for deed in running {
        deed.await.unwrap().unwrap();
    }
}

fn deed<F: Future<Output = Result<(), String>> + Send + 'static>(deed: F) -> Deed {
    Box::pin(deed)
}

fn refresh(setup: &Arc<Setup>, at: usize, token: &str) -> Deed {
    let (setup, token) = (setup.clone(), token.to_owned());
    deed(async move { setup.answered(&setup.servers[at].refresh(&setup.web, &token).await) })
}

fn redeem(setup: &Arc<Setup>, at: usize, code: &str) -> Deed {
    let (setup, code) = (setup.clone(), code.to_owned());
    deed(async move { setup.answered(&setup.servers[at].redeem(&setup.web, &code).await) })
}

fn set_password(setup: &Arc<Setup>, at: usize, user: &User) -> Deed {
    let (setup, user) = (setup.clone(), user.clone());
    deed(async move {
        let test = &setup.servers[at];
        let done = test.app.store.set_password(test.tenant_id().await, &user, &setup.password, test.clock.now()).await;
        done.map(drop).map_err(|error| format!("set_password: {error}"))
    })
}

fn end_session(setup: &Arc<Setup>, at: usize, user: &User, session: SessionId) -> Deed {
    let (setup, user) = (setup.clone(), user.id);
    deed(async move {
        let test = &setup.servers[at];
        let done = test.app.store.end_session(user, session, test.clock.now()).await;
        done.map(drop).map_err(|error| format!("end_session: {error}"))
    })
}

fn withdraw(setup: &Arc<Setup>, at: usize, user: &User) -> Deed {
    let (setup, user) = (setup.clone(), user.id);
    deed(async move {
        let test = &setup.servers[at];
        let client = test.find_client("web").await.oid;
        let done = test.app.store.withdraw_consents(user, client, test.clock.now()).await;
        done.map(drop).map_err(|error| format!("withdraw: {error}"))
    })
}

fn swept(setup: &Arc<Setup>, at: usize) -> Deed {
    let setup = setup.clone();
    deed(async move { sweep::once(&setup.servers[at].app).await.map_err(|error| format!("sweep: {error}")) })
}

/// Every access token that is remembered or was answered has its bit, and nothing holds any more.
async fn assert_all_ended(setup: &Setup, why: &str) {
    let test = &setup.servers[0];
    setup.assert_bits().await;
    let alive = "SELECT COUNT(*) FROM grants WHERE revoked_at IS NULL";
    assert_eq!(test.number(alive).await, 0, "{why}");
    let unrevoked = "SELECT COUNT(*) FROM grant_tokens WHERE jti NOT IN (SELECT jti FROM revocations)";
    assert_eq!(test.number(unrevoked).await, 0, "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redeeming_while_consent_is_withdrawn_leaves_nothing_alive() {
    let setup = Setup::new().await;
    let alice = setup.alice().await;
    for round in 0..20 {
        let browser = setup.servers[0].browser();
        let code = browser.code(&Setup::ask()).await;
        let at = round % 2;
        at_once(vec![redeem(&setup, at, &code), withdraw(&setup, 1 - at, &alice)]).await;
        assert_all_ended(&setup, "withdrawn").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn refreshing_while_consent_is_withdrawn_leaves_nothing_alive() {
    let setup = Setup::new().await;
    let alice = setup.alice().await;
    for round in 0..20 {
        let tokens = setup.servers[0].browser().web_tokens(&setup.web, &Setup::ask()).await;
        let at = round % 2;
        let deeds = vec![
            refresh(&setup, at, &tokens.refresh),
            refresh(&setup, 1 - at, &tokens.refresh),
            withdraw(&setup, 1 - at, &alice),
        ];
        at_once(deeds).await;
        assert_all_ended(&setup, "withdrawn").await;
    }
}

// All of one person's ends at once: who locks what in which order must not matter.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_ends_of_one_person_at_once_do_not_stand_in_each_others_way() {
    let setup = Setup::new().await;
    let alice = setup.alice().await;
    for round in 0..12 {
        let browsers = [setup.servers[0].browser(), setup.servers[1].browser(), setup.servers[0].browser()];
        let mut tokens = Vec::new();
        for browser in &browsers {
            for _ in 0..4 {
                tokens.push(browser.web_tokens(&setup.web, &Setup::ask()).await);
            }
        }
        // Uses move the rows about.
        for token in tokens.iter_mut().step_by(2) {
            *token = setup.servers[0].refresh(&setup.web, &token.refresh).await.tokens();
        }
        let sessions = setup.sessions().await;
        assert_eq!(sessions.len(), 3);
        let at = round % 2;
        let mut deeds = vec![set_password(&setup, at, &alice), withdraw(&setup, 1 - at, &alice), swept(&setup, at)];
        deeds.extend(sessions.iter().map(|session| end_session(&setup, 1 - at, &alice, *session)));
        deeds.extend(tokens.iter().map(|token| refresh(&setup, at, &token.refresh)));
        at_once(deeds).await;
        assert_all_ended(&setup, "everything was ended").await;
        assert_eq!(setup.servers[0].count("sessions").await, 0);
    }
}

// What is asked for with a session that ends at this moment falls with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_code_that_is_asked_for_while_the_session_ends_leaves_nothing_alive() {
    let setup = Setup::new().await;
    let alice = setup.alice().await;
    for round in 0..30 {
        let browser = setup.servers[0].browser();
        // Consent is there, so that the next request is answered without a page.
        browser.code(&Setup::ask()).await;
        let session = setup.sessions().await[0];
        let ending =
            if round % 2 == 0 { end_session(&setup, 1, &alice, session) } else { set_password(&setup, 1, &alice) };
        let path = Setup::ask().path();
        let (reply, ended) = tokio::join!(browser.get(&path), ending);
        ended.unwrap();
        assert!(reply.status.as_u16() < 500, "{}", reply.text());
        assert_all_ended(&setup, "the session is over").await;
    }
}

// What was agreed to before is looked at again when the code is made: it may have been taken back a moment ago.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_code_that_rests_on_consent_that_is_withdrawn_at_this_moment_leaves_nothing_alive() {
    let setup = Setup::new().await;
    let alice = setup.alice().await;
    let browser = setup.servers[0].browser();
    let path = Setup::ask().path();
    for _ in 0..30 {
        browser.code(&Setup::ask()).await;
        let (reply, withdrawn) = tokio::join!(browser.get(&path), withdraw(&setup, 1, &alice));
        withdrawn.unwrap();
        assert!(reply.status.as_u16() < 500, "{}", reply.text());
        assert_all_ended(&setup, "withdrawn").await;
        assert_eq!(setup.servers[0].count("consents").await, 0);
    }
    // Nothing is left that would answer in silence.
    let reply = browser.get(&path).await;
    assert_eq!(crate::support::browser::main_id(&reply).as_deref(), Some("grantor-consent"));
}

// Deleting removes the grant and then its code; redeeming must not take the two the other way round.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redeeming_while_the_person_or_the_client_is_deleted_stands_in_nobodys_way() {
    let setup = Setup::new().await;
    let test = &setup.servers[0];
    for round in 0..12 {
        let name = format!("person-{round}");
        let person = test.user_with(&name, PASSWORD).await;
        let mut codes = Vec::new();
        let browser = test.browser();
        for _ in 0..6 {
            let reply = browser.authorize_as(&Setup::ask(), &name).await;
            codes.push(crate::support::browser::answer(&reply).remove("code").unwrap());
        }
        let deleting = setup.clone();
        let deletion = deed(async move {
            let test = &deleting.servers[1];
            let done = test.app.store.delete_user(test.tenant_id().await, &person, test.clock.now()).await;
            done.map(drop).map_err(|error| format!("delete_user: {error}"))
        });
        let mut deeds: Vec<Deed> = codes.iter().enumerate().map(|(at, code)| redeem(&setup, at % 2, code)).collect();
        deeds.insert(round % 7, deletion);
        at_once(deeds).await;
        // Their rows are gone, so the bits are what is left to tell.
        setup.assert_bits().await;
        assert_eq!((test.count("grants").await, test.count("codes").await), (0, 0));
    }
    let alice_codes = [test.browser().code(&Setup::ask()).await, test.browser().code(&Setup::ask()).await];
    let deleting = setup.clone();
    let deletion = deed(async move {
        let test = &deleting.servers[1];
        let client = test.find_client("web").await;
        let done = test.app.store.delete_client(test.tenant_id().await, &client, test.clock.now()).await;
        done.map(drop).map_err(|error| format!("delete_client: {error}"))
    });
    at_once(vec![redeem(&setup, 0, &alice_codes[0]), deletion, redeem(&setup, 1, &alice_codes[1])]).await;
    setup.assert_bits().await;
    assert_eq!((test.count("grants").await, test.count("codes").await), (0, 0));
}
