//! `ListTeams`: the tenant's teams by age, or those that a member is in.

use lethe_ids::MemberId;
use lethe_proto::identity::{ListTeamsRequest, ListTeamsResponse};
use lethe_service::{Limit, PageKey, id, page};
use tonic::Request;

use super::super::{Call, Identity};
use crate::{Error, store};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<ListTeamsRequest>,
) -> Result<ListTeamsResponse, Error> {
    let call = Call::of(&request)?;
    let asked = request.get_ref();
    let (limit, after) = (Limit::of(asked.page.as_ref())?, PageKey::of(asked.page.as_ref())?);
    let member: Option<MemberId> = match asked.member_id.as_str() {
        "" => None,
        member => Some(id("member_id", member)?),
    };
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    let mut rows = store::team::list(&mut tx, member, after, limit).await?;
    let next = page::next(&mut rows, limit, |row| PageKey { at: row.created_at, id: row.id.uuid() });
    Ok(ListTeamsResponse { teams: rows.into_iter().map(super::team).collect(), next })
}
