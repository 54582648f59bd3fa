//! A member as a person: his photo, and his rights over what is kept of him.

mod close_member_request;
mod delete_photo;
mod erase_member;
mod get_member_erasure;
mod get_own_data;
mod get_photo;
mod list_member_requests;
mod list_own_requests;
mod make_own_request;
mod set_photo;
mod update_self;

use lethe_access::Permission;
use lethe_ids::{MemberId, TenantId, UnitId};
use lethe_keyring::{KeyError, Purpose, Sealer};
use lethe_proto::{
    erasure::{Attestation, Finding},
    identity::{self as proto, person_service_server::PersonService},
};
use lethe_service::{Failure, TenantTx, timestamp};
use tonic::{Request, Response, Status};

use super::{Call, Identity, serve};
use crate::{
    Error,
    jobs::destroy_retired_units,
    store::{
        self,
        member::MemberRow,
        member_erasure::{MemberErasureRow, Reading},
        member_request::MemberRequestRow,
    },
};

serve!(PersonService {
    set_photo(proto::SetPhotoRequest) -> proto::SetPhotoResponse;
    get_photo(proto::GetPhotoRequest) -> proto::GetPhotoResponse;
    delete_photo(proto::DeletePhotoRequest) -> proto::DeletePhotoResponse;
    erase_member(proto::EraseMemberRequest) -> proto::MemberErasure;
    get_member_erasure(proto::GetMemberErasureRequest) -> proto::MemberErasure;
    get_own_data(proto::GetOwnDataRequest) -> proto::GetOwnDataResponse;
    update_self(proto::UpdateSelfRequest) -> proto::Member;
    make_own_request(proto::MakeOwnRequestRequest) -> proto::MemberRequest;
    list_own_requests(proto::ListOwnRequestsRequest) -> proto::ListOwnRequestsResponse;
    list_member_requests(proto::ListMemberRequestsRequest) -> proto::ListMemberRequestsResponse;
    close_member_request(proto::CloseMemberRequestRequest) -> proto::MemberRequest;
});

/// One's own, or somebody else's with the permission.
fn may(call: &Call, member: MemberId, others: Permission) -> Result<(), Error> {
    if member != call.member()? && !call.principal.allows(others) {
        return Err(Error::PermissionDenied);
    }
    Ok(())
}

/// The member whose photo is changed; nobody else changes him until the transaction ends.
async fn sitter(tx: &mut TenantTx, call: &Call, member: MemberId) -> Result<MemberRow, Error> {
    may(call, member, Permission::Members)?;
    let row = store::member::lock(tx, member).await?.ok_or(Error::NotFound("member"))?;
    super::may_touch(call, &row.roles)?;
    Ok(row)
}

/// Deletes the photo that there is and retires its unit. Whether there was one.
async fn take_away(identity: &Identity, tx: &mut TenantTx, member: MemberId) -> Result<bool, Error> {
    let Some(unit): Option<UnitId> = store::photo::delete(tx, member).await? else { return Ok(false) };
    let cause = lethe_ids::ErasureId::new(identity.0.entropy.uuid4());
    store::photo::retire(tx, unit, cause, identity.0.clock.now()).await?;
    Ok(true)
}

/// Destroys what was retired, at once. Where that fails, the job does it.
async fn destroy_retired(identity: &Identity, tenant: TenantId) {
    if let Err(error) = destroy_retired_units::of(identity, tenant).await {
        tracing::warn!(error = %Failure::from(error), "the secret of an old photo waits for the job");
    }
}

/// An erasure as callers see it.
fn erasure(row: MemberErasureRow) -> proto::MemberErasure {
    let finding = |reading: Reading| Finding {
        code: if reading.store == "keystore" { "SECRETS_DESTROYED" } else { "ROWS_ABSENT" }.to_owned(),
        store: reading.store,
        kind: reading.kind,
        attestation: Attestation::ReRead.into(),
        looked_for: reading.looked_for,
        found: reading.found,
        until: None,
    };
    proto::MemberErasure {
        erasure_id: row.id.to_string(),
        member_id: row.member.to_string(),
        mode: row.mode.proto().into(),
        requested_by: row.requested_by,
        requested_at: Some(timestamp(row.requested_at)),
        erased_at: row.erased_at.map(timestamp),
        findings: row.findings.into_iter().map(finding).collect(),
    }
}

/// The seal version of a member's words, and that of the answer.
const GROUNDS: u32 = 1;
const ANSWER: u32 = 2;

/// Seals words that stand with a request.
fn seal_words(
    sealer: &Sealer,
    row: &MemberRequestRow,
    version: u32,
    words: Option<String>,
) -> Option<Vec<u8>> {
    words.map(|words| sealer.seal(Purpose::MemberRequest, row.id.uuid(), version, words.as_bytes()))
}

/// Opens words that stand with a request; empty where there are none.
fn open_words(
    sealer: &Sealer,
    request: uuid::Uuid,
    version: u32,
    sealed: Option<&[u8]>,
) -> Result<String, Error> {
    let Some(sealed) = sealed else { return Ok(String::new()) };
    let opened = sealer.open(Purpose::MemberRequest, request, version, sealed)?;
    std::str::from_utf8(&opened).map(str::to_owned).map_err(|_| Error::Corrupt("words of a request"))
}

/// A request as callers see it.
async fn member_request(
    identity: &Identity,
    tenant: TenantId,
    row: MemberRequestRow,
) -> Result<proto::MemberRequest, Error> {
    let (mut grounds, mut answer) = (String::new(), String::new());
    if row.grounds.is_some() || row.answer.is_some() {
        match identity.0.keyring.sealer(tenant, row.subject, row.unit).await {
            Ok(sealer) => {
                grounds = open_words(&sealer, row.id.uuid(), GROUNDS, row.grounds.as_deref())?;
                answer = open_words(&sealer, row.id.uuid(), ANSWER, row.answer.as_deref())?;
            }
            // Erased since the row was read.
            Err(KeyError::Destroyed) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let (state, refusal) = row.state.proto();
    Ok(proto::MemberRequest {
        member_request_id: row.id.to_string(),
        member_id: row.member.to_string(),
        kind: row.kind.proto().into(),
        state: state.into(),
        refusal: refusal.into(),
        grounds,
        answer,
        received_at: Some(timestamp(row.received_at)),
        due_at: Some(timestamp(row.due_at)),
        closed_at: row.closed_at.map(timestamp),
        closed_by: row.closed_by.unwrap_or_default(),
    })
}

/// Requests as callers see them.
async fn member_requests(
    identity: &Identity,
    tenant: TenantId,
    rows: Vec<MemberRequestRow>,
) -> Result<Vec<proto::MemberRequest>, Error> {
    let mut requests = Vec::with_capacity(rows.len());
    for row in rows {
        requests.push(member_request(identity, tenant, row).await?);
    }
    Ok(requests)
}
