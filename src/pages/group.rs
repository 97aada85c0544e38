//! The page on which an owner looks after a group.

use crate::app::App;
use crate::error::{OAuthError, reason};
use crate::extract::browser::Browser;
use crate::extract::form::PostedForm;
use crate::extract::tenant::TenantPath;
use crate::pages::layout::{self, Frame, Page};
use crate::pages::texts;
use crate::pages::visit::{Then, Visit};
use crate::store::groups::Group;
use crate::store::members::Member;
use crate::types::form::Form;
use crate::types::id::{GroupId, MemberId};
use askama::Template;
use axum::extract::{RawPathParams, State};
use axum::response::Response;
use std::sync::Arc;
use uuid::Uuid;

/// A group in the hands of its owner.
#[derive(Template)]
#[template(path = "group.html")]
pub struct GroupPage {
    /// What every page has.
    pub frame: Frame,
    /// The group's name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Where the forms go.
    pub action: String,
    /// The account page.
    pub back: String,
    /// What shows that a form came from this page.
    pub csrf: String,
    /// What was just done.
    pub notice: Option<String>,
    /// What went wrong with the last entry.
    pub problem: Option<String>,
    /// The direct members.
    pub members: Vec<MemberLine>,
    /// True when there are more members than are listed.
    pub more: bool,
    /// The kind that was chosen: `client`, anything else is a user.
    pub kind: String,
    /// The name that was entered.
    pub entered: String,
}

/// A direct member.
#[derive(Debug, Clone)]
pub struct MemberLine {
    /// What it is, in words.
    pub kind: String,
    /// `client`, `user` or `group`; handed back to remove it.
    pub raw_kind: String,
    /// Handed back to remove it.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it is added by: the client id or username.
    pub handle: String,
}

impl GroupPage {
    /// The page with its headers.
    ///
    /// # Errors
    /// The template failed, which a test excludes.
    pub fn respond(self) -> Result<Response, OAuthError> {
        layout::respond(Page::default(), &self.frame.nonce, &self)
    }
}

/// How many members the page lists.
const LISTED: i64 = 500;

/// The page (`GET /account/groups/{id}`).
///
/// # Errors
/// The person is no owner, the tenant is disabled, or the database does not answer.
pub async fn get(
    State(app): State<Arc<App>>,
    path: TenantPath,
    browser: Browser,
    params: RawPathParams,
) -> Result<Response, OAuthError> {
    let tenant = path.enabled()?;
    let visit = Visit { app: &app, path: &path, browser: &browser };
    let id = group_id(&params)?;
    let Some(session) = visit.session().await? else { return visit.ask_to_sign_in(None, &Then::Group(id), None) };
    let group = app.store.find_owned_group(tenant.id, session.user.id, id).await?.ok_or(reason::NOT_AN_OWNER)?;
    visit.show_group(&group, Said::default()).await
}

/// Adds or removes a direct member (`POST /account/groups/{id}`). Owners alone may, and what they do reaches every
/// server like a command of an operator.
///
/// # Errors
/// As [`get`], and when the form did not come from our page.
pub async fn post(
    State(app): State<Arc<App>>,
    path: TenantPath,
    browser: Browser,
    params: RawPathParams,
    posted: PostedForm,
) -> Result<Response, OAuthError> {
    let tenant = path.enabled()?;
    let visit = Visit { app: &app, path: &path, browser: &browser };
    let id = group_id(&params)?;
    browser.check_form(&posted.form)?;
    let Some(session) = visit.session().await? else { return visit.ask_to_sign_in(None, &Then::Group(id), None) };
    let owned = || app.store.find_owned_group(tenant.id, session.user.id, id);
    let group = owned().await?.ok_or(reason::NOT_AN_OWNER)?;
    let said = match posted.form.get("operation") {
        Some("add") => visit.add(&group, &posted.form).await?,
        Some("remove") => visit.remove(&group, &posted.form).await?,
        _ => Said::default(),
    };
    if said.notice.is_some() {
        tracing::info!(tenant = %tenant.name, group = %group.name, owner = %session.user.id, "an owner changed a group");
    }
    visit.show_group(&group, said).await
}

fn group_id(params: &RawPathParams) -> Result<GroupId, OAuthError> {
    let id = params.iter().find(|(name, _)| *name == "id").and_then(|(_, id)| Uuid::try_parse(id).ok());
    Ok(id.ok_or(reason::NOT_FOUND)?.into())
}

/// What the page says after a form.
#[derive(Default)]
struct Said {
    notice: Option<String>,
    problem: Option<String>,
    kind: String,
    entered: String,
}

impl Visit<'_> {
    async fn add(&self, group: &Group, form: &Form) -> Result<Said, OAuthError> {
        let t = &texts::ENGLISH.group;
        let tenant = self.path.tenant.id;
        let (kind, name) = (form.get("kind").unwrap_or_default(), form.get("name").unwrap_or_default().trim());
        let again = |problem: String| {
            Ok(Said { problem: Some(problem), kind: kind.to_owned(), entered: name.to_owned(), notice: None })
        };
        if name.is_empty() {
            return again(t.name_missing.to_owned());
        }
        let member = if kind == "client" {
            self.app.directory.client(tenant, name).await?.map(|client| MemberId::Client(client.oid))
        } else if name.contains('\0') {
            None
        } else {
            self.app.store.find_user(tenant, name).await?.map(|user| MemberId::User(user.id))
        };
        let Some(member) = member else {
            return again(if kind == "client" { t.unknown_client } else { t.unknown_user }.with(name));
        };
        let now = self.app.clock.now();
        let added = self.app.store.add_member(tenant, group, Member::Subject(member), now).await;
        match added {
            Ok(true) => Ok(Said { notice: Some(t.added.with(name)), ..Said::default() }),
            Ok(false) => again(t.already_member.with(name)),
            Err(error) => Err(error.into()),
        }
    }

    async fn remove(&self, group: &Group, form: &Form) -> Result<Said, OAuthError> {
        let (kind, id) = (form.get("kind").unwrap_or_default(), form.get("id").unwrap_or_default());
        let member = match Uuid::try_parse(id) {
            Ok(id) => self.app.store.find_member(group.id, id).await?,
            Err(_) => None,
        };
        let Some(line) = member.filter(|line| line.kind == kind) else { return Ok(Said::default()) };
        let inner = match line.kind.as_str() {
            "group" => self.app.store.find_group(self.path.tenant.id, id).await?,
            _ => None,
        };
        let member = match (&inner, line.kind.as_str()) {
            (Some(inner), _) => Member::Group(inner),
            (None, "client") => Member::Subject(MemberId::Client(line.id.into())),
            (None, _) => Member::Subject(MemberId::User(line.id.into())),
        };
        self.app.store.remove_member(self.path.tenant.id, group, member, self.app.clock.now()).await?;
        Ok(Said { notice: Some(texts::ENGLISH.group.removed.with(&line.shown)), ..Said::default() })
    }

    async fn show_group(&self, group: &Group, said: Said) -> Result<Response, OAuthError> {
        let frame = Frame::new(&self.app.random);
        let t = &frame.t.group;
        let mut members = self.app.store.list_members(group.id, (Uuid::nil(), LISTED + 1)).await?;
        let more = members.len() > LISTED as usize;
        members.truncate(LISTED as usize);
        members.sort_unstable_by(|one, other| one.place().cmp(&other.place()));
        let page = GroupPage {
            name: group.name.to_string(),
            description: group.description.clone(),
            action: Then::Group(group.id).path(&self.path.base(self.app)),
            back: self.at("/account"),
            csrf: self.browser.form_token(),
            notice: said.notice,
            problem: said.problem,
            more,
            members: members
                .into_iter()
                .map(|line| MemberLine {
                    kind: match line.kind.as_str() {
                        "client" => t.kind_client,
                        "group" => t.kind_group,
                        _ => t.kind_user,
                    }
                    .to_owned(),
                    raw_kind: line.kind,
                    id: line.id.to_string(),
                    name: line.shown,
                    handle: line.name,
                })
                .collect(),
            kind: said.kind,
            entered: said.entered,
            frame,
        };
        Ok(self.browser.keep(page.respond()?))
    }
}
