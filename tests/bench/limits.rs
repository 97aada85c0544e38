//! The limits that benchmarks compare with, measured with the same libraries on the same core: raw signatures, bare
//! axum handlers that do the irreducible part of a request, durable commits, and a client that sends at an even pace.
//!
//! `cargo run --release --example limits -- --help` lists them; `tests/bench/run` uses them all.

#![allow(clippy::unwrap_used, reason = "a benchmark that meets an unexpected value has failed")]

#[path = "limits/bare.rs"]
mod bare;
#[path = "limits/commits.rs"]
mod commits;
#[path = "limits/pace.rs"]
mod pace;
#[path = "limits/signatures.rs"]
mod signatures;
#[path = "limits/sockets.rs"]
mod sockets;

use clap::{Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Parser)]
#[command(about = "Limits that Grantor's benchmarks compare with")]
struct Arguments {
    #[command(subcommand)]
    limit: Limit,
}

#[derive(Subcommand)]
enum Limit {
    /// Signatures per second with one key on one thread
    Signatures {
        /// rs256, es256 or eddsa
        alg: signatures::Alg,
        #[arg(long, default_value_t = 2.0)]
        seconds: f64,
    },
    /// A bare axum server
    Bare {
        #[arg(long)]
        listen: SocketAddr,
        #[command(flatten)]
        files: bare::Files,
    },
    /// A server that signs for whatever it receives, and reads no HTTP
    Sockets {
        alg: signatures::Alg,
        #[arg(long)]
        listen: SocketAddr,
    },
    /// Writes an RSA key for `bare --key`
    Key { file: PathBuf },
    /// Durable SQLite commits per second of the rows that one refresh writes
    Commits {
        /// A database that the server has migrated; a copy, for it is written to
        database: PathBuf,
        #[arg(long, default_value_t = 3.0)]
        seconds: f64,
    },
    /// Sends a form at an even pace and prints the latencies, counted from when each request was due
    Pace {
        address: SocketAddr,
        path: String,
        form: String,
        #[arg(long)]
        rate: f64,
        #[arg(long, default_value_t = 32)]
        connections: u32,
        #[arg(long, default_value_t = 10.0)]
        seconds: f64,
    },
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match Arguments::parse().limit {
        Limit::Signatures { alg, seconds } => println!("{:.1}", signatures::per_second(alg, seconds)),
        Limit::Bare { listen, files } => runtime.block_on(bare::serve(listen, files)),
        Limit::Sockets { alg, listen } => runtime.block_on(sockets::serve(listen, alg)),
        Limit::Key { file } => signatures::write(&file),
        Limit::Commits { database, seconds } => {
            println!("{:.1}", runtime.block_on(commits::per_second(&database, seconds)))
        }
        Limit::Pace { address, path, form, rate, connections, seconds } => {
            let even = pace::Pace { rate, connections, seconds };
            println!("{}", runtime.block_on(pace::run(address, &path, &form, even)));
        }
    }
}
