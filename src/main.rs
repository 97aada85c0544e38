//! Pick the allocator, parse the command line, hand over, exit code; nothing else.

use mimalloc::MiMalloc;
use std::process::ExitCode;

// What was read from the database and is kept lies between buffers that are not. The C library's allocator cannot give those
// back and ends with twice the memory; it is slower as well.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    grantor::cli::main()
}
