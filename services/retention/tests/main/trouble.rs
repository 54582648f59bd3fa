//! Participants that are away, slow or lying. Nothing is given up, nothing is certified that was not shown.

use std::{path::Path, sync::Arc, time::Duration};

use lethe_proto::retention::{ErasureState, ParticipantState};
use lethe_retention::certificate::verify;
use lethe_service::timestamp;

use crate::{
    fake::finding,
    fixture::{Fixture, refusal},
};

async fn participant(fixture: &Fixture, id: lethe_ids::ErasureId, name: &str) -> ParticipantState {
    let erasure = fixture.get(id).await;
    erasure.participants.into_iter().find(|p| p.participant == name).unwrap()
}

#[tokio::test]
async fn one_that_is_away_is_asked_again_with_growing_waits() {
    let fixture = Fixture::new().await;
    let (id, _) = fixture.confirmed().await;
    let away = fixture.fake("search").clone();
    away.part().refusals.extend((0..5).map(|_| refusal("INDEX_AWAY")));
    let mut waits = Vec::new();
    for attempt in 1..=5 {
        let story = fixture.run(id).await;
        assert!(story.contains(&"fence search waits for INDEX_AWAY".to_owned()), "{story:?}");
        let state = participant(&fixture, id, "search").await;
        assert_eq!((state.waits_for.as_str(), state.attempts, state.fenced), ("INDEX_AWAY", attempt, false));
        let next = state.next_attempt_at.unwrap();
        waits.push(next.seconds - timestamp(fixture.world.clock.now()).seconds);
        assert!(fixture.saga.claim(fixture.tenant, id).await.unwrap().is_none(), "not before its time");
        fixture.world.clock.advance(Duration::from_secs(waits[waits.len() - 1].unsigned_abs()));
        // The others are fenced and wait for it.
        let other = participant(&fixture, id, "identity").await;
        assert_eq!((other.fenced, other.waits_for.as_str()), (true, "OTHERS"));
        let purged = fixture.asked().iter().any(|call| call.ends_with(".purge"));
        assert!(!purged, "nobody is purged before all are fenced");
    }
    assert_eq!(waits, [1, 2, 4, 8, 16]);
    assert_eq!(fixture.run(id).await.last().unwrap(), "waits");
    assert_eq!(fixture.get(id).await.state(), ErasureState::Certified);
}

#[tokio::test]
async fn nobody_is_fenced_before_messaging() {
    let fixture = Fixture::new().await;
    let (id, _) = fixture.confirmed().await;
    fixture.fake("messaging").part().refusals.push_back(refusal("DATABASE_UNAVAILABLE"));
    fixture.run(id).await;
    assert_eq!(fixture.asked(), ["messaging.fence"]);
}

#[tokio::test]
async fn one_that_never_answers_is_left_and_asked_again() {
    let fixture = Fixture::with(&[("ADVANCE_ERASURES__CALL_TIMEOUT_MS", "500")]).await;
    let (id, _) = fixture.confirmed().await;
    fixture.fake("identity").part().gate = Some(Arc::new(tokio::sync::Semaphore::new(0)));
    // On a busy machine the others may take too long as well, so it goes in rounds.
    let mut story = Vec::new();
    while !story.contains(&"fence identity waits for DEADLINE_EXCEEDED".to_owned()) {
        assert!(story.len() < 1000, "{story:?}");
        story.extend(fixture.run(id).await);
        fixture.world.clock.advance(Duration::from_secs(600));
    }
    assert_eq!(fixture.get(id).await.state(), ErasureState::Confirmed);
    fixture.fake("identity").part().gate = None;
    while fixture.get(id).await.state() != ErasureState::Certified {
        assert!(story.len() < 1000, "{story:?}");
        story.extend(fixture.run(id).await);
        fixture.world.clock.advance(Duration::from_secs(600));
    }
}

#[tokio::test]
async fn what_is_found_is_purged_again_and_looked_for_again() {
    let fixture = Fixture::new().await;
    let (id, _) = fixture.confirmed().await;
    fixture.fake("search").part().finds = 2;
    let story = fixture.run(id).await;
    assert!(story.contains(&"verify search waits for FOUND_AFTER_PURGE".to_owned()), "{story:?}");
    assert_eq!(fixture.get(id).await.state(), ErasureState::Purged);
    let state = participant(&fixture, id, "search").await;
    assert_eq!((state.purged, state.verified, state.waits_for.as_str()), (false, false, "FOUND_AFTER_PURGE"));
    assert!(fixture.certificate(id).await.is_err(), "nothing is certified");
    fixture.asked();

    fixture.world.clock.advance(Duration::from_secs(1));
    fixture.run(id).await;
    assert_eq!(fixture.asked(), ["search.purge", "search.verify_absent"]);
    fixture.world.clock.advance(Duration::from_secs(2));
    fixture.run(id).await;
    assert_eq!(fixture.asked(), ["search.purge", "search.verify_absent"]);
    assert_eq!(fixture.get(id).await.state(), ErasureState::Certified);
}

#[tokio::test]
async fn what_comes_back_later_is_purged_before_the_second_certificate() {
    let fixture = Fixture::new().await;
    let (id, _) = fixture.confirmed().await;
    fixture.run(id).await;
    fixture.world.clock.advance(Duration::from_secs(86400));
    fixture.fake("messaging").part().finds = 1;
    fixture.asked();
    fixture.run(id).await;
    assert_eq!(fixture.get(id).await.state(), ErasureState::Certified);
    fixture.asked();
    fixture.world.clock.advance(Duration::from_secs(1));
    assert_eq!(fixture.run(id).await.last().unwrap(), "rests");
    assert_eq!(fixture.asked(), ["messaging.purge", "messaging.verify_absent"]);
    let certificate = fixture.certificate(id).await.unwrap();
    assert_eq!(verify(&certificate.envelope, &fixture.keys_document()).unwrap().sequence, 2);
}

#[tokio::test]
async fn an_answer_that_cannot_be_is_not_believed() {
    let fixture = Fixture::new().await;
    let (id, _) = fixture.confirmed().await;
    fixture.fake("search").part().digest = vec![7; 31];
    let story = fixture.run(id).await;
    assert!(story.contains(&"fence search waits for ANSWER_MALFORMED".to_owned()), "{story:?}");
    fixture.fake("search").part().digest = vec![7; 32];

    // Verified: nothing; less than the census has; free text.
    let free = lethe_proto::erasure::Finding { code: "Anna Meier is gone".to_owned(), ..finding(3, 0) };
    for (findings, code) in [
        (vec![], "ANSWER_INCOMPLETE"),
        (vec![finding(2, 0)], "ANSWER_INCOMPLETE"),
        (vec![free], "ANSWER_MALFORMED"),
    ] {
        fixture.fake("identity").part().findings = Some(findings);
        fixture.world.clock.advance(Duration::from_secs(60));
        let story = fixture.run(id).await;
        assert!(story.contains(&format!("verify identity waits for {code}")), "{story:?}");
    }
    fixture.fake("identity").part().findings = None;
    fixture.world.clock.advance(Duration::from_secs(60));
    fixture.run(id).await;
    assert_eq!(fixture.get(id).await.state(), ErasureState::Certified);
}

#[tokio::test]
async fn the_ledgers_entry_is_durable_when_the_first_is_purged() {
    let fixture = Fixture::new().await;
    let folder = fixture.ledger_folder();
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    for fake in fixture.fakes.values() {
        let (folder, seen) = (folder.clone(), seen.clone());
        fake.part().hook = Some(Arc::new(move |rpc, scope| {
            let entry = entry_of(&folder.join("v1").join(&scope.tenant_id), &scope.erasure_id);
            seen.lock().unwrap().push((rpc.to_owned(), entry));
        }));
    }
    let (id, contact) = fixture.confirmed().await;
    fixture.run(id).await;
    let seen = seen.lock().unwrap();
    for (rpc, entry) in seen.iter() {
        assert_eq!(entry.is_some(), !matches!(rpc.as_str(), "count" | "fence"), "at {rpc}");
    }
    assert_eq!(seen.iter().filter(|(rpc, _)| rpc == "purge").count(), 3);
    let entry = seen.last().unwrap().1.clone().unwrap();
    assert!(entry.contains(&contact.to_string()), "a restore finds whom to erase again: {entry}");
    assert!(entry.contains(&"07".repeat(32)), "and the digests of the censuses");
}

fn entry_of(folder: &Path, erasure: &str) -> Option<String> {
    let files = std::fs::read_dir(folder).ok()?;
    let texts = files.filter_map(|file| std::fs::read_to_string(file.ok()?.path()).ok());
    texts.into_iter().find(|text| text.contains(erasure))
}

#[tokio::test]
async fn without_a_ledger_nothing_is_purged() {
    let fixture = Fixture::new().await;
    let (id, _) = fixture.confirmed().await;
    // A file where the folder of the tenant's chain must be.
    let folder = fixture.ledger_folder().join("v1");
    std::fs::create_dir_all(&folder).unwrap();
    let blocked = folder.join(fixture.tenant.to_string());
    std::fs::write(&blocked, "in the way").unwrap();
    let story = fixture.run(id).await;
    assert!(story.contains(&"ledger waits for LEDGER_UNAVAILABLE".to_owned()), "{story:?}");
    let own = participant(&fixture, id, "retention").await;
    assert_eq!(own.waits_for, "LEDGER_UNAVAILABLE", "the saga's own trouble is retention's");
    assert!(fixture.asked().iter().all(|call| call.ends_with(".fence")));
    std::fs::remove_file(blocked).unwrap();
    fixture.world.clock.advance(Duration::from_secs(1));
    fixture.run(id).await;
    assert_eq!(fixture.get(id).await.state(), ErasureState::Certified);
}

#[tokio::test]
async fn all_participants_get_one_key_and_no_two_erasures_the_same() {
    let fixture = Fixture::new().await;
    let (first, _) = fixture.confirmed().await;
    fixture.run(first).await;
    let keys = std::mem::take(&mut fixture.fake("search").part().census_keys);
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| key == &keys[0] && key.len() == 32));
    assert_eq!(fixture.fake("identity").part().census_keys[0], keys[0]);
    let (second, _) = fixture.confirmed().await;
    fixture.run(second).await;
    assert_ne!(fixture.fake("search").part().census_keys[0], keys[0]);
}
