//! `grantor guard`.

use super::context::CliError;
use super::secret::from_stdin;
use crate::config::DRAIN;
use crate::guard::{Credentials, Guard as Check, Server};
use crate::server::bounds::Bounds;
use crate::server::descriptors;
use crate::server::guard::router;
use crate::server::listen::Listener;
use crate::server::stop::Signals;
use crate::types::clock::Clock;
use crate::types::random::Random;
use crate::types::secret::Secret;
use crate::types::uri::PublicUrl;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;

/// The most connections at once: one gateway's.
const CONNECTIONS: usize = 4096;

#[derive(Args)]
#[command(after_help = "\
Examples:
  grantor guard --server https://login.example.com
  grantor guard --server https://login.example.com/t1 --listen 127.0.0.1:9191
  printf %s \"$SECRET\" | grantor guard --server https://login.example.com --client-id gateway --client-secret-stdin

A gateway asks http://127.0.0.1:8081/gateway/check?resource=…&scope=…&group=…&role=… and lets through what is answered
with 200. Nothing is stored: the guard needs no database and no keys.")]
pub struct Guard {
    /// The server, or a tenant of it
    #[arg(long, env = "GRANTOR_GUARD_SERVER", hide_env_values = true, value_name = "URL")]
    server: PublicUrl,
    /// Address and port to listen on: beside the gateway, because tokens travel there in clear
    #[arg(
        long,
        env = "GRANTOR_GUARD_LISTEN",
        hide_env_values = true,
        default_value = "127.0.0.1:8081",
        value_name = "ADDRESS"
    )]
    listen: SocketAddr,
    /// A client that serves the resources, to ask about opaque tokens
    #[arg(long, env = "GRANTOR_GUARD_CLIENT_ID", hide_env_values = true, value_name = "ID")]
    client_id: Option<String>,
    /// Read that client's secret from standard input; without it, it is taken from GRANTOR_GUARD_CLIENT_SECRET
    #[arg(long, requires = "client_id")]
    client_secret_stdin: bool,
    /// Certificate in PEM to trust instead of those of the system
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl Guard {
    pub async fn run(self) -> Result<(), CliError> {
        let credentials = match self.client_id {
            None => None,
            Some(client_id) => {
                let secret = if self.client_secret_stdin {
                    from_stdin(|text| Ok(Secret::from(text.to_owned())))?
                } else {
                    std::env::var("GRANTOR_GUARD_CLIENT_SECRET").map(Secret::from).map_err(|_| {
                        CliError::Usage(
                            "give the client's secret with --client-secret-stdin or GRANTOR_GUARD_CLIENT_SECRET".into(),
                        )
                    })?
                };
                if secret.expose().is_empty() {
                    return Err(CliError::Usage("the client's secret is empty".into()));
                }
                Some(Credentials { client_id, client_secret: secret })
            }
        };
        let ca = match &self.ca {
            Some(path) => {
                Some(std::fs::read(path).map_err(|error| CliError::Refused(format!("{}: {error}", path.display())))?)
            }
            None => None,
        };
        if !self.server.is_https() && !self.server.is_loopback() {
            return Err(CliError::Refused(format!("tokens would travel in clear to {}; use https", self.server)));
        }
        let server = Server::new(self.server.as_str(), ca.as_deref(), credentials).map_err(CliError::Refused)?;
        let guard = Arc::new(Check::new(server, Clock::System));
        let tcp = TcpListener::bind(self.listen).await.map_err(|error| {
            CliError::Refused(format!(
                "cannot listen on {}: {error}; choose another address with --listen",
                self.listen
            ))
        })?;
        if !self.listen.ip().is_loopback() {
            tracing::warn!(listen = %self.listen, "tokens travel in clear to this address: keep others off that network");
        }
        let connections = descriptors::make_room(CONNECTIONS);
        let signals = Signals::listen()?;
        let ready = guard.is_ready().await;
        tracing::info!(server = %self.server, address = %tcp.local_addr()?, ready, "guarding");
        // A gateway that stops together with it has requests on their way, which must be checked.
        let stop = signals.stop(guard.stopping.clone(), DRAIN);
        let stopping = guard.stopping.clone();
        let router = router(guard, Clock::System, Random::system());
        Listener { tcp, tls: None, connections, bounds: Bounds::default(), stopping }.serve(router, stop).await;
        Ok(())
    }
}
