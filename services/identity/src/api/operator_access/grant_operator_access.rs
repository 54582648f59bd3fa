//! `GrantOperatorAccess`: the tenant grants what nobody has asked for yet. With an idempotency key twice is as once.

use lethe_ids::OperatorAccessId;
use lethe_proto::identity::{GrantOperatorAccessRequest, OperatorAccess};
use prost::Message;
use tonic::Request;

use super::super::{
    Call, Identity,
    idempotency::{key, made_before},
};
use crate::{
    Error,
    domain::operator_access::{State, Terms},
    store::{self, idempotency::Used, operator_access::OperatorAccessRow},
};

const RPC: &str = "GrantOperatorAccess";

pub(super) async fn handle(
    identity: &Identity,
    request: Request<GrantOperatorAccessRequest>,
) -> Result<OperatorAccess, Error> {
    let call = Call::of(&request)?;
    let member = call.member()?;
    let mut asked = request.into_inner();
    let key = key(asked.idempotency.take())?;
    let terms = Terms::new(&asked.operator, asked.reason, &asked.ticket, &asked.permissions, asked.hours)?;
    let blind = identity.0.keyring.blind(call.tenant()).await?;
    let body_mac = blind.fingerprint(b"identity GrantOperatorAccess", &asked.encode_to_vec());
    let now = identity.0.clock.now();
    let row = OperatorAccessRow {
        id: OperatorAccessId::new(identity.0.entropy.uuid7(&identity.0.clock)),
        ends_at: Some(now + time::Duration::hours(terms.hours.into())),
        terms,
        state: State::Granted,
        requested_at: now,
        decided: Some((member, now)),
        opened_at: None,
    };

    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    if let Some(key) = &key {
        let used = Used { body_mac: body_mac.to_vec(), resource: row.id.uuid() };
        if !store::idempotency::insert(&mut tx, RPC, member.uuid(), key, &used, now).await? {
            let made = made_before(&mut tx, (RPC, member.uuid(), key), &body_mac).await?;
            let made = OperatorAccessId::new(made.ok_or(Error::Corrupt("idempotency key"))?);
            let made = store::operator_access::lock(&mut tx, made).await?;
            return made.map(|made| super::access(made, now)).ok_or(Error::Gone("operator access"));
        }
    }
    store::operator_access::insert(&mut tx, &row).await?;
    let done = super::done(RPC, row.id, &call.request_id);
    identity.record_detail(&mut tx, call.actor(), done, &row.terms.to_string()).await?;
    tx.commit().await?;
    Ok(super::access(row, now))
}
