//! The operator sees which erasures are under way and why they wait, without whose they are, and has one tried at once.

use std::sync::Arc;

use lethe_proto::retention::{
    ErasureState, HastenErasureRequest, ListOpenErasuresRequest, OpenErasure,
    erasure_operation_service_server::ErasureOperationService,
};
use lethe_retention::ErasureOperation;
use tokio::sync::Notify;
use tonic::{Code, Request};

use crate::fixture::{Fixture, refusal};

#[tokio::test]
async fn hastened_twice_is_tried_at_once() {
    let fixture = Fixture::new().await;
    let (id, _) = fixture.confirmed().await;
    fixture.fake("search").part().refusals.extend((0..6).map(|_| refusal("INDEX_AWAY")));
    for _ in 0..5 {
        fixture.run(id).await;
        fixture.world.clock.advance(std::time::Duration::from_secs(60));
    }
    fixture.run(id).await;
    let operation = ErasureOperation {
        db: fixture.saga.db.clone(),
        clock: fixture.world.clock.clone(),
        due: Arc::new(Notify::new()),
    };
    let list = || operation.list_open_erasures(Request::new(ListOpenErasuresRequest { limit: 1_000 }));
    let open = list().await.unwrap().into_inner().erasures;
    let ours = |open: &OpenErasure| {
        open.erasure.as_ref().is_some_and(|erasure| erasure.erasure_id == id.to_string())
    };
    let OpenErasure { tenant_id, erasure } = open.into_iter().find(ours).unwrap();
    let erasure = erasure.unwrap();
    assert_eq!((erasure.contact_id.as_str(), erasure.tallies.len()), ("", 0), "nobody is named");
    assert!(erasure.participants.iter().any(|part| part.waits_for == "INDEX_AWAY" && part.attempts == 6));
    assert!(fixture.saga.claim(fixture.tenant, id).await.unwrap().is_none(), "it waits for half a minute");

    let hasten = |erasure_id: String| {
        let request = HastenErasureRequest { tenant_id: tenant_id.clone(), erasure_id };
        operation.hasten_erasure(Request::new(request))
    };
    hasten(id.to_string()).await.unwrap();
    hasten(id.to_string()).await.unwrap();
    assert_eq!(fixture.run(id).await.last().unwrap(), "waits");
    assert_eq!(fixture.get(id).await.state(), ErasureState::Certified);

    let unknown = lethe_ids::ErasureId::new(uuid::Uuid::from_u128(7)).to_string();
    assert_eq!(hasten(unknown).await.unwrap_err().code(), Code::NotFound);
    let too_many = operation.list_open_erasures(Request::new(ListOpenErasuresRequest { limit: 1_001 })).await;
    assert_eq!(too_many.unwrap_err().code(), Code::InvalidArgument);
}
