//! ListConversations: by their last message, the newest first.

use lethe_ids::{ContactId, LabelId};
use lethe_proto::messaging::{ConversationStatus, ListConversationsRequest, ListConversationsResponse};
use lethe_service::{Limit, PageKey, id, page};
use time::{OffsetDateTime, macros::datetime};
use tonic::Request;
use uuid::Uuid;

use crate::{
    domain::channel::{Code, optional},
    error::Error,
    state::{Call, State},
    store::conversation::{self, Which},
};

/// After every conversation there will ever be.
const END_OF_TIME: OffsetDateTime = datetime!(9999-12-31 00:00 UTC);

pub(super) async fn list_conversations(
    state: &State,
    request: Request<ListConversationsRequest>,
) -> Result<ListConversationsResponse, Error> {
    let call = Call::of(&request)?;
    let request = request.get_ref();
    let contact: Option<ContactId> =
        if request.contact_id.is_empty() { None } else { Some(id("contact_id", &request.contact_id)?) };
    let label: Option<LabelId> =
        if request.label_id.is_empty() { None } else { Some(id("label_id", &request.label_id)?) };
    let statuses = match optional::<ConversationStatus>("status", request.status)? {
        Some(status) => vec![status.number()],
        None => vec![ConversationStatus::Open.number(), ConversationStatus::Resolved.number()],
    };
    let asked = request.page.as_ref();
    let limit = Limit::of(asked)?;
    let after = PageKey::of(asked)?.map_or((END_OF_TIME, Uuid::max()), |key| (key.at, key.id));
    let most = limit.and_one();
    let mut tx = state.tx(call.tenant).await?;
    let mut rows = match contact {
        Some(contact) => {
            conversation::list_of_contact(&mut tx, contact, (&statuses, label, request.spam), after, most)
                .await?
        }
        None => {
            let mut rows = Vec::new();
            for status in statuses {
                rows.extend(
                    conversation::list(&mut tx, Which { status, label, spam: request.spam }, after, most)
                        .await?,
                );
            }
            rows.sort_by_key(|row| std::cmp::Reverse((row.ordered_at(), row.id().uuid())));
            rows
        }
    };
    drop(tx);
    let next = page::next(&mut rows, limit, |row| PageKey { at: row.ordered_at(), id: row.id().uuid() });
    let conversations = rows.iter().map(super::get_conversation::encode).collect();
    Ok(ListConversationsResponse { conversations, next })
}
