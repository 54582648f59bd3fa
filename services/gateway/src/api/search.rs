//! Full-text search. By a body: what is searched for is personal, and URLs end up in logs of others.

use lethe_ids::{ContactId, ConversationId, MemberId};
use lethe_proto::search::{self as proto, SearchMessagesRequest};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{conversations::Channel, messages::Message};
use crate::{
    body::{Json, Reply},
    json::{At, Object, PageLimit, Text, wire_enum},
    problem::Problem,
    session::Acting,
};

wire_enum! {
    /// Which hits come first.
    SearchOrder is proto::SearchOrder {
        /// The newest.
        Newest = "newest",
        /// Where the words stand in a row, as typed, often and among few others; then the newest.
        Relevance = "relevance",
    }
}

/// What is looked for. Absent filters do not filter.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "query": "refund parcel", "channel": "whatsapp", "from": "2025-10-01T00:00:00Z",
    "wait_for": {"contact_id": "con_01998f2ac3e47b0f8a5d2f60b1c9e7aa", "seq": 17}, "limit": 20
}))]
pub(crate) struct Search {
    /// 1 to 256 characters; all words must occur, as typed or in other forms of their language (`cancelled` finds `cancel`).
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    query: Text,
    #[serde(default)]
    channel: Option<Channel>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    contact_id: Option<ContactId>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    conversation_id: Option<ConversationId>,
    /// The member who wrote the message or is assigned to its conversation.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    member_id: Option<MemberId>,
    /// Not before (RFC 3339).
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<At>,
    /// Before (RFC 3339).
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<At>,
    /// Which hits come first; the newest unless it is given.
    #[serde(default)]
    order: Option<SearchOrder>,
    /// A state of a contact that must be in the index first.
    #[serde(default)]
    #[schema(value_type = Option<WaitFor>)]
    wait_for: Option<Object<WaitFor>>,
    /// Conversations marked as spam, too.
    #[serde(default)]
    #[schema(nullable = false)]
    include_spam: Option<bool>,
    /// How many at most.
    #[serde(default)]
    #[schema(value_type = Option<u32>, nullable = false, minimum = 1, maximum = 200, default = 50)]
    limit: PageLimit,
    /// `next` of the page before.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    after: Option<Text>,
}

/// A contact and the `seq` of what must be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WaitFor {
    #[schema(value_type = String)]
    contact_id: ContactId,
    seq: u64,
}

/// A message that was found.
#[derive(Serialize, ToSchema)]
pub(crate) struct Hit {
    message: Message,
    /// Where words of the query stand in its text.
    highlights: Vec<Highlight>,
}

/// A range of characters (Unicode scalar values).
#[derive(Serialize, ToSchema)]
pub(crate) struct Highlight {
    /// The first one.
    start: u32,
    /// Behind the last one.
    end: u32,
}

/// A page of what was found.
#[derive(Serialize, ToSchema)]
pub(crate) struct HitPage {
    hits: Vec<Hit>,
    /// For `after`; `null` on the last page.
    next: Option<String>,
    /// `false` when `wait_for` was not reached in time.
    caught_up: bool,
}

/// Searches the messages.
#[utoipa::path(post, path = "/v1/search/messages", tag = "search",
    responses((status = 200, body = HitPage)),
    extensions(("x-lethe-rpc" = json!("SearchMessages")), ("x-lethe-reads" = json!(true))))]
pub(crate) async fn search_messages(
    acting: Acting,
    Json(body): Json<Search>,
) -> Result<Reply<HitPage>, Problem> {
    let Search {
        query,
        channel,
        contact_id,
        conversation_id,
        member_id,
        from,
        until,
        order,
        wait_for,
        include_spam,
        limit,
        after,
    } = body;
    let filters = format!(
        "{:?}",
        (&query, channel, contact_id, conversation_id, member_id, from, until, order, include_spam)
    );
    let list = acting.list("SearchMessages", &filters);
    let request = SearchMessagesRequest {
        query: query.0,
        channel: channel.map_or(0, |channel| channel.proto().into()),
        contact_id: contact_id.map(|contact| contact.to_string()).unwrap_or_default(),
        conversation_id: conversation_id.map(|conversation| conversation.to_string()).unwrap_or_default(),
        member_id: member_id.map(|member| member.to_string()).unwrap_or_default(),
        from: from.map(At::timestamp),
        until: until.map(At::timestamp),
        order: order.map_or(0, |order| order.proto().into()),
        wait_for: wait_for
            .map(|Object(wait)| proto::WaitFor { contact_id: wait.contact_id.to_string(), seq: wait.seq }),
        include_spam: include_spam.unwrap_or_default(),
        page: list.page(limit, after.as_ref().map(|after| after.0.as_str()))?,
    };
    let answer = acting.search().search_messages(request).await?.into_inner();
    let next = list.next(&answer.next);
    let hits = answer.hits.into_iter().filter_map(|hit| {
        let highlights =
            hit.highlights.iter().map(|range| Highlight { start: range.start, end: range.end }).collect();
        Some(Hit { message: hit.message?.into(), highlights })
    });
    Ok(Reply::ok(HitPage { hits: hits.collect(), next, caught_up: answer.caught_up }))
}
