//! `lethe index`: a tenant's search index made again from messaging.

use std::time::Duration;

use lethe_proto::search::RebuildIndexRequest;
use tonic::Code;

use crate::{
    Config, cli,
    operate::{self, Operation},
};

/// `lethe index rebuild`: asks for it, and waits for the platform that runs to have done it.
#[allow(clippy::print_stdout, reason = "what came of it goes to standard output")]
pub(crate) async fn rebuild(config: Config, which: cli::Rebuild) -> anyhow::Result<()> {
    let cli::Rebuild { tenant, timeout } = which;
    let operation = Operation::open(&config).await?;
    let request = RebuildIndexRequest { tenant_id: tenant.clone() };
    match operation.index(Duration::from_secs(timeout)).rebuild_index(request).await {
        Ok(rebuilt) => println!("{tenant} is indexed anew: {} messages", rebuilt.into_inner().indexed),
        Err(status) if status.code() == Code::DeadlineExceeded => println!(
            "the rebuild of {tenant} is asked for and not done after {timeout} s: where the platform runs it goes on by itself; \
             `lethe status` says whether it runs"
        ),
        Err(status) => return Err(operate::refused(&status)),
    }
    operation.close().await
}
