//! Secrets that nobody used go after an hour.

use lethe_ids::TenantId;
use lethe_keyring::{KeyError, SecretId, Swept};

use crate::world::{TENANT, World, subject, unit};

async fn sweep(keyring: &lethe_keyring::Keyring, in_use: &'static [SecretId]) -> Swept {
    keyring
        .sweep(&|_: TenantId, asked: Vec<SecretId>| async move {
            Ok(asked.into_iter().filter(|id| in_use.contains(id)).collect())
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn an_unowned_secret_goes_after_an_hour_and_an_owned_one_stays() {
    let world = World::new().await;
    let keyring = world.keyring().await;
    // 1: used by its unit only. 2: by nobody. 3: itself used, one of its units not.
    keyring.create(TENANT, Some(subject(1)), &[unit(1)], subject(1)).await.unwrap();
    keyring.create(TENANT, Some(subject(2)), &[unit(2)], subject(2)).await.unwrap();
    keyring.create(TENANT, Some(subject(3)), &[unit(3), unit(4)], subject(3)).await.unwrap();
    static USED: std::sync::LazyLock<Vec<SecretId>> = std::sync::LazyLock::new(|| {
        vec![SecretId::Unit(unit(1)), SecretId::Subject(subject(3)), SecretId::Unit(unit(4))]
    });
    world.pass(3599);
    assert_eq!(sweep(&keyring, &USED).await, Swept { destroyed: 0, owned: 0, more: false });
    world.pass(2);
    assert_eq!(sweep(&keyring, &USED).await, Swept { destroyed: 3, owned: 3, more: false });
    let fresh = world.keyring().await;
    fresh.sealer(TENANT, subject(1), unit(1)).await.unwrap();
    fresh.sealer(TENANT, subject(3), unit(4)).await.unwrap();
    for (who, what) in [(subject(2), unit(2)), (subject(3), unit(3))] {
        assert!(matches!(fresh.sealer(TENANT, who, what).await, Err(KeyError::Destroyed)));
    }
    // A writer who comes after all is refused; nobody is asked about twice.
    let late = fresh.create(TENANT, Some(subject(2)), &[], subject(2)).await;
    assert!(matches!(late, Err(KeyError::Destroyed)));
    assert_eq!(sweep(&keyring, &[]).await, Swept { destroyed: 0, owned: 0, more: false });
}

#[tokio::test]
async fn a_subject_waits_for_the_verdict_on_its_younger_units() {
    let world = World::new().await;
    let keyring = world.keyring().await;
    keyring.create(TENANT, Some(subject(1)), &[], subject(1)).await.unwrap();
    world.pass(3000);
    keyring.create(TENANT, None, &[unit(1)], subject(1)).await.unwrap();
    world.pass(1000);
    assert_eq!(sweep(&keyring, &[]).await.destroyed, 0);
    keyring.sealer(TENANT, subject(1), unit(1)).await.unwrap();
    world.pass(3000);
    assert_eq!(sweep(&keyring, &[]).await.destroyed, 2);
    assert_eq!(world.count("select count(*) from secrets").await, 0);
}

#[tokio::test]
async fn a_service_that_cannot_answer_loses_nothing() {
    let world = World::new().await;
    let keyring = world.keyring().await;
    keyring.create(TENANT, Some(subject(1)), &[unit(1)], subject(1)).await.unwrap();
    world.pass(3601);
    let failed = keyring
        .sweep(&|_: TenantId, _: Vec<SecretId>| async {
            Err(std::io::Error::other("the database is away").into())
        })
        .await;
    assert!(failed.is_err());
    keyring.sealer(TENANT, subject(1), unit(1)).await.unwrap();
}
