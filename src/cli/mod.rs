//! The command line: nouns and verbs, one file per noun.
//!
//! Exit codes: 0 done, 1 refused or failed, 2 wrong usage. Results go to standard output, everything else to standard
//! error, so that `--json` output can be piped.

mod client;
mod client_settings;
mod context;
mod doctor;
mod explain;
mod group;
mod guard;
mod key;
mod output;
mod quickstart;
mod resource;
mod secret;
mod serve;
mod story;
mod tenant;
mod token;
mod user;

use crate::config::Flags;
use crate::telemetry::{self, LogFormat};
use clap::{Parser, Subcommand};
use context::{CliError, Context};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  grantor quickstart                                  set everything up and serve on 127.0.0.1:8080
  grantor client create --name billing --allow https://api.example.com/.default
  grantor group add kafka-rest --client billing
  grantor explain --client billing --scope https://api.example.com/.default

Exit codes: 0 done, 1 refused or failed, 2 wrong usage.";

/// An OAuth 2.0 authorization server.
#[derive(Parser)]
#[command(name = "grantor", version, after_help = EXAMPLES, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options that every command takes.
#[derive(clap::Args, Clone)]
#[command(next_help_heading = "Global options")]
struct Global {
    #[command(flatten)]
    flags: Flags,
    /// Tenant to work on, by name or id
    #[arg(
        long,
        global = true,
        env = "GRANTOR_TENANT",
        hide_env_values = true,
        default_value = "default",
        value_name = "TENANT"
    )]
    tenant: String,
    /// Print one JSON value instead of text
    #[arg(long, global = true)]
    json: bool,
    /// Log level, or directives such as grantor=debug
    #[arg(long, global = true, env = "GRANTOR_LOG", hide_env_values = true, value_name = "LEVEL")]
    log: Option<String>,
    /// Log format: text or json
    #[arg(
        long,
        global = true,
        env = "GRANTOR_LOG_FORMAT",
        default_value = "text",
        value_name = "FORMAT",
        hide_possible_values = true,
        hide_env_values = true
    )]
    log_format: LogFormat,
}

#[derive(Subcommand)]
enum Command {
    /// Set up a database with an example and serve it
    Quickstart(quickstart::Quickstart),
    /// Serve
    Serve(serve::Serve),
    /// Tenants: isolated directories
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
    /// Protected resources: what tokens are for
    #[command(subcommand)]
    Resource(resource::ResourceCommand),
    /// Clients: who gets tokens
    #[command(subcommand)]
    Client(client::ClientCommand),
    /// Users: people who sign in
    #[command(subcommand)]
    User(user::UserCommand),
    /// Groups: membership, roles and claims
    #[command(subcommand)]
    Group(group::GroupCommand),
    /// Signing keys
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Check requests beside a gateway, without a database
    Guard(guard::Guard),
    /// Access tokens
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Show every claim that a token would carry and where it comes from, or the rule that says no
    Explain(explain::Explain),
    /// Check the installation
    Doctor(doctor::Doctor),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let serves = matches!(cli.command, Command::Quickstart(_) | Command::Serve(_) | Command::Guard(_));
    // A command that does one thing and ends has nothing to say beside its result.
    let level = cli.global.log.clone().unwrap_or_else(|| if serves { "info" } else { "warn" }.to_owned());
    if let Err(text) = telemetry::init(&level, cli.global.log_format) {
        return fail(&CliError::Usage(text));
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&CliError::Refused(error.to_string())),
    };
    match runtime.block_on(run(cli)) {
        Ok(()) if output::is_lost() => fail(&CliError::Refused(
            "it was done, but the result could not be written and is lost; was there a new secret in it, add another one".into(),
        )),
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &CliError) -> ExitCode {
    eprintln!("grantor: {error}");
    ExitCode::from(match error {
        CliError::Refused(_) => 1,
        CliError::Usage(_) => 2,
    })
}

async fn run(cli: Cli) -> Result<(), CliError> {
    let global = cli.global;
    match cli.command {
        Command::Quickstart(command) => command.run(&global).await,
        Command::Serve(command) => command.run(&global).await,
        Command::Guard(command) => command.run().await,
        Command::Doctor(command) => command.run(&global).await,
        Command::Tenant(command) => command.run(&Context::open(&global).await?).await,
        Command::Resource(command) => command.run(&Context::open(&global).await?).await,
        Command::Client(command) => command.run(&Context::open(&global).await?).await,
        Command::User(command) => command.run(&Context::open(&global).await?).await,
        Command::Group(command) => command.run(&Context::open(&global).await?).await,
        Command::Key(command) => command.run(&Context::open(&global).await?).await,
        Command::Token(command) => command.run(&Context::open(&global).await?).await,
        Command::Explain(command) => command.run(&Context::open(&global).await?).await,
    }
}
