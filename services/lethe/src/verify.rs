//! `lethe verify FILE`: a certificate checked by anyone, offline, with the published keys.

use std::{
    fs,
    io::{self, ErrorKind, Write},
    process::ExitCode,
};

use anyhow::Context;
use lethe_retention::certificate;

use crate::cli;

/// Says in plain words what the certificate attests and what lingers until when; exit code 1 when it does not hold.
pub(crate) fn run(options: &cli::Verify) -> anyhow::Result<ExitCode> {
    let envelope =
        fs::read(&options.file).with_context(|| format!("cannot read {}", options.file.display()))?;
    let keys = fs::read(&options.keys).with_context(|| {
        format!(
            "cannot read {}: save /.well-known/lethe-keys.json there, or name it with --keys",
            options.keys.display()
        )
    })?;
    match certificate::verify(&envelope, &keys) {
        Ok(statement) => {
            say(&certificate::explain(&statement))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            say(&format!("This certificate does not hold: {error}"))?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// To standard output; a reader who has seen enough (`| head`) is no error.
fn say(text: &str) -> io::Result<()> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
