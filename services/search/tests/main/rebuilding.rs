//! The index is made again from messaging, and never brings back what was erased.

use lethe_testkit::{Databases, every_statement_fits};

use crate::{
    messaging::Place,
    stage::{Erasure, Kept, Stage, texts, until},
    support::lies_about,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_folder_is_filled_again_without_the_bus() {
    let folder = tempfile::tempdir().unwrap();
    let mut kept = Kept::new().await;
    let stage = Stage::again(&mut kept, folder.path(), |_| {}).await;
    let (first, second) = (stage.place(), stage.place());
    let (one, seq) = stage.messaging.say(first, "word").await;
    let (two, other_seq) = stage.messaging.say(second, "word").await;
    stage.search(first, "word", seq).await;
    stage.search(second, "word", other_seq).await;
    stage.stop().await;

    std::fs::remove_dir_all(folder.path()).unwrap();
    kept.forget_events().await;
    let stage = Stage::again(&mut kept, folder.path(), |_| {}).await;
    assert_eq!(stage.search(first, "word", seq).await, texts(&[one]));
    assert_eq!(stage.search(second, "word", other_seq).await, texts(&[two]));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_folder_is_not_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut kept = Kept::new().await;
    let stage = Stage::again(&mut kept, folder.path(), |_| {}).await;
    let place = stage.place();
    let (id, seq) = stage.messaging.say(place, "word").await;
    stage.search(place, "word", seq).await;
    stage.stop().await;
    kept.forget_events().await;
    let stage = Stage::again(&mut kept, folder.path(), |_| {}).await;
    // Nobody hears of this one: whoever read all again would find it.
    stage.messaging.keep(Place::new(place.tenant), "word unheard");
    assert_eq!(stage.search(place, "word", seq).await, texts(&[id]));
    let (_, seq) = stage.messaging.say(place, "other").await;
    stage.search(place, "other", seq).await;
    assert_eq!(stage.look(place.tenant, "word").await, texts(&[id]));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_and_another_leave_out_what_is_fenced_or_gone() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new(folder.path()).await;
    let (stays, place) = (stage.place(), stage.place());
    let gone = Place { tenant: stays.tenant, ..place };
    let (id, _) = stage.messaging.say(stays, "word stays").await;
    let (_, seq) = stage.messaging.say(gone, "word wombat").await;
    assert_eq!(stage.search(gone, "word", seq).await.len(), 2);
    let erasure = Erasure::of(gone.tenant, gone.contact);
    erasure.fence(&stage).await.unwrap();
    erasure.purge(&stage).await.unwrap();
    for _ in ["once", "twice"] {
        // messaging's own fence is late in this test: it would still hand the texts out.
        assert_eq!(stage.rebuild(stays.tenant).await, 2);
        assert_eq!(stage.look(stays.tenant, "word").await, texts(&[id]));
    }
    assert_eq!(lies_about(folder.path(), "wombat"), (false, false));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tenant_said_before_its_first_event_is_read_too() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new(folder.path()).await;
    let place = stage.place();
    let early: Vec<_> = (0..450).map(|_| stage.messaging.keep(Place::new(place.tenant), "word").0).collect();
    stage.messaging.say(place, "word").await;
    until("the early ones", || async {
        let found = stage.look(place.tenant, "word").await;
        found.len() == 50
    })
    .await;
    assert_eq!(stage.rebuild(place.tenant).await, early.len() as u64 + 1);
    stage.stop().await;
}

#[tokio::test]
async fn every_statement_fits_the_schema() {
    let database = Databases::fresh("search", &lethe_search::migrations()).await;
    every_statement_fits(env!("CARGO_MANIFEST_DIR"), &database, 20).await;
}
