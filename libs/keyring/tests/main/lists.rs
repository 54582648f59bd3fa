//! The blind index, and the suppression list beside it.

use futures::future::join_all;
use lethe_ids::SubjectId;
use lethe_keyring::{AddressKind, KeyError};

use crate::world::{CAUSE, OTHER, TENANT, World, subject};

const EMAIL: &str = "ada@example.org";
const PHONE: &str = "+4930901820";

#[tokio::test]
async fn subjects_are_found_by_their_addresses() {
    let world = World::new().await;
    let (one, two) = (world.keyring().await, world.keyring().await);
    for number in 1..=3 {
        one.create(TENANT, Some(subject(number)), &[], subject(number)).await.unwrap();
    }
    one.add_addresses(TENANT, subject(1), &[(AddressKind::Email, EMAIL)]).await.unwrap();
    one.add_addresses(TENANT, subject(1), &[(AddressKind::Email, EMAIL)]).await.unwrap();
    one.add_addresses(TENANT, subject(2), &[(AddressKind::Email, EMAIL)]).await.unwrap();
    let mark = one.add_addresses(TENANT, subject(2), &[(AddressKind::Phone, PHONE)]).await.unwrap();
    let mut found = two.find_subjects(TENANT, AddressKind::Email, EMAIL).await.unwrap();
    found.sort();
    assert_eq!(found, [subject(1), subject(2)]);
    assert_eq!(two.find_subjects(TENANT, AddressKind::Phone, PHONE).await.unwrap(), [subject(2)]);
    assert_eq!(two.find_subjects(TENANT, AddressKind::Phone, EMAIL).await.unwrap(), []);
    assert_eq!(two.find_subjects(OTHER, AddressKind::Email, EMAIL).await.unwrap(), []);

    // Rectified: the new address finds, the old one does not.
    let addresses = [(AddressKind::Email, "ada@example.net"), (AddressKind::Phone, PHONE)];
    one.settle_addresses(TENANT, subject(2), &addresses, Some(mark)).await.unwrap();
    assert_eq!(one.find_subjects(TENANT, AddressKind::Email, EMAIL).await.unwrap(), [subject(1)]);
    assert_eq!(one.find_subjects(TENANT, AddressKind::Email, "ada@example.net").await.unwrap(), [subject(2)]);
    assert_eq!(one.find_subjects(TENANT, AddressKind::Phone, PHONE).await.unwrap(), [subject(2)]);
    let none: [(AddressKind, &str); 0] = [];
    let mark = one.add_addresses(TENANT, subject(2), &none).await.unwrap();
    one.settle_addresses(TENANT, subject(2), &none, Some(mark)).await.unwrap();
    assert_eq!(one.find_subjects(TENANT, AddressKind::Phone, PHONE).await.unwrap(), []);

    let missing = one.add_addresses(TENANT, subject(9), &[(AddressKind::Email, EMAIL)]).await;
    assert!(matches!(missing, Err(KeyError::Missing)), "{missing:?}");
}

#[tokio::test]
async fn a_look_up_tries_every_version() {
    let world = World::new().await;
    let keyring = world.keyring().await;
    keyring.create(TENANT, Some(subject(1)), &[], subject(1)).await.unwrap();
    keyring.create(TENANT, Some(subject(2)), &[], subject(2)).await.unwrap();
    let mark = keyring.add_addresses(TENANT, subject(1), &[(AddressKind::Email, EMAIL)]).await.unwrap();
    world
        .sql(
            "insert into tenant_index_keys select tenant_id, kind, 2, key_id, epoch, wrapped, created_at
             from tenant_index_keys",
        )
        .await;
    // Another process's key is seen within minutes.
    assert_eq!(keyring.blind(TENANT).await.unwrap().macs(AddressKind::Email, EMAIL).len(), 1);
    world.pass(301);
    assert_eq!(keyring.blind(TENANT).await.unwrap().macs(AddressKind::Email, EMAIL).len(), 2);
    keyring.add_addresses(TENANT, subject(2), &[(AddressKind::Email, EMAIL)]).await.unwrap();
    assert_eq!(world.count("select count(distinct key_version) from blind_index").await, 2);
    assert_eq!(keyring.find_subjects(TENANT, AddressKind::Email, EMAIL).await.unwrap().len(), 2);
    // Written anew, it stands under the newest version only.
    keyring.settle_addresses(TENANT, subject(1), &[(AddressKind::Email, EMAIL)], Some(mark)).await.unwrap();
    assert_eq!(world.count("select count(*) from blind_index where key_version = 1").await, 0);
    assert_eq!(keyring.find_subjects(TENANT, AddressKind::Email, EMAIL).await.unwrap().len(), 2);
}

#[tokio::test]
async fn each_tenant_and_each_list_has_a_key_of_its_own() {
    let world = World::new().await;
    let rings = join_all((0..4).map(|_| world.keyring())).await;
    let all = join_all(rings.iter().map(|ring| async {
        let blind = ring.blind(TENANT).await.unwrap().mac(AddressKind::Email, EMAIL);
        let list = ring.suppression(TENANT).await.unwrap().mac(AddressKind::Email, EMAIL);
        (blind, list)
    }))
    .await;
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "first use by many makes one key");
    let (blind, suppression) = all[0];
    assert_ne!(blind.mac, suppression.mac);
    let theirs = rings[0].blind(OTHER).await.unwrap().mac(AddressKind::Email, EMAIL);
    assert_ne!(blind.mac, theirs.mac);
}

#[tokio::test]
async fn the_suppression_list_does_not_hang_on_the_blind_indexs_key() {
    let world = World::new().await;
    let before = world.keyring().await.suppression(TENANT).await.unwrap().mac(AddressKind::Email, EMAIL);
    assert_eq!(world.sql("delete from tenant_index_keys where kind = 3").await, 1);
    let after = world.keyring().await.suppression(TENANT).await.unwrap().mac(AddressKind::Email, EMAIL);
    assert_eq!(before, after, "who was on the list is not found there any more");
}

#[tokio::test]
async fn suppression_outlives_the_subject() {
    let world = World::new().await;
    let keyring = world.keyring().await;
    keyring.create(TENANT, Some(subject(1)), &[], subject(1)).await.unwrap();
    keyring.add_addresses(TENANT, subject(1), &[(AddressKind::Phone, PHONE)]).await.unwrap();
    let before = keyring.suppression(TENANT).await.unwrap().mac(AddressKind::Phone, PHONE);
    keyring.destroy(TENANT, &[subject(1)], &[], CAUSE).await.unwrap();
    assert_eq!(keyring.find_subjects(TENANT, AddressKind::Phone, PHONE).await.unwrap(), []);
    let after = world.keyring().await.suppression(TENANT).await.unwrap().macs(AddressKind::Phone, PHONE);
    assert!(after.contains(&before));
}

#[tokio::test]
async fn what_a_crash_left_unsettled_is_settled_by_the_job() {
    let world = World::new().await;
    let keyring = world.keyring().await;
    for number in 1..=2 {
        keyring.create(TENANT, Some(subject(number)), &[], subject(number)).await.unwrap();
        keyring
            .settle_addresses(TENANT, subject(number), &[(AddressKind::Email, EMAIL)], None)
            .await
            .unwrap();
    }
    // Both crash after the first half: 1 has its new address in its row, 2 only lost its old one.
    keyring.add_addresses(TENANT, subject(1), &[(AddressKind::Email, "new@example.org")]).await.unwrap();
    keyring.add_addresses(TENANT, subject(2), &[] as &[(AddressKind, &str)]).await.unwrap();
    let present = |_, of: SubjectId| async move {
        let addresses = [(AddressKind::Email, "new@example.org".to_owned())];
        Ok(Some(if of == subject(1) { addresses.to_vec() } else { Vec::new() }))
    };
    assert_eq!(keyring.settle(3600, &present).await.unwrap(), 0, "a change on its way is left alone");
    assert_eq!(
        keyring.settle(0, &|_, _| async { Ok(None) }).await.unwrap(),
        0,
        "nobody there: not this job's"
    );
    assert_eq!(keyring.settle(0, &present).await.unwrap(), 2);
    assert_eq!(keyring.find_subjects(TENANT, AddressKind::Email, EMAIL).await.unwrap(), []);
    let found = keyring.find_subjects(TENANT, AddressKind::Email, "new@example.org").await.unwrap();
    assert_eq!(found, [subject(1)]);
    assert_eq!(keyring.settle(0, &present).await.unwrap(), 0);
}

#[tokio::test]
async fn only_the_change_that_began_last_settles() {
    let world = World::new().await;
    let keyring = world.keyring().await;
    keyring.create(TENANT, Some(subject(1)), &[], subject(1)).await.unwrap();
    let (first, second) = (&[(AddressKind::Email, EMAIL)], &[(AddressKind::Phone, PHONE)]);
    let one = keyring.add_addresses(TENANT, subject(1), first).await.unwrap();
    let two = keyring.add_addresses(TENANT, subject(1), second).await.unwrap();
    keyring.settle_addresses(TENANT, subject(1), first, Some(one)).await.unwrap();
    keyring.settle_addresses(TENANT, subject(1), first, None).await.unwrap();
    assert_eq!(world.count("select count(*) from blind_index where unsettled_since is not null").await, 2);
    keyring.settle_addresses(TENANT, subject(1), second, Some(two)).await.unwrap();
    // The first one is late: what came after it is settled, and stays so.
    keyring.settle_addresses(TENANT, subject(1), first, Some(one)).await.unwrap();
    assert_eq!(keyring.find_subjects(TENANT, AddressKind::Email, EMAIL).await.unwrap(), []);
    assert_eq!(keyring.find_subjects(TENANT, AddressKind::Phone, PHONE).await.unwrap(), [subject(1)]);
}

#[tokio::test]
async fn one_that_cannot_be_settled_does_not_hold_back_the_others() {
    let world = World::new().await;
    let keyring = world.keyring().await;
    for number in 1..=2 {
        keyring.create(TENANT, Some(subject(number)), &[], subject(number)).await.unwrap();
        keyring.add_addresses(TENANT, subject(number), &[(AddressKind::Email, EMAIL)]).await.unwrap();
    }
    let one_is_damaged = |_, of: SubjectId| async move {
        if of == subject(1) { Err(std::io::Error::other("damaged").into()) } else { Ok(Some(Vec::new())) }
    };
    assert!(keyring.settle(0, &one_is_damaged).await.is_err());
    assert_eq!(keyring.find_subjects(TENANT, AddressKind::Email, EMAIL).await.unwrap(), [subject(1)]);
    assert_eq!(keyring.unsettled(TENANT, &[subject(1), subject(2)]).await.unwrap(), [subject(1)]);
}

#[tokio::test]
async fn one_that_the_keystore_refuses_to_settle_does_not_hold_back_the_others() {
    let world = World::new().await;
    let keyring = world.keyring().await;
    for number in 1..=2 {
        keyring.create(TENANT, Some(subject(number)), &[], subject(number)).await.unwrap();
        keyring.add_addresses(TENANT, subject(number), &[(AddressKind::Email, EMAIL)]).await.unwrap();
    }
    sqlx::raw_sql(
        "create table damaged as select subject_id from blind_index order by unsettled_since limit 1;
         create function refuse() returns trigger language plpgsql security definer as $$ begin
           if old.subject_id in (select subject_id from damaged) then raise 'damaged'; end if;
           return old;
         end; $$;
         create trigger refuse before delete on blind_index for each row execute function refuse();",
    )
    .execute(&mut world.superuser().await)
    .await
    .unwrap();
    assert!(keyring.settle(0, &|_, _| async { Ok(Some(Vec::new())) }).await.is_err());
    assert_eq!(keyring.find_subjects(TENANT, AddressKind::Email, EMAIL).await.unwrap(), [subject(1)]);
}
