//! `RequestOperatorAccess`: an operator asks, and the tenant sees it. Nothing is granted by asking; asking twice is two
//! requests, each of which is decided on by itself.

use lethe_ids::OperatorAccessId;
use lethe_proto::identity::{OperatorAccess, RequestOperatorAccessRequest};
use lethe_service::CallContext;
use tonic::Request;

use super::super::Identity;
use crate::{
    Error,
    domain::{
        audit::Actor,
        operator_access::{LONGEST_WAIT, State, Terms},
    },
    store::{self, operator_access::OperatorAccessRow},
};

/// Requests that may wait for one tenant.
const MOST_WAITING: i64 = 20;

pub(super) async fn handle(
    identity: &Identity,
    request: Request<RequestOperatorAccessRequest>,
) -> Result<OperatorAccess, Error> {
    let request_id = CallContext::of(&request).request_id.clone();
    let asked = request.get_ref();
    let terms = Terms::new(&asked.operator, asked.reason, &asked.ticket, &asked.permissions, asked.hours)?;
    let tenant = super::tenant(identity, &asked.tenant_slug).await?;
    let now = identity.0.clock.now();
    let row = OperatorAccessRow {
        id: OperatorAccessId::new(identity.0.entropy.uuid7(&identity.0.clock)),
        terms,
        state: State::Requested,
        requested_at: now,
        decided: None,
        ends_at: None,
        opened_at: None,
    };
    let mut tx = identity.0.db.tenant(tenant).await?;
    store::tenant::lock(&mut tx).await?;
    if store::operator_access::waiting(&mut tx, now - LONGEST_WAIT).await? >= MOST_WAITING {
        return Err(Error::TooMany("access_requests"));
    }
    store::operator_access::insert(&mut tx, &row).await?;
    let done = super::done("RequestOperatorAccess", row.id, &request_id);
    identity.record_detail(&mut tx, Actor::Operator(row.id), done, &row.terms.to_string()).await?;
    tx.commit().await?;
    Ok(super::access(row, now))
}
