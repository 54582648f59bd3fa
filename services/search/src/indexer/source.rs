//! Reading messaging: the present state of what an event named. Whatever is not to be indexed is absent there.

use std::time::Duration;

use bytes::Bytes;
use lethe_ambient::{Entropy, Sensitive};
use lethe_ids::{ContactId, ConversationId, MemberId, MessageId, TenantId};
use lethe_proto::{
    messaging::{
        IndexableMessage, MessageIds, ReadForIndexRequest, message_service_client::MessageServiceClient,
        read_for_index_request::What,
    },
    request::Page,
};
use lethe_service::{CallContext, PeerChannel, Peers, instant};

use crate::{
    engine::{Document, Version, micros},
    error::Error,
};

/// Messages in one answer: at the longest texts about 13 MiB.
const PAGE: u32 = 200;
/// The largest answer that is taken.
pub(crate) const LARGEST_ANSWER: usize = 32 << 20;

/// messaging, as its reader.
pub(crate) struct Source {
    peers: Peers,
    entropy: Entropy,
    timeout: Duration,
}

/// What messaging answered.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) documents: Vec<Document>,
    /// Asked for by id, and not to be indexed.
    pub(crate) absent: Vec<MessageId>,
    /// Empty at the end.
    pub(crate) next: Bytes,
}

impl Source {
    pub(super) fn new(peers: Peers, entropy: Entropy, timeout: Duration) -> Self {
        Self { peers, entropy, timeout }
    }

    /// These messages.
    pub(crate) async fn by_ids(&self, tenant: TenantId, ids: &[MessageId]) -> Result<Batch, Error> {
        let mut all = Batch::default();
        for some in ids.chunks(PAGE as usize) {
            let values = some.iter().map(MessageId::to_string).collect();
            let mut batch = self.read(tenant, What::MessageIds(MessageIds { values }), None).await?;
            all.documents.append(&mut batch.documents);
            all.absent.append(&mut batch.absent);
        }
        Ok(all)
    }

    /// A page of a contact's messages.
    pub(crate) async fn of_contact(
        &self,
        tenant: TenantId,
        contact: ContactId,
        after: Bytes,
    ) -> Result<Batch, Error> {
        let page = Page { limit: PAGE, after };
        self.read(tenant, What::ContactId(contact.to_string()), Some(page)).await
    }

    /// Whether a contact has a message that may be indexed.
    pub(crate) async fn has_any(&self, tenant: TenantId, contact: ContactId) -> Result<bool, Error> {
        // Mostly the first message answers it. A page may hold nothing and not be the last one: then whole pages.
        let (mut limit, mut after) = (1, Bytes::new());
        loop {
            let page = Page { limit, after };
            let batch = self.read(tenant, What::ContactId(contact.to_string()), Some(page)).await?;
            if !batch.documents.is_empty() || batch.next.is_empty() {
                return Ok(!batch.documents.is_empty());
            }
            (limit, after) = (PAGE, batch.next);
        }
    }

    /// A page of all messages of a tenant.
    pub(crate) async fn everything(&self, tenant: TenantId, after: Bytes) -> Result<Batch, Error> {
        self.read(tenant, What::Everything(true), Some(Page { limit: PAGE, after })).await
    }

    async fn read(&self, tenant: TenantId, what: What, page: Option<Page>) -> Result<Batch, Error> {
        let request = ReadForIndexRequest { tenant_id: tenant.to_string(), what: Some(what), page };
        let answer = self.client().read_for_index(request).await?.into_inner();
        let ids = answer.absent_message_ids.iter();
        let absent = ids.map(|id| id.parse().map_err(|_| Error::Corrupt("an absent message's id")));
        Ok(Batch {
            absent: absent.collect::<Result<_, _>>()?,
            documents: answer.messages.into_iter().map(document).collect::<Result<_, _>>()?,
            next: answer.next,
        })
    }

    fn client(&self) -> MessageServiceClient<PeerChannel> {
        let context = CallContext::for_job("index-messages", &self.entropy, self.timeout);
        MessageServiceClient::new(self.peers.client("messaging", &context))
            .max_decoding_message_size(LARGEST_ANSWER)
    }
}

fn document(read: IndexableMessage) -> Result<Document, Error> {
    let corrupt = || Error::Corrupt("a message to index");
    let message = read.message.ok_or_else(corrupt)?;
    let member = |text: &str| -> Result<Option<MemberId>, Error> {
        if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|_| corrupt()) }
    };
    let created_at = message.created_at.as_ref().ok_or_else(corrupt)?;
    let at = instant(created_at, "created_at").map_err(|_| corrupt())?;
    Ok(Document {
        message: message.message_id.parse().map_err(|_| corrupt())?,
        contact: message.contact_id.parse::<ContactId>().map_err(|_| corrupt())?,
        conversation: message.conversation_id.parse::<ConversationId>().map_err(|_| corrupt())?,
        channel: message.channel(),
        author: member(&message.member_id)?,
        assigned: member(&read.assigned_member_id)?,
        at: micros(at),
        version: Version { incarnation: read.incarnation, seq: message.seq },
        text: Sensitive::new(message.text),
    })
}
