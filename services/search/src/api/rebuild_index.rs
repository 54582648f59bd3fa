//! `RebuildIndex`: asks for a rebuild from nothing and waits for it. It goes on when the caller stops waiting.

use std::time::Duration;

use lethe_ids::TenantId;
use lethe_outbox::{Actor, Audit};
use lethe_proto::search::{RebuildIndexRequest, RebuildIndexResponse};
use lethe_service::{CallContext, id};
use tonic::Request;

use super::Api;
use crate::{
    error::Error,
    store::{self, tenants::Rebuild},
};

/// How often it looks whether the rebuild is done.
const LOOK: Duration = Duration::from_millis(50);

pub(super) async fn rebuild_index(
    api: &Api,
    request: Request<RebuildIndexRequest>,
) -> Result<RebuildIndexResponse, Error> {
    let request_id = CallContext::of(&request).request_id.clone();
    let tenant: TenantId = id("tenant_id", &request.into_inner().tenant_id)?;
    let indexer = &api.indexer;
    let mut tx = indexer.db.tenant(tenant).await?;
    store::tenants::ask(&mut tx, Rebuild::Drop).await?;
    let audit = Audit {
        actor: Actor::Service("operator"),
        action: "RebuildIndex",
        target_kind: "tenant",
        target_id: &tenant.to_string(),
        contact: None,
        request_id: &request_id,
    };
    api.outbox.audit(&mut tx, &audit).await?;
    tx.commit().await?;
    api.outbox.wake();
    indexer.rebuild.notify_one();
    loop {
        let mut tx = indexer.db.tenant(tenant).await?;
        let (is_done, indexed) = store::tenants::standing(&mut tx).await?.ok_or(Error::TenantUnknown)?;
        if is_done {
            return Ok(RebuildIndexResponse { indexed });
        }
        drop(tx);
        tokio::time::sleep(LOOK).await;
    }
}
