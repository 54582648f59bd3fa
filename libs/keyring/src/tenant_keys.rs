//! A tenant's keys in memory, by epoch: fresh for minutes, and for some minutes more while the key service gives no
//! answer. When it answers that the epoch's key is disabled or goes, nothing is used any longer. A tenant whose key nobody
//! has used for long costs one look-up, however many wait for it.

use std::sync::Arc;

use lethe_ambient::{Planted, planted};
use lethe_ids::TenantId;
use moka::{future::Cache, policy::EvictionPolicy};
use zeroize::Zeroizing;

use crate::{
    KeyError,
    crypto::KEY_LEN,
    keyring::Inner,
    kms::{EncryptionContext, KmsError},
    wrapped::TenantKey,
};

pub(crate) struct TenantKeys {
    entries: Cache<(TenantId, u32), Entry>,
    fresh: i64,
    outage: i64,
}

#[derive(Clone)]
struct Entry {
    key: Arc<TenantKey>,
    kms_key: Arc<str>,
    wrapped: Arc<[u8]>,
    /// Milliseconds since 1970.
    unwrapped_at: i64,
}

impl TenantKeys {
    pub(crate) fn new(most: u64, cache_seconds: u32, outage_seconds: u32) -> Self {
        let longest = std::time::Duration::from_secs(u64::from(cache_seconds) + u64::from(outage_seconds));
        let entries = Cache::builder()
            .max_capacity(most)
            .time_to_live(longest)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { entries, fresh: i64::from(cache_seconds) * 1000, outage: i64::from(outage_seconds) * 1000 }
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
        let context = EncryptionContext { tenant, epoch };
        match self.kms.unwrap(&entry.kms_key, &context, &entry.wrapped).await {
            Ok(bytes) => {
                let key = Arc::new(tenant_key(&bytes)?);
                let entry = Entry { key: Arc::clone(&key), unwrapped_at: now, ..entry };
                keys.entries.insert((tenant, epoch), entry).await;
                Ok(key)
            }
            Err(error @ (KmsError::Unavailable(_) | KmsError::Throttled)) => {
                if now < entry.unwrapped_at + keys.fresh + keys.outage {
                    tracing::warn!(%error, "a tenant key is used past its time: no answer from the key service");
                    return Ok(entry.key);
                }
                keys.entries.invalidate(&(tenant, epoch)).await;
                Err(error.into())
            }
            Err(refused) => {
                keys.entries.invalidate(&(tenant, epoch)).await;
                Err(refused.into())
            }
        }
    }

    async fn load(&self, tenant: TenantId, epoch: u32) -> Result<Entry, KeyError> {
        let context = EncryptionContext { tenant, epoch };
        let (kms_key, wrapped) = self.store.tenant_key(tenant, epoch).await?;
        let wrapped = match wrapped {
            Some(wrapped) => wrapped,
            None => {
                let mut fresh = Zeroizing::new(self.entropy.bytes::<KEY_LEN>());
                if planted(Planted::TenantKeyCarriedOver) {
                    fresh.fill(tenant.uuid().as_bytes()[15]);
                }
                let wrapped = self.kms.wrap(&kms_key, &context, fresh.as_ref()).await?;
                self.store.put_tenant_key(tenant, epoch, self.clock.now(), &wrapped).await?;
                // Someone else's may have been first.
                self.store.tenant_key(tenant, epoch).await?.1.ok_or(KeyError::Missing)?
            }
        };
        let bytes = self.kms.unwrap(&kms_key, &context, &wrapped).await?;
        Ok(Entry {
            key: Arc::new(tenant_key(&bytes)?),
            kms_key: kms_key.into(),
            wrapped: wrapped.into(),
            unwrapped_at: self.clock.millis(),
        })
    }
}

fn tenant_key(bytes: &[u8]) -> Result<TenantKey, KeyError> {
    bytes.try_into().map(TenantKey::new).map_err(|_| KeyError::Damaged)
}
