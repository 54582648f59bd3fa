//! The one binary: any subset of the services in one process, and the commands around them.

use std::process::ExitCode;

use clap::Parser;
use lethe::cli::{self, Cli};

fn main() -> ExitCode {
    cli::run(Cli::parse())
}
