//! What a command works with: the application, the chosen tenant, the output; and how things are found by name.

use super::Global;
use super::output::Output;
use crate::app::{App, StartError};
use crate::config::{Config, ListenFlags, TlsFiles};
use crate::error::OAuthError;
use crate::keys::KeyError;
use crate::keys::rotation::RotationError;
use crate::store::DatabaseUrl;
use crate::store::clients::Client;
use crate::store::groups::Group;
use crate::store::resources::Resource;
use crate::store::tenants::Tenant;
use crate::store::users::User;
use crate::store::{AdminError, StoreError};
use crate::types::Invalid;
use crate::types::clock::{Clock, UnixTime};
use crate::types::id::{MemberId, TenantId};
use crate::types::name::TenantName;
use crate::types::random::Random;
use crate::types::uri::PublicUrl;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Refused or failed: exit code 1.
    #[error("{0}")]
    Refused(String),
    /// Wrong usage: exit code 2.
    #[error("{0}\n\nFor more information, try '--help'.")]
    Usage(String),
}

/// Anything that a lower layer refuses or fails at is shown as it says it.
macro_rules! refused_from {
    ($($error:ty),+) => {$(
        impl From<$error> for CliError {
            fn from(error: $error) -> Self {
                Self::Refused(error.to_string())
            }
        }
    )+};
}
refused_from!(AdminError, StoreError, StartError, KeyError, RotationError, std::io::Error);

impl From<Invalid> for CliError {
    fn from(error: Invalid) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<OAuthError> for CliError {
    fn from(error: OAuthError) -> Self {
        let cause = error.cause().map(|cause| format!(": {cause}")).unwrap_or_default();
        Self::Refused(format!("{}{cause}", error.description()))
    }
}

/// Which part of a long list is shown.
#[derive(clap::Args)]
pub struct Page {
    /// Begin after this name
    #[arg(long, default_value = "", value_name = "NAME")]
    pub after: String,
    /// At most so many
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(i64).range(1..=10_000))]
    pub limit: i64,
}

/// What a command works with.
pub struct Context {
    /// The application.
    pub app: Arc<App>,
    /// Where results go.
    pub out: Output,
    tenant_word: String,
}

impl Context {
    /// Opens the database and the keys.
    ///
    /// # Errors
    /// They cannot be used.
    pub async fn open(global: &Global) -> Result<Self, CliError> {
        // The issuer stands in what some commands show; it is the server's own.
        let listen = ListenFlags {
            listen: std::env::var("GRANTOR_LISTEN")
                .ok()
                .filter(|text| !text.is_empty())
                .map(|text| text.parse())
                .transpose()
                .map_err(|error| CliError::Usage(format!("GRANTOR_LISTEN cannot be read: {error}")))?,
            public_url: std::env::var("GRANTOR_PUBLIC_URL").ok(),
        };
        let file = |name| std::env::var_os(name).map(PathBuf::from);
        let tls = file("GRANTOR_TLS_CERT").zip(file("GRANTOR_TLS_KEY")).map(|(cert, key)| TlsFiles { cert, key });
        let config = Config::load(&global.flags, &listen, tls).map_err(CliError::Usage)?;
        let public_url = match &config.public_url {
            Some(url) => url.clone(),
            // The server wants to be told where clients reach it; a command that only changes data need not care.
            None if config.listen.ip().is_unspecified() => {
                let port = config.listen.port();
                address_url((Ipv4Addr::LOCALHOST, port).into(), config.tls.is_some())?
            }
            None => address_url(config.listen, config.tls.is_some())?,
        };
        if let DatabaseUrl::Sqlite(path) = &config.database
            && !path.exists()
        {
            eprintln!("grantor: there is no database at {} yet; making a new one", path.display());
        }
        let app = App::open(config, public_url, Clock::System, Random::system()).await?;
        Ok(Self { app, out: Output::new(global.json), tenant_word: global.tenant.clone() })
    }

    /// Over an application that is open already.
    pub fn over(app: Arc<App>, global: &Global) -> Self {
        Self { app, out: Output::new(global.json), tenant_word: global.tenant.clone() }
    }

    /// The time.
    pub fn now(&self) -> UnixTime {
        self.app.clock.now()
    }

    /// The name or id by which the tenant was chosen.
    pub fn tenant_word(&self) -> &str {
        &self.tenant_word
    }

    /// The chosen tenant.
    ///
    /// # Errors
    /// There is none of that name.
    pub async fn tenant(&self) -> Result<Tenant, CliError> {
        self.find_tenant(&self.tenant_word).await
    }

    /// A tenant by name or id.
    ///
    /// # Errors
    /// There is none.
    pub async fn find_tenant(&self, word: &str) -> Result<Tenant, CliError> {
        let found = self.app.store.find_tenant(word).await?;
        found.ok_or_else(|| self.missing("tenant", word))
    }

    /// A client by client id.
    ///
    /// # Errors
    /// There is none.
    pub async fn find_client(&self, tenant: TenantId, word: &str) -> Result<Client, CliError> {
        let found = self.app.store.find_client(tenant, word).await?;
        found.ok_or_else(|| self.missing("client", word))
    }

    /// A user by name or id.
    ///
    /// # Errors
    /// There is none.
    pub async fn find_user(&self, tenant: TenantId, word: &str) -> Result<User, CliError> {
        let found = self.app.store.find_user(tenant, word).await?;
        found.ok_or_else(|| self.missing("user", word))
    }

    /// A group by name or id.
    ///
    /// # Errors
    /// There is none.
    pub async fn find_group(&self, tenant: TenantId, word: &str) -> Result<Group, CliError> {
        let found = self.app.store.find_group(tenant, word).await?;
        found.ok_or_else(|| self.missing("group", word))
    }

    /// A resource by identifier.
    ///
    /// # Errors
    /// There is none.
    pub async fn find_resource(&self, tenant: TenantId, identifier: &str) -> Result<Resource, CliError> {
        let resources = self.app.store.list_resources(tenant).await?;
        let found = resources.into_iter().find(|resource| resource.identifier.as_str() == identifier);
        found.ok_or_else(|| self.missing("resource", identifier))
    }

    /// The refusal for a thing that is not there.
    pub fn missing(&self, noun: &str, word: &str) -> CliError {
        let elsewhere = noun != "tenant" && self.tenant_word != TenantName::DEFAULT;
        let tenant = if elsewhere { format!(" --tenant {}", self.tenant_word) } else { String::new() };
        CliError::Refused(format!("there is no {noun} '{word}'; see: grantor {noun} list{tenant}"))
    }

    /// A client or user.
    ///
    /// # Errors
    /// There is none.
    pub async fn find_subject(
        &self,
        tenant: TenantId,
        client: Option<&str>,
        user: Option<&str>,
    ) -> Result<MemberId, CliError> {
        match (client, user) {
            (Some(client), _) => Ok(MemberId::Client(self.find_client(tenant, client).await?.oid)),
            (None, Some(user)) => Ok(MemberId::User(self.find_user(tenant, user).await?.id)),
            (None, None) => Err(CliError::Usage("name a client or a user".into())),
        }
    }
}

/// `http(s)://` and a listening address.
///
/// # Errors
/// Listening on every address says nothing about where clients reach the server.
pub fn address_url(listen: std::net::SocketAddr, tls: bool) -> Result<PublicUrl, CliError> {
    if listen.ip().is_unspecified() {
        return Err(CliError::Usage(format!(
            "{listen} is no address that clients could use; say where they reach the server with --public-url"
        )));
    }
    Ok(format!("{}://{listen}", if tls { "https" } else { "http" }).parse()?)
}
