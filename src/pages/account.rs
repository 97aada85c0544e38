//! The page on which people see their own account: sessions, applications with access, groups that they own.

use crate::app::App;
use crate::error::OAuthError;
use crate::extract::browser::Browser;
use crate::extract::form::PostedForm;
use crate::extract::tenant::TenantPath;
use crate::pages::layout::{self, Frame, Page};
use crate::pages::texts;
use crate::pages::user_agent;
use crate::pages::visit::{self, Then, Visit};
use crate::store::consents::Consent;
use crate::store::sessions::Session;
use crate::types::clock::format_time;
use crate::types::id::SessionId;
use crate::types::scope::OPENID_SCOPES;
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use std::sync::Arc;
use uuid::Uuid;

/// One's own account.
#[derive(Template)]
#[template(path = "account.html")]
pub struct AccountPage {
    /// What every page has.
    pub frame: Frame,
    /// The name with which the person signs in.
    pub username: String,
    /// The person's name.
    pub display_name: Option<String>,
    /// The person's address.
    pub email: Option<String>,
    /// The path below which the forms go, such as `/account`.
    pub action: String,
    /// What shows that a form came from this page.
    pub csrf: String,
    /// What was just done.
    pub notice: Option<String>,
    /// Where the person is signed in.
    pub sessions: Vec<SessionLine>,
    /// What the person allowed.
    pub consents: Vec<ConsentLine>,
    /// Groups that the person owns.
    pub groups: Vec<GroupLine>,
    /// Where to sign out.
    pub logout: String,
}

/// A browser in which the person is signed in.
#[derive(Debug, Clone)]
pub struct SessionLine {
    /// Handed back to end it.
    pub id: String,
    /// What it is, in words.
    pub device: String,
    /// Its network address.
    pub address: String,
    /// Since when.
    pub since: String,
    /// When it was last used.
    pub seen: String,
    /// True for the browser that shows the page.
    pub current: bool,
}

/// A client with the person's consent.
#[derive(Debug, Clone)]
pub struct ConsentLine {
    /// The client's name.
    pub client: String,
    /// The client's identifier; handed back to withdraw.
    pub client_id: String,
    /// What it may do, in words.
    pub permissions: Vec<String>,
    /// Since when.
    pub since: String,
}

/// A group that the person owns.
#[derive(Debug, Clone)]
pub struct GroupLine {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// How many members it has.
    pub members: usize,
    /// Its page.
    pub url: String,
}

impl AccountPage {
    /// What the person is called on top of the page.
    fn shown_name(&self) -> &str {
        self.display_name.as_deref().unwrap_or(&self.username)
    }

    /// The page with its headers.
    ///
    /// # Errors
    /// The template failed, which a test excludes.
    pub fn respond(self) -> Result<Response, OAuthError> {
        layout::respond(Page::default(), &self.frame.nonce, &self)
    }
}

/// The page (`GET /account`).
///
/// # Errors
/// The tenant is disabled, or the database does not answer.
pub async fn get(State(app): State<Arc<App>>, path: TenantPath, browser: Browser) -> Result<Response, OAuthError> {
    path.enabled()?;
    let visit = Visit { app: &app, path: &path, browser: &browser };
    match visit.session().await? {
        Some(session) => visit.show_account(&session, None).await,
        None => visit.ask_to_sign_in(None, &Then::Account, None),
    }
}

/// Where a form's address leads without the form: to the account.
///
/// # Errors
/// None that parsing lets through.
pub async fn instead(State(app): State<Arc<App>>, path: TenantPath) -> Result<Response, OAuthError> {
    visit::see_other(&Then::Account.path(&path.base(&app)))
}

/// Ends one of the person's sessions (`POST /account/sessions`).
///
/// # Errors
/// As [`get`], and when the form did not come from our page.
pub async fn end_session(
    State(app): State<Arc<App>>,
    path: TenantPath,
    browser: Browser,
    posted: PostedForm,
) -> Result<Response, OAuthError> {
    path.enabled()?;
    let visit = Visit { app: &app, path: &path, browser: &browser };
    browser.check_form(&posted.form)?;
    let Some(session) = visit.session().await? else { return visit.ask_to_sign_in(None, &Then::Account, None) };
    let named = posted.form.get("id").and_then(|id| Uuid::try_parse(id).ok()).map(SessionId::from);
    if let Some(named) = named {
        app.store.end_session(session.user.id, named, app.clock.now()).await?;
        if named == session.id {
            return Ok(browser.signed_out(visit.ask_to_sign_in(None, &Then::Account, None)?));
        }
    }
    visit.show_account(&session, Some(texts::ENGLISH.account.session_ended)).await
}

/// Takes back what the person let a client do (`POST /account/consents`).
///
/// # Errors
/// As [`end_session`].
pub async fn withdraw(
    State(app): State<Arc<App>>,
    path: TenantPath,
    browser: Browser,
    posted: PostedForm,
) -> Result<Response, OAuthError> {
    let tenant = path.enabled()?;
    let visit = Visit { app: &app, path: &path, browser: &browser };
    browser.check_form(&posted.form)?;
    let Some(session) = visit.session().await? else { return visit.ask_to_sign_in(None, &Then::Account, None) };
    let client_id = posted.form.get("client_id").unwrap_or_default();
    if let Some(client) = app.directory.client(tenant.id, client_id).await? {
        app.store.withdraw_consents(session.user.id, client.oid, app.clock.now()).await?;
        metrics::counter!("grantor_consents_withdrawn_total").increment(1);
    }
    visit.show_account(&session, Some(texts::ENGLISH.account.consent_withdrawn)).await
}

/// As the consent page has them: first what it may know of the person, from the least on.
fn in_order(consents: &[Consent]) -> Vec<&Consent> {
    let place = |consent: &Consent| OPENID_SCOPES.iter().position(|scope| *scope == consent.value);
    let mut ordered: Vec<&Consent> = consents.iter().collect();
    ordered.sort_by_key(|consent| (!consent.resource.uuid().is_nil(), consent.resource.uuid(), place(consent)));
    ordered
}

impl Visit<'_> {
    async fn show_account(&self, session: &Session, notice: Option<&str>) -> Result<Response, OAuthError> {
        let (tenant, user) = (&*self.path.tenant, &session.user);
        let frame = Frame::new(&self.app.random);
        let t = frame.t;
        let store = &self.app.store;
        let sessions = store.list_sessions(user.id, self.app.clock.now()).await?;
        let consents = store.list_consents(tenant.id, user.id).await?;
        let groups = store.owned_groups(tenant.id, user.id).await?;
        let resources = self.app.directory.resources(tenant.id).await?;
        let words = |consent: &Consent| {
            let resource = resources.iter().find(|resource| resource.id == consent.resource);
            visit::in_words(&t.consent, resource, &consent.value)
        };
        let page = AccountPage {
            username: user.username.to_string(),
            display_name: user.display_name.clone(),
            email: user.email.clone(),
            action: self.at("/account"),
            csrf: self.browser.form_token(),
            notice: notice.map(str::to_owned),
            sessions: sessions
                .into_iter()
                .map(|line| SessionLine {
                    id: line.id.to_string(),
                    device: user_agent::in_words(&t.account, &line.user_agent),
                    address: line.address,
                    since: format_time(line.auth_time),
                    seen: format_time(line.last_seen_at),
                    current: line.id == session.id,
                })
                .collect(),
            consents: consents
                .into_iter()
                .map(|given| ConsentLine {
                    permissions: in_order(&given.consents).into_iter().map(words).collect(),
                    client: given.name,
                    client_id: given.client_id,
                    since: format_time(given.since),
                })
                .collect(),
            groups: groups
                .into_iter()
                .map(|(group, members)| GroupLine {
                    url: Then::Group(group.id).path(&self.path.base(self.app)),
                    name: group.name.to_string(),
                    description: group.description,
                    members: usize::try_from(members).unwrap_or_default(),
                })
                .collect(),
            logout: self.at("/oauth2/v2.0/logout"),
            frame,
        };
        Ok(self.browser.keep(page.respond()?))
    }
}
