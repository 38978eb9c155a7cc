//! The hub's program: reads the command line, and ends with the code of what came of it.

use std::process::ExitCode;

use clap::Parser;
use hub::cli::{Cli, run_command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    run_command(Cli::parse()).into()
}
