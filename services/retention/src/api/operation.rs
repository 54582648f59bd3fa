//! What the operator asks about erasures, across tenants: which are open and why they wait, and that one be tried again.

use std::sync::Arc;

use lethe_ambient::Clock;
use lethe_ids::{ErasureId, TenantId};
use lethe_proto::retention::{
    Erasure, HastenErasureRequest, HastenErasureResponse, ListOpenErasuresRequest, ListOpenErasuresResponse,
    OpenErasure, erasure_operation_service_server::ErasureOperationService,
};
use lethe_service::{Database, Failure, id};
use time::OffsetDateTime;
use tokio::sync::Notify;
use tonic::{Request, Response, Status};

use super::encode;
use crate::{error::Error, store};

/// Erasures in one answer.
const MOST_LISTED: u32 = 1_000;

/// Serves `lethe.retention.v1.ErasureOperationService`, over the service's database alone.
#[derive(Clone)]
pub struct ErasureOperation {
    /// The service's own database.
    pub db: Database,
    /// Says what now is.
    pub clock: Clock,
    /// Wakes the job that advances erasures, where one runs.
    pub due: Arc<Notify>,
}

impl ErasureOperation {
    async fn open(&self, limit: u32) -> Result<Vec<OpenErasure>, Error> {
        let mut open = Vec::new();
        for (tenant, erasure) in
            store::due(&self.db, OffsetDateTime::new_utc(time::Date::MAX, time::Time::MIDNIGHT), limit)
                .await?
        {
            let mut tx = self.db.tenant(tenant).await?;
            // Cancelled or ended meanwhile.
            let Some(row) = store::get(&mut tx, erasure).await? else { continue };
            let erasure = encode::erasure(&mut tx, &row, self.clock.now()).await?;
            let erasure = Erasure {
                contact_id: String::new(),
                conversation_id: String::new(),
                tallies: Vec::new(),
                ..erasure
            };
            open.push(OpenErasure { tenant_id: tenant.to_string(), erasure: Some(erasure) });
        }
        Ok(open)
    }

    async fn hasten(&self, tenant: TenantId, erasure: ErasureId) -> Result<(), Error> {
        let mut tx = self.db.tenant(tenant).await?;
        if !store::hasten(&mut tx, erasure, self.clock.now()).await? {
            return Err(Error::ErasureNotFound);
        }
        tx.commit().await?;
        self.due.notify_one();
        Ok(())
    }
}

#[tonic::async_trait]
impl ErasureOperationService for ErasureOperation {
    async fn list_open_erasures(
        &self,
        request: Request<ListOpenErasuresRequest>,
    ) -> Result<Response<ListOpenErasuresResponse>, Status> {
        let limit = request.into_inner().limit;
        if !(1..=MOST_LISTED).contains(&limit) {
            return Err(Failure::invalid("limit", "must be 1 to 1,000").into());
        }
        Ok(Response::new(ListOpenErasuresResponse { erasures: self.open(limit).await? }))
    }

    async fn hasten_erasure(
        &self,
        request: Request<HastenErasureRequest>,
    ) -> Result<Response<HastenErasureResponse>, Status> {
        let request = request.into_inner();
        self.hasten(id("tenant_id", &request.tenant_id)?, id("erasure_id", &request.erasure_id)?).await?;
        Ok(Response::new(HastenErasureResponse {}))
    }
}
