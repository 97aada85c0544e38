//! The token endpoint (RFC 6749 §3.2).

use crate::app::App;
use crate::client_auth::Proof;
use crate::endpoints::Recognizable;
use crate::error::{OAuthError, reason};
use crate::extract::form::PostedForm;
use crate::extract::tenant::TenantPath;
use crate::grants::{self, Exchange};
use crate::telemetry;
use crate::tokens::issue::Issued;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Authenticates the client, finds the grant, answers with what it issues.
///
/// # Errors
/// RFC 6749 §5.2.
pub async fn post(State(app): State<Arc<App>>, path: TenantPath, posted: PostedForm) -> Result<Response, OAuthError> {
    let mut answer = exchange(&app, &path, &posted).await;
    // A refusal is only as good as what it rests on: with the database away it would be a guess.
    if answer.as_ref().is_err_and(OAuthError::rests_on_directory) {
        answer =
            Box::pin(async { if app.catch_up().await? { exchange(&app, &path, &posted).await } else { answer } }).await;
    }
    match &answer {
        Ok(_) => app.issued.increment(1),
        Err(error) => telemetry::count_refused_token(error.reason().error),
    }
    let (Issued { json, decision }, proof) = answer?;
    let mut response = ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], json).into_response();
    if let (Some(decision), Some(proof)) = (decision, proof) {
        response.extensions_mut().insert(Recognizable { tenant: path.tenant.id, decision, proof });
    }
    Ok(response)
}

type Exchanged = (Issued, Option<Proof>);

async fn exchange(app: &App, path: &TenantPath, posted: &PostedForm) -> Result<Exchanged, OAuthError> {
    let tenant = path.enabled()?;
    let form = &posted.form;
    let client = posted.authenticate(app, tenant).await?;
    // Whose request it was stands in the log beside what was wrong with it.
    let issued = issue(Exchange { app, tenant, client: &client, form }).await;
    let issued = issued
        .map_err(|error| error.because_unless_known(|| format!("client {:?}", client.client().client_id.as_str())))?;
    Ok((issued, client.proof()))
}

async fn issue(request: Exchange<'_>) -> Result<Issued, OAuthError> {
    let client = request.client.client();
    let name = request.form.get("grant_type");
    let name = name.ok_or_else(|| OAuthError::from(reason::PARAMETER_MISSING).about("grant_type"))?;
    let grant = grants::find(name).ok_or_else(|| OAuthError::from(reason::GRANT_UNSUPPORTED).about(name))?;
    if client.public && !grant.for_public {
        return Err(reason::GRANT_NEEDS_SECRET.into());
    }
    // RFC 6749 §5.2: known, but not for this client.
    if !client.grants.iter().any(|allowed| allowed == grant.name) {
        return Err(OAuthError::from(reason::GRANT_NOT_ALLOWED).about(grant.name));
    }
    (grant.exchange)(request).await
}
