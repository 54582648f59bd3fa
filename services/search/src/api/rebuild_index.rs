//! `RebuildIndex`: asks for a rebuild from nothing and waits for it. The job of whoever has the tenant's shard does it.

use std::{sync::Arc, time::Duration};

use lethe_ids::TenantId;
use lethe_outbox::{Actor, Audit, Outbox};
use lethe_proto::search::{
    RebuildIndexRequest, RebuildIndexResponse, index_operation_service_server::IndexOperationService,
};
use lethe_service::{CallContext, Database, id};
use tokio::sync::Notify;
use tonic::{Request, Response, Status};

use crate::{
    error::Error,
    store::{self, tenants::Rebuild},
};

/// How often it looks whether the rebuild is done.
const LOOK: Duration = Duration::from_millis(50);

/// Serves `lethe.search.v1.IndexOperationService`, over the service's database alone.
#[derive(Clone)]
pub struct IndexOperation {
    /// The service's own database.
    pub db: Database,
    /// Tells the audit log.
    pub outbox: Outbox,
    /// Wakes the job that rebuilds, where one runs.
    pub due: Arc<Notify>,
}

impl IndexOperation {
    async fn rebuild(&self, tenant: TenantId, request_id: &str) -> Result<RebuildIndexResponse, Error> {
        let mut tx = self.db.tenant(tenant).await?;
        store::tenants::ask(&mut tx, Rebuild::Drop).await?;
        let audit = Audit {
            actor: Actor::Service("operator"),
            action: "RebuildIndex",
            target_kind: "tenant",
            target_id: &tenant.to_string(),
            contact: None,
            request_id,
        };
        self.outbox.audit(&mut tx, &audit).await?;
        tx.commit().await?;
        self.outbox.wake();
        self.due.notify_one();
        loop {
            let mut tx = self.db.tenant(tenant).await?;
            let (is_done, indexed) = store::tenants::standing(&mut tx).await?.ok_or(Error::TenantUnknown)?;
            if is_done {
                return Ok(RebuildIndexResponse { indexed });
            }
            drop(tx);
            tokio::time::sleep(LOOK).await;
        }
    }
}

#[tonic::async_trait]
impl IndexOperationService for IndexOperation {
    async fn rebuild_index(
        &self,
        request: Request<RebuildIndexRequest>,
    ) -> Result<Response<RebuildIndexResponse>, Status> {
        let request_id = CallContext::of(&request).request_id.clone();
        let tenant = id("tenant_id", &request.into_inner().tenant_id)?;
        Ok(Response::new(self.rebuild(tenant, &request_id).await?))
    }
}
