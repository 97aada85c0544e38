//! Logs to standard error, metrics in memory.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::io::IsTerminal;
use std::sync::OnceLock;
use tracing_subscriber::EnvFilter;

/// `text` for people, `json` for collectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One line a record, for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging. `filter` is a level (`info`) or directives as in `grantor=debug,sqlx=warn`.
///
/// # Errors
/// The filter cannot be read; the text says why.
pub fn init(filter: &str, format: LogFormat) -> Result<(), String> {
    let known = ["off", "error", "warn", "info", "debug", "trace"];
    if !filter.contains(['=', ',']) && !known.contains(&filter.to_ascii_lowercase().as_str()) {
        return Err(format!("the log level '{filter}' is none of {}", known.join(", ")));
    }
    let filter =
        EnvFilter::try_new(filter).map_err(|error| format!("the log filter '{filter}' cannot be read: {error}"))?;
    // It repeats what it does not understand of a postgres:// URL, and that may be a password.
    let filter = filter.add_directive("sqlx_postgres::options=off".parse().map_err(|_| "a fixed filter failed")?);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // A second start in one process, as in tests, keeps the first one's logger.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}

/// The process' metrics; the recorder is installed at the first call. It compares the processor's clock with the system's, which
/// takes a millisecond, and 200 of them on a machine where the two drift.
pub fn metrics() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        // Only fails when a recorder is there already, which this function excludes.
        let _ = metrics::set_global_recorder(recorder);
        metrics::describe_counter!("grantor_token_requests_total", "Token requests by outcome (issued, or the error).");
        metrics::describe_counter!("grantor_introspections_total", "Introspections by what they answered.");
        metrics::describe_counter!("grantor_revocations_total", "Tokens revoked over HTTP.");
        metrics::describe_counter!(
            "grantor_groups_overage_total",
            "Tokens that point at their groups instead of holding them."
        );
        metrics::describe_counter!("grantor_http_responses_total", "Responses by status class.");
        metrics::describe_counter!("grantor_sweep_rows_total", "Expired rows removed.");
        handle
    })
}

/// The counter of tokens that were issued.
pub fn tokens_issued() -> metrics::Counter {
    metrics();
    metrics::counter!("grantor_token_requests_total", "outcome" => "issued")
}

/// Counts a token request that was refused with this error code.
pub fn count_refused_token(error: &'static str) {
    metrics::counter!("grantor_token_requests_total", "outcome" => error).increment(1);
}

/// Counters of responses by class of their status, at hand: looking one up by name costs more than counting.
#[derive(Clone)]
pub struct Responses([metrics::Counter; 4]);

impl Responses {
    /// Registered with the process' metrics.
    pub fn new() -> Self {
        metrics();
        Self(
            ["2xx", "3xx", "4xx", "5xx"]
                .map(|class| metrics::counter!("grantor_http_responses_total", "class" => class)),
        )
    }

    /// Counts one.
    pub fn count(&self, status: u16) {
        let class = match status {
            200..300 => 0,
            300..400 => 1,
            400..500 => 2,
            _ => 3,
        };
        self.0[class].increment(1);
    }
}

impl Default for Responses {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Responses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Responses")
    }
}
