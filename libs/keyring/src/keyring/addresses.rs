//! The keyring's part in finding subjects by address: a tenant's list keys, and the rows of the blind index.

use lethe_ambient::{Planted, planted};
use lethe_ids::{SubjectId, TenantId};

use time::OffsetDateTime;

use super::{Inner, Keyring};
use crate::{
    BlindIndex, KeyError,
    blind::{AddressKind, Mac, Suppression},
    cache::Secret,
    store::Macs,
    wrapped::{self, Kind},
};

/// Both lists' keys of a tenant.
#[derive(Clone)]
pub(crate) struct Lists {
    blind: BlindIndex,
    suppression: Suppression,
    /// Milliseconds since 1970.
    until: i64,
}

impl Keyring {
    /// The keys of the tenant's blind index; made at its first use.
    ///
    /// # Errors
    /// As [`Keyring::sealer`].
    pub async fn blind(&self, tenant: TenantId) -> Result<BlindIndex, KeyError> {
        Ok(self.0.lists(tenant).await?.blind)
    }

    /// The keys of the tenant's suppression list, used for nothing else; made at its first use.
    ///
    /// # Errors
    /// As [`Keyring::sealer`].
    pub async fn suppression(&self, tenant: TenantId) -> Result<Suppression, KeyError> {
        Ok(self.0.lists(tenant).await?.suppression)
    }

    /// Makes a subject findable by these addresses beside those it has: the first half of a rectification. When the row
    /// says so, [`Keyring::settle_addresses`] ends it with the mark that this answers; until then, or when that never
    /// happens, [`Keyring::settle_job`] does.
    ///
    /// # Errors
    /// [`KeyError::Destroyed`] or [`KeyError::Missing`] when the subject has no secret.
    pub async fn add_addresses(
        &self,
        tenant: TenantId,
        subject: SubjectId,
        addresses: &[(AddressKind, impl AsRef<str> + Sync)],
    ) -> Result<Mark, KeyError> {
        let macs = self.macs(tenant, addresses).await?;
        self.0.store.add_addresses(tenant, subject, &macs, self.0.clock.now()).await.map(Mark)
    }

    /// Makes a subject findable by these addresses and no others, if `mark` still stands: where a younger change is on its
    /// way or through, it settles them. A new subject has no mark. Twice is as once.
    ///
    /// # Errors
    /// As [`Keyring::add_addresses`].
    pub async fn settle_addresses(
        &self,
        tenant: TenantId,
        subject: SubjectId,
        addresses: &[(AddressKind, impl AsRef<str> + Sync)],
        mark: Option<Mark>,
    ) -> Result<(), KeyError> {
        let macs = self.macs(tenant, addresses).await?;
        let mark = mark.map(|mark| mark.0);
        if planted(Planted::BlindIndexLeft) {
            return self.add_addresses(tenant, subject, addresses).await.map(drop);
        }
        self.0.store.settle_addresses(tenant, subject, &macs, self.0.clock.now(), mark).await
    }

    /// Subjects that have this address, whichever version of key and rules it was indexed under.
    ///
    /// # Errors
    /// As [`Keyring::sealer`].
    pub async fn find_subjects(
        &self,
        tenant: TenantId,
        kind: AddressKind,
        normalised: &str,
    ) -> Result<Vec<SubjectId>, KeyError> {
        let macs = self.blind(tenant).await?.macs(kind, normalised);
        self.0.store.find(tenant, kind.number(), &macs).await
    }

    /// Which of these subjects have a change of their addresses on its way.
    ///
    /// # Errors
    /// When the keystore does not answer.
    pub async fn unsettled(
        &self,
        tenant: TenantId,
        subjects: &[SubjectId],
    ) -> Result<Vec<SubjectId>, KeyError> {
        self.0.store.unsettled_of(tenant, subjects).await
    }

    async fn macs(
        &self,
        tenant: TenantId,
        addresses: &[(AddressKind, impl AsRef<str> + Sync)],
    ) -> Result<Macs, KeyError> {
        let blind = self.blind(tenant).await?;
        let macs: Vec<(i16, Mac)> =
            addresses.iter().map(|(kind, text)| (kind.number(), blind.mac(*kind, text.as_ref()))).collect();
        let (key_version, normaliser_version) =
            macs.first().map_or((1, 1), |(_, mac)| (mac.key_version, mac.normaliser_version));
        Ok(Macs { key_version, normaliser_version, macs })
    }
}

/// Which change of a subject's addresses: that which began at this time, by the keystore's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(pub(crate) OffsetDateTime);

impl Inner {
    /// Whoever asks while they are being loaded waits for that and gets its outcome.
    async fn lists(&self, tenant: TenantId) -> Result<Lists, KeyError> {
        let load = async || self.lists.try_get_with(tenant, self.load_lists(tenant)).await;
        let mut lists = load().await.map_err(|error| KeyError::clone(&error))?;
        if self.clock.millis() >= lists.until {
            self.lists.invalidate(&tenant).await;
            lists = load().await.map_err(|error| KeyError::clone(&error))?;
        }
        Ok(lists)
    }

    async fn load_lists(&self, tenant: TenantId) -> Result<Lists, KeyError> {
        let now = self.clock.millis();
        let mut rows = self.store.index_keys(tenant).await?;
        let has = |rows: &[(i16, u32, Vec<u8>)], kind: Kind| rows.iter().any(|(k, ..)| *k == kind as i16);
        if !has(&rows, Kind::BlindIndex) || !has(&rows, Kind::Suppression) {
            for kind in [Kind::BlindIndex, Kind::Suppression] {
                match self.make_list_key(tenant, kind).await {
                    Err(KeyError::EpochClosed) => {
                        self.reload_epoch().await?;
                        self.make_list_key(tenant, kind).await?;
                    }
                    other => other?,
                }
            }
            // Someone else's may have been first.
            rows = self.store.index_keys(tenant).await?;
        }
        let listed = match planted(Planted::SuppressionUnderWrongKey) {
            false => Kind::Suppression,
            true => Kind::BlindIndex,
        };
        Ok(Lists {
            blind: BlindIndex::new(
                b"lethe blind index",
                &self.unwrap_all(tenant, &rows, Kind::BlindIndex).await?,
            ),
            suppression: BlindIndex::new(
                b"lethe suppression",
                &self.unwrap_all(tenant, &rows, listed).await?,
            ),
            until: now + self.lists_lifetime,
        })
    }

    async fn make_list_key(&self, tenant: TenantId, kind: Kind) -> Result<(), KeyError> {
        let epoch = self.epoch().number;
        let key = self.tenant_key(tenant, epoch).await?;
        let id = self.entropy.uuid4();
        let secret: Secret = zeroize::Zeroizing::new(self.entropy.bytes());
        let wrapped = key.wrap((kind, epoch, tenant, id), &secret, &self.entropy);
        self.store.put_index_key(tenant, (kind, id), epoch, self.clock.now(), &wrapped).await
    }

    async fn unwrap_all(
        &self,
        tenant: TenantId,
        rows: &[(i16, u32, Vec<u8>)],
        kind: Kind,
    ) -> Result<Vec<(u32, Secret)>, KeyError> {
        let mut keys = Vec::new();
        for (_, version, bytes) in rows.iter().filter(|(k, ..)| *k == kind as i16) {
            let wrapped = wrapped::parse(bytes)
                .filter(|wrapped| wrapped.kind == kind && wrapped.tenant == tenant)
                .ok_or(KeyError::Damaged)?;
            let key = self.tenant_key(tenant, wrapped.epoch).await?;
            keys.push((*version, wrapped.try_unwrap(&key).map_err(|_| KeyError::Damaged)?));
        }
        if keys.is_empty() { Err(KeyError::Missing) } else { Ok(keys) }
    }
}
