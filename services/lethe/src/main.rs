//! The one binary: any subset of the services in one process, and the commands around them.

use std::process::ExitCode;

use clap::Parser;
use lethe::cli::{self, Cli};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cli::run(Cli::parse())
}
