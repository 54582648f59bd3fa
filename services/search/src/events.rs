//! What messaging's events do to the index: whatever they name is read again and written as it is now. One function for
//! a tenant's events; the bus's part is to group them and to keep the pace.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use lethe_ids::{ContactId, ConversationId, MessageId, TenantId};
use lethe_outbox::{Consume, ConsumeError, Notification, kind};
use lethe_proto::event::{self, ContactChanged, ConversationChanged, MessageChanged};
use tokio::time::{Instant, sleep_until};

use crate::{
    engine::Version,
    error::Error,
    indexer::{Changes, Indexer},
};

/// The events that the index lives on.
pub(crate) const KINDS: [&str; 3] =
    [kind::MESSAGE_CHANGED, kind::CONVERSATION_CHANGED, kind::CONTACT_CHANGED];
/// The durable consumer.
pub(crate) const CONSUMER: &str = "search-index";
/// Messages of a conversation that are read again in one turn.
const PAGE: usize = 200;
/// Tenants that are worked on side by side: as many as there are shards.
const AT_ONCE: usize = 8;

/// What an event says.
#[derive(Debug, Clone, Copy)]
struct Change {
    contact: ContactId,
    version: Version,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Contact,
    Conversation(ConversationId),
    Message(MessageId),
}

/// Takes the events in.
pub(crate) struct Events {
    indexer: std::sync::Arc<Indexer>,
}

impl Events {
    pub(crate) fn new(indexer: std::sync::Arc<Indexer>) -> Self {
        Self { indexer }
    }

    /// A tenant's events together; if that fails, each by itself, so that one does not hold back the others.
    async fn of_tenant(
        &self,
        tenant: TenantId,
        changes: &[(usize, Change)],
    ) -> Vec<(usize, Result<(), ConsumeError>)> {
        let all: Vec<Change> = changes.iter().map(|(_, change)| *change).collect();
        match index(&self.indexer, tenant, &all).await.map_err(ConsumeError::from) {
            Ok(()) => changes.iter().map(|(at, _)| (*at, Ok(()))).collect(),
            Err(ConsumeError::Unavailable(source)) => {
                let away = |at: &usize| (*at, Err(ConsumeError::Unavailable(anyhow_of(&source))));
                changes.iter().map(|(at, _)| away(at)).collect()
            }
            Err(error) if changes.len() == 1 => vec![(changes[0].0, Err(error))],
            Err(_) => {
                let mut outcomes = Vec::with_capacity(changes.len());
                for (at, change) in changes {
                    outcomes.push((*at, index(&self.indexer, tenant, &[*change]).await.map_err(Into::into)));
                }
                outcomes
            }
        }
    }
}

fn anyhow_of(source: &lethe_service::BuildError) -> lethe_service::BuildError {
    lethe_service::BuildError::msg(format!("{source:#}"))
}

impl Consume for Events {
    /// Batches keep an interval, so that under load many events share a commit. It is waited for at the end: whatever comes
    /// meanwhile is in the next batch, which is taken off the bus only then.
    async fn consume(&self, batch: Vec<Notification>) -> Vec<Result<(), ConsumeError>> {
        let next = Instant::now() + self.indexer.config.commit_interval();
        let mut outcomes: Vec<Result<(), ConsumeError>> = batch.iter().map(|_| Ok(())).collect();
        let mut tenants: BTreeMap<TenantId, Vec<(usize, Change)>> = BTreeMap::new();
        for (at, notification) in batch.iter().enumerate() {
            match read(notification) {
                Some(change) => tenants.entry(notification.tenant).or_default().push((at, change)),
                None => outcomes[at] = Err(ConsumeError::Reject("EVENT_MALFORMED")),
            }
        }
        let tenants = tenants.into_iter();
        let mut done = stream::iter(tenants)
            .map(|(tenant, changes)| async move { self.of_tenant(tenant, &changes).await })
            .buffer_unordered(AT_ONCE);
        while let Some(of_tenant) = done.next().await {
            for (at, outcome) in of_tenant {
                outcomes[at] = outcome;
            }
        }
        drop(done);
        sleep_until(next).await;
        outcomes
    }
}

fn read(notification: &Notification) -> Option<Change> {
    let version = |version: Option<event::Version>| {
        version.map(|version| Version { incarnation: version.incarnation, seq: version.seq })
    };
    match notification.kind.as_str() {
        kind::MESSAGE_CHANGED => {
            let changed: MessageChanged = notification.decode().ok()?;
            Some(Change {
                contact: changed.contact_id.parse().ok()?,
                version: version(changed.version)?,
                what: What::Message(changed.message_id.parse().ok()?),
            })
        }
        kind::CONVERSATION_CHANGED => {
            let changed: ConversationChanged = notification.decode().ok()?;
            Some(Change {
                contact: changed.contact_id.parse().ok()?,
                version: version(changed.version)?,
                what: What::Conversation(changed.conversation_id.parse().ok()?),
            })
        }
        kind::CONTACT_CHANGED => {
            let changed: ContactChanged = notification.decode().ok()?;
            Some(Change {
                contact: changed.contact_id.parse().ok()?,
                version: version(changed.version)?,
                what: What::Contact,
            })
        }
        _ => None,
    }
}

/// Puts the index right in everything that these events of one tenant name.
async fn index(indexer: &Indexer, tenant: TenantId, events: &[Change]) -> Result<(), Error> {
    indexer.greet(tenant).await?;
    let mut withheld = BTreeSet::new();
    for event in events {
        if let What::Conversation(conversation) = event.what
            && reindex(indexer, tenant, conversation).await?
        {
            withheld.insert(event.contact);
        }
    }
    let turn = indexer.turn(tenant).await?;
    let contacts: BTreeSet<ContactId> = events.iter().map(|event| event.contact).collect();
    let mut progress = turn.progress(&contacts).await?;

    let mut named: BTreeMap<MessageId, (ContactId, Version)> = BTreeMap::new();
    let mut changed_contacts = BTreeSet::new();
    for event in events {
        match event.what {
            What::Contact => drop(changed_contacts.insert(event.contact)),
            What::Message(message) => {
                let known = named.entry(message).or_insert((event.contact, event.version));
                known.1 = known.1.max(event.version);
            }
            What::Conversation(_) => {}
        }
    }
    let ids: Vec<MessageId> = named.keys().copied().collect();
    let batch = indexer.source.by_ids(tenant, &ids).await?;
    let mut changes = Changes { puts: batch.documents, ..Changes::default() };
    for message in batch.absent {
        if let Some((contact, version)) = named.get(&message) {
            changes.removes.insert(message, *version);
            withheld.insert(*contact);
        }
    }
    for contact in withheld {
        progress.entry(contact).or_default().withheld = true;
    }

    // A contact that was restricted has no messages to index; one that is so no more has them again.
    for contact in changed_contacts {
        let known = progress.entry(contact).or_default();
        if known.withheld {
            known.withheld = !turn.read_again(contact).await?;
        } else if !indexer.source.has_any(tenant, contact).await? {
            known.withheld = true;
            changes.gone.insert(contact);
        }
    }
    for event in events {
        progress.entry(event.contact).or_default().note(event.version);
    }
    changes.progress = progress;
    turn.write(changes).await?;
    Ok(())
}

/// Reads again what the index has of a conversation: its assignee may be another one now. A page at a time, each in a
/// turn of its own, so that a long conversation neither fills the memory nor keeps its neighbours waiting. Answers whether
/// a message was withheld.
async fn reindex(indexer: &Indexer, tenant: TenantId, conversation: ConversationId) -> Result<bool, Error> {
    let mut any_absent = false;
    for page in indexer.engine.conversation(tenant, conversation).await?.chunks(PAGE) {
        let turn = indexer.turn(tenant).await?;
        let batch = indexer.source.by_ids(tenant, page).await?;
        any_absent |= !batch.absent.is_empty();
        let removes = batch.absent.into_iter().map(|message| (message, Version::UNKNOWN)).collect();
        turn.write(Changes { puts: batch.documents, removes, ..Changes::default() }).await?;
    }
    Ok(any_absent)
}
