//! What accepting a message must know of its conversation: with whom it is, and under which secrets the text is sealed.
//! It hardly ever changes, so it is remembered; what does change (fence, opt-out, restriction) is asked in the
//! accepting transaction, never here.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use lethe_ids::{ContactId, ConversationId, SubjectId, TenantId, UnitId};
use lethe_proto::messaging::Channel;
use moka::sync::Cache;
use time::OffsetDateTime;

use crate::{
    config::ConversationsConfig,
    domain::month::Month,
    error::Error,
    state::State,
    store::{
        conversation::{self, LISTED_WITHIN},
        head,
    },
};

/// A conversation, as accepting needs it.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) conversation: ConversationId,
    pub(crate) contact: ContactId,
    pub(crate) subject: SubjectId,
    pub(crate) channel: Channel,
    /// The unit of the newest month that a message came in.
    unit: RwLock<(Month, UnitId)>,
    /// Microseconds since 1970.
    listed_at: AtomicI64,
}

impl Route {
    fn unit_of(&self, month: Month) -> Option<UnitId> {
        let (known, unit) = *self.unit.read().unwrap_or_else(PoisonError::into_inner);
        (known == month).then_some(unit)
    }

    /// Whether a message at `at` moves the conversation in the lists' index.
    pub(crate) fn is_due(&self, at: OffsetDateTime) -> bool {
        micros(at) - self.listed_at.load(Ordering::Relaxed)
            >= i64::try_from(LISTED_WITHIN.whole_microseconds()).unwrap_or(i64::MAX)
    }

    /// A message at `at` moved it.
    pub(crate) fn was_listed(&self, at: OffsetDateTime) {
        self.listed_at.fetch_max(micros(at), Ordering::Relaxed);
    }
}

fn micros(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
}

/// The conversations in memory.
pub(crate) struct Routes(Cache<(TenantId, ConversationId), Arc<Route>>);

impl Routes {
    pub(crate) fn new(config: &ConversationsConfig) -> Self {
        let cache = Cache::builder()
            .max_capacity(config.cached)
            .time_to_live(Duration::from_secs(config.cached_s))
            .build();
        Self(cache)
    }

    /// Forgets conversations: the fence's and the merge's.
    pub(crate) fn evict(&self, tenant: TenantId, conversations: &[ConversationId]) {
        for conversation in conversations {
            self.0.invalidate(&(tenant, *conversation));
        }
    }
}

impl State {
    /// The conversation and the unit for a message at `at`: from memory, or by one read. The first message of a month
    /// makes the month's secret, before any row that uses it.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none, or its contact is fenced.
    pub(crate) async fn route(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        at: OffsetDateTime,
    ) -> Result<(Arc<Route>, UnitId), Error> {
        let (key, month) = ((tenant, conversation), Month::of(at));
        if let Some(route) = self.routes.0.get(&key)
            && let Some(unit) = route.unit_of(month)
        {
            return Ok((route, unit));
        }
        let mut tx = self.tx(tenant).await?;
        let row = conversation::route(&mut tx, conversation, month).await?;
        drop(tx);
        let row = row.ok_or(Error::NotFound("conversation"))?;
        let unit = match row.unit() {
            Some(unit) => unit,
            None => self.begin_month(tenant, conversation, (row.contact(), row.subject()), month).await?,
        };
        let route = Arc::new(Route {
            conversation,
            contact: row.contact(),
            subject: row.subject(),
            channel: Channel::try_from(i32::from(row.channel))
                .map_err(|_| Error::Corrupt("conversations.channel"))?,
            unit: RwLock::new((month, unit)),
            listed_at: AtomicI64::new(micros(row.listed_at)),
        });
        self.routes.0.insert(key, route.clone());
        Ok((route, unit))
    }

    /// Makes the secret of a conversation's month. Whoever does so at the same time agrees on one; the other's secret
    /// has no owner and is swept.
    async fn begin_month(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        (contact, subject): (ContactId, SubjectId),
        month: Month,
    ) -> Result<UnitId, Error> {
        let unit = UnitId::new(self.entropy.uuid4());
        self.create_secrets(tenant, None, &[unit], subject).await?;
        let mut tx = self.tx(tenant).await?;
        head::require_for(&mut tx, contact, conversation, "conversation").await?;
        let inserted = conversation::insert_unit(&mut tx, conversation, month, unit).await?;
        if inserted {
            tx.commit().await?;
            return Ok(unit);
        }
        let row = conversation::route(&mut tx, conversation, month).await?;
        row.and_then(|row| row.unit()).ok_or(Error::NotFound("conversation"))
    }
}
