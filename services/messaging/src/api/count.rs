//! Count: how much there is of a contact, by store and kind. Changes nothing.

use lethe_proto::erasure::{CountRequest, CountResponse};
use tonic::Request;

use crate::{census::Counted, error::Error, scope::Scope, state::State, store::fence};

pub(super) async fn count(state: &State, request: Request<CountRequest>) -> Result<CountResponse, Error> {
    let scope = Scope::of(request.into_inner().scope)?;
    let mut tx = state.tx(scope.tenant).await?;
    let rows = fence::counts_of(&mut tx, scope.contact).await?;
    let reach = fence::reach_of(&mut tx, scope.contact).await?;
    drop(tx);
    let secrets = (reach.subjects.len() + reach.units.len()) as u64;
    let mut counts: Vec<Counted> =
        rows.iter().map(|(table, rows)| Counted::new("postgres", table, rows.unsigned_abs())).collect();
    let known = !counts.is_empty();
    if known {
        counts.push(Counted::new("keystore", "secrets", secrets));
    }
    Ok(CountResponse {
        tallies: counts.iter().map(Counted::tally).collect(),
        known,
        ..CountResponse::default()
    })
}
