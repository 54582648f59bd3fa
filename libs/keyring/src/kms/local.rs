//! A key service in a folder: one file a key, readable by its owner alone, made durable before its id is given out.
//! It keeps the states that AWS KMS has and obeys them, because tests that prove a deletion stand on them: a key that is
//! disabled or waits for its deletion does nothing, and one that is due is wiped, whoever asks next.
//!
//! ```text
//! wrapped: "LTHK" 01 | key id 16 | nonce 12 | ciphertext | tag 16          associated data: magic, key id, context
//! ```

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use futures::future::{BoxFuture, FutureExt as _};
use lethe_ambient::{Clock, Entropy};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use tokio::sync::Semaphore;
use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{DELETION_DAYS, EncryptionContext, KeyState, Kms, KmsError};
use crate::crypto::{self, KEY_LEN, NONCE_LEN, TAG_LEN};

/// What each tenant key that this service wrapped begins with.
pub const BLOB_MAGIC: [u8; 5] = *b"LTHK\x01";
/// Length of a wrapped tenant key, in bytes.
pub const BLOB_LEN: usize = 5 + 16 + NONCE_LEN + KEY_LEN + TAG_LEN;

/// Most files that are read or written at the same time. A disk that hangs keeps so many threads and no more.
const AT_ONCE: usize = 8;

/// Keys in files. Clones share the folder; processes may too.
#[derive(Clone, Debug)]
pub struct LocalKms(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    clock: Clock,
    entropy: Entropy,
    /// One change of a state at a time in this process; between processes the folder's lock file says whose turn it is.
    turn: Mutex<()>,
    at_once: Arc<Semaphore>,
}

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct KeyFile {
    /// Base64 of 32 bytes.
    key: String,
    disabled: bool,
    /// When it is deleted: milliseconds since 1970.
    delete_at: Option<i64>,
}

impl LocalKms {
    /// Opens the folder, making it if need be, and deletes the keys that are due.
    ///
    /// # Errors
    /// [`KmsError::Unavailable`] when the folder cannot be made or read.
    pub fn open(directory: PathBuf, clock: Clock, entropy: Entropy) -> Result<Self, KmsError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(unavailable)?;
        let at_once = Arc::new(Semaphore::new(AT_ONCE));
        let kms = Self(Arc::new(Inner { directory, clock, entropy, turn: Mutex::new(()), at_once }));
        kms.0.delete_due().map_err(unavailable)?;
        Ok(kms)
    }

    /// Runs file operations where they do not hold up the runtime.
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, KmsError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, KmsError>> {
        let inner = Arc::clone(&self.0);
        async move {
            let place = Arc::clone(&inner.at_once).acquire_owned().await.map_err(unavailable)?;
            let work = move || {
                let _until_done = place;
                work(&inner)
            };
            tokio::task::spawn_blocking(work).await.map_err(unavailable)?
        }
        .boxed()
    }

    fn change(
        &self,
        key: &str,
        change: impl FnOnce(&mut KeyFile) -> Result<(), KmsError> + Send + 'static,
    ) -> BoxFuture<'static, Result<(), KmsError>> {
        let key = key.to_owned();
        self.run(move |inner| {
            inner.in_turn(|| {
                let id = parse_id(&key)?;
                let mut file = inner.read(id)?;
                change(&mut file)?;
                inner.write(id, &file).map_err(unavailable)
            })
        })
    }
}

impl Kms for LocalKms {
    fn create_key(&self) -> BoxFuture<'_, Result<String, KmsError>> {
        self.run(|inner| {
            let id = inner.entropy.uuid4();
            let secret = Zeroizing::new(inner.entropy.bytes::<KEY_LEN>());
            let file = KeyFile { key: BASE64.encode(secret.as_ref()), disabled: false, delete_at: None };
            inner.write(id, &file).map_err(unavailable)?;
            Ok(id.to_string())
        })
    }

    fn wrap<'a>(
        &'a self,
        key: &'a str,
        context: &'a EncryptionContext,
        plaintext: &'a [u8],
    ) -> BoxFuture<'a, Result<Vec<u8>, KmsError>> {
        let (key, context) = (key.to_owned(), *context);
        let plaintext = Zeroizing::new(plaintext.to_vec());
        self.run(move |inner| {
            let id = parse_id(&key)?;
            let secret = inner.usable(id)?;
            let nonce = inner.entropy.bytes();
            let mut out = Vec::with_capacity(BLOB_LEN);
            out.extend_from_slice(&BLOB_MAGIC);
            out.extend_from_slice(id.as_bytes());
            out.extend_from_slice(&nonce);
            let from = out.len();
            out.extend_from_slice(&plaintext);
            crypto::encrypt(&crypto::aes(&secret), nonce, &aad(id, &context), &mut out, from);
            Ok(out)
        })
    }

    fn unwrap<'a>(
        &'a self,
        key: &'a str,
        context: &'a EncryptionContext,
        wrapped: &'a [u8],
    ) -> BoxFuture<'a, Result<Zeroizing<Vec<u8>>, KmsError>> {
        let (key, context, wrapped) = (key.to_owned(), *context, wrapped.to_vec());
        self.run(move |inner| {
            let id = parse_id(&key)?;
            let secret = inner.usable(id)?;
            let rest = wrapped.strip_prefix(&BLOB_MAGIC).ok_or(KmsError::Ciphertext)?;
            let rest = rest.strip_prefix(id.as_bytes()).ok_or(KmsError::Ciphertext)?;
            let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or(KmsError::Ciphertext)?;
            crypto::decrypt(&crypto::aes(&secret), *nonce, &aad(id, &context), sealed)
                .ok_or(KmsError::Ciphertext)
        })
    }

    fn disable<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), KmsError>> {
        self.change(key, |file| {
            if file.delete_at.is_some() {
                return Err(KmsError::PendingDeletion);
            }
            file.disabled = true;
            Ok(())
        })
    }

    fn enable<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), KmsError>> {
        self.change(key, |file| {
            if file.delete_at.is_some() {
                return Err(KmsError::PendingDeletion);
            }
            file.disabled = false;
            Ok(())
        })
    }

    fn schedule_deletion<'a>(
        &'a self,
        key: &'a str,
        days: u8,
    ) -> BoxFuture<'a, Result<OffsetDateTime, KmsError>> {
        let due = self.0.clock.now() + Duration::days(days.into());
        let scheduled = self.change(key, move |file| {
            if !DELETION_DAYS.contains(&days) {
                return Err(KmsError::Window);
            }
            if file.delete_at.is_some() {
                return Err(KmsError::PendingDeletion);
            }
            file.delete_at = Some(due.unix_timestamp() * 1000 + i64::from(due.millisecond()));
            Ok(())
        });
        async move { scheduled.await.map(|()| due) }.boxed()
    }

    fn cancel_deletion<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), KmsError>> {
        self.change(key, |file| {
            file.delete_at.take().ok_or(KmsError::Window)?;
            file.disabled = true;
            Ok(())
        })
    }

    fn describe<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<KeyState, KmsError>> {
        let key = key.to_owned();
        self.run(move |inner| Ok(state(&inner.read(parse_id(&key)?)?)))
    }
}

impl Inner {
    /// The file of a key, unless it is due: then it is deleted now and there is no such key.
    fn read(&self, id: Uuid) -> Result<KeyFile, KmsError> {
        let path = self.path(id);
        let text = match fs::read(&path) {
            Ok(text) => Zeroizing::new(text),
            // Without its folder nobody knows whether there is such a key: a volume that is not mounted has deleted none.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.directory.is_dir() => {
                return Err(KmsError::NotFound);
            }
            Err(error) => return Err(unavailable(error)),
        };
        let file: KeyFile = serde_json::from_slice(&text).map_err(unavailable)?;
        if file.delete_at.is_some_and(|due| due <= self.clock.millis()) {
            wipe(&path).map_err(unavailable)?;
            return Err(KmsError::NotFound);
        }
        Ok(file)
    }

    /// The key itself, if its state allows its use.
    fn usable(&self, id: Uuid) -> Result<Zeroizing<[u8; KEY_LEN]>, KmsError> {
        let file = self.read(id)?;
        match state(&file) {
            KeyState::Enabled => {}
            KeyState::Disabled => return Err(KmsError::Disabled),
            KeyState::PendingDeletion { .. } => return Err(KmsError::PendingDeletion),
        }
        let bytes = Zeroizing::new(BASE64.decode(&file.key).map_err(unavailable)?);
        let mut secret = Zeroizing::new([0; KEY_LEN]);
        if bytes.len() != KEY_LEN {
            return Err(unavailable(io::Error::other("a key file does not hold 32 bytes")));
        }
        secret.copy_from_slice(&bytes);
        Ok(secret)
    }

    /// Replaces or makes a file, whole or not at all, durable when this returns.
    fn write(&self, id: Uuid, file: &KeyFile) -> io::Result<()> {
        let text = Zeroizing::new(serde_json::to_vec(file)?);
        let path = self.path(id);
        let fresh = path.with_extension("new");
        let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        out.write_all(&text)?;
        out.sync_all()?;
        fs::rename(&fresh, &path)?;
        sync_directory(&path)
    }

    fn delete_due(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            let Some(id) = name.to_str().and_then(|name| name.strip_suffix(".key")) else { continue };
            if let Ok(id) = Uuid::try_parse(id) {
                // Reading deletes it; a file that cannot be read is reported by whoever needs it.
                let _ = self.read(id);
            }
        }
        Ok(())
    }

    fn in_turn<T>(&self, work: impl FnOnce() -> Result<T, KmsError>) -> Result<T, KmsError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = File::create(self.directory.join("lock")).map_err(unavailable)?;
        flock(&lock, FlockOperation::LockExclusive).map_err(unavailable)?;
        work()
    }

    fn path(&self, id: Uuid) -> PathBuf {
        self.directory.join(format!("{id}.key"))
    }
}

fn state(file: &KeyFile) -> KeyState {
    match (file.delete_at, file.disabled) {
        (Some(due), _) => KeyState::PendingDeletion {
            due: OffsetDateTime::from_unix_timestamp_nanos(i128::from(due) * 1_000_000)
                .unwrap_or(OffsetDateTime::UNIX_EPOCH),
        },
        (None, true) => KeyState::Disabled,
        (None, false) => KeyState::Enabled,
    }
}

/// Overwrites, then removes: on a disk that overwrites in place the key is gone even from its blocks.
fn wipe(path: &Path) -> io::Result<()> {
    let mut file = match OpenOptions::new().write(true).open(path) {
        // Someone else was quicker.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    file.write_all(&vec![0; length])?;
    file.sync_all()?;
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.and_then(|()| sync_directory(path)),
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

fn aad(id: Uuid, context: &EncryptionContext) -> Vec<u8> {
    let mut aad = BLOB_MAGIC.to_vec();
    aad.extend_from_slice(id.as_bytes());
    aad.extend_from_slice(context.tenant.uuid().as_bytes());
    aad.extend_from_slice(&context.epoch.to_be_bytes());
    aad
}

/// Ids are UUIDs, so that none can name a file elsewhere.
fn parse_id(key: &str) -> Result<Uuid, KmsError> {
    Uuid::try_parse(key).map_err(|_| KmsError::NotFound)
}

fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> KmsError {
    KmsError::Unavailable(error.into())
}
