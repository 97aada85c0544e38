//! Every path in one table.

use super::cors::Share;
use super::front::Front;
use super::layers::{self, Finish};
use crate::app::App;
use crate::endpoints::{
    authorize, databricks, device_authorization, gateway, groups, health, instance, introspect, jwks, metadata,
    metrics, revoke, status_list, token, userinfo,
};
use crate::error::{OAuthError, reason};
use crate::pages::{account, consent, device, group, home, login, logout};
use crate::telemetry::Responses;
use axum::Router;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get, post};
use std::sync::Arc;

/// A path and what answers there.
type Row = (&'static str, fn(&Arc<App>) -> MethodRouter<Arc<App>>);

/// Paths that are there once, and say in their own way which tenant they mean.
const ROOT_PATHS: &[Row] = &[
    ("/", |_| get(home::get).fallback(only_get)),
    // MSAL calls the place of what belongs to no tenant `common`.
    ("/common/discovery/instance", |_| get(instance::get).fallback(only_get)),
    // What Databricks calls an account is a tenant.
    ("/oidc/accounts/{tenant}/.well-known/oauth-authorization-server", account_document),
    ("/oidc/accounts/{tenant}/.well-known/openid-configuration", account_document),
    ("/oidc/accounts/{tenant}/v1/authorize", authorization_endpoint),
    ("/oidc/accounts/{tenant}/v1/token", token_endpoint),
];

/// Paths that a tenant has: each is there as it stands, for the default tenant, and below `/{tenant}`.
const TENANT_PATHS: &[Row] = &[
    ("/oauth2/v2.0/authorize", authorization_endpoint),
    ("/oauth2/v2.0/logout", |_| page(get(logout::get).post(logout::post).fallback(only_get_and_post))),
    // Who reloads after a form comes here by GET.
    ("/login", |_| page(get(account::instead).post(login::post).fallback(only_get_and_post))),
    ("/consent", |_| page(get(account::instead).post(consent::post).fallback(only_get_and_post))),
    ("/device", |_| page(get(device::get).post(device::post).fallback(only_get_and_post))),
    ("/account", |_| page(get(account::get).fallback(only_get))),
    ("/account/sessions", |_| page(post(account::end_session).fallback(only_post))),
    ("/account/consents", |_| page(post(account::withdraw).fallback(only_post))),
    ("/account/groups/{id}", |_| page(get(group::get).post(group::post).fallback(only_get_and_post))),
    ("/oauth2/v2.0/userinfo", |app| shared(app, get(userinfo::get).post(userinfo::get).fallback(only_get_and_post))),
    ("/oauth2/v2.0/token", token_endpoint),
    ("/oauth2/v2.0/devicecode", |_| post(device_authorization::post).fallback(only_post)),
    ("/oauth2/v2.0/introspect", |_| post(introspect::post).fallback(only_post)),
    ("/introspect", |_| post(introspect::post).fallback(only_post)),
    ("/oauth2/v2.0/revoke", |app| shared(app, post(revoke::post).fallback(only_post))),
    ("/revoke", |app| shared(app, post(revoke::post).fallback(only_post))),
    ("/oauth2/v2.0/groups", |_| get(groups::get).post(groups::get).fallback(only_get_and_post)),
    ("/discovery/v2.0/keys", |app| shared(app, get(jwks::get).fallback(only_get))),
    ("/jwks", |app| shared(app, get(jwks::get).fallback(only_get))),
    ("/.well-known/oauth-authorization-server", document),
    ("/.well-known/openid-configuration", document),
    // MSAL for Python, when its oidc_authority ends in a slash.
    ("//.well-known/openid-configuration", document),
    ("/v2.0/.well-known/openid-configuration", document),
    ("/.well-known/databricks-config", |_| get(databricks::config).fallback(only_get)),
    ("/oidc/.well-known/oauth-authorization-server", |app| shared(app, get(databricks::workspace).fallback(only_get))),
    ("/oidc/.well-known/openid-configuration", |app| shared(app, get(databricks::workspace).fallback(only_get))),
    ("/oidc/v1/authorize", authorization_endpoint),
    ("/oidc/v1/token", token_endpoint),
    ("/gateway/check", |_| any(gateway::check)),
    // Envoy puts the original path behind its prefix: of its root only the slash is left.
    ("/gateway/check/", |_| any(gateway::check)),
    ("/gateway/check/{*rest}", |_| any(gateway::check)),
    // Envoy puts the original path and query behind ours, so what a route requires stands in the path.
    ("/gateway/for/{requirement}", |_| any(gateway::check)),
    ("/gateway/for/{requirement}/", |_| any(gateway::check)),
    ("/gateway/for/{requirement}/{*rest}", |_| any(gateway::check)),
    ("/gateway/middleman", |_| any(gateway::middleman)),
    ("/statuslists/{id}", |_| get(status_list::get).fallback(only_get)),
    ("/livez", |_| get(health::livez).fallback(only_get)),
    ("/readyz", |_| get(health::readyz).fallback(only_get)),
    ("/metrics", |_| get(metrics::get).fallback(only_get)),
];

/// Well-known documents that RFC 8414 §3 puts between host and path of the issuer.
const INSERTED_PATHS: &[&str] = &["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"];

/// The whole service.
pub fn router(app: Arc<App>) -> Front {
    let mut router = Router::new();
    for (path, route) in ROOT_PATHS {
        router = router.route(path, route(&app));
    }
    for (path, route) in TENANT_PATHS {
        router = router.route(path, route(&app)).route(&format!("/{{tenant}}{path}"), route(&app));
    }
    for well_known in INSERTED_PATHS {
        router = router.route(&format!("{well_known}/{{tenant}}"), document(&app));
    }
    // A public URL with a path works whether or not the proxy in front removes it.
    let prefix = app.public_url.path();
    if !prefix.is_empty() {
        for well_known in INSERTED_PATHS {
            let inserted = format!("{well_known}{prefix}");
            router = router.route(&format!("{inserted}/{{tenant}}"), document(&app)).route(&inserted, document(&app));
        }
        router = Router::new().nest(&prefix, router.clone()).merge(router);
    }
    let finish = Finish {
        clock: app.clock.clone(),
        random: app.random.clone(),
        // Not for loopback names: a browser would remember it for everything else that runs there.
        strict_transport: app.public_url.is_https() && !app.public_url.is_loopback(),
        trusted_proxies: app.config.trusted_proxies.clone().into(),
        responses: Responses::new(),
    };
    Front::remembering(router.fallback(nothing_here).with_state(app.clone()), finish, app)
}

fn authorization_endpoint(_: &Arc<App>) -> MethodRouter<Arc<App>> {
    page(get(authorize::get).post(authorize::post).fallback(only_get_and_post))
}

fn token_endpoint(app: &Arc<App>) -> MethodRouter<Arc<App>> {
    shared(app, post(token::post).fallback(only_post))
}

/// A route that web pages of registered origins may call.
fn shared(app: &Arc<App>, route: MethodRouter<Arc<App>>) -> MethodRouter<Arc<App>> {
    route.layer(Share(app.clone()))
}

/// The metadata document of an account.
fn account_document(app: &Arc<App>) -> MethodRouter<Arc<App>> {
    shared(app, get(databricks::account).fallback(only_get))
}

/// The metadata document.
fn document(app: &Arc<App>) -> MethodRouter<Arc<App>> {
    shared(app, get(metadata::get).fallback(only_get))
}

/// A route that people see: its errors are pages.
fn page(route: MethodRouter<Arc<App>>) -> MethodRouter<Arc<App>> {
    route.layer(middleware::map_response(layers::for_people))
}

/// JSON for programs, a page for whoever says that they read pages.
async fn nothing_here(headers: HeaderMap) -> Response {
    let reads_pages =
        headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(|a| a.contains("text/html"));
    let response = OAuthError::from(reason::NOT_FOUND).into_response();
    if reads_pages { layers::for_people(response).await } else { response }
}

async fn only_post() -> OAuthError {
    OAuthError::wrong_method("POST")
}

async fn only_get() -> OAuthError {
    OAuthError::wrong_method("GET, HEAD")
}

async fn only_get_and_post() -> OAuthError {
    OAuthError::wrong_method("GET, HEAD, POST")
}
