//! `MakeOwnRequest`: a member asks to be erased, or objects. One of a kind is open at a time. With an idempotency key twice is as
//! once.

use lethe_ids::MemberRequestId;
use lethe_proto::identity::{MakeOwnRequestRequest, MemberRequest};
use prost::Message;
use tonic::Request;

use super::super::{
    Call, Identity,
    idempotency::{key, made_before},
};
use crate::{
    Error,
    domain::member_request::{self, Kind, State},
    store::{self, idempotency::Used, member_request::MemberRequestRow},
};

const RPC: &str = "MakeOwnRequest";

pub(super) async fn handle(
    identity: &Identity,
    request: Request<MakeOwnRequestRequest>,
) -> Result<MemberRequest, Error> {
    let call = Call::of(&request)?;
    let mut asked = request.into_inner();
    let key = key(asked.idempotency.take())?;
    let kind = Kind::parse("kind", asked.kind)?;
    let grounds = member_request::words("grounds", &asked.grounds)?;
    let member = call.member()?;
    let now = identity.0.clock.now();
    let due_at = identity.0.calendar.due_at(now).map_err(|_| Error::Corrupt("clock"))?;
    let blind = identity.0.keyring.blind(call.tenant()).await?;
    let body_mac = blind.fingerprint(b"identity MakeOwnRequest", &asked.encode_to_vec());

    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    let of = store::member::get(&mut tx, member).await?.ok_or(Error::NotFound("member"))?;
    drop(tx);
    let mut row = MemberRequestRow {
        id: MemberRequestId::new(identity.0.entropy.uuid7(&identity.0.clock)),
        member,
        kind,
        state: State::Open,
        received_at: now,
        due_at,
        closed_at: None,
        closed_by: None,
        grounds: None,
        answer: None,
        subject: of.subject,
        unit: of.unit,
    };
    let sealer = identity.0.keyring.sealer(call.tenant(), of.subject, of.unit).await?;
    row.grounds = super::seal_words(&sealer, &row, super::GROUNDS, grounds);

    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    // Whoever is erased was deactivated before, and stays so: nothing comes after his words went.
    match store::member::lock(&mut tx, member).await? {
        Some(member) if member.active => {}
        _ => return Err(Error::MemberInactive),
    }
    if let Some(key) = &key {
        if let Some(made) = made_before(&mut tx, (RPC, member.uuid(), key), &body_mac).await? {
            let made = store::member_request::get(&mut tx, MemberRequestId::new(made)).await?;
            drop(tx);
            let made = made.ok_or(Error::Gone("member request"))?;
            return super::member_request(identity, call.tenant(), made).await;
        }
        let used = Used { body_mac: body_mac.to_vec(), resource: row.id.uuid() };
        store::idempotency::insert(&mut tx, RPC, member.uuid(), key, &used, now).await?;
    }
    if !store::member_request::insert(&mut tx, &row).await? {
        return Err(Error::RequestOpen);
    }
    let done = call.done(RPC, "member_request", row.id);
    identity.record_detail(&mut tx, call.actor(), done, &kind.word()).await?;
    tx.commit().await?;
    super::member_request(identity, call.tenant(), row).await
}
