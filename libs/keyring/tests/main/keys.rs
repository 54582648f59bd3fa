//! Secrets in the keystore: made once, had again by any process of the service, through outages and not for ever.

use std::sync::atomic::Ordering;

use futures::future::join_all;
use lethe_keyring::{KeyError, Kms as _, Purpose};
use uuid::Uuid;

use crate::world::{OTHER, TENANT, World, subject, unit};

const RECORD: Uuid = Uuid::from_u128(0x4444);

#[tokio::test]
async fn what_one_process_seals_another_opens() {
    let world = World::new().await;
    let (one, two) = (world.keyring().await, world.keyring().await);
    one.create(TENANT, Some(subject(1)), &[unit(1), unit(2)], subject(1)).await.unwrap();
    one.create(TENANT, None, &[unit(3)], subject(1)).await.unwrap();
    for number in 1..=3 {
        let sealer = one.sealer(TENANT, subject(1), unit(number)).await.unwrap();
        let sealed = sealer.seal(Purpose::MessageText, RECORD, 1, b"hello");
        let sealer = two.sealer(TENANT, subject(1), unit(number)).await.unwrap();
        assert_eq!(sealer.open(Purpose::MessageText, RECORD, 1, &sealed).unwrap().as_slice(), b"hello");
        let next = one.sealer(TENANT, subject(1), unit(number % 3 + 1)).await.unwrap();
        assert!(next.open(Purpose::MessageText, RECORD, 1, &sealed).is_err());
    }
}

#[tokio::test]
async fn a_secret_is_made_once_and_before_it_is_used() {
    let world = World::new().await;
    let keyring = world.keyring().await;
    assert!(matches!(keyring.sealer(TENANT, subject(1), unit(1)).await, Err(KeyError::Missing)));
    assert!(matches!(keyring.create(TENANT, None, &[unit(1)], subject(1)).await, Err(KeyError::Missing)));
    keyring.create(TENANT, Some(subject(1)), &[unit(1)], subject(1)).await.unwrap();
    let twice = keyring.create(TENANT, Some(subject(1)), &[unit(9)], subject(1)).await;
    assert!(matches!(twice, Err(KeyError::AlreadyExists)));
    // All or none.
    assert!(matches!(keyring.sealer(TENANT, subject(1), unit(9)).await, Err(KeyError::Missing)));
    let twice = keyring.create(TENANT, None, &[unit(2), unit(1)], subject(1)).await;
    assert!(matches!(twice, Err(KeyError::AlreadyExists)));
    assert_eq!(world.count("select count(*) from secrets").await, 2);
    keyring.create(TENANT, None, &[], subject(1)).await.unwrap();
}

#[tokio::test]
async fn a_unit_opens_with_its_own_subject_and_tenant_only() {
    let world = World::new().await;
    let keyring = world.keyring().await;
    keyring.create(TENANT, Some(subject(1)), &[unit(1)], subject(1)).await.unwrap();
    keyring.create(TENANT, Some(subject(2)), &[unit(2)], subject(2)).await.unwrap();
    assert!(matches!(keyring.sealer(TENANT, subject(2), unit(1)).await, Err(KeyError::Missing)));
    assert!(matches!(keyring.sealer(OTHER, subject(1), unit(1)).await, Err(KeyError::Missing)));
    // Foreign ids are free to the other tenant, and are other secrets there.
    keyring.create(OTHER, Some(subject(1)), &[unit(1)], subject(1)).await.unwrap();
    let ours = keyring.sealer(TENANT, subject(1), unit(1)).await.unwrap();
    let theirs = keyring.sealer(OTHER, subject(1), unit(1)).await.unwrap();
    let sealed = ours.seal(Purpose::MessageText, RECORD, 1, b"hello");
    assert!(theirs.open(Purpose::MessageText, RECORD, 1, &sealed).is_err());
}

#[tokio::test]
async fn many_are_had_in_their_order() {
    let world = World::new().await;
    let maker = world.keyring().await;
    for number in 1..=40 {
        maker.create(TENANT, Some(subject(number)), &[unit(number)], subject(number)).await.unwrap();
    }
    maker.destroy(TENANT, &[subject(3)], &[], crate::world::CAUSE).await.unwrap();
    let reader = world.keyring().await;
    reader.sealer(TENANT, subject(5), unit(5)).await.unwrap();
    let mut wanted: Vec<_> = (1..=41).map(|number| (subject(number), unit(number))).collect();
    wanted.push((subject(1), unit(1)));
    let got = reader.sealers(TENANT, &wanted).await;
    assert_eq!(got.len(), wanted.len());
    for (pair, sealer) in wanted.iter().zip(got) {
        match sealer {
            Ok(sealer) => assert_eq!((sealer.subject(), sealer.unit()), *pair),
            Err(KeyError::Destroyed) => assert_eq!(pair.0, subject(3)),
            Err(KeyError::Missing) => assert_eq!(pair.0, subject(41)),
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn an_outage_of_the_key_service_is_ridden_out_and_then_fails_closed() {
    let world = World::new().await;
    let keyring = world.keyring().await;
    keyring.create(TENANT, Some(subject(1)), &[unit(1)], subject(1)).await.unwrap();
    keyring.create(TENANT, Some(subject(2)), &[unit(2)], subject(2)).await.unwrap();
    for broken in [1, 2] {
        world.pass(301);
        keyring.sealer(TENANT, subject(1), unit(1)).await.unwrap();
        world.kms.answers(broken);
        // Past the cache's time, within the outage's: read from the keystore, under the tenant key in memory.
        world.pass(600);
        keyring.sealer(TENANT, subject(1), unit(1)).await.unwrap();
        keyring.sealer(TENANT, subject(2), unit(2)).await.unwrap();
        world.pass(301);
        assert!(matches!(keyring.sealer(TENANT, subject(1), unit(1)).await, Err(KeyError::Unavailable(_))));
        let refused = keyring.create(TENANT, Some(subject(3)), &[], subject(3)).await;
        assert!(matches!(refused, Err(KeyError::Unavailable(_))));
        world.kms.answers(0);
        keyring.sealer(TENANT, subject(1), unit(1)).await.unwrap();
    }
}

#[tokio::test]
async fn a_key_service_that_hangs_is_waited_for_by_one_and_asked_again_by_one() {
    let world = World::new().await;
    let keyring = world.keyring().await;
    keyring.create(TENANT, Some(subject(1)), &[unit(1)], subject(1)).await.unwrap();
    world.pass(301);
    world.kms.answers(3);
    let before = world.kms.unwraps.load(Ordering::SeqCst);
    for second in 1..=3 {
        keyring.evict(TENANT, &[subject(1)]);
        let began = std::time::Instant::now();
        let many = join_all((0..200).map(|_| keyring.sealer(TENANT, subject(1), unit(1)))).await;
        assert!(many.into_iter().all(|sealer| sealer.is_ok()));
        assert!(began.elapsed().as_secs() < 5, "nobody waits for what does not come: {:?}", began.elapsed());
        assert_eq!(world.kms.unwraps.load(Ordering::SeqCst) - before, second, "one asks");
        world.pass(1);
    }
    // Where there is no key to go on with, whoever waits is told so, together.
    world.pass(601);
    let began = std::time::Instant::now();
    let many = join_all((0..200).map(|_| keyring.create(TENANT, Some(subject(2)), &[], subject(2)))).await;
    let reason = |error: &KeyError| lethe_service::Failure::from(error.clone()).reason;
    for refused in many {
        assert_eq!(reason(&refused.unwrap_err()), "KEY_SERVICE_UNAVAILABLE");
    }
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    world.kms.answers(0);
    keyring.create(TENANT, Some(subject(2)), &[], subject(2)).await.unwrap();
}

#[tokio::test]
async fn rubbish_from_the_key_service_is_no_answer_and_seals_nothing() {
    let world = World::new().await;
    let keyring = world.keyring().await;
    keyring.create(TENANT, Some(subject(1)), &[unit(1)], subject(1)).await.unwrap();
    let sealed = keyring.sealer(TENANT, subject(1), unit(1)).await.unwrap().seal(
        Purpose::ContactProfile,
        RECORD,
        1,
        b"text",
    );
    for (n, rubbish) in [(2, 4), (3, 5)] {
        world.pass(301);
        world.kms.answers(rubbish);
        // Under the key that was there before: another process, to which the key service speaks well, opens it.
        keyring.create(TENANT, Some(subject(n)), &[unit(n)], subject(n)).await.unwrap();
        keyring.sealer(TENANT, subject(1), unit(1)).await.unwrap();
        world.kms.answers(0);
        let other = world.keyring().await;
        other.sealer(TENANT, subject(n), unit(n)).await.unwrap();
        world.pass(1);
    }
    // A tenant who is new gets no key that does not open.
    world.kms.answers(4);
    let refused = keyring.create(OTHER, Some(subject(9)), &[], subject(9)).await;
    assert!(matches!(refused, Err(KeyError::Unavailable(_))));
    assert_eq!(world.count("select count(*) from tenant_keys").await, 1);
    world.kms.answers(0);
    keyring.create(OTHER, Some(subject(9)), &[], subject(9)).await.unwrap();
    let opened = keyring.sealer(TENANT, subject(1), unit(1)).await.unwrap();
    assert_eq!(opened.open(Purpose::ContactProfile, RECORD, 1, &sealed).unwrap().as_slice(), b"text");
}

#[tokio::test]
async fn readiness_says_that_the_key_service_is_missing() {
    let world = World::new().await;
    let keyring = world.keyring().await;
    let missing = async || {
        let mut names = Vec::new();
        for probe in keyring.probes() {
            if (probe.check)().await.is_err() {
                names.push(probe.name);
            }
        }
        names
    };
    assert!(missing().await.is_empty());
    for broken in [1, 2, 3] {
        world.kms.answers(broken);
        assert_eq!(missing().await, ["kms"]);
    }
    world.kms.answers(0);
    let key: String = sqlx::query_scalar("select kms_key from epochs")
        .fetch_one(&mut world.superuser().await)
        .await
        .unwrap();
    world.kms.disable(&key).await.unwrap();
    assert_eq!(missing().await, ["kms"]);
    world.kms.enable(&key).await.unwrap();
    assert!(missing().await.is_empty());
}

#[tokio::test]
async fn a_refusal_of_the_key_service_counts_within_minutes() {
    let world = World::new().await;
    let keyring = world.keyring().await;
    keyring.create(TENANT, Some(subject(1)), &[unit(1)], subject(1)).await.unwrap();
    let key: String = sqlx::query_scalar("select kms_key from epochs")
        .fetch_one(&mut world.superuser().await)
        .await
        .unwrap();
    world.kms.disable(&key).await.unwrap();
    keyring.sealer(TENANT, subject(1), unit(1)).await.unwrap();
    world.pass(301);
    assert!(matches!(keyring.sealer(TENANT, subject(1), unit(1)).await, Err(KeyError::Refused(_))));
    world.kms.enable(&key).await.unwrap();
    keyring.sealer(TENANT, subject(1), unit(1)).await.unwrap();
}

#[tokio::test]
async fn a_keystore_that_is_away_is_not_a_missing_key() {
    let world = World::new().await;
    let keyring = world.keyring().await;
    keyring.create(TENANT, Some(subject(1)), &[unit(1)], subject(1)).await.unwrap();
    world.sql("alter table secrets rename to secrets_away").await;
    // In memory still.
    keyring.sealer(TENANT, subject(1), unit(1)).await.unwrap();
    keyring.evict(TENANT, &[subject(1)]);
    assert!(matches!(keyring.sealer(TENANT, subject(1), unit(1)).await, Err(KeyError::Unavailable(_))));
}

#[tokio::test]
async fn a_damaged_or_exchanged_wrap_is_refused() {
    let world = World::new().await;
    let keyring = world.keyring().await;
    for number in 1..=2 {
        keyring.create(TENANT, Some(subject(number)), &[unit(number)], subject(number)).await.unwrap();
    }
    // Two rows' wraps exchanged: each names its id.
    world
        .sql(
            "update secrets a set wrapped = b.wrapped from secrets b
             where a.kind = 2 and b.kind = 2 and a.secret_id <> b.secret_id",
        )
        .await;
    let keyring = world.keyring().await;
    assert!(matches!(keyring.sealer(TENANT, subject(1), unit(1)).await, Err(KeyError::Damaged)));
    world
        .sql("update secrets set wrapped = set_byte(wrapped, 100, get_byte(wrapped, 100) # 1) where kind = 1")
        .await;
    assert!(matches!(keyring.sealer(TENANT, subject(2), unit(2)).await, Err(KeyError::Damaged)));
}

#[tokio::test]
async fn a_first_use_by_many_at_once_makes_one_tenant_key() {
    let world = World::new().await;
    let rings = join_all((0..8).map(|_| world.keyring())).await;
    let made = join_all(rings.iter().enumerate().map(|(at, ring)| async move {
        let number = at as u128 + 1;
        ring.create(TENANT, Some(subject(number)), &[unit(number)], subject(number)).await
    }))
    .await;
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    assert_eq!(world.count("select count(*) from tenant_keys").await, 1);
    for (ring, number) in rings.iter().zip((1..=8).rev()) {
        ring.sealer(TENANT, subject(number), unit(number)).await.unwrap();
    }
}

#[tokio::test]
async fn one_secret_wanted_by_many_at_once_is_made_by_one() {
    let world = World::new().await;
    let keyring = world.keyring().await;
    let units = [unit(1)];
    let made = join_all((0..8).map(|_| keyring.create(TENANT, Some(subject(1)), &units, subject(1)))).await;
    assert_eq!(made.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(made.iter().filter(|outcome| matches!(outcome, Err(KeyError::AlreadyExists))).count(), 7);
}

#[tokio::test]
async fn no_role_sees_another_tenants_rows() {
    let world = World::new().await;
    let keyring = world.keyring().await;
    keyring.create(TENANT, Some(subject(1)), &[unit(1)], subject(1)).await.unwrap();
    // Every table that has tenants, forced.
    let bare = world
        .count(
            "select count(*) from pg_class c join pg_attribute a on a.attrelid = c.oid
             where c.relkind = 'r' and a.attname = 'tenant_id' and not (c.relrowsecurity and c.relforcerowsecurity)",
        )
        .await;
    assert_eq!(bare, 0);
    let tables = world
        .count("select count(*) from pg_class c join pg_attribute a on a.attrelid = c.oid where c.relkind = 'r' and a.attname = 'tenant_id'")
        .await;
    assert_eq!(tables, 5);
    let database = lethe_service::Database::connect("messaging", &world.keystore).await.unwrap();
    let mut theirs = database.tenant(OTHER).await.unwrap();
    let seen: i64 = sqlx::query_scalar("select count(*) from secrets").fetch_one(&mut *theirs).await.unwrap();
    assert_eq!(seen, 0);
    let foreign = sqlx::query(
        "insert into tombstones select tenant_id, secret_id, kind, secret_id, created_at from secrets
         union all select $1, $2, 1, $2, now()",
    )
    .bind(TENANT.uuid())
    .bind(subject(1).uuid())
    .execute(&mut *theirs)
    .await;
    assert!(foreign.is_err());
    // The jobs role finds ids, never wraps.
    assert!(sqlx::query("select wrapped from secrets").fetch_all(database.jobs()).await.is_err());
}

#[tokio::test]
async fn however_many_wait_for_a_cold_tenants_keys_they_are_fetched_once() {
    let world = World::new().await;
    let warm = world.keyring().await;
    warm.create(TENANT, Some(subject(1)), &[], subject(1)).await.unwrap();
    warm.blind(TENANT).await.unwrap();
    let cold = world.keyring().await;
    world.kms.unwraps.store(0, Ordering::SeqCst);
    let lists = join_all((0..40).map(|_| cold.blind(TENANT))).await;
    assert!(lists.iter().all(Result::is_ok));
    assert_eq!(world.kms.unwraps.load(Ordering::SeqCst), 1);
    // An outage is one outage for all who wait, and over when it is over.
    let cold = world.keyring().await;
    world.kms.answers(1);
    let lists = join_all((0..40).map(|_| cold.blind(TENANT))).await;
    assert!(lists.iter().all(|list| matches!(list, Err(KeyError::Unavailable(_)))));
    world.kms.answers(0);
    cold.blind(TENANT).await.unwrap();
}
