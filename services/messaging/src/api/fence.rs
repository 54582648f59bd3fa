//! Fence: from its answer on no writer adds to the contact, and no reader finds it. The census is frozen in the same
//! transaction, under the lock that every writer takes first: what was written before is in it, what comes after is
//! refused.

use lethe_ids::ConversationId;
use lethe_outbox::{Actor, Audit};
use lethe_proto::erasure::{FenceRequest, FenceResponse};
use lethe_service::{CallContext, timestamp};
use tonic::Request;

use crate::{
    census::{Census, Counted, census_key},
    error::Error,
    scope::Scope,
    state::State,
    store::fence::{self, FenceRow, NewFence},
};

pub(super) async fn fence(state: &State, request: Request<FenceRequest>) -> Result<FenceResponse, Error> {
    let request_id = CallContext::of(&request).request_id.clone();
    let request = request.into_inner();
    let scope = Scope::of(request.scope)?;
    let key = census_key(&request.census_key)?;
    let mut tx = state.tx(scope.tenant).await?;
    if let Some(row) = fence::find(&mut tx, scope.id).await? {
        return again(state, &scope, &key, &row);
    }
    let seq = fence::raise(&mut tx, scope.contact).await?;
    let reach = fence::reach_of(&mut tx, scope.contact).await?;
    let rows = fence::rows_of(&mut tx, scope.contact).await?;
    let census = Census::new(scope.contact, &reach.subjects, &reach.units, &reach.conversations, &rows);
    let (digest, sealed) = census.seal(&scope, &key, &state.entropy);
    let (tallies, at) = (census.counts(), state.clock.now());
    let new = NewFence {
        scope: scope.id,
        erasure: scope.erasure,
        contact: scope.contact,
        at,
        census: &sealed,
        census_digest: &digest,
        tallies: &tallies,
    };
    if !fence::insert(&mut tx, &new).await? {
        // The same call came twice at once, and the other was faster: this transaction is undone.
        drop(tx);
        let mut tx = state.tx(scope.tenant).await?;
        let row = fence::find(&mut tx, scope.id).await?.ok_or(Error::NotFenced)?;
        return again(state, &scope, &key, &row);
    }
    if let Some(seq) = seq {
        state.contact_changed(&mut tx, scope.contact, seq).await?;
    }
    // About the erasure: an event that named the contact would bring its id back where it was erased.
    let id = scope.erasure.to_string();
    let audit = Audit {
        actor: Actor::Service("retention"),
        action: "Fence",
        target_kind: "erasure",
        target_id: &id,
        contact: None,
        request_id: &request_id,
    };
    state.outbox.audit(&mut tx, &audit).await?;
    state.commit(tx).await?;
    forget(state, &scope, &census, &reach.conversations);
    Ok(FenceResponse {
        census_digest: digest.into(),
        tallies: tallies.iter().map(Counted::tally).collect(),
        fenced_at: Some(timestamp(at)),
        ..FenceResponse::default()
    })
}

/// The answer to a call that came before. This process may be another than the one that fenced: it forgets too.
fn again(state: &State, scope: &Scope, key: &[u8; 32], row: &FenceRow) -> Result<FenceResponse, Error> {
    if row.contact() != scope.contact {
        return Err(Error::NotFenced);
    }
    let census = Census::open(scope, key, &row.census)?;
    forget(state, scope, &census, &census.conversations());
    Ok(FenceResponse {
        census_digest: row.census_digest.clone().into(),
        tallies: row.tallies.iter().map(Counted::tally).collect(),
        fenced_at: Some(timestamp(row.fenced_at)),
        ..FenceResponse::default()
    })
}

/// Nothing of the contact stays in this process's memory.
fn forget(state: &State, scope: &Scope, census: &Census, conversations: &[ConversationId]) {
    state.keyring.evict(scope.tenant, &census.subjects());
    state.routes.evict(scope.tenant, conversations);
}
