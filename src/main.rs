//! Parse the command line, hand over, exit code; nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    grantor::cli::main()
}
