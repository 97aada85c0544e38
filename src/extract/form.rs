//! A form body with the credentials that came along, bounded in size and time.

use super::peer::Peer;
use crate::app::App;
use crate::client_auth::{self, AuthenticatedClient, Presented};
use crate::error::{OAuthError, reason};
use crate::store::tenants::Tenant;
use crate::types::form::{Form, FormError};
use axum::body::Body;
use axum::body::HttpBody;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use http_body_util::{BodyExt, Limited};
use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;

/// The largest body that is read.
pub const MAX_BODY: usize = 64 * 1024;

/// The error of a body that did not arrive in time; the wall raises it.
#[derive(Debug, thiserror::Error)]
#[error("the body did not arrive in time")]
pub struct Late;

/// A POSTed form.
pub struct PostedForm {
    /// Its parameters.
    pub form: Form,
    headers: HeaderMap,
    peer: IpAddr,
}

impl PostedForm {
    /// Who sent it: a client that proved who it is, or a public one that names itself.
    ///
    /// # Errors
    /// See [`client_auth::authenticate`]; 503 when nobody can say whether a refusal is right.
    pub async fn authenticate(&self, app: &App, tenant: &Tenant) -> Result<AuthenticatedClient, OAuthError> {
        let authorization: Vec<&[u8]> =
            self.headers.get_all(AUTHORIZATION).iter().map(|value| value.as_bytes()).collect();
        let presented = Presented { authorization: &authorization, form: &self.form, peer: self.peer };
        match client_auth::authenticate(app, tenant, presented).await {
            Err(refusal) if refusal.rests_on_directory() => {
                // In a box of its own: what is seldom done must not make every request carry room for it.
                let again = async {
                    if app.catch_up().await? {
                        return client_auth::authenticate(app, tenant, presented).await;
                    }
                    Err(refusal)
                };
                Box::pin(again).await
            }
            answer => answer,
        }
    }
}

impl FromRequest<Arc<App>> for PostedForm {
    type Rejection = OAuthError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, OAuthError> {
        let (mut parts, body) = request.into_parts();
        let Ok(Peer(peer)) = Peer::from_request_parts(&mut parts, app).await;
        if !is_form(&parts.headers) {
            return Err(reason::CONTENT_TYPE.into());
        }
        // Said before it is sent: then it is not waited for.
        if body.size_hint().lower() > MAX_BODY as u64 {
            return Err(reason::BODY_TOO_LARGE.into());
        }
        let form = Form::parse(&read(body).await?).map_err(|error| match error {
            FormError::Unreadable => OAuthError::from(reason::BODY_UNREADABLE),
            FormError::Repeated(name) => OAuthError::from(reason::PARAMETER_REPEATED).about(&name),
            FormError::TooMany => OAuthError::from(reason::TOO_MANY_PARAMETERS),
        })?;
        Ok(Self { form, headers: parts.headers, peer })
    }
}

/// True when the body is said to be a form, whatever parameters the media type has.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let mut content_types = headers.get_all(CONTENT_TYPE).iter();
    let content_type = content_types.next().and_then(|value| value.to_str().ok()).unwrap_or_default();
    // Two media types, or a coding on top, are understood differently by whatever stands in front of us.
    let plain = headers.get(CONTENT_ENCODING).is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if content_types.next().is_some() || !plain {
        return false;
    }
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

pub(super) async fn read(body: Body) -> Result<axum::body::Bytes, OAuthError> {
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(reason::BODY_TOO_LARGE.into()),
        Err(error) if error.source().is_some_and(<dyn Error>::is::<Late>) => Err(reason::BODY_TIMEOUT.into()),
        Err(error) => Err(OAuthError::from(reason::BODY_UNREADABLE).because(error)),
    }
}
