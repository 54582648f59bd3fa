//! A member as a person: his photo, and his rights over what is kept of him.

mod delete_photo;
mod erase_member;
mod get_member_erasure;
mod get_photo;
mod set_photo;

use lethe_access::Permission;
use lethe_ids::{MemberId, TenantId, UnitId};
use lethe_proto::{
    erasure::{Attestation, Finding},
    identity::{self as proto, person_service_server::PersonService},
};
use lethe_service::{Failure, TenantTx, timestamp};
use tonic::{Request, Response, Status};

use super::{Call, Done, Identity, serve};
use crate::{
    Error,
    jobs::destroy_retired_units,
    store::{
        self,
        member::MemberRow,
        member_erasure::{MemberErasureRow, Reading},
    },
};

serve!(PersonService {
    set_photo(proto::SetPhotoRequest) -> proto::SetPhotoResponse;
    get_photo(proto::GetPhotoRequest) -> proto::GetPhotoResponse;
    delete_photo(proto::DeletePhotoRequest) -> proto::DeletePhotoResponse;
    erase_member(proto::EraseMemberRequest) -> proto::MemberErasure;
    get_member_erasure(proto::GetMemberErasureRequest) -> proto::MemberErasure;
});

/// One's own, or somebody else's with the permission.
async fn may(tx: &mut TenantTx, call: &Call, member: MemberId, others: Permission) -> Result<(), Error> {
    call.settled(tx).await?;
    if member != call.member()? && !call.principal.allows(others) {
        return Err(Error::PermissionDenied);
    }
    Ok(())
}

/// The member whose photo is changed; nobody else changes him until the transaction ends.
async fn sitter(tx: &mut TenantTx, call: &Call, member: MemberId) -> Result<MemberRow, Error> {
    may(tx, call, member, Permission::Members).await?;
    let row = store::member::lock(tx, member).await?.ok_or(Error::NotFound("member"))?;
    super::may_touch(call, &row)?;
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

fn done<'a>(action: &'static str, member: MemberId, call: &'a Call) -> Done<'a> {
    Done { action, target_kind: "member", target_id: member.to_string(), request_id: &call.request_id }
}
