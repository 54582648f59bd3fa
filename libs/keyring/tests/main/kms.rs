//! The key service in files keeps true states.

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use lethe_ambient::{Clock, Entropy};
use lethe_keyring::{EncryptionContext, KeyState, Kms, KmsError, LocalKms};
use tempfile::TempDir;

use crate::world::{NOW, OTHER, TENANT};

const CONTEXT: EncryptionContext = EncryptionContext { tenant: TENANT, epoch: 1 };
const DAY: Duration = Duration::from_secs(86_400);

fn open(files: &TempDir, clock: &Clock) -> LocalKms {
    LocalKms::open(files.path().join("keys"), clock.clone(), Entropy::system()).unwrap()
}

fn files() -> (TempDir, Clock) {
    (tempfile::tempdir().unwrap(), Clock::fixed(NOW))
}

#[tokio::test]
async fn a_key_outlives_the_process_and_only_its_owner_reads_it() {
    let (files, clock) = files();
    let kms = open(&files, &clock);
    let key = kms.create_key().await.unwrap();
    let wrapped = kms.wrap(&key, &CONTEXT, &[7; 32]).await.unwrap();
    let again = open(&files, &clock);
    assert_eq!(again.unwrap(&key, &CONTEXT, &wrapped).await.unwrap().as_slice(), [7; 32]);
    let folder = files.path().join("keys");
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    let file = folder.join(format!("{key}.key"));
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn the_context_and_the_key_are_bound_to_what_is_wrapped() {
    let (files, clock) = files();
    let kms = open(&files, &clock);
    let (key, other) = (kms.create_key().await.unwrap(), kms.create_key().await.unwrap());
    let wrapped = kms.wrap(&key, &CONTEXT, &[7; 32]).await.unwrap();
    let elsewhere = [
        (&key, EncryptionContext { epoch: 2, ..CONTEXT }),
        (&key, EncryptionContext { tenant: OTHER, ..CONTEXT }),
        (&other, CONTEXT),
    ];
    for (key, context) in elsewhere {
        assert!(matches!(kms.unwrap(key, &context, &wrapped).await, Err(KmsError::Ciphertext)));
    }
    for at in 0..wrapped.len() {
        let mut bent = wrapped.clone();
        bent[at] ^= 1;
        assert!(matches!(kms.unwrap(&key, &CONTEXT, &bent).await, Err(KmsError::Ciphertext)), "byte {at}");
    }
    assert!(matches!(kms.unwrap(&key, &CONTEXT, &[]).await, Err(KmsError::Ciphertext)));
}

#[tokio::test]
async fn a_key_that_is_not_enabled_does_nothing() {
    let (files, clock) = files();
    let kms = open(&files, &clock);
    let key = kms.create_key().await.unwrap();
    let wrapped = kms.wrap(&key, &CONTEXT, &[7; 32]).await.unwrap();
    assert_eq!(kms.describe(&key).await.unwrap(), KeyState::Enabled);

    kms.disable(&key).await.unwrap();
    assert_eq!(kms.describe(&key).await.unwrap(), KeyState::Disabled);
    assert!(matches!(kms.unwrap(&key, &CONTEXT, &wrapped).await, Err(KmsError::Disabled)));
    assert!(matches!(kms.wrap(&key, &CONTEXT, &[7; 32]).await, Err(KmsError::Disabled)));
    kms.enable(&key).await.unwrap();
    kms.unwrap(&key, &CONTEXT, &wrapped).await.unwrap();

    for days in [0, 6, 31] {
        assert!(matches!(kms.schedule_deletion(&key, days).await, Err(KmsError::Window)));
    }
    let due = kms.schedule_deletion(&key, 7).await.unwrap();
    assert_eq!(due, NOW + 7 * DAY);
    assert_eq!(kms.describe(&key).await.unwrap(), KeyState::PendingDeletion { due });
    assert!(matches!(kms.unwrap(&key, &CONTEXT, &wrapped).await, Err(KmsError::PendingDeletion)));
    assert!(matches!(kms.wrap(&key, &CONTEXT, &[7; 32]).await, Err(KmsError::PendingDeletion)));
    assert!(matches!(kms.enable(&key).await, Err(KmsError::PendingDeletion)));
    assert!(matches!(kms.disable(&key).await, Err(KmsError::PendingDeletion)));
    assert!(matches!(kms.schedule_deletion(&key, 7).await, Err(KmsError::PendingDeletion)));

    // Taken back on the last day: disabled, as AWS KMS has it, and whole.
    clock.advance(7 * DAY - Duration::from_millis(1));
    kms.cancel_deletion(&key).await.unwrap();
    assert_eq!(kms.describe(&key).await.unwrap(), KeyState::Disabled);
    assert!(matches!(kms.cancel_deletion(&key).await, Err(KmsError::Window)));
    kms.enable(&key).await.unwrap();
    assert_eq!(kms.unwrap(&key, &CONTEXT, &wrapped).await.unwrap().as_slice(), [7; 32]);
}

#[tokio::test]
async fn a_key_that_is_due_is_gone_from_the_folder() {
    let (files, clock) = files();
    let kms = open(&files, &clock);
    let (due, idle) = (kms.create_key().await.unwrap(), kms.create_key().await.unwrap());
    let wrapped = kms.wrap(&due, &CONTEXT, &[7; 32]).await.unwrap();
    kms.schedule_deletion(&due, 7).await.unwrap();
    kms.schedule_deletion(&idle, 7).await.unwrap();
    clock.advance(7 * DAY);
    assert!(matches!(kms.unwrap(&due, &CONTEXT, &wrapped).await, Err(KmsError::NotFound)));
    assert!(matches!(kms.cancel_deletion(&due).await, Err(KmsError::NotFound)));
    // Nobody asked for the other one: it goes when the folder is opened.
    let left = || {
        fs::read_dir(files.path().join("keys"))
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "key"))
            .count()
    };
    assert_eq!(left(), 1);
    open(&files, &clock);
    assert_eq!(left(), 0);
}

#[tokio::test]
async fn a_folder_that_is_away_or_damaged_is_no_answer_and_no_deletion() {
    let (files, clock) = files();
    let kms = open(&files, &clock);
    let key = kms.create_key().await.unwrap();
    let wrapped = kms.wrap(&key, &CONTEXT, b"secret").await.unwrap();
    let (folder, elsewhere) = (files.path().join("keys"), files.path().join("away"));
    fs::rename(&folder, &elsewhere).unwrap();
    let unavailable = async || {
        matches!(kms.unwrap(&key, &CONTEXT, &wrapped).await, Err(KmsError::Unavailable(_)))
            && matches!(kms.describe(&key).await, Err(KmsError::Unavailable(_)))
    };
    assert!(unavailable().await);
    fs::rename(&elsewhere, &folder).unwrap();
    assert_eq!(kms.unwrap(&key, &CONTEXT, &wrapped).await.unwrap().as_slice(), b"secret");
    let file = folder.join(format!("{key}.key"));
    let whole = fs::read(&file).unwrap();
    for rubbish in
        [&b""[..], b"{", b"{\"key\":\"AAAA\",\"disabled\":false,\"delete_at\":null}", &[0xff; 4096]]
    {
        fs::write(&file, rubbish).unwrap();
        assert!(matches!(kms.unwrap(&key, &CONTEXT, &wrapped).await, Err(KmsError::Unavailable(_))));
    }
    fs::write(&file, whole).unwrap();
    assert_eq!(kms.unwrap(&key, &CONTEXT, &wrapped).await.unwrap().as_slice(), b"secret");
    // The file alone is gone: then so is the key.
    fs::remove_file(&file).unwrap();
    assert!(matches!(kms.unwrap(&key, &CONTEXT, &wrapped).await, Err(KmsError::NotFound)));
}

#[tokio::test]
async fn a_key_id_names_no_file_elsewhere() {
    let (files, clock) = files();
    let kms = open(&files, &clock);
    for id in ["", "../secret", "/etc/passwd", "00000000-0000-0000-0000-000000000000"] {
        assert!(matches!(kms.describe(id).await, Err(KmsError::NotFound)), "{id}");
        assert!(matches!(kms.wrap(id, &CONTEXT, b"x").await, Err(KmsError::NotFound)), "{id}");
    }
}
