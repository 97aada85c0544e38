//! A bearer token (RFC 6750 §2): in the `Authorization` header, or in a form body; not in the query.

use super::form::{PostedForm, is_form};
use crate::app::App;
use crate::error::{OAuthError, reason};
use axum::extract::{FromRequest, Request};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method};
use std::sync::Arc;

/// The presented access token, unchecked.
pub struct BearerToken(pub String);

impl FromRequest<Arc<App>> for BearerToken {
    type Rejection = OAuthError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, OAuthError> {
        let header = from_header(request.headers())?;
        // RFC 6750 §2: the query form is not offered, but beside another one it is a second way all the same.
        let in_query = request
            .uri()
            .query()
            .is_some_and(|query| query.split('&').any(|pair| pair.split('=').next() == Some("access_token")));
        if header.is_some() && in_query {
            return Err(reason::TOKEN_TWICE.into());
        }
        // RFC 6750 §2.2: only in a single-part form, and never with GET.
        let may_hold = !matches!(*request.method(), Method::GET | Method::HEAD) && is_form(request.headers());
        let body = if may_hold {
            PostedForm::from_request(request, app).await?.form.get("access_token").map(str::to_owned)
        } else {
            None
        };
        match (header, body) {
            (Some(_), Some(_)) => Err(reason::TOKEN_TWICE.into()),
            (Some(token), None) | (None, Some(token)) => Ok(Self(token)),
            (None, None) => Err(reason::TOKEN_MISSING.into()),
        }
    }
}

fn from_header(headers: &HeaderMap) -> Result<Option<String>, OAuthError> {
    let mut found = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = found.next() else { return Ok(None) };
    if found.next().is_some() {
        return Err(reason::TOKEN_TWICE.into());
    }
    let text = value.to_str().map_err(|_| reason::TOKEN_INVALID)?.trim();
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    // RFC 9110 §11.1: scheme names are case-insensitive.
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    match token.trim() {
        "" => Err(reason::TOKEN_MISSING.into()),
        token => Ok(Some(token.to_owned())),
    }
}
