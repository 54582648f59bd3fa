//! The saga in pieces: killed after each step, killed between each step's effect and its record, and shared by processes.

use std::{sync::Arc, time::Duration};

use lethe_proto::retention::ErasureState;
use lethe_retention::{
    certificate::verify,
    saga::{Advanced, Saga},
};
use tokio::sync::Semaphore;

use crate::fixture::{Fixture, tell};

/// What a new process has: nothing but the stores.
async fn new_process(fixture: &Fixture) -> Saga {
    lethe_retention::saga(&fixture.config, &fixture.env).await.unwrap()
}

#[tokio::test]
async fn killed_after_each_step_it_goes_on_with_the_next() {
    let fixture = Fixture::new().await;
    let (id, _) = fixture.confirmed().await;
    let lease_time = fixture.config.advance_erasures.lease();
    let mut story = Vec::new();
    loop {
        // Each process claims, does one thing and dies with its claim.
        let saga = new_process(&fixture).await;
        let Some(lease) = saga.claim(fixture.tenant, id).await.unwrap() else {
            panic!("it is stuck after {story:?}");
        };
        let advanced = saga.advance(lease).await.unwrap();
        story.push(tell(&advanced));
        saga.db.close().await;
        match advanced {
            Advanced::Rests => break,
            Advanced::Waits(at) => {
                let wait = at - fixture.world.clock.now();
                fixture.world.clock.advance(wait.try_into().unwrap());
            }
            _ => {
                assert!(
                    fixture.saga.claim(fixture.tenant, id).await.unwrap().is_none(),
                    "the dead still hold it"
                );
                fixture.world.clock.advance(lease_time);
            }
        }
        assert!(story.len() < 100, "{story:?}");
    }
    assert_eq!(story.iter().filter(|line| line.starts_with("did")).count(), 21, "{story:?}");
    assert_eq!(fixture.get(id).await.state(), ErasureState::ReVerified);
    let asked = fixture.asked();
    assert_eq!(
        asked.len(),
        12,
        "each participant fenced, purged, verified and verified again, once: {asked:?}"
    );
    let certificate = fixture.certificate(id).await.unwrap();
    assert_eq!(verify(&certificate.envelope, &fixture.keys_document()).unwrap().sequence, 2);
}

#[tokio::test]
async fn killed_before_each_record_every_step_is_done_twice_and_the_end_is_the_same() {
    let fixture = Fixture::new().await;
    let (id, contact) = fixture.confirmed().await;
    // The first time that a step is to be recorded as done, its transaction fails. Sequences survive that.
    sqlx::raw_sql(
        r#"
        create function die_once() returns trigger language plpgsql security definer as $$
        declare name text := format('die_%s_%s', new.step, abs(new.position));
        begin
          if new.done_at is not null and old.done_at is null then
            if nextval(name::regclass) = 1 then raise exception 'killed'; end if;
          end if;
          return new;
        end $$;
        create trigger die_once before update on erasure_steps for each row execute function die_once();
        do $$ declare step text; begin
          for step in select unnest(array['census_key','fence','ledger','purge','verify','certify','re_verify',
                                          'destroy_census_key','re_certify']) loop
            for i in 0..3 loop execute format('create sequence die_%s_%s', step, i); end loop;
          end loop;
        end $$;
        "#,
    )
    .execute(&mut fixture.superuser().await)
    .await
    .unwrap();

    let (mut deaths, mut done) = (0, 0);
    loop {
        let saga = new_process(&fixture).await;
        let lease = saga.claim(fixture.tenant, id).await.unwrap().expect("due");
        match saga.advance(lease).await {
            Err(_) => deaths += 1,
            Ok(Advanced::Did(..)) => done += 1,
            Ok(Advanced::Rests) => break,
            Ok(Advanced::Waits(at)) => {
                fixture.world.clock.advance((at - fixture.world.clock.now()).try_into().unwrap());
                continue;
            }
            Ok(Advanced::Entered(_)) => {}
            Ok(other) => panic!("{other:?}"),
        }
        assert!(deaths + done < 100);
        fixture.world.clock.advance(fixture.config.advance_erasures.lease());
        saga.db.close().await;
    }
    assert_eq!((deaths, done), (21, 21));
    let asked = fixture.asked();
    assert_eq!(asked.iter().filter(|line| *line == "search.purge").count(), 2);
    let chain = fixture.saga.ledger.replay(fixture.tenant).await.unwrap();
    assert_eq!(chain.len(), 1, "one entry, written once");

    let answer = fixture.certificate(id).await.unwrap();
    let statement = verify(&answer.envelope, &fixture.keys_document()).unwrap();
    assert_eq!(statement.sequence, 2);
    assert!(statement.is_about(&crate::journey::base64_nonce(&answer.subject_nonce), contact));
    assert_eq!(statement.ledger, chain[0].reference);
    let certificates: i64 = sqlx::query_scalar("select count(*) from certificates")
        .fetch_one(&mut fixture.superuser().await)
        .await
        .unwrap();
    assert_eq!(certificates, 2);
}

#[tokio::test]
async fn one_of_many_processes_has_it() {
    let fixture = Fixture::new().await;
    let (id, _) = fixture.confirmed().await;
    let claims = futures::future::join_all((0..8).map(|_| fixture.saga.claim(fixture.tenant, id))).await;
    let mut leases = claims.into_iter().filter_map(Result::unwrap);
    let (old, None) = (leases.next().unwrap(), leases.next()) else { panic!("two have it") };

    // It sleeps past its lease; another takes over, and what the sleeper does then changes nothing.
    fixture.world.clock.advance(fixture.config.advance_erasures.lease());
    let new = fixture.claim(id).await;
    assert_eq!(fixture.advance(old).await, Advanced::Lost);
    assert!(matches!(fixture.advance(new).await, Advanced::Did(..)));
    fixture.saga.release(old, None).await.unwrap();
    assert!(matches!(fixture.advance(new).await, Advanced::Did(..)), "the sleeper gave nothing back");
}

/// While messaging is being fenced, another process takes over; then messaging may answer so often.
async fn lose_the_claim(fixture: &Fixture, answers: usize) -> (Advanced, i64) {
    let (id, _) = fixture.confirmed().await;
    let lease = fixture.claim(id).await;
    fixture.advance(lease).await;
    let (asked, mut was_asked) = tokio::sync::mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    {
        let mut part = fixture.fake("messaging").part();
        part.gate = Some(gate.clone());
        part.hook = Some(Arc::new(move |_, _| {
            let _ = asked.send(());
        }));
    }
    let mut step = Box::pin(fixture.saga.advance(lease));
    tokio::select! {
        _ = &mut step => panic!("messaging does not answer"),
        _ = was_asked.recv() => {}
    }
    let mut db = fixture.superuser().await;
    sqlx::query("update erasures set lease_token = lease_token + 1").execute(&mut db).await.unwrap();
    gate.add_permits(answers);
    let advanced = step.await.unwrap();
    let done = sqlx::query_scalar("select count(*) from erasure_steps where done_at is not null")
        .fetch_one(&mut db)
        .await
        .unwrap();
    (advanced, done)
}

#[tokio::test]
async fn an_answer_that_comes_after_the_claim_was_lost_is_not_recorded() {
    let fixture = Fixture::new().await;
    assert_eq!(lose_the_claim(&fixture, 1).await, (Advanced::Lost, 1), "the census key alone is done");
}

#[tokio::test]
async fn a_step_whose_claim_was_lost_is_given_up_before_it_is_answered() {
    let fixture = Fixture::with(&[("ADVANCE_ERASURES__LEASE_MS", "1000")]).await;
    assert_eq!(lose_the_claim(&fixture, 0).await, (Advanced::Lost, 1));
}

#[tokio::test]
async fn the_job_finds_what_is_due_and_ends_when_it_is_asked() {
    let fixture = Fixture::new().await;
    let due = Arc::new(tokio::sync::Notify::new());
    let jobs = lethe_retention::jobs::advance_erasures(&fixture.saga, &fixture.world.tasks, &due);
    assert_eq!(jobs.len(), 4);
    for job in jobs {
        fixture.world.tasks.spawn(job.name, job.run);
    }
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(fixture.confirmed().await.0);
    }
    due.notify_waiters();
    let all_certified = async {
        for id in &ids {
            while fixture.get(*id).await.state() != ErasureState::Certified {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all_certified).await.expect("the job moves them all");
    fixture.world.stop().await;
}
