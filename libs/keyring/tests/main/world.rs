//! A keystore, a key service that can be broken, a clock that stands still.

use std::sync::{
    Arc,
    atomic::{AtomicU8, AtomicU32, Ordering},
};

use futures::future::{BoxFuture, FutureExt as _};
use lethe_ambient::{Clock, Entropy};
use lethe_ids::{ErasureId, SubjectId, TenantId, UnitId};
use lethe_keyring::{EncryptionContext, KeyState, Keyring, Kms, KmsConfig, KmsError, LocalKms, migrations};
use lethe_service::DatabaseConfig;
use lethe_testkit::Databases;
use sqlx::PgConnection;
use tempfile::TempDir;
use time::{OffsetDateTime, macros::datetime};
use uuid::Uuid;
use zeroize::Zeroizing;

pub(crate) const NOW: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);
pub(crate) const TENANT: TenantId = TenantId::new(Uuid::from_u128(0xaaaa));
pub(crate) const OTHER: TenantId = TenantId::new(Uuid::from_u128(0xbbbb));
pub(crate) const CAUSE: ErasureId = ErasureId::new(Uuid::from_u128(0xeeee));

pub(crate) fn subject(n: u128) -> SubjectId {
    SubjectId::new(Uuid::from_u128(0x5000_0000 + n))
}

pub(crate) fn unit(n: u128) -> UnitId {
    UnitId::new(Uuid::from_u128(0x7000_0000 + n))
}

pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) keystore: DatabaseConfig,
    pub(crate) kms: Arc<Breakable>,
    pub(crate) files: TempDir,
    limits: KmsConfig,
}

impl World {
    pub(crate) async fn new() -> Self {
        let clock = Clock::fixed(NOW);
        let files = tempfile::tempdir().unwrap();
        let local = LocalKms::open(files.path().join("messaging"), clock.clone(), Entropy::system()).unwrap();
        Self {
            keystore: Databases::keystore("messaging", &migrations()).await,
            kms: Arc::new(Breakable { inner: local, broken: AtomicU8::new(0), unwraps: AtomicU32::new(0) }),
            limits: KmsConfig { timeout_ms: 200, ..KmsConfig::local(files.path()) },
            clock,
            files,
        }
    }

    /// A keyring as another process would open it.
    pub(crate) async fn keyring(&self) -> Keyring {
        let kms: Arc<dyn Kms> = self.kms.clone();
        let (clock, entropy) = (self.clock.clone(), Entropy::system());
        Keyring::with_kms("messaging", self.keystore.clone(), kms, &self.limits, clock, entropy)
            .await
            .unwrap()
    }

    pub(crate) async fn superuser(&self) -> PgConnection {
        Databases::superuser(&self.keystore).await
    }

    /// Runs a statement as the superuser.
    pub(crate) async fn sql(&self, statement: &'static str) -> u64 {
        sqlx::query(statement).execute(&mut self.superuser().await).await.unwrap().rows_affected()
    }

    pub(crate) async fn count(&self, statement: &'static str) -> i64 {
        sqlx::query_scalar(statement).fetch_one(&mut self.superuser().await).await.unwrap()
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.advance(std::time::Duration::from_secs(seconds));
    }
}

/// The local key service, with a switch: 0 works, 1 gives no answer, 2 throttles, 3 hangs, 4 gives another key, 5 says that the
/// wrap is damaged.
pub(crate) struct Breakable {
    pub(crate) inner: LocalKms,
    pub(crate) broken: AtomicU8,
    /// Unwraps that were asked for.
    pub(crate) unwraps: AtomicU32,
}

impl Breakable {
    pub(crate) fn answers(&self, how: u8) {
        self.broken.store(how, Ordering::SeqCst);
    }

    fn through<'a, T: Send + 'a>(
        &self,
        call: BoxFuture<'a, Result<T, KmsError>>,
    ) -> BoxFuture<'a, Result<T, KmsError>> {
        match self.broken.load(Ordering::SeqCst) {
            0 => call,
            1 => async { Err(KmsError::Unavailable("the line is cut".into())) }.boxed(),
            2 => async { Err(KmsError::Throttled) }.boxed(),
            3 => futures::future::pending().boxed(),
            5 => async { Err(KmsError::Ciphertext) }.boxed(),
            _ => call,
        }
    }
}

impl Kms for Breakable {
    fn create_key(&self) -> BoxFuture<'_, Result<String, KmsError>> {
        self.through(self.inner.create_key())
    }
    fn wrap<'a>(
        &'a self,
        key: &'a str,
        context: &'a EncryptionContext,
        plaintext: &'a [u8],
    ) -> BoxFuture<'a, Result<Vec<u8>, KmsError>> {
        self.through(self.inner.wrap(key, context, plaintext))
    }
    fn unwrap<'a>(
        &'a self,
        key: &'a str,
        context: &'a EncryptionContext,
        wrapped: &'a [u8],
    ) -> BoxFuture<'a, Result<Zeroizing<Vec<u8>>, KmsError>> {
        self.unwraps.fetch_add(1, Ordering::SeqCst);
        if self.broken.load(Ordering::SeqCst) == 4 {
            return async { Ok(Zeroizing::new(vec![7; 32])) }.boxed();
        }
        self.through(self.inner.unwrap(key, context, wrapped))
    }
    fn disable<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), KmsError>> {
        self.through(self.inner.disable(key))
    }
    fn enable<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), KmsError>> {
        self.through(self.inner.enable(key))
    }
    fn schedule_deletion<'a>(
        &'a self,
        key: &'a str,
        days: u8,
    ) -> BoxFuture<'a, Result<OffsetDateTime, KmsError>> {
        self.through(self.inner.schedule_deletion(key, days))
    }
    fn cancel_deletion<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), KmsError>> {
        self.through(self.inner.cancel_deletion(key))
    }
    fn describe<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<KeyState, KmsError>> {
        self.through(self.inner.describe(key))
    }
}
