//! From a request to an accepted message: find the conversation, seal the text, have it stored, answer.

use lethe_ids::{ContactId, ConversationId, MessageId};
use lethe_proto::{
    event::MessageChanged,
    messaging::{AcceptedMessage, DeliveryState, Direction, Message},
};
use lethe_service::{Trace, timestamp};
use prost::Message as _;

use crate::{
    domain::{keyword::Keyword, text::MessageText},
    error::Error,
    routes::Route,
    seal,
    state::{Call, State},
    store::{
        hold,
        idempotency::Once,
        message::{self, Item, Outcome},
    },
};

/// A message that is to be accepted.
pub(crate) struct Draft {
    pub(crate) call: Call,
    pub(crate) conversation: ConversationId,
    pub(crate) direction: Direction,
    pub(crate) text: MessageText,
    pub(crate) once: Option<Once>,
}

impl State {
    /// Has the draft accepted.
    ///
    /// # Errors
    /// As `SendMessage` and `ReceiveMessage` say.
    pub(crate) async fn submit(&self, draft: Draft) -> Result<AcceptedMessage, Error> {
        let mut tried = None;
        match self.submit_to(&draft, &mut tried).await {
            // The contact that was remembered may have been merged into another.
            Err(Error::NotFound(_) | Error::Gone(_) | Error::Merged(_))
                if self.was_moved(&draft, tried).await? =>
            {
                self.routes.evict(draft.call.tenant, &[draft.conversation]);
                self.submit_to(&draft, &mut tried).await
            }
            outcome => outcome,
        }
    }

    /// Whether the conversation is there, with another contact than was tried.
    async fn was_moved(&self, draft: &Draft, tried: Option<ContactId>) -> Result<bool, Error> {
        let Some(tried) = tried else { return Ok(false) };
        let mut tx = self.tx(draft.call.tenant).await?;
        let now = hold::contact_of(&mut tx, draft.conversation).await?;
        Ok(now.is_some_and(|now| now != tried))
    }

    async fn submit_to(
        &self,
        draft: &Draft,
        tried: &mut Option<ContactId>,
    ) -> Result<AcceptedMessage, Error> {
        let (tenant, at) = (draft.call.tenant, self.clock.now());
        let found = match self.route(tenant, draft.conversation, at).await {
            Ok((route, unit)) => {
                self.sealer(tenant, route.subject, unit, "conversation").await.map(|sealer| (route, sealer))
            }
            Err(error) => Err(error),
        };
        let (route, sealer) = match found {
            Err(Error::NotFound(noun)) => return Err(self.never_or_gone(draft, noun).await?),
            found => found?,
        };
        *tried = Some(route.contact);
        let id = MessageId::new(self.entropy.uuid7(&self.clock));
        let outbound = draft.direction == Direction::Outbound;
        let changed = MessageChanged {
            message_id: id.to_string(),
            conversation_id: route.conversation.to_string(),
            contact_id: route.contact.to_string(),
            version: None,
            imported: false,
        };
        let item = Item {
            tenant,
            contact: route.contact,
            conversation: route.conversation,
            message: id,
            outbound,
            member: draft.call.actor.member().filter(|_| outbound),
            at,
            once: draft.once,
            text: seal::seal_text(&sealer, id, 1, draft.text.expose()),
            event: changed.encode_to_vec(),
            trace: Trace::current().map(Trace::text),
            touch: route.is_due(at),
        };
        let touch = item.touch;
        let keyword = if outbound { None } else { Keyword::of(draft.text.expose()) };
        let outcome = match keyword {
            None => self.acceptor.accept(item).await?,
            Some(keyword) => self
                .obey(tenant, Some(&draft.call), "ReceiveMessage", route.contact, keyword, Some(&item))
                .await?
                .ok_or(Error::Corrupt("accept_messages_v3"))?,
        };
        match outcome {
            Outcome::Accepted(seq) => {
                if touch {
                    route.was_listed(at);
                }
                self.outbox.wake();
                if !outbound {
                    let ids = (route.contact, route.conversation);
                    self.detect_spam(tenant, ids, draft.text.expose(), at).await;
                }
                let message = accepted(draft, &route, changed, at, seq);
                Ok(AcceptedMessage { message: Some(message), replayed: false })
            }
            Outcome::Replayed(message) => self.replay(&draft.call, message).await,
            Outcome::KeyReused => Err(Error::KeyReused),
            Outcome::Gone => Err(Error::Gone("message")),
            Outcome::NotFound => Err(Error::NotFound("conversation")),
            Outcome::OptedOut => Err(Error::OptedOut),
            Outcome::Restricted => Err(Error::Restricted),
            Outcome::Banned => Err(Error::Banned),
        }
    }

    /// A conversation that is not there: was the request's message in it, before it was erased?
    async fn never_or_gone(&self, draft: &Draft, noun: &'static str) -> Result<Error, Error> {
        if draft.once.is_none() {
            return Ok(Error::NotFound(noun));
        }
        let mut tx = self.tx(draft.call.tenant).await?;
        let made = self.made_before(&mut tx, draft.once, "message").await?;
        Ok(made.map_or(Error::NotFound(noun), |_| Error::Gone("message")))
    }

    /// What the same request made before, as it is now.
    async fn replay(&self, call: &Call, id: MessageId) -> Result<AcceptedMessage, Error> {
        let mut tx = self.tx(call.tenant).await?;
        let row = message::find(&mut tx, id).await?;
        drop(tx);
        let row = row.filter(|row| row.deleted_at.is_none()).ok_or(Error::Gone("message"))?;
        let message = self.open_message(call.tenant, row).await?;
        Ok(AcceptedMessage { message: Some(message), replayed: true })
    }
}

/// The message as it was just stored: nothing is read back.
fn accepted(
    draft: &Draft,
    route: &Route,
    changed: MessageChanged,
    at: time::OffsetDateTime,
    seq: i64,
) -> Message {
    let outbound = draft.direction == Direction::Outbound;
    Message {
        message_id: changed.message_id,
        conversation_id: changed.conversation_id,
        contact_id: changed.contact_id,
        channel: route.channel.into(),
        direction: draft.direction.into(),
        member_id: draft
            .call
            .actor
            .member()
            .filter(|_| outbound)
            .map(|member| member.to_string())
            .unwrap_or_default(),
        text: draft.text.expose().to_owned(),
        created_at: Some(timestamp(at)),
        edited_at: None,
        deleted_at: None,
        version: 1,
        seq: seq.unsigned_abs(),
        delivery: if outbound { DeliveryState::Queued } else { DeliveryState::Unspecified }.into(),
        ..Message::default()
    }
}
