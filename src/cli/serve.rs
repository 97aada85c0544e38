//! `grantor serve`.

use super::Global;
use super::context::{CliError, address_url};
use crate::app::App;
use crate::config::{Config, ListenFlags, TlsFiles};
use crate::server::bounds::Bounds;
use crate::server::listen::Listener;
use crate::server::stop::Signals;
use crate::server::{descriptors, router, tls};
use crate::store::DatabaseUrl;
use crate::sweep;
use crate::telemetry;
use crate::types::alg::Alg;
use crate::types::clock::Clock;
use crate::types::name::TenantName;
use crate::types::random::Random;
use crate::types::uri::PublicUrl;
use clap::Args;
use rustls::ServerConfig;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;

#[derive(Args)]
#[command(after_help = "\
Examples:
  grantor serve --public-url https://login.example.com           behind a proxy that speaks TLS
  grantor serve --listen 0.0.0.0:443 --public-url https://login.example.com --tls-cert fullchain.pem --tls-key key.pem
  grantor serve --database postgres://grantor@db/grantor --public-url https://login.example.com")]
pub struct Serve {
    #[command(flatten)]
    listen: ListenFlags,
    /// Certificate chain in PEM, to speak https
    #[arg(long, env = "GRANTOR_TLS_CERT", hide_env_values = true, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key in PEM
    #[arg(long, env = "GRANTOR_TLS_KEY", hide_env_values = true, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

impl Serve {
    pub async fn run(self, global: &Global) -> Result<(), CliError> {
        let files = self.tls_cert.zip(self.tls_key).map(|(cert, key)| TlsFiles { cert, key });
        let config = Config::load(&global.flags, &self.listen, files).map_err(CliError::Usage)?;
        let door = Door::open(&config).await?;
        let public_url = door.public_url(&config, config.tls.is_some())?;
        let tls = config.tls.as_ref().map(tls::server_config).transpose().map_err(CliError::Refused)?;
        if let DatabaseUrl::Sqlite(path) = &config.database
            && !path.exists()
        {
            tracing::info!(database = %path.display(), "there is no database yet; making a new one");
        }
        let app = App::open(config, public_url, Clock::System, Random::system()).await?;
        let address = door.0.local_addr()?;
        let ready = |app: &App| tracing::info!(issuer = %app.public_url, %address, "serving");
        serve(app, (door, tls), ready).await
    }
}

/// A listening socket, opened before anything else, so that a taken port is told at once and port 0 gets a number.
pub(super) struct Door(TcpListener);

impl Door {
    pub(super) async fn open(config: &Config) -> Result<Self, CliError> {
        // It may take its time (see there), so it is done while the database is opened.
        std::thread::spawn(telemetry::metrics);
        let listen = config.listen;
        TcpListener::bind(listen).await.map(Self).map_err(|error| {
            CliError::Refused(format!("cannot listen on {listen}: {error}; choose another address with --listen"))
        })
    }

    /// Where clients reach the server.
    ///
    /// # Errors
    /// Secrets would travel in clear between machines.
    pub(super) fn public_url(&self, config: &Config, tls: bool) -> Result<PublicUrl, CliError> {
        let address = self.0.local_addr()?;
        let url = match &config.public_url {
            Some(url) => url.clone(),
            None => address_url(address, tls)?,
        };
        // RFC 6749 §2.3.1, §3.2: TLS wherever secrets travel. Without a certificate of our own, a proxy must speak it.
        if tls && !url.is_https() {
            return Err(CliError::Refused(format!("the server speaks https, so its public URL cannot be {url}")));
        }
        let on_this_machine = address.ip().is_loopback() && url.is_loopback();
        if !tls && !url.is_https() && !on_this_machine {
            return Err(CliError::Refused(format!(
                "client secrets would travel in clear to {url}; give --tls-cert and --tls-key, or an https --public-url \
                 when a proxy in front speaks TLS"
            )));
        }
        Ok(url)
    }
}

/// Serves until SIGTERM or SIGINT, then lets running requests finish. Calls `ready` once a signal would be heeded.
pub(super) async fn serve(
    app: Arc<App>,
    at: (Door, Option<Arc<ServerConfig>>),
    ready: impl FnOnce(&App),
) -> Result<(), CliError> {
    let (door, tls) = at;
    // A server that cannot sign should say so now, not at the first request.
    let default = app.store.find_tenant(TenantName::DEFAULT).await?;
    let default = default.ok_or_else(|| CliError::Refused("there is no default tenant".into()))?;
    app.key_ring(default.id).await?.signing(Alg::Rs256, app.clock.now())?;
    telemetry::metrics();
    let connections = descriptors::make_room(app.config.connections);
    let signals = Signals::listen()?;
    ready(&app);
    let background = tokio::spawn(sweep::run(app.clone(), sweep::STEADY));
    let stop = signals.stop(app.stopping.clone(), app.config.drain);
    let stopping = app.stopping.clone();
    let listener = Listener { tcp: door.0, tls, connections, bounds: Bounds::default(), stopping };
    listener.serve(router::router(app.clone()), stop).await;
    background.abort();
    if let Err(error) = app.flush_uses().await {
        tracing::warn!(%error, "the last uses of secrets could not be written down");
    }
    app.store.close().await;
    Ok(())
}
