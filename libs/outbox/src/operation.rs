//! What the operator asks of a service about its events: `lethe status` and `lethe dead-letters` go through it.

use lethe_ids::{EventId, TenantId};
use lethe_proto::operation::{
    self, Backlog, GetBacklogRequest, ListDeadLettersRequest, ListDeadLettersResponse,
    ReplayDeadLetterRequest, ReplayDeadLetterResponse,
    operation_service_server::{OperationService, OperationServiceServer},
};
use lethe_service::{Failure, id, timestamp};
use tonic::{Request, Response, Status};

use crate::{Bus, DeadLetter, ReplayError, backlog::backlog, dead_letters, replay};

/// Dead letters in one answer.
const MOST_LISTED: u32 = 1_000;

/// The RPCs, for the routes of every service that has an outbox.
pub fn operation(bus: &Bus) -> OperationServiceServer<impl OperationService> {
    OperationServiceServer::new(Operation(bus.clone()))
}

struct Operation(Bus);

#[tonic::async_trait]
impl OperationService for Operation {
    async fn get_backlog(&self, _: Request<GetBacklogRequest>) -> Result<Response<Backlog>, Status> {
        Ok(Response::new(backlog(&self.0).await.map_err(away)?))
    }

    async fn list_dead_letters(
        &self,
        request: Request<ListDeadLettersRequest>,
    ) -> Result<Response<ListDeadLettersResponse>, Status> {
        let limit = request.into_inner().limit;
        if !(1..=MOST_LISTED).contains(&limit) {
            return Err(Failure::invalid("limit", "must be 1 to 1,000").into());
        }
        let letters = dead_letters(&self.0.db, limit).await.map_err(away)?;
        let dead_letters = letters.into_iter().map(shown).collect();
        Ok(Response::new(ListDeadLettersResponse { dead_letters }))
    }

    async fn replay_dead_letter(
        &self,
        request: Request<ReplayDeadLetterRequest>,
    ) -> Result<Response<ReplayDeadLetterResponse>, Status> {
        let request = request.into_inner();
        let tenant: TenantId = id("tenant_id", &request.tenant_id)?;
        let event: EventId = id("event_id", &request.event_id)?;
        replay(&self.0, tenant, &request.consumer, event).await.map_err(Failure::from)?;
        Ok(Response::new(ReplayDeadLetterResponse {}))
    }
}

fn away(error: sqlx::Error) -> Failure {
    Failure::unavailable("DATABASE_UNAVAILABLE", error)
}

impl From<ReplayError> for Failure {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Missing => Failure::not_found("dead_letter"),
            ReplayError::BusAway(source) => Failure::unavailable("BUS_UNAVAILABLE", source),
            ReplayError::Sql(source) => away(source),
        }
    }
}

fn shown(letter: DeadLetter) -> operation::DeadLetter {
    operation::DeadLetter {
        tenant_id: letter.tenant.to_string(),
        consumer: letter.consumer,
        event_id: letter.event_id.to_string(),
        kind: letter.kind,
        reason: letter.reason,
        attempts: letter.attempts,
        died_at: Some(timestamp(letter.died_at)),
    }
}
