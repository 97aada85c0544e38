//! Every error an endpoint can answer: the registered name, a stable reason code, a fixed sentence, a private cause.
//!
//! The rows of [`REASONS`] are the table in `docs/errors.md`; a test keeps them the same. A response made here is a
//! blank with the error attached; the outer layer fills in identifiers and time, and logs it once.

use crate::keys::KeyError;
use crate::store::{AdminError, StoreError};
use crate::types::redaction::redacted;
use axum::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// One row of the table of reasons.
#[derive(Debug)]
pub struct Reason {
    /// The number in `error_codes`. Never reused.
    pub code: u32,
    /// HTTP status.
    pub status: u16,
    /// The name that its RFC registered.
    pub error: &'static str,
    /// The sentence that is always the same.
    pub text: &'static str,
}

macro_rules! reasons {
    ($($(#[$meta:meta])* $name:ident = $code:literal $status:literal $error:literal $text:literal;)+) => {
        $($(#[$meta])* pub const $name: &Reason = &Reason { code: $code, status: $status, error: $error, text: $text };)+

        /// Every reason, in order of code.
        pub const REASONS: &[&Reason] = &[$($name),+];
    };
}

/// The reasons.
pub mod reason {
    use super::Reason;

    reasons! {
        /// RFC 6749 §3.2.
        METHOD_NOT_ALLOWED = 1001 405 "invalid_request" "This endpoint does not take this HTTP method.";
        /// RFC 6749 §3.2.
        CONTENT_TYPE = 1002 400 "invalid_request" "Send the parameters as application/x-www-form-urlencoded in the body.";
        /// A bound of ours.
        BODY_TOO_LARGE = 1003 413 "invalid_request" "The body is larger than this server reads.";
        /// RFC 6749 §3.2.
        BODY_UNREADABLE = 1004 400 "invalid_request" "The body cannot be read as form parameters.";
        /// RFC 6749 §3.2.
        PARAMETER_REPEATED = 1005 400 "invalid_request" "A parameter stands more than once.";
        /// RFC 6749 §5.2.
        PARAMETER_MISSING = 1006 400 "invalid_request" "A parameter is missing.";
        /// A bound of ours.
        TOO_MANY_PARAMETERS = 1007 400 "invalid_request" "There are more parameters than this server reads.";
        /// A tenant is the first segment of the path.
        TENANT_UNKNOWN = 1008 404 "invalid_request" "There is no such tenant.";
        /// `grantor tenant disable`.
        TENANT_DISABLED = 1009 400 "invalid_request" "The tenant is disabled.";
        /// No such path.
        NOT_FOUND = 1010 404 "invalid_request" "There is nothing at this address.";
        /// A bound of ours.
        BODY_TIMEOUT = 1011 408 "invalid_request" "The body did not arrive in time.";
        /// RFC 6749 §5.2.
        CREDENTIALS_MISSING = 2001 401 "invalid_client" "The request carries no client credentials.";
        /// RFC 6749 §5.2. Unknown and wrong are one answer, so that nobody learns which client ids exist.
        CREDENTIALS_WRONG = 2002 401 "invalid_client" "The client is unknown or its secret is wrong.";
        /// RFC 7617 §2.
        CREDENTIALS_UNREADABLE = 2003 401 "invalid_client" "The Authorization header cannot be read as Basic credentials.";
        /// RFC 6749 §2.3.
        TWO_METHODS = 2004 400 "invalid_request" "The client authenticates in more than one way; use one.";
        /// `grantor client disable`. Said only to who knows the secret.
        CLIENT_DISABLED = 2005 401 "invalid_client" "The client is disabled.";
        /// Said only to who knows the secret.
        SECRET_EXPIRED = 2006 401 "invalid_client" "This secret of the client has expired; use a newer one.";
        /// RFC 6749 §3.2.1.
        CLIENT_ID_MISMATCH = 2007 400 "invalid_request" "The client_id in the body is not the one in the Authorization header.";
        /// RFC 6749 §2.3.
        METHOD_UNSUPPORTED = 2008 401 "invalid_client" "This way of client authentication is not supported; use Basic or the body.";
        /// RFC 7662 §2.1.
        PUBLIC_CLIENT = 2009 401 "invalid_client" "A public client cannot use this endpoint.";
        /// RFC 6749 §2.3.1, §10.10.
        THROTTLED = 2010 429 "temporarily_unavailable" "Too many wrong secrets for this client from this address; wait a minute.";
        /// RFC 6749 §5.2.
        GRANT_UNSUPPORTED = 3001 400 "unsupported_grant_type" "This server does not know that grant type.";
        /// RFC 6749 §5.2.
        GRANT_NOT_ALLOWED = 3002 400 "unauthorized_client" "The client may not use this grant type.";
        /// RFC 6749 §4.4.
        GRANT_NEEDS_SECRET = 3003 400 "unauthorized_client" "A public client cannot use client_credentials.";
        /// RFC 6749 §4.1.2.1.
        RESPONSE_TYPE_UNSUPPORTED = 3004 400 "unsupported_response_type" "This server does not answer that response type.";
        /// RFC 6749 §3.3.
        SCOPE_MALFORMED = 4001 400 "invalid_scope" "The scope holds a character that is not allowed, or is too long.";
        /// RFC 6749 §3.3.
        SCOPE_UNKNOWN = 4002 400 "invalid_scope" "The scope is unknown.";
        /// RFC 6749 §3.3.
        SCOPE_NOT_ALLOWED = 4003 400 "invalid_scope" "The client may not have this scope.";
        /// One resource per token.
        SEVERAL_RESOURCES = 4004 400 "invalid_scope" "The scopes belong to more than one resource; ask for one token each.";
        /// RFC 8707 §2.
        TARGET_UNKNOWN = 4005 400 "invalid_target" "The resource is unknown, or not an absolute URI without fragment.";
        /// RFC 6749 §3.3.
        NO_TARGET = 4006 400 "invalid_scope" "The request names no resource and the tenant has no default resource.";
        /// RFC 8707 §2.
        TARGET_MISMATCH = 4007 400 "invalid_target" "The scope and the resource parameter name different resources.";
        /// RFC 8707 §2.
        SEVERAL_TARGETS = 4008 400 "invalid_target" "Only one resource can be named; ask for one token each.";
        /// `--require-group`. RFC 8628 §3.5 registered the name for the token endpoint.
        GROUP_REQUIRED = 4009 400 "access_denied" "The resource requires membership in a group that the subject is not in.";
        /// RFC 6749 §6.
        SCOPE_WIDER = 4010 400 "invalid_scope" "The scope goes beyond what was authorized.";
        /// RFC 8707 §2.2.
        TARGET_NOT_GRANTED = 4011 400 "invalid_target" "The resource is not among those that were authorized.";
        /// RFC 6749 §4.1.3.
        CODE_UNKNOWN = 4101 400 "invalid_grant" "The code is unknown, expired, or was issued to another client.";
        /// RFC 6749 §4.1.2.
        CODE_SPENT = 4102 400 "invalid_grant" "The code was used before; everything that came from it is revoked.";
        /// RFC 6749 §4.1.3.
        REDIRECT_URI_DIFFERS = 4103 400 "invalid_grant" "The redirect_uri is not the one of the authorization request.";
        /// RFC 7636 §4.6.
        VERIFIER_WRONG = 4104 400 "invalid_grant" "The code_verifier is missing, malformed, or not the one of the challenge.";
        /// RFC 9700 §2.1.1: a downgrade.
        VERIFIER_UNEXPECTED = 4105 400 "invalid_grant" "There is a code_verifier, but the authorization request had no challenge.";
        /// RFC 6749 §6.
        REFRESH_TOKEN_UNKNOWN = 4106 400 "invalid_grant" "The refresh token is unknown, expired, revoked, or was issued to another client.";
        /// RFC 9700 §4.14.2.
        REFRESH_TOKEN_REPLAYED = 4107 400 "invalid_grant" "The refresh token was used before and its successor too; the authorization is revoked.";
        /// `grantor user disable`.
        USER_DISABLED = 4108 400 "invalid_grant" "The person who authorized this may not sign in any more.";
        /// RFC 6749 §4.1.2.1: shown to the person, never sent anywhere.
        AUTHORIZATION_CLIENT_UNKNOWN = 4201 400 "invalid_request" "The application that sent you here is not known, or is disabled.";
        /// RFC 6749 §4.1.2.1: shown to the person, never sent anywhere.
        REDIRECT_URI_UNREGISTERED = 4202 400 "invalid_request" "The address to return to is not one that the application registered.";
        /// RFC 6749 §3.1.2.3: shown to the person, never sent anywhere.
        REDIRECT_URI_MISSING = 4203 400 "invalid_request" "The request does not say which of the application's addresses to return to.";
        /// OAuth 2.0 Multiple Response Types §2.1.
        RESPONSE_MODE_UNSUPPORTED = 4204 400 "invalid_request" "The response_mode is not one of query, fragment and form_post.";
        /// RFC 7636 §4.4.1.
        CHALLENGE_MISSING = 4205 400 "invalid_request" "PKCE is required: send a code_challenge with code_challenge_method S256.";
        /// RFC 7636 §4.4.1.
        CHALLENGE_UNUSABLE = 4206 400 "invalid_request" "The code_challenge is malformed, or its method is not S256.";
        /// OpenID Connect Core §3.1.2.1.
        PROMPT_UNUSABLE = 4207 400 "invalid_request" "The prompt is unknown, or none stands beside another value.";
        /// OpenID Connect Core §3.1.2.1.
        PARAMETER_UNUSABLE = 4208 400 "invalid_request" "The value of a parameter cannot be used.";
        /// OpenID Connect Core §6.
        REQUEST_UNSUPPORTED = 4209 400 "request_not_supported" "Request objects are not supported; send plain parameters.";
        /// OpenID Connect Core §6.
        REQUEST_URI_UNSUPPORTED = 4210 400 "request_uri_not_supported" "The request_uri parameter is not supported; send plain parameters.";
        /// OpenID Connect Core §3.1.2.6.
        LOGIN_REQUIRED = 4211 400 "login_required" "The person has to sign in, and prompt=none forbids to ask.";
        /// OpenID Connect Core §3.1.2.6.
        CONSENT_REQUIRED = 4212 400 "consent_required" "The person has to consent, and prompt=none forbids to ask.";
        /// RFC 6749 §4.1.2.1.
        CONSENT_DENIED = 4213 400 "access_denied" "The person said no.";
        /// RFC 6749 §10.12.
        FORM_EXPIRED = 4214 400 "invalid_request" "The page was open for too long, or cookies are blocked; go back and try again.";
        /// A group is changed on its page by its owners alone.
        NOT_AN_OWNER = 4215 403 "access_denied" "You are not an owner of this group.";
        /// Somebody else changed the same thing at the same moment.
        CHANGED_MEANWHILE = 4216 409 "invalid_request" "Somebody else changed this meanwhile; look again and repeat it.";
        /// OpenID Connect Core §3.1.2.1.
        ANOTHER_PERSON = 4217 400 "login_required" "Somebody else signed in than the person of the id_token_hint.";
        /// A bound of ours: the request is carried through the pages in an address.
        REQUEST_TOO_LONG = 4218 400 "invalid_request" "The authorization request is too long.";
        /// RFC 8628 §3.4.
        DEVICE_CODE_UNKNOWN = 4301 400 "invalid_grant" "The device code is unknown, revoked, or was issued to another client.";
        /// RFC 8628 §3.4.
        DEVICE_CODE_SPENT = 4302 400 "invalid_grant" "The device code was used before.";
        /// RFC 8628 §3.5.
        DEVICE_DENIED = 4303 400 "access_denied" "The person did not allow it.";
        /// RFC 8628 §3.5.
        DEVICE_CODE_EXPIRED = 4304 400 "expired_token" "The device code has expired; start again.";
        /// RFC 8628 §3.5.
        AUTHORIZATION_PENDING = 4305 400 "authorization_pending" "The person has not answered yet; ask again.";
        /// RFC 8628 §3.5.
        SLOW_DOWN = 4306 400 "slow_down" "You ask too often; wait five seconds longer between two polls from now on.";
        /// MSAL's name for it.
        INSTANCE_UNKNOWN = 4309 400 "invalid_instance" "The authority is not one of this server.";
        /// RFC 7009 §2.1.
        TOKEN_OF_OTHER_CLIENT = 5001 400 "unauthorized_client" "The token was issued to another client.";
        /// RFC 7009 §2.2.1.
        TOKEN_TYPE_UNSUPPORTED = 5002 400 "unsupported_token_type" "This kind of token cannot be revoked.";
        /// RFC 6750 §3.1.
        TOKEN_INVALID = 5003 401 "invalid_token" "The access token is malformed, expired, revoked or not from this server.";
        /// RFC 6750 §3.1: no error is named in the challenge when nothing was presented.
        TOKEN_MISSING = 5004 401 "invalid_request" "The request carries no access token.";
        /// RFC 6750 §2.
        TOKEN_TWICE = 5005 400 "invalid_request" "The access token is sent in more than one way; use one.";
        /// RFC 6750 §3.1.
        SCOPE_INSUFFICIENT = 5006 403 "insufficient_scope" "The access token was not issued with the scope openid.";
        /// draft-ietf-oauth-status-list §8.1.
        STATUS_LIST_UNKNOWN = 6001 404 "invalid_request" "There is no such status list.";
        /// RFC 6750 §2. Gateways know no answer but 401 and 403.
        GATEWAY_TOKEN_TWICE = 7001 401 "invalid_request" "The request carries more than one access token or API key; send one.";
        /// RFC 9068 §4.
        GATEWAY_AUDIENCE = 7002 401 "invalid_token" "The access token is for another resource.";
        /// RFC 6750 §3.1.
        GATEWAY_SCOPE = 7003 403 "insufficient_scope" "The access token lacks a scope that this route requires.";
        /// The gateway asks for it.
        GATEWAY_ROLE = 7004 403 "access_denied" "The subject of the token lacks a role that this route requires.";
        /// The gateway asks for it.
        GATEWAY_GROUP = 7005 403 "access_denied" "The subject of the token is not in a group that this route requires.";
        /// The gateway's address is wrong.
        GATEWAY_ADDRESS = 7006 403 "access_denied" "The gateway asks an address or a tenant that is not there, or is disabled.";
        /// A defect of ours; gateways know no answer but this one.
        GATEWAY_FAILED = 7007 503 "temporarily_unavailable" "The check could not be made; try again shortly.";
        /// `grantor guard`: what it knows has run out.
        GUARD_BLIND = 7008 503 "temporarily_unavailable" "The guard cannot ask the server; try again shortly.";
        /// A bound of ours; gateways know no answer but 401 and 403.
        GATEWAY_BODY = 7009 403 "access_denied" "The request as the gateway posts it cannot be read, or is larger than this server reads.";
        /// A requirement that is misspelt must not let everybody through.
        GATEWAY_REQUIREMENT = 7010 403 "access_denied" "The gateway asks for something that is not understood.";
        /// The same request may succeed later.
        DATABASE_UNAVAILABLE = 9001 503 "temporarily_unavailable" "The server cannot reach its database; try again shortly.";
        /// A defect of ours.
        INTERNAL = 9002 500 "server_error" "The server met a condition that it did not expect.";
        /// Too many slow secret checks at once.
        OVERLOADED = 9003 503 "temporarily_unavailable" "The server is busy; try again shortly.";
        /// The configuration is not finished.
        KEYS_UNUSABLE = 9004 503 "temporarily_unavailable" "The server cannot use its signing key.";
    }
}
pub use reason::REASONS;

/// How the failure is announced in `WWW-Authenticate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer,
}

/// How an error is answered where it is not JSON: an extension of its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rendering {
    /// As a page, for a person.
    Page,
    /// The response carries it already, to a redirect URI that was proven.
    Sent,
}

/// An error on its way out.
#[derive(Debug, Clone)]
pub struct OAuthError {
    reason: &'static Reason,
    detail: Option<String>,
    cause: Option<String>,
    allow: Option<&'static str>,
}

impl From<&'static Reason> for OAuthError {
    fn from(reason: &'static Reason) -> Self {
        Self { reason, detail: None, cause: None, allow: None }
    }
}

impl OAuthError {
    /// Adds what of the request it is about, such as the name of a parameter. Never a secret: one that stands in the wrong
    /// place is replaced, before it is cut short and could not be told any more. So are characters that RFC 6749 §5.2 does
    /// not allow in a description.
    #[must_use]
    pub fn about(mut self, what: &str) -> Self {
        let what = redacted(what);
        let shown =
            what.chars().take(120).map(|c| if matches!(c, '\x20'..='\x7e') && !"\"\\".contains(c) { c } else { '?' });
        self.detail = Some(shown.collect());
        self
    }

    /// Adds the private cause, for the log alone. It holds no secret either.
    #[must_use]
    pub fn because(mut self, cause: impl std::fmt::Display) -> Self {
        self.cause = Some(redacted(cause.to_string()).into_owned());
        self
    }

    /// The same unless a cause is known already. What it quotes comes from outside, so it is cut short.
    #[must_use]
    pub fn because_unless_known(mut self, cause: impl FnOnce() -> String) -> Self {
        if self.cause.is_none() {
            self.cause = Some(redacted(cause()).chars().take(200).collect());
        }
        self
    }

    /// For a wrong method: what the endpoint takes instead (RFC 9110 §15.5.6).
    pub fn wrong_method(allow: &'static str) -> Self {
        Self { allow: Some(allow), ..Self::from(reason::METHOD_NOT_ALLOWED) }
    }

    /// Why.
    pub fn reason(&self) -> &'static Reason {
        self.reason
    }

    /// True when the refusal rests on what the directory holds, which is read through memory.
    pub fn rests_on_directory(&self) -> bool {
        let resting = [
            reason::TENANT_DISABLED,
            reason::CREDENTIALS_WRONG,
            reason::CLIENT_DISABLED,
            reason::SECRET_EXPIRED,
            reason::PUBLIC_CLIENT,
            reason::GRANT_NOT_ALLOWED,
            reason::GRANT_NEEDS_SECRET,
            reason::SCOPE_UNKNOWN,
            reason::SCOPE_NOT_ALLOWED,
            reason::SEVERAL_RESOURCES,
            reason::TARGET_UNKNOWN,
            reason::NO_TARGET,
            reason::TARGET_MISMATCH,
            reason::SEVERAL_TARGETS,
            reason::GROUP_REQUIRED,
            reason::SCOPE_WIDER,
            reason::TARGET_NOT_GRANTED,
            reason::AUTHORIZATION_CLIENT_UNKNOWN,
            reason::REDIRECT_URI_UNREGISTERED,
            reason::REDIRECT_URI_MISSING,
        ];
        resting.iter().any(|reason| reason.code == self.reason.code)
    }

    /// What of the request it is about.
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// What the log may know.
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The sentence for people, with code and detail.
    pub fn description(&self) -> String {
        let Reason { code, text, .. } = self.reason;
        match &self.detail {
            Some(detail) => format!("GRT{code}: {text} ({detail})"),
            None => format!("GRT{code}: {text}"),
        }
    }

    /// Attaches the error to a response that carries it already, so that it is logged.
    #[must_use]
    pub fn sent(self, mut response: Response) -> Response {
        response.extensions_mut().insert(Arc::new(self));
        response.extensions_mut().insert(Rendering::Sent);
        response
    }

    fn challenge(&self) -> Option<Challenge> {
        match (self.reason.status, self.reason.error) {
            (401, "invalid_client") => Some(Challenge::Basic),
            (401, _) => Some(Challenge::Bearer),
            // RFC 6750 §3: no token was accepted, so the answer carries a challenge too.
            _ if self.reason.code == reason::TOKEN_TWICE.code => Some(Challenge::Bearer),
            // RFC 6750 §3.1.
            (403, "insufficient_scope") => Some(Challenge::Bearer),
            _ => None,
        }
    }

    /// Status and headers, with the error attached for the layer that writes the body.
    fn blank(self) -> Response {
        let status = StatusCode::from_u16(self.reason.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        let headers = response.headers_mut();
        match self.challenge() {
            // RFC 7617 §2.
            Some(Challenge::Basic) => {
                headers
                    .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"grantor\", charset=\"UTF-8\""));
            }
            // RFC 6750 §3: without a token, no error is named.
            Some(Challenge::Bearer) => {
                let challenge = if self.reason.code == reason::TOKEN_MISSING.code {
                    "Bearer realm=\"grantor\"".to_owned()
                } else {
                    // RFC 6750 §3: the scope that would do.
                    let scope = self.detail.as_ref().filter(|_| self.reason.code == reason::GATEWAY_SCOPE.code);
                    let scope = scope.map(|scope| format!(", scope=\"{scope}\"")).unwrap_or_default();
                    format!(
                        "Bearer realm=\"grantor\", error=\"{}\", error_description=\"{}\"{scope}",
                        self.reason.error,
                        self.description()
                    )
                };
                headers.extend(HeaderValue::from_str(&challenge).ok().map(|value| (WWW_AUTHENTICATE, value)));
            }
            None => {}
        }
        match self.reason.status {
            503 => headers.insert(RETRY_AFTER, HeaderValue::from_static("5")),
            429 => headers.insert(RETRY_AFTER, HeaderValue::from_static("60")),
            _ => None,
        };
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        self.blank()
    }
}

/// A failing database is never the requester's fault.
impl From<StoreError> for OAuthError {
    fn from(error: StoreError) -> Self {
        let reason = match error {
            StoreError::Unavailable(_) | StoreError::ReadOnly(_) => reason::DATABASE_UNAVAILABLE,
            StoreError::Internal(_) => reason::INTERNAL,
        };
        Self::from(reason).because(error)
    }
}

/// A rule that refuses what a person's page should not have offered is a race with another administrator.
impl From<AdminError> for OAuthError {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Refused(rule) => Self::from(reason::CHANGED_MEANWHILE).because(rule),
            AdminError::Store(error) => error.into(),
        }
    }
}

impl From<KeyError> for OAuthError {
    fn from(error: KeyError) -> Self {
        Self::from(reason::KEYS_UNUSABLE).because(error)
    }
}
