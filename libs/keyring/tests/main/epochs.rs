//! The life of an epoch, as far as it goes before rotation: one is made, all agree on it, a closed one takes no wraps.

use std::fs;

use futures::future::join_all;
use lethe_ambient::Entropy;
use lethe_keyring::{EncryptionContext, KeyError, KeyState, Keyring, Kms as _, KmsConfig, migrations};
use lethe_testkit::{Databases, every_statement_fits};
use time::Duration;

use crate::world::{NOW, TENANT, World, subject, unit};

#[tokio::test]
async fn those_who_open_at_once_agree_on_one_epoch() {
    let world = World::new().await;
    join_all((0..8).map(|_| world.keyring())).await;
    assert_eq!(world.count("select count(*) from epochs").await, 1);
    let key: String = sqlx::query_scalar("select kms_key from epochs")
        .fetch_one(&mut world.superuser().await)
        .await
        .unwrap();
    // Keys that lost the race wait for their deletion.
    for entry in fs::read_dir(world.files.path().join("messaging")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(id) = name.strip_suffix(".key") else { continue };
        let state = world.kms.describe(id).await.unwrap();
        if id == key {
            assert_eq!(state, KeyState::Enabled);
        } else {
            assert!(matches!(state, KeyState::PendingDeletion { .. }), "{state:?}");
        }
    }
}

#[tokio::test]
async fn the_keyring_opens_by_its_configuration() {
    let world = World::new().await;
    let kms = KmsConfig::local(world.files.path());
    let open = || {
        let (clock, entropy) = (world.clock.clone(), Entropy::system());
        Keyring::open("messaging", world.keystore.clone(), kms.clone(), clock, entropy)
    };
    let one = open().await.unwrap();
    one.create(TENANT, Some(subject(1)), &[unit(1)], subject(1)).await.unwrap();
    open().await.unwrap().sealer(TENANT, subject(1), unit(1)).await.unwrap();
    for probe in one.probes() {
        (probe.check)().await.unwrap();
    }
    let defaults: Defaults =
        lethe_service::load(&[lethe_keyring::DEFAULTS], None, std::iter::empty()).unwrap();
    assert_eq!(defaults.kms.cache_seconds, kms.cache_seconds);
}

#[derive(serde::Deserialize)]
struct Defaults {
    kms: KmsConfig,
}

#[tokio::test]
async fn a_closed_epoch_takes_no_wraps_and_the_next_one_is_found() {
    let world = World::new().await;
    let keyring = world.keyring().await;
    keyring.create(TENANT, Some(subject(1)), &[unit(1)], subject(1)).await.unwrap();
    world.sql("update epochs set closing_at = now()").await;
    let refused = keyring.create(TENANT, Some(subject(2)), &[], subject(2)).await;
    assert!(matches!(refused, Err(KeyError::EpochClosed)), "{refused:?}");
    assert!(matches!(keyring.blind(TENANT).await, Err(KeyError::EpochClosed)));
    // Not by hand either: no new row, no old row re-wrapped, and it does not open again.
    let mut superuser = world.superuser().await;
    for statement in [
        "insert into tenant_keys select gen_random_uuid(), epoch, wrapped, created_at from tenant_keys",
        "update secrets set wrapped = wrapped",
        "update epochs set closing_at = null",
    ] {
        let refused = sqlx::query(statement).execute(&mut superuser).await.unwrap_err();
        assert_eq!(refused.as_database_error().unwrap().code().as_deref(), Some("LK002"), "{statement}");
    }
    // What is wrapped there still opens.
    keyring.evict(TENANT, &[subject(1)]);
    keyring.sealer(TENANT, subject(1), unit(1)).await.unwrap();

    let key = world.kms.create_key().await.unwrap();
    sqlx::query("insert into epochs (number, kms_key, created_at) values (2, $1, now())")
        .bind(key)
        .execute(&mut superuser)
        .await
        .unwrap();
    keyring.create(TENANT, Some(subject(2)), &[unit(2)], subject(2)).await.unwrap();
    keyring.create(TENANT, None, &[unit(3)], subject(1)).await.unwrap();
    keyring.blind(TENANT).await.unwrap();
    assert_eq!(world.count("select count(*) from secrets where epoch = 2").await, 3);
    // A fresh tenant key, not the old one carried over.
    assert_eq!(world.count("select count(distinct wrapped) from tenant_keys").await, 2);
    let fresh = world.keyring().await;
    fresh.sealer(TENANT, subject(1), unit(3)).await.unwrap();
    fresh.sealer(TENANT, subject(2), unit(2)).await.unwrap();
}

#[tokio::test]
async fn a_new_epoch_has_a_fresh_tenant_key() {
    let world = World::new().await;
    let keyring = world.keyring().await;
    keyring.create(TENANT, Some(subject(1)), &[], subject(1)).await.unwrap();
    let next = world.kms.create_key().await.unwrap();
    let mut superuser = world.superuser().await;
    world.sql("update epochs set closing_at = now()").await;
    sqlx::query("insert into epochs (number, kms_key, created_at) values (2, $1, now())")
        .bind(next)
        .execute(&mut superuser)
        .await
        .unwrap();
    keyring.create(TENANT, Some(subject(2)), &[], subject(2)).await.unwrap();
    let rows: Vec<(i32, String, Vec<u8>)> = sqlx::query_as(
        "select t.epoch, e.kms_key, t.wrapped from tenant_keys t join epochs e on e.number = t.epoch order by 1",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    let mut keys = Vec::new();
    for (epoch, kms_key, wrapped) in &rows {
        let context = EncryptionContext { tenant: TENANT, epoch: epoch.cast_unsigned() };
        keys.push(world.kms.unwrap(kms_key, &context, wrapped).await.unwrap());
    }
    assert_eq!(keys.len(), 2);
    // Wrapped they differ in any case. Were they one key, whoever has the second epoch's would open the first one's wraps.
    assert!(keys[0] != keys[1], "the tenant's key was carried over");
}

#[tokio::test]
async fn closing_waits_for_wraps_on_their_way() {
    let world = World::new().await;
    let keyring = world.keyring().await;
    keyring.create(TENANT, Some(subject(1)), &[], subject(1)).await.unwrap();
    let (mut writer, mut closer) = (world.superuser().await, world.superuser().await);
    sqlx::raw_sql("begin; update secrets set wrapped = wrapped").execute(&mut writer).await.unwrap();
    let close = "begin; set local lock_timeout = '50ms'; update epochs set closing_at = now()";
    let early = sqlx::raw_sql(close).execute(&mut closer).await.unwrap_err();
    assert_eq!(early.as_database_error().unwrap().code().as_deref(), Some("55P03"));
    sqlx::raw_sql("rollback").execute(&mut closer).await.unwrap();
    sqlx::raw_sql("commit").execute(&mut writer).await.unwrap();
    sqlx::raw_sql(close).execute(&mut closer).await.unwrap();
}

#[tokio::test]
async fn the_shred_bound_is_age_and_rotation_and_wait() {
    let world = World::new().await;
    let keyring = world.keyring().await;
    assert_eq!(keyring.shred_bound(), NOW + Duration::days(15));
    world.pass(3 * 86_400);
    assert_eq!(keyring.shred_bound(), NOW + Duration::days(15));
    // An epoch that was not rotated in time cannot go earlier than from now on.
    world.pass(30 * 86_400);
    assert_eq!(keyring.shred_bound(), NOW + Duration::days(33 + 8));
}

#[tokio::test]
async fn every_statement_fits_the_schema() {
    let database = Databases::keystore("messaging", &migrations()).await;
    every_statement_fits(env!("CARGO_MANIFEST_DIR"), &database, 14).await;
}
