//! messaging at its edge: the two RPCs that search calls, over a small store, and its events by a real outbox.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use lethe_ids::{ContactId, ConversationId, MemberId, MessageId, TenantId};
use lethe_outbox::{Event, Outbox, kind};
use lethe_proto::{
    event::{ContactChanged, ConversationChanged, MessageChanged},
    messaging::{
        AcceptedMessage, Channel, DeleteMessageRequest, EditMessageRequest, GetMessageRequest,
        HydrateMessagesRequest, HydrateMessagesResponse, IndexableMessage, ListMessagesRequest,
        ListMessagesResponse, Message, ReadForIndexRequest, ReadForIndexResponse, ReceiveMessageRequest,
        RecordDeliveryRequest, SendMessageRequest, message_service_server::MessageService,
        read_for_index_request::What,
    },
};
use lethe_service::{Database, timestamp};
use time::{Duration, OffsetDateTime, macros::datetime};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::support::fresh;

/// Shared by the service that is served and the test that speaks through it.
#[derive(Clone)]
pub(crate) struct Messaging {
    state: Arc<Mutex<State>>,
    outbox: Outbox,
    db: Database,
}

#[derive(Default)]
struct State {
    messages: BTreeMap<MessageId, Stored>,
    seqs: BTreeMap<ContactId, u64>,
    hidden: Vec<ContactId>,
}

#[derive(Clone)]
struct Stored {
    tenant: TenantId,
    contact: ContactId,
    message: Message,
    assigned: Option<MemberId>,
    is_deleted: bool,
}

/// Where something is said.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) tenant: TenantId,
    pub(crate) contact: ContactId,
    pub(crate) conversation: ConversationId,
}

impl Place {
    pub(crate) fn new(tenant: TenantId) -> Self {
        Self { tenant, contact: ContactId::new(fresh()), conversation: ConversationId::new(fresh()) }
    }
}

const BEGIN: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);

impl Messaging {
    /// With the messages of `before`, and another way out for its events.
    pub(crate) fn new(before: Option<&Self>, outbox: Outbox, db: Database) -> Self {
        let state = before.map(|before| before.state.clone()).unwrap_or_default();
        Self { state, outbox, db }
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Accepts a message and says so on the bus. Answers its id and sequence.
    pub(crate) async fn say(&self, place: Place, text: &str) -> (MessageId, u64) {
        let (id, seq) = self.keep(place, text);
        self.tell_message(place, id, seq).await;
        (id, seq)
    }

    /// Accepts a message of which nobody hears.
    pub(crate) fn keep(&self, place: Place, text: &str) -> (MessageId, u64) {
        let mut state = self.state.lock().unwrap();
        let seq = state.count_up(place.contact);
        let (id, number) = (MessageId::new(fresh()), state.messages.len() as i64);
        let message = Message {
            message_id: id.to_string(),
            conversation_id: place.conversation.to_string(),
            contact_id: place.contact.to_string(),
            channel: Channel::LiveChat.into(),
            text: text.to_owned(),
            created_at: Some(timestamp(BEGIN + Duration::seconds(number))),
            version: 1,
            seq,
            ..Message::default()
        };
        let (tenant, contact) = (place.tenant, place.contact);
        state.messages.insert(id, Stored { tenant, contact, message, assigned: None, is_deleted: false });
        (id, seq)
    }

    pub(crate) async fn edit(&self, place: Place, id: MessageId, text: &str) -> u64 {
        let seq = self.change(place, id, |stored| stored.message.text = text.to_owned());
        self.tell_message(place, id, seq).await;
        seq
    }

    pub(crate) async fn delete(&self, place: Place, id: MessageId) -> u64 {
        let seq = self.change(place, id, |stored| stored.is_deleted = true);
        self.tell_message(place, id, seq).await;
        seq
    }

    fn change(&self, place: Place, id: MessageId, change: impl FnOnce(&mut Stored)) -> u64 {
        let mut state = self.state.lock().unwrap();
        let seq = state.count_up(place.contact);
        let stored = state.messages.get_mut(&id).unwrap();
        stored.message.seq = seq;
        change(stored);
        seq
    }

    /// Assigns the conversation; its messages keep their sequences.
    pub(crate) async fn assign(&self, place: Place, member: MemberId) -> u64 {
        let seq = {
            let mut state = self.state.lock().unwrap();
            let conversation = place.conversation.to_string();
            let of_it = state.messages.values_mut().filter(|s| s.message.conversation_id == conversation);
            of_it.for_each(|stored| stored.assigned = Some(member));
            state.count_up(place.contact)
        };
        let payload = ConversationChanged {
            conversation_id: place.conversation.to_string(),
            contact_id: place.contact.to_string(),
            version: None,
            imported: false,
        };
        self.put(place, kind::CONVERSATION_CHANGED, seq, payload).await;
        seq
    }

    /// Restricted, or no more.
    pub(crate) async fn restrict(&self, place: Place, is_hidden: bool) -> u64 {
        let seq = {
            let mut state = self.state.lock().unwrap();
            state.hidden.retain(|contact| *contact != place.contact);
            if is_hidden {
                state.hidden.push(place.contact);
            }
            state.count_up(place.contact)
        };
        let payload =
            ContactChanged { contact_id: place.contact.to_string(), version: None, imported: false };
        self.put(place, kind::CONTACT_CHANGED, seq, payload).await;
        seq
    }

    /// Answers nonsense about this message from now on.
    pub(crate) fn spoil(&self, id: MessageId) {
        let mut state = self.state.lock().unwrap();
        state.messages.get_mut(&id).unwrap().message.contact_id = "nobody".to_owned();
    }

    /// Not to be had any more, without a word on the bus.
    pub(crate) fn hide(&self, contact: ContactId) {
        self.state.lock().unwrap().hidden.push(contact);
    }

    pub(crate) async fn tell_message(&self, place: Place, id: MessageId, seq: u64) {
        let payload = MessageChanged {
            message_id: id.to_string(),
            conversation_id: place.conversation.to_string(),
            contact_id: place.contact.to_string(),
            version: None,
            imported: false,
        };
        self.put(place, kind::MESSAGE_CHANGED, seq, payload).await;
    }

    async fn put(&self, place: Place, kind: &'static str, seq: u64, payload: impl prost::Message) {
        let mut tx = self.db.tenant(place.tenant).await.unwrap();
        let event = Event { kind, aggregate: place.contact.uuid(), seq, payload };
        self.outbox.put(&mut tx, &event).await.unwrap();
        tx.commit().await.unwrap();
        self.outbox.wake();
    }
}

impl State {
    fn count_up(&mut self, contact: ContactId) -> u64 {
        let seq = self.seqs.entry(contact).or_default();
        *seq += 1;
        *seq
    }

    fn visible(&self, stored: &Stored) -> bool {
        !stored.is_deleted && !self.hidden.contains(&stored.contact)
    }
}

#[tonic::async_trait]
impl MessageService for Messaging {
    async fn read_for_index(
        &self,
        request: Request<ReadForIndexRequest>,
    ) -> Result<Response<ReadForIndexResponse>, Status> {
        let request = request.into_inner();
        let tenant: TenantId =
            request.tenant_id.parse().map_err(|_| Status::invalid_argument("tenant_id"))?;
        let state = self.state.lock().unwrap();
        let indexable = |stored: &Stored| IndexableMessage {
            message: Some(stored.message.clone()),
            assigned_member_id: stored.assigned.map(|member| member.to_string()).unwrap_or_default(),
            incarnation: 1,
        };
        let mut response = ReadForIndexResponse::default();
        let contact = match request.what {
            Some(What::MessageIds(ids)) => {
                for id in ids.values {
                    let stored = id.parse().ok().and_then(|id: MessageId| state.messages.get(&id));
                    match stored.filter(|stored| stored.tenant == tenant && state.visible(stored)) {
                        Some(stored) => response.messages.push(indexable(stored)),
                        None => response.absent_message_ids.push(id),
                    }
                }
                return Ok(Response::new(response));
            }
            Some(What::ContactId(contact)) => Some(contact.parse::<ContactId>().unwrap()),
            _ => None,
        };
        let page = request.page.unwrap_or_default();
        let after = Uuid::from_slice(&page.after).ok();
        let mut rest = state.messages.iter().filter(|(id, stored)| {
            stored.tenant == tenant
                && contact.is_none_or(|contact| stored.contact == contact)
                && after.is_none_or(|after| id.uuid() > after)
        });
        // As messaging does it: a page is cut first, and then what is not to be indexed left out.
        let some: Vec<_> = rest.by_ref().take(page.limit as usize).collect();
        if let (Some((last, _)), Some(_)) = (some.last(), rest.next()) {
            response.next = Bytes::copy_from_slice(last.uuid().as_bytes());
        }
        let visible = some.into_iter().filter(|(_, stored)| state.visible(stored));
        response.messages = visible.map(|(_, stored)| indexable(stored)).collect();
        Ok(Response::new(response))
    }

    async fn hydrate_messages(
        &self,
        request: Request<HydrateMessagesRequest>,
    ) -> Result<Response<HydrateMessagesResponse>, Status> {
        let tenant = lethe_access::principal(&request)?.tenant;
        let ids = request.into_inner().message_ids;
        assert!(ids.len() <= 200, "no more may be asked for");
        let state = self.state.lock().unwrap();
        let found = ids.iter().filter_map(|id| state.messages.get(&id.parse().ok()?));
        let seen = found.filter(|stored| stored.tenant == tenant && state.visible(stored));
        let messages = seen.map(|stored| stored.message.clone()).collect();
        Ok(Response::new(HydrateMessagesResponse { messages }))
    }

    async fn send_message(
        &self,
        _: Request<SendMessageRequest>,
    ) -> Result<Response<AcceptedMessage>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn receive_message(
        &self,
        _: Request<ReceiveMessageRequest>,
    ) -> Result<Response<AcceptedMessage>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn get_message(&self, _: Request<GetMessageRequest>) -> Result<Response<Message>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn list_messages(
        &self,
        _: Request<ListMessagesRequest>,
    ) -> Result<Response<ListMessagesResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn edit_message(&self, _: Request<EditMessageRequest>) -> Result<Response<Message>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn delete_message(&self, _: Request<DeleteMessageRequest>) -> Result<Response<Message>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn record_delivery(&self, _: Request<RecordDeliveryRequest>) -> Result<Response<Message>, Status> {
        Err(Status::unimplemented(""))
    }
}
