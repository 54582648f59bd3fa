//! What is said is found: as it is now, by whom it concerns, in pages, and soon.

use lethe_ids::MemberId;
use lethe_proto::{
    request::Page,
    search::{SearchMessagesRequest, SearchOrder, WaitFor},
};
use tonic::Code;

use crate::{
    messaging::Place,
    stage::{Erasure, Stage, ids, texts, until},
    support::fresh,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_found_with_its_words_marked() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new(folder.path()).await;
    let place = stage.place();
    let (id, seq) = stage.messaging.say(place, "Straße gesperrt, STRASSE frei").await;
    assert_eq!(stage.search(place, "strasse", seq).await, texts(&[id]));
    let request = SearchMessagesRequest { query: "strasse".to_owned(), ..<_>::default() };
    let response = stage.ask(place.tenant, request).await.unwrap();
    let marks: Vec<_> = response.hits[0].highlights.iter().map(|h| (h.start, h.end)).collect();
    assert_eq!(marks, [(0, 6), (17, 24)]);
    assert!(response.caught_up && response.next.is_empty());
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_is_the_present_state() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new(folder.path()).await;
    let (place, messaging) = (stage.place(), &stage.messaging);
    let (first, _) = messaging.say(place, "blue whale").await;
    let (second, seq) = messaging.say(place, "blue shark").await;
    assert_eq!(stage.search(place, "blue", seq).await, texts(&[second, first]));

    let seq = messaging.edit(place, first, "grey whale").await;
    assert_eq!(stage.search(place, "blue", seq).await, texts(&[second]));
    assert_eq!(stage.look(place.tenant, "grey").await, texts(&[first]));
    let seq = messaging.delete(place, second).await;
    assert_eq!(stage.search(place, "blue", seq).await, texts(&[]));

    let seq = messaging.restrict(place, true).await;
    assert_eq!(stage.search(place, "grey", seq).await, texts(&[]));
    let (third, seq) = messaging.say(place, "grey seal").await;
    assert_eq!(stage.search(place, "grey", seq).await, texts(&[]), "said while restricted");
    let seq = messaging.restrict(place, false).await;
    assert_eq!(stage.search(place, "grey", seq).await, texts(&[third, first]), "the restriction was lifted");

    let member = MemberId::new(fresh());
    let by_member =
        SearchMessagesRequest { query: "grey".to_owned(), member_id: member.to_string(), ..<_>::default() };
    assert_eq!(ids(&stage.ask(place.tenant, by_member.clone()).await.unwrap()), texts(&[]));
    let seq = messaging.assign(place, member).await;
    stage.search(place, "grey", seq).await;
    assert_eq!(ids(&stage.ask(place.tenant, by_member).await.unwrap()), texts(&[third, first]));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_restricted_leaves_the_engine() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new(folder.path()).await;
    let place = stage.place();
    stage.messaging.say(place, "grey whale").await;
    let (_, seq) = stage.messaging.say(place, "grey seal").await;
    assert_eq!(stage.search(place, "grey", seq).await.len(), 2);
    let held = async || Erasure::of(place.tenant, place.contact).count(&stage).await.tallies[0].count;
    assert_eq!(held().await, 2);
    let seq = stage.messaging.restrict(place, true).await;
    stage.search(place, "grey", seq).await;
    assert_eq!(held().await, 0);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_at_once_whatever_the_engine_still_holds() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new(folder.path()).await;
    let place = stage.place();
    let other = Place::new(place.tenant);
    let mut kept = Vec::new();
    let mut last = (place, 0);
    for number in 0..30 {
        let here = if number % 3 == 0 { other } else { place };
        let (id, seq) = stage.messaging.say(here, "common word").await;
        last = (here, seq);
        if number % 3 == 0 {
            kept.push(id);
        }
    }
    assert_eq!(stage.search(last.0, "common", last.1).await.len(), 30);
    stage.messaging.hide(place.contact);
    // Pages are filled up with what may be seen, and the cursor goes on behind it.
    kept.reverse();
    let (mut seen, mut after) = (Vec::new(), bytes::Bytes::new());
    for _ in 0..4 {
        let page = Some(Page { limit: 3, after });
        let request = SearchMessagesRequest { query: "common".to_owned(), page, ..<_>::default() };
        let response = stage.ask(place.tenant, request).await.unwrap();
        seen.extend(ids(&response));
        after = response.next;
        if after.is_empty() {
            break;
        }
    }
    assert_eq!(seen, texts(&kept));
    assert!(after.is_empty());
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_most_relevant_come_first_page_by_page() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new(folder.path()).await;
    let place = stage.place();
    let (best, _) = stage.messaging.say(place, "late parcel").await;
    let (worse, _) =
        stage.messaging.say(place, "the parcel was so late that I did not want it any more").await;
    let (worst, seq) = stage.messaging.say(place, "all of our parcels are late, and nobody says why").await;
    assert_eq!(stage.search(place, "late parcel", seq).await, texts(&[worst, worse, best]), "the newest");
    let (mut seen, mut after) = (Vec::new(), bytes::Bytes::new());
    for _ in 0..3 {
        let page = Some(Page { limit: 1, after });
        let order = SearchOrder::Relevance.into();
        let request =
            SearchMessagesRequest { query: "late parcel".to_owned(), order, page, ..<_>::default() };
        let response = stage.ask(place.tenant, request).await.unwrap();
        seen.extend(ids(&response));
        after = response.next;
    }
    assert_eq!(seen, texts(&[best, worse, worst]));
    assert!(after.is_empty());
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_tenant_finds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new(folder.path()).await;
    let (ours, theirs) = (stage.place(), stage.place());
    let (id, seq) = stage.messaging.say(ours, "secret").await;
    let (_, their_seq) = stage.messaging.say(theirs, "nothing").await;
    assert_eq!(stage.search(ours, "secret", seq).await, texts(&[id]));
    stage.search(theirs, "secret", their_seq).await;
    for filter in [String::new(), ours.contact.to_string()] {
        let request =
            SearchMessagesRequest { query: "secret".to_owned(), contact_id: filter, ..<_>::default() };
        assert_eq!(ids(&stage.ask(theirs.tenant, request).await.unwrap()), texts(&[]));
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_twice_and_in_any_order_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new(folder.path()).await;
    let (place, messaging) = (stage.place(), &stage.messaging);
    let kept: Vec<_> = (0..20).map(|number| messaging.keep(place, &format!("word w{number}"))).collect();
    for (id, seq) in kept.iter().rev().chain(&kept).chain(kept.iter().rev()) {
        messaging.tell_message(place, *id, *seq).await;
    }
    let found = stage.search(place, "word", 20).await;
    assert_eq!(found, texts(&kept.iter().rev().map(|(id, _)| *id).collect::<Vec<_>>()));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_event_is_made_up_for() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new(folder.path()).await;
    let (place, messaging) = (stage.place(), &stage.messaging);
    // A tenant that is known already: its first event alone makes all of it be read.
    let (_, seq) = messaging.say(Place { contact: Place::new(place.tenant).contact, ..place }, "hello").await;
    until("the tenant", || async { !stage.look(place.tenant, "hello").await.is_empty() }).await;
    assert_eq!(seq, 1);
    let (lost, _) = messaging.keep(place, "word lost");
    let (heard, seq) = messaging.say(place, "word heard").await;
    assert_eq!(stage.search(place, "word", seq).await, texts(&[heard, lost]));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_ends_at_its_limit_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut kept = crate::stage::Kept::new().await;
    let stage = Stage::again(&mut kept, folder.path(), |config| config.wait_for_ms = 100).await;
    let place = stage.place();
    let (id, seq) = stage.messaging.say(place, "word").await;
    until("the word", || async { !stage.look(place.tenant, "word").await.is_empty() }).await;
    let wait_for = Some(WaitFor { contact_id: place.contact.to_string(), seq: seq + 1 });
    let request = SearchMessagesRequest { query: "word".to_owned(), wait_for, ..<_>::default() };
    let begun = tokio::time::Instant::now();
    let response = stage.ask(place.tenant, request).await.unwrap();
    assert!(begun.elapsed() >= std::time::Duration::from_millis(100));
    assert_eq!((ids(&response), response.caught_up), (texts(&[id]), false));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new(folder.path()).await;
    let tenant = stage.place().tenant;
    let good = SearchMessagesRequest { query: "q".repeat(256), ..<_>::default() };
    until("the longest query is answered", || async { stage.ask(tenant, good.clone()).await.is_ok() }).await;
    let with = |change: fn(&mut SearchMessagesRequest)| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let mut backwards = good.clone();
    (backwards.from, backwards.until) = (at(10), at(10));
    for (request, field) in [
        (with(|r| r.query.clear()), "query"),
        (with(|r| r.query = "q".repeat(257)), "query"),
        (with(|r| r.query = "…?!".to_owned()), "query"),
        (with(|r| r.channel = 99), "channel"),
        (with(|r| r.order = 99), "order"),
        (with(|r| r.contact_id = "con_x".to_owned()), "contact_id"),
        (with(|r| r.conversation_id = "x".to_owned()), "conversation_id"),
        (with(|r| r.member_id = "con_".to_owned()), "member_id"),
        (with(|r| r.from = Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 })), "from"),
        (backwards, "until"),
        (with(|r| r.page = Some(Page { limit: 201, after: <_>::default() })), "page.limit"),
        (with(|r| r.page = Some(Page { limit: 1, after: b"tampered".to_vec().into() })), "page.after"),
        (with(|r| r.wait_for = Some(WaitFor { contact_id: String::new(), seq: 1 })), "wait_for.contact_id"),
    ] {
        let status = stage.ask(tenant, request).await.unwrap_err();
        let failure = lethe_service::Failure::from_status(&status);
        assert_eq!(
            (failure.code, failure.field.as_deref()),
            (Code::InvalidArgument, Some(field)),
            "{failure}"
        );
    }
    stage.stop().await;
}
