//! Grants: each decides who gets what. None of them mints; that is `tokens::issue`.

pub mod authorization_code;
pub mod client_credentials;
mod delegated;
pub mod device_code;
pub mod refresh_token;

use crate::app::App;
use crate::client_auth::AuthenticatedClient;
use crate::error::OAuthError;
use crate::store::tenants::Tenant;
use crate::tokens::issue::Issued;
use crate::types::form::Form;
use std::future::Future;
use std::pin::Pin;

/// A token request whose client is known.
#[derive(Clone, Copy)]
pub struct Exchange<'a> {
    /// The application.
    pub app: &'a App,
    /// The tenant.
    pub tenant: &'a Tenant,
    /// The client.
    pub client: &'a AuthenticatedClient,
    /// The parameters.
    pub form: &'a Form,
}

/// What an exchange will answer.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Issued, OAuthError>> + Send + 'a>>;

/// To whom a grant type is given without being named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// To confidential clients.
    Confidential,
    /// To clients with a redirect URI: people come back to them.
    WithRedirectUri,
    /// To nobody.
    OnlyNamed,
}

/// A grant type as a value.
#[derive(Debug)]
pub struct Grant {
    /// The `grant_type`.
    pub name: &'static str,
    /// Other spellings that clients use.
    pub aliases: &'static [&'static str],
    /// A public client may use it.
    pub for_public: bool,
    /// Given to a client whose operator names no grants.
    pub by_default: Given,
    /// The exchange.
    pub exchange: for<'a> fn(Exchange<'a>) -> Answer<'a>,
}

/// Every grant. Metadata, registration and the command line read this table.
pub const GRANTS: &[&Grant] =
    &[&client_credentials::GRANT, &authorization_code::GRANT, &refresh_token::GRANT, &device_code::GRANT];

/// The grant of that name.
pub fn find(name: &str) -> Option<&'static Grant> {
    GRANTS.iter().copied().find(|grant| grant.name == name || grant.aliases.contains(&name))
}
