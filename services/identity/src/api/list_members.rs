//! `ListMembers`: the tenant's members by age. One trip to the keystore for all profiles that are not in memory.

use lethe_ids::TeamId;
use lethe_keyring::KeyError;
use lethe_proto::identity::{ListMembersRequest, ListMembersResponse};
use lethe_service::{Limit, PageKey, id, page};
use tonic::Request;

use super::{Call, Identity};
use crate::{
    Error,
    domain::{member::Profile, member_erasure::Mode},
    enrol, store,
};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<ListMembersRequest>,
) -> Result<ListMembersResponse, Error> {
    let call = Call::of(&request)?;
    let asked = request.get_ref();
    let (limit, after) = (Limit::of(asked.page.as_ref())?, PageKey::of(asked.page.as_ref())?);
    let team: Option<TeamId> = match asked.team_id.as_str() {
        "" => None,
        team => Some(id("team_id", team)?),
    };
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    let mut rows = store::member::list(&mut tx, team, after, limit).await?;
    drop(tx);
    let next = page::next(&mut rows, limit, |row| PageKey { at: row.created_at, id: row.id.uuid() });

    let wanted: Vec<_> = rows.iter().map(|row| (row.subject, row.unit)).collect();
    let sealers = identity.0.keyring.sealers(call.tenant(), &wanted).await;
    let mut members = Vec::with_capacity(rows.len());
    for (row, sealer) in rows.iter().zip(sealers) {
        if row.erased == Some(Mode::All) {
            members.push(super::member(row, &Profile::erased()));
            continue;
        }
        match sealer {
            Ok(sealer) => members.push(super::member(row, &enrol::open_profile(&sealer, row)?)),
            // Erased since the rows were read.
            Err(KeyError::Destroyed) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(ListMembersResponse { members, next })
}
