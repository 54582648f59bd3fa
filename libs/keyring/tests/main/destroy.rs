//! A destroyed secret opens nothing, nowhere, and never comes back.

use futures::future::join;
use lethe_ids::ErasureId;
use lethe_keyring::{AddressKind, Destroyed, KeyError, Purpose, Remains};
use uuid::Uuid;

use crate::world::{CAUSE, OTHER, TENANT, World, subject, unit};

const RECORD: Uuid = Uuid::from_u128(0x4444);

#[tokio::test]
async fn a_destroyed_subject_opens_nothing_in_any_process() {
    let world = World::new().await;
    let (one, two) = (world.keyring().await, world.keyring().await);
    one.create(TENANT, Some(subject(1)), &[unit(1), unit(2)], subject(1)).await.unwrap();
    one.create(TENANT, Some(subject(2)), &[unit(3)], subject(2)).await.unwrap();
    one.add_addresses(TENANT, subject(1), &[(AddressKind::Email, "ada@example.org")]).await.unwrap();
    two.sealer(TENANT, subject(1), unit(1)).await.unwrap();
    let kept = one.sealer(TENANT, subject(2), unit(3)).await.unwrap();
    let sealed = kept.seal(Purpose::MessageText, RECORD, 1, b"stays");
    assert_eq!(
        one.verify_destroyed(TENANT, &[subject(1)], &[unit(1), unit(2)]).await.unwrap(),
        Remains { secrets: 3, without_tombstone: 3, blind_index_rows: 1 }
    );

    let gone = one.destroy(TENANT, &[subject(1)], &[unit(1)], CAUSE).await.unwrap();
    assert_eq!(gone, Destroyed { subjects: 1, units: 2, blind_index_rows: 1, tombstones: 2 });
    assert!(one.verify_destroyed(TENANT, &[subject(1)], &[unit(1), unit(2)]).await.unwrap().is_absent());
    assert!(matches!(one.sealer(TENANT, subject(1), unit(1)).await, Err(KeyError::Destroyed)));
    // The other process has it in memory until the fence says so, or for minutes.
    two.evict(TENANT, &[subject(1)]);
    assert!(matches!(two.sealer(TENANT, subject(1), unit(1)).await, Err(KeyError::Destroyed)));
    assert!(matches!(two.sealer(TENANT, subject(1), unit(2)).await, Err(KeyError::Destroyed)));
    let fresh = world.keyring().await;
    assert!(matches!(fresh.sealer(TENANT, subject(1), unit(1)).await, Err(KeyError::Destroyed)));
    let sealer = fresh.sealer(TENANT, subject(2), unit(3)).await.unwrap();
    assert_eq!(sealer.open(Purpose::MessageText, RECORD, 1, &sealed).unwrap().as_slice(), b"stays");

    // Twice is as once.
    let again = one.destroy(TENANT, &[subject(1)], &[unit(1)], CAUSE).await.unwrap();
    assert_eq!(again, Destroyed { subjects: 0, units: 0, blind_index_rows: 0, tombstones: 2 });
}

#[tokio::test]
async fn a_key_in_another_process_ends_by_itself_within_minutes() {
    let world = World::new().await;
    let (one, two) = (world.keyring().await, world.keyring().await);
    one.create(TENANT, Some(subject(1)), &[unit(1)], subject(1)).await.unwrap();
    two.sealer(TENANT, subject(1), unit(1)).await.unwrap();
    one.destroy(TENANT, &[subject(1)], &[], CAUSE).await.unwrap();
    world.pass(299);
    two.sealer(TENANT, subject(1), unit(1)).await.unwrap();
    world.pass(1);
    assert!(matches!(two.sealer(TENANT, subject(1), unit(1)).await, Err(KeyError::Destroyed)));
}

#[tokio::test]
async fn a_destroyed_unit_ends_alone() {
    let world = World::new().await;
    let keyring = world.keyring().await;
    keyring.create(TENANT, Some(subject(1)), &[unit(1), unit(2)], subject(1)).await.unwrap();
    let gone = keyring.destroy(TENANT, &[], &[unit(1)], CAUSE).await.unwrap();
    assert_eq!(gone, Destroyed { subjects: 0, units: 1, blind_index_rows: 0, tombstones: 1 });
    assert!(matches!(keyring.sealer(TENANT, subject(1), unit(1)).await, Err(KeyError::Destroyed)));
    keyring.sealer(TENANT, subject(1), unit(2)).await.unwrap();
    // A subject's id among the units destroys no subject.
    let as_unit = lethe_ids::UnitId::new(subject(1).uuid());
    let gone = keyring.destroy(TENANT, &[], &[as_unit], CAUSE).await.unwrap();
    assert_eq!(gone, Destroyed::default());
    keyring.evict(TENANT, &[subject(1)]);
    keyring.sealer(TENANT, subject(1), unit(2)).await.unwrap();
}

#[tokio::test]
async fn a_tombstoned_id_never_comes_back() {
    let world = World::new().await;
    let keyring = world.keyring().await;
    keyring.create(TENANT, Some(subject(1)), &[unit(1)], subject(1)).await.unwrap();
    // Ids nobody has used yet are barred as well: a writer may be on its way.
    keyring.destroy(TENANT, &[subject(1), subject(2)], &[unit(5)], CAUSE).await.unwrap();
    for outcome in [
        keyring.create(TENANT, Some(subject(1)), &[], subject(1)).await,
        keyring.create(TENANT, Some(subject(2)), &[], subject(2)).await,
        keyring.create(TENANT, None, &[unit(8)], subject(1)).await,
        keyring.create(TENANT, None, &[unit(8)], subject(2)).await,
        keyring.add_addresses(TENANT, subject(1), &[(AddressKind::Phone, "+4930901820")]).await.map(drop),
        keyring.settle_addresses(TENANT, subject(2), &[(AddressKind::Phone, "+4930901820")], None).await,
    ] {
        assert!(matches!(outcome, Err(KeyError::Destroyed)), "{outcome:?}");
    }
    keyring.create(TENANT, Some(subject(3)), &[], subject(3)).await.unwrap();
    for taken in [unit(1), unit(5)] {
        let outcome = keyring.create(TENANT, None, &[taken], subject(3)).await;
        assert!(matches!(outcome, Err(KeyError::Destroyed)), "{outcome:?}");
    }
    // Not even by hand, and no service can take a tombstone away.
    let mut superuser = world.superuser().await;
    let by_hand = sqlx::query(
        "insert into secrets (tenant_id, secret_id, kind, subject_id, epoch, wrapped, created_at)
         select t.tenant_id, t.secret_id, 1, t.secret_id, 1, s.wrapped, now() from tombstones t, secrets s
         where t.kind = 1",
    )
    .execute(&mut superuser)
    .await;
    assert_eq!(by_hand.unwrap_err().as_database_error().unwrap().code().as_deref(), Some("LK001"));
    let database = lethe_service::Database::connect("messaging", &world.keystore).await.unwrap();
    for statement in ["delete from tombstones", "update tombstones set secret_id = tenant_id"] {
        let mut tx = database.tenant(TENANT).await.unwrap();
        assert!(sqlx::query(statement).execute(&mut *tx).await.is_err(), "{statement}");
    }
    // In another tenant the id means nothing.
    keyring.create(OTHER, Some(subject(1)), &[unit(1)], subject(1)).await.unwrap();
}

#[tokio::test]
async fn creating_and_destroying_at_once_leaves_no_living_secret() {
    let world = World::new().await;
    let (one, two) = (world.keyring().await, world.keyring().await);
    for number in 1..=40 {
        let (made, gone) = join(
            one.create(TENANT, Some(subject(number)), &[unit(number)], subject(number)),
            two.destroy(TENANT, &[subject(number)], &[unit(number)], CAUSE),
        )
        .await;
        gone.unwrap();
        assert!(matches!(made, Ok(()) | Err(KeyError::Destroyed)), "{made:?}");
        let outcome = two.sealer(TENANT, subject(number), unit(number)).await;
        assert!(matches!(outcome, Err(KeyError::Destroyed)), "{outcome:?}");
    }
    assert_eq!(world.count("select count(*) from secrets").await, 0);
}

#[tokio::test]
async fn the_verifier_sees_what_the_destroyer_left() {
    let world = World::new().await;
    let keyring = world.keyring().await;
    keyring.create(TENANT, Some(subject(1)), &[unit(1)], subject(1)).await.unwrap();
    keyring.add_addresses(TENANT, subject(1), &[(AddressKind::Phone, "+4930901820")]).await.unwrap();
    // A destroyer that forgets: tombstones without deletion.
    world
        .sql("insert into tombstones select tenant_id, secret_id, kind, secret_id, created_at from secrets")
        .await;
    assert_eq!(
        keyring.verify_destroyed(TENANT, &[subject(1)], &[]).await.unwrap(),
        Remains { secrets: 2, without_tombstone: 0, blind_index_rows: 1 }
    );
    // It sees every tenant's rows and counts only this one's.
    assert_eq!(keyring.verify_destroyed(OTHER, &[subject(1)], &[]).await.unwrap().secrets, 0);
    // And another erasure's tombstone is as good.
    let other = ErasureId::new(Uuid::from_u128(1));
    keyring.destroy(TENANT, &[subject(1)], &[], other).await.unwrap();
    assert!(keyring.verify_destroyed(TENANT, &[subject(1)], &[unit(1)]).await.unwrap().is_absent());
}
