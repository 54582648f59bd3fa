//! A tenant's keys in memory, by epoch: fresh for minutes, and for some minutes more while the key service gives no
//! answer. When it answers that the epoch's key is disabled or goes, nothing is used any longer. A tenant whose key nobody
//! has used for long costs one look-up, however many wait for it.
//!
//! An answer that comes too late is none, nor is one that cannot be: a wrap that opened before and opens no more, or to another key. To
//! take the other key would be to seal what nobody ever opens. While there is a key to go on with, one asks and nobody else waits.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use lethe_ambient::{Planted, planted};
use lethe_ids::TenantId;
use moka::{future::Cache, policy::EvictionPolicy};
use zeroize::Zeroizing;

use crate::{
    KeyError,
    crypto::KEY_LEN,
    keyring::Inner,
    kms::{EncryptionContext, KmsConfig, KmsError},
    wrapped::TenantKey,
};

/// How long the key service is left alone that gave no answer, in milliseconds, while there is a key to go on with.
const ASK_AGAIN: i64 = 1_000;

pub(crate) struct TenantKeys {
    entries: Cache<(TenantId, u32), Entry>,
    fresh: i64,
    outage: i64,
    timeout: std::time::Duration,
}

#[derive(Clone)]
struct Entry {
    key: Arc<TenantKey>,
    kms_key: Arc<str>,
    wrapped: Arc<[u8]>,
    /// Milliseconds since 1970.
    unwrapped_at: i64,
    /// From when on the key service is asked, by whoever comes first then.
    ask_at: Arc<AtomicI64>,
}

impl Entry {
    /// Whether the caller is the one who asks.
    fn is_to_ask(&self, now: i64) -> bool {
        let at = self.ask_at.load(Ordering::Relaxed);
        let again = now + ASK_AGAIN;
        now >= at && self.ask_at.compare_exchange(at, again, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl TenantKeys {
    pub(crate) fn new(limits: &KmsConfig) -> Self {
        let (most, cache_seconds, outage_seconds) =
            (limits.cache_subjects, limits.cache_seconds, limits.outage_seconds);
        let longest = std::time::Duration::from_secs(u64::from(cache_seconds) + u64::from(outage_seconds));
        let entries = Cache::builder()
            .max_capacity(most)
            .time_to_live(longest)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self {
            entries,
            fresh: i64::from(cache_seconds) * 1000,
            outage: i64::from(outage_seconds) * 1000,
            timeout: std::time::Duration::from_millis(limits.timeout_ms),
        }
    }

    /// The key service's answer, if it comes in time.
    pub(crate) async fn answer<T>(
        &self,
        asked: impl Future<Output = Result<T, KmsError>>,
    ) -> Result<T, KmsError> {
        let late = |_| KmsError::Unavailable("no answer in time".into());
        tokio::time::timeout(self.timeout, asked).await.map_err(late)?
    }
}

impl Inner {
    /// The tenant's key of an epoch; made now if it has none there yet.
    pub(crate) async fn tenant_key(&self, tenant: TenantId, epoch: u32) -> Result<Arc<TenantKey>, KeyError> {
        let now = self.clock.millis();
        let keys = &self.tenant_keys;
        // Whoever asks while it is being loaded waits for that and gets its outcome.
        let loaded = keys.entries.try_get_with((tenant, epoch), self.load(tenant, epoch)).await;
        let entry = loaded.map_err(|error| KeyError::clone(&error))?;
        if now < entry.unwrapped_at + keys.fresh {
            return Ok(entry.key);
        }
        let is_usable = now < entry.unwrapped_at + keys.fresh + keys.outage;
        if is_usable && !entry.is_to_ask(now) {
            return Ok(entry.key);
        }
        let context = EncryptionContext { tenant, epoch };
        let answer = keys.answer(self.kms.unwrap(&entry.kms_key, &context, &entry.wrapped)).await;
        let again = match answer {
            Ok(bytes) => tenant_key(&bytes).ok().filter(|key| key.is(&entry.key)).ok_or_else(rubbish),
            Err(KmsError::Ciphertext) => Err(rubbish()),
            Err(other) => Err(other),
        };
        match again {
            Ok(_) => {
                let ask_at = Arc::new(AtomicI64::new(now + keys.fresh));
                let key = Arc::clone(&entry.key);
                keys.entries.insert((tenant, epoch), Entry { unwrapped_at: now, ask_at, ..entry }).await;
                Ok(key)
            }
            Err(error @ (KmsError::Unavailable(_) | KmsError::Throttled)) if is_usable => {
                tracing::warn!(%error, "a tenant key is used past its time: no answer from the key service");
                Ok(entry.key)
            }
            Err(none_or_refused) => {
                keys.entries.invalidate(&(tenant, epoch)).await;
                Err(none_or_refused.into())
            }
        }
    }

    async fn load(&self, tenant: TenantId, epoch: u32) -> Result<Entry, KeyError> {
        let context = EncryptionContext { tenant, epoch };
        let keys = &self.tenant_keys;
        let (kms_key, wrapped) = self.store.tenant_key(tenant, epoch).await?;
        let unwrap = async |wrapped: &[u8]| {
            let bytes = keys.answer(self.kms.unwrap(&kms_key, &context, wrapped)).await?;
            tenant_key(&bytes)
        };
        let (wrapped, key) = match wrapped {
            Some(wrapped) => {
                let key = unwrap(&wrapped).await?;
                (wrapped, key)
            }
            None => {
                let mut fresh = Zeroizing::new(self.entropy.bytes::<KEY_LEN>());
                if planted(Planted::TenantKeyCarriedOver) {
                    fresh.fill(tenant.uuid().as_bytes()[15]);
                }
                let wrapped = keys.answer(self.kms.wrap(&kms_key, &context, fresh.as_ref())).await?;
                // Before anybody relies on it: what does not open now is not kept.
                let key = unwrap(&wrapped).await.map_err(|error| match error {
                    KeyError::Damaged => rubbish().into(),
                    other => other,
                })?;
                if !key.is(&TenantKey::new(&fresh)) {
                    return Err(rubbish().into());
                }
                self.store.put_tenant_key(tenant, epoch, self.clock.now(), &wrapped).await?;
                let kept = self.store.tenant_key(tenant, epoch).await?.1.ok_or(KeyError::Missing)?;
                // Someone else's may have been first.
                match kept == wrapped {
                    true => (wrapped, key),
                    false => {
                        let key = unwrap(&kept).await?;
                        (kept, key)
                    }
                }
            }
        };
        let unwrapped_at = self.clock.millis();
        Ok(Entry {
            key: Arc::new(key),
            kms_key: kms_key.into(),
            wrapped: wrapped.into(),
            unwrapped_at,
            ask_at: Arc::new(AtomicI64::new(unwrapped_at + keys.fresh)),
        })
    }
}

fn rubbish() -> KmsError {
    KmsError::Unavailable("an answer that cannot be".into())
}

fn tenant_key(bytes: &[u8]) -> Result<TenantKey, KeyError> {
    bytes.try_into().map(TenantKey::new).map_err(|_| KeyError::Damaged)
}
