//! `OpenOperatorAccess`: a granted access becomes a session, once: a token that was lost is asked for anew.

use lethe_ids::OperatorAccessId;
use lethe_proto::identity::{OpenOperatorAccessRequest, OpenOperatorAccessResponse, OperatorAccessState};
use lethe_service::{CallContext, id};
use tonic::Request;

use super::super::Identity;
use crate::{
    Error,
    domain::{audit::Actor, session::Token},
    store,
};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<OpenOperatorAccessRequest>,
) -> Result<OpenOperatorAccessResponse, Error> {
    let request_id = CallContext::of(&request).request_id.clone();
    let asked = request.get_ref();
    let access: OperatorAccessId = id("operator_access_id", &asked.operator_access_id)?;
    let tenant = super::tenant(identity, &asked.tenant_slug).await?;
    let now = identity.0.clock.now();
    let mut tx = identity.0.db.tenant(tenant).await?;
    let row = store::operator_access::lock(&mut tx, access).await?;
    let mut row = row.ok_or(Error::NotFound("operator_access"))?;
    if row.state_at(now) != OperatorAccessState::Granted {
        return Err(Error::NotGranted);
    }
    if row.opened_at.is_some() {
        return Err(Error::AlreadyOpened);
    }
    let token = Token::new(tenant, &identity.0.entropy);
    store::operator_access::open(&mut tx, access, &token.hash(), now).await?;
    let done = super::done("OpenOperatorAccess", access, &request_id);
    identity.record_detail(&mut tx, Actor::Operator(access), done, &row.terms.to_string()).await?;
    tx.commit().await?;
    row.opened_at = Some(now);
    Ok(OpenOperatorAccessResponse { access: Some(super::access(row, now)), token: token.reveal() })
}
