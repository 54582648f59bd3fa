//! `CreateTeam`: a team without members. With an idempotency key twice is as once.

use lethe_ids::TeamId;
use lethe_proto::identity::{CreateTeamRequest, Team};
use prost::Message;
use tonic::Request;

use super::super::{
    Call, Identity,
    idempotency::{key, made_before},
};
use crate::{
    Error,
    domain::team::TeamName,
    store::{self, idempotency::Used, team::TeamRow},
};

const RPC: &str = "CreateTeam";

pub(super) async fn handle(identity: &Identity, request: Request<CreateTeamRequest>) -> Result<Team, Error> {
    let call = Call::of(&request)?;
    let mut asked = request.into_inner();
    let key = key(asked.idempotency.take())?;
    let name = TeamName::parse("name", &asked.name)?;
    let blind = identity.0.keyring.blind(call.tenant()).await?;
    let body_mac = blind.fingerprint(b"identity CreateTeam", &asked.encode_to_vec());
    let row = TeamRow {
        id: TeamId::new(identity.0.entropy.uuid7(&identity.0.clock)),
        name: name.as_str().to_owned(),
        members: 0,
        version: 1,
        created_at: identity.0.clock.now(),
    };

    let who = call.principal.actor().uuid();
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    // One at a time, so that the limit is one.
    store::tenant::lock(&mut tx).await?;
    if let Some(key) = &key {
        if let Some(made) = made_before(&mut tx, (RPC, who, key), &body_mac).await? {
            let made = store::team::get(&mut tx, TeamId::new(made)).await?;
            return made.map(super::team).ok_or(Error::Gone("team"));
        }
        let used = Used { body_mac: body_mac.to_vec(), resource: row.id.uuid() };
        store::idempotency::insert(&mut tx, RPC, who, key, &used, row.created_at).await?;
    }
    if store::team::count(&mut tx).await? >= identity.0.config.teams.most.into() {
        return Err(Error::TooMany("teams"));
    }
    if !store::team::insert(&mut tx, &row).await? {
        return Err(Error::TeamNameTaken);
    }
    identity.record(&mut tx, call.actor(), call.done(RPC, "team", row.id)).await?;
    tx.commit().await?;
    Ok(super::team(row))
}
