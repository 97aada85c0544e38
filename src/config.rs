//! Configuration: defaults, then a file, then the environment, then flags.

use crate::keys::rotation::Schedule;
use crate::store::DatabaseUrl;
use crate::types::duration::Seconds;
use crate::types::network::Network;
use crate::types::uri::PublicUrl;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Flags that every command takes.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Flags {
    /// SQLite file, or postgres://user@host/name [default: grantor.db]
    #[arg(long, global = true, env = "GRANTOR_DATABASE", hide_env_values = true, value_name = "URL")]
    pub database: Option<String>,
    /// Folder of the key-encryption key and development certificates [default: keys]
    #[arg(long, global = true, env = "GRANTOR_KEYS", hide_env_values = true, value_name = "DIR")]
    pub keys: Option<PathBuf>,
    /// Configuration file in TOML
    #[arg(long, global = true, env = "GRANTOR_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Flags of the commands that serve.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ListenFlags {
    /// Address and port to listen on [default: 127.0.0.1:8080]
    #[arg(long, env = "GRANTOR_LISTEN", hide_env_values = true, value_name = "ADDRESS", value_parser = address)]
    pub listen: Option<SocketAddr>,
    /// Where clients reach the server; the issuer is built from it [default: the listening address]
    #[arg(long, env = "GRANTOR_PUBLIC_URL", hide_env_values = true, value_name = "URL")]
    pub public_url: Option<String>,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080".to_owned())
}

/// A certificate and its key, both PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain.
    pub cert: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// What the file may say. Unknown names are errors, so that a typing mistake is not silently a default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    database: Option<String>,
    keys: Option<PathBuf>,
    server: ServerSection,
    rotation: RotationSection,
    cache: CacheSection,
    sessions: SessionsSection,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ServerSection {
    listen: Option<SocketAddr>,
    public_url: Option<String>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    connections: Option<usize>,
    drain: Option<Drain>,
    #[serde(default)]
    trusted_proxies: Vec<String>,
}

/// A length of time that may also be nothing.
#[derive(Debug)]
struct Drain(Duration);

impl<'de> Deserialize<'de> for Drain {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if matches!(text.as_str(), "0" | "0s") {
            return Ok(Self(Duration::ZERO));
        }
        let seconds: Seconds = text.parse().map_err(serde::de::Error::custom)?;
        Ok(Self(Duration::from_secs(seconds.get().unsigned_abs())))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RotationSection {
    every: Option<Seconds>,
    announce: Option<Seconds>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CacheSection {
    max_age: Option<Seconds>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SessionsSection {
    idle: Option<Seconds>,
    lifetime: Option<Seconds>,
}

/// How long people stay signed in.
#[derive(Debug, Clone, Copy)]
pub struct SessionTimes {
    /// Without using it, a session ends after so many seconds.
    pub idle: i64,
    /// And in any case after so many.
    pub lifetime: i64,
}

/// Everything that can be configured, settled.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the database is.
    pub database: DatabaseUrl,
    /// Folder of the key-encryption key.
    pub keys: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where clients reach the server; `None` means the listening address.
    pub public_url: Option<PublicUrl>,
    /// Certificate for https.
    pub tls: Option<TlsFiles>,
    /// The most connections at once.
    pub connections: usize,
    /// How long the server goes on answering after it was asked to stop.
    pub drain: Duration,
    /// Proxies whose `X-Forwarded-For` says where a request comes from.
    pub trusted_proxies: Vec<Network>,
    /// When signing keys change.
    pub rotation: Schedule,
    /// How long memory is believed while the database is away.
    pub cache_max_age: Seconds,
    /// How long people stay signed in.
    pub sessions: SessionTimes,
}

/// Balancers that look every other second have turned away by then.
pub const DRAIN: Duration = Duration::from_secs(5);

/// Listening address unless told otherwise.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

/// What is wrong and where. The line itself is not shown: the database's URL may stand in it, with a password.
fn unreadable(path: &Path, text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map_or(String::new(), |before| format!(" line {}:", before.matches('\n').count() + 1));
    format!("{}:{line} {}", path.display(), error.message())
}

impl Config {
    /// Settles flags (which carry the environment), file and defaults.
    ///
    /// # Errors
    /// The file cannot be read, or a value cannot be used; the text says which.
    pub fn load(flags: &Flags, listen: &ListenFlags, tls: Option<TlsFiles>) -> Result<Self, String> {
        let file = match &flags.config {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
                toml::from_str(&text).map_err(|error| unreadable(path, &text, &error))?
            }
            None => File::default(),
        };
        let database = flags.database.clone().or(file.database).unwrap_or_else(|| "grantor.db".into());
        let public_url = listen.public_url.clone().or(file.server.public_url);
        let tls = match (tls, file.server.tls_cert, file.server.tls_key) {
            (Some(files), ..) => Some(files),
            (None, Some(cert), Some(key)) => Some(TlsFiles { cert, key }),
            (None, None, None) => None,
            _ => return Err("server.tls_cert and server.tls_key go together: give both or neither".into()),
        };
        let rotation = Schedule {
            every: file.rotation.every.unwrap_or(Seconds::of(90 * 86_400)).get(),
            announce: file.rotation.announce.unwrap_or(Seconds::of(86_400)).get(),
        };
        if rotation.announce >= rotation.every {
            return Err("rotation.announce must be shorter than rotation.every".into());
        }
        // A resource server may keep the JWKS for as long as its Cache-Control says.
        if rotation.announce < crate::keys::JWKS_MAX_AGE {
            return Err(format!(
                "rotation.announce must be at least {} seconds, for which the JWKS may be cached",
                crate::keys::JWKS_MAX_AGE
            ));
        }
        let connections = file.server.connections.unwrap_or(10_000);
        if connections == 0 {
            return Err("server.connections must be at least 1".into());
        }
        let sessions = SessionTimes {
            idle: file.sessions.idle.unwrap_or(Seconds::of(8 * 3600)).get(),
            lifetime: file.sessions.lifetime.unwrap_or(Seconds::of(7 * 86_400)).get(),
        };
        if sessions.idle > sessions.lifetime {
            return Err("sessions.idle must not be longer than sessions.lifetime".into());
        }
        let trusted_proxies = file.server.trusted_proxies.iter().map(|text| text.parse());
        let trusted_proxies =
            trusted_proxies.collect::<Result<_, crate::types::Invalid>>().map_err(|error| error.to_string())?;
        Ok(Self {
            database: database.parse().map_err(|error: crate::types::Invalid| error.to_string())?,
            keys: flags.keys.clone().or(file.keys).unwrap_or_else(|| "keys".into()),
            listen: listen.listen.or(file.server.listen).unwrap_or(LISTEN),
            public_url: public_url
                .map(|url| url.parse().map_err(|error: crate::types::Invalid| error.to_string()))
                .transpose()?,
            tls,
            connections,
            drain: file.server.drain.map_or(DRAIN, |drain| drain.0),
            trusted_proxies,
            rotation,
            sessions,
            cache_max_age: file.cache.max_age.unwrap_or(Seconds::of(600)),
        })
    }
}
