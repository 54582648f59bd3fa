//! Events consumed: those that tenants hear of by webhooks. Each is queued for the endpoints that want it; delivered twice by
//! the bus, it finds itself queued. One about a contact that is fenced is dropped: what there is to say then, the notice
//! of its erasure says.

use std::{collections::HashSet, sync::Arc};

use lethe_ids::TenantId;
use lethe_outbox::{Consume, ConsumeError, Notification, kind};
use lethe_proto::{
    event::{ContactChanged, ConversationChanged, ErasureAdvanced, MessageChanged},
    messaging::WebhookEventType,
};
use lethe_service::Failure;
use tonic::Code;
use tracing::Instrument;

use crate::{
    domain::webhook::About,
    error::Error,
    state::State,
    store::{head, notice, webhook_delivery, webhook_endpoint},
};

/// The consumer's name on the bus. It must not change.
pub(crate) const WEBHOOK_CONSUMER: &str = "messaging_webhooks";
/// What tenants may hear of.
pub(crate) const TOLD: [&str; 4] =
    [kind::CONTACT_CHANGED, kind::CONVERSATION_CHANGED, kind::MESSAGE_CHANGED, kind::ERASURE_ADVANCED];
/// The state of an erasure whose last certificate is signed.
const LAST_STATE: &str = "re_verified";
/// Longest code of a state that is passed on.
const LONGEST_CODE: usize = 40;

/// Queues events for webhooks.
pub(crate) struct Webhooks(pub(crate) Arc<State>);

impl Consume for Webhooks {
    async fn consume(&self, batch: Vec<Notification>) -> Vec<Result<(), ConsumeError>> {
        let listening = match self.listening(&batch).await {
            Ok(listening) => listening,
            Err(error) => return batch.iter().map(|_| Err(failed(error.clone()))).collect(),
        };
        let mut answers = Vec::with_capacity(batch.len());
        for notification in batch {
            if let Err(error) = self.let_notices_go(&notification).await {
                answers.push(Err(failed(error.into())));
                continue;
            }
            answers.push(if listening.contains(&notification.tenant) {
                let span = notification.span.clone();
                self.queue(notification).instrument(span).await
            } else {
                Ok(())
            });
        }
        answers
    }
}

impl Webhooks {
    /// Most tenants have no endpoint: one question for all of the batch.
    async fn listening(&self, batch: &[Notification]) -> Result<HashSet<TenantId>, Failure> {
        let tenants: HashSet<TenantId> = batch.iter().map(|notification| notification.tenant).collect();
        let tenants: Vec<TenantId> = tenants.into_iter().collect();
        let found = webhook_endpoint::listening(self.0.db.jobs(), &tenants).await.map_err(Error::from)?;
        Ok(found.into_iter().collect())
    }

    /// The last certificate of an erasure says who was told of it.
    async fn let_notices_go(&self, notification: &Notification) -> Result<(), Error> {
        if notification.kind != kind::ERASURE_ADVANCED {
            return Ok(());
        }
        if let Some((_, About { erasure: Some(erasure), erasure_state: Some(state), .. })) =
            read(notification)
            && state == LAST_STATE
        {
            let mut tx = self.0.tx(notification.tenant).await?;
            notice::let_go(&mut tx, erasure).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    async fn queue(&self, notification: Notification) -> Result<(), ConsumeError> {
        if is_imported(&notification) {
            return Ok(());
        }
        let (event_type, about) =
            read(&notification).ok_or(ConsumeError::Reject("WEBHOOK_EVENT_MALFORMED"))?;
        self.write(&notification, event_type, &about).await.map_err(|error| failed(error.into()))
    }

    async fn write(
        &self,
        notification: &Notification,
        event_type: WebhookEventType,
        about: &About,
    ) -> Result<(), Error> {
        let state = &self.0;
        let mut tx = state.tx(notification.tenant).await?;
        let mut about = about.clone();
        if let Some(contact) = about.contact {
            // Who was merged meanwhile is told of as who it is now.
            about.contact = head::holds_off_fence(&mut tx, contact, about.conversation).await?;
            if about.contact.is_none() {
                return Ok(());
            }
        }
        let listening = webhook_delivery::lock_listening(&mut tx, event_type as i16, notification.at).await?;
        if listening.is_empty() {
            return Ok(());
        }
        for endpoint in listening {
            let event = (notification.event_id, event_type, notification.at);
            state.queue_delivery(&mut tx, endpoint, event, &about).await?;
        }
        tx.commit().await?;
        state.queued.notify_one();
        Ok(())
    }
}

fn failed(failure: Failure) -> ConsumeError {
    match failure.code {
        Code::Unavailable => ConsumeError::Unavailable(failure.into()),
        _ => ConsumeError::Retry("WEBHOOK_NOT_QUEUED", failure.into()),
    }
}

/// Whether an import made what the event is about: the tenant itself brought it.
fn is_imported(notification: &Notification) -> bool {
    match notification.kind.as_str() {
        kind::CONTACT_CHANGED => notification.decode().is_ok_and(|event: ContactChanged| event.imported),
        kind::CONVERSATION_CHANGED => {
            notification.decode().is_ok_and(|event: ConversationChanged| event.imported)
        }
        kind::MESSAGE_CHANGED => notification.decode().is_ok_and(|event: MessageChanged| event.imported),
        _ => false,
    }
}

/// What the event says to a tenant; `None` when it is none of ours.
fn read(notification: &Notification) -> Option<(WebhookEventType, About)> {
    match notification.kind.as_str() {
        kind::CONTACT_CHANGED => {
            let event: ContactChanged = notification.decode().ok()?;
            let about = About { contact: Some(event.contact_id.parse().ok()?), ..About::default() };
            Some((WebhookEventType::ContactChanged, about))
        }
        kind::CONVERSATION_CHANGED => {
            let event: ConversationChanged = notification.decode().ok()?;
            let about = About {
                contact: Some(event.contact_id.parse().ok()?),
                conversation: Some(event.conversation_id.parse().ok()?),
                ..About::default()
            };
            Some((WebhookEventType::ConversationChanged, about))
        }
        kind::MESSAGE_CHANGED => {
            let event: MessageChanged = notification.decode().ok()?;
            let about = About {
                contact: Some(event.contact_id.parse().ok()?),
                conversation: Some(event.conversation_id.parse().ok()?),
                message: Some(event.message_id.parse().ok()?),
                ..About::default()
            };
            Some((WebhookEventType::MessageChanged, about))
        }
        kind::ERASURE_ADVANCED => {
            let event: ErasureAdvanced = notification.decode().ok()?;
            let is_code = event.state.len() <= LONGEST_CODE
                && event.state.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'-'));
            let about = About {
                erasure: Some(event.erasure_id.parse().ok()?),
                erasure_state: is_code.then_some(event.state),
                ..About::default()
            };
            Some((WebhookEventType::ErasureAdvanced, about))
        }
        _ => None,
    }
}
