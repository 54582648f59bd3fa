//! `GrantRole`: gives a role, the only way to have one. Granted twice is granted. Principals that do not know of it yet
//! are void, so that it counts at once.

use lethe_access::Revoked;
use lethe_ids::MemberId;
use lethe_proto::identity::{GrantRoleRequest, Member};
use lethe_service::id;
use tonic::Request;

use super::{Call, Identity, Told};
use crate::{
    Error,
    domain::member::{Roles, role, word},
    store,
};

pub(super) async fn handle(identity: &Identity, request: Request<GrantRoleRequest>) -> Result<Member, Error> {
    let call = Call::of(&request)?;
    let asked = request.get_ref();
    let member: MemberId = id("member_id", &asked.member_id)?;
    let role = role("role", asked.role)?;
    let mut told = Told::default();
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    store::tenant::lock(&mut tx).await?;
    let mut row = store::member::get(&mut tx, member).await?.ok_or(Error::NotFound("member"))?;
    super::may_touch(&call, &row.roles)?;
    super::may_act_as(&call, &Roles::default().with(role))?;
    if !row.active {
        return Err(Error::MemberInactive);
    }
    if !row.roles.has(role) {
        let void_before_ms = identity.void_before_ms(&row);
        row.roles = row.roles.with(role);
        row.version += 1;
        store::member::update_rights(&mut tx, row.id, &row.roles, row.active, void_before_ms).await?;
        identity.revoke(&mut tx, &mut told, Revoked::Member(row.id), void_before_ms).await?;
        let done = call.done("GrantRole", "member", row.id);
        identity.record_detail(&mut tx, call.actor(), done, &word(role)).await?;
        tx.commit().await?;
        identity.tell(told);
    }
    identity.member(call.tenant(), &row).await
}
