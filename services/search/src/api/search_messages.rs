//! `SearchMessages`: the engine names ids, messaging gives the texts under the viewer's principal, and only what it gives
//! and what still has the words is a hit.

use bytes::Bytes;
use lethe_ids::{ContactId, ConversationId, MemberId, MessageId, TenantId};
use lethe_proto::{
    messaging::{Channel, HydrateMessagesRequest, Message, message_service_client::MessageServiceClient},
    request::Page,
    search::{Highlight, SearchHit, SearchMessagesRequest, SearchMessagesResponse, SearchOrder, WaitFor},
};
use lethe_service::{CallContext, Failure, Limit, PageKey, id, instant};
use prost_types::Timestamp;
use time::OffsetDateTime;
use tokio::time::{Duration, Instant, timeout_at};
use tonic::Request;

use super::Api;
use crate::{
    analysis::{self, Sought},
    engine::{Hit, Order, Search, micros},
    error::Error,
    indexer::LARGEST_ANSWER,
    store,
};

/// Longer queries are refused. In characters.
const LONGEST_QUERY: usize = 256;
/// Ids in one question to messaging.
const MOST_IDS: usize = 200;
/// When messaging leaves hits out, more are sought, at most so many times for one page; then the page is short.
const ROUNDS: usize = 8;
/// How often a waiting search looks at the progress that another process may have made.
const LOOK: Duration = Duration::from_millis(50);

pub(super) async fn search_messages(
    api: &Api,
    request: Request<SearchMessagesRequest>,
) -> Result<SearchMessagesResponse, Error> {
    let tenant = lethe_access::principal(&request)?.tenant;
    let context = CallContext::of(&request).clone();
    let request = request.into_inner();
    let limit = Limit::of(request.page.as_ref())?.get();
    let mut search = read(&request)?;
    let caught_up = match &request.wait_for {
        Some(wait_for) => wait(api, &context, tenant, wait_for).await?,
        None => true,
    };
    // An index that is not the one that counts answers nothing: the caller goes to the replica whose it is.
    if !api.indexer.holds(tenant) {
        return Err(Error::ShardElsewhere);
    }
    let (mut hits, mut next) = (Vec::new(), None);
    for _ in 0..ROUNDS {
        // One more than the page holds tells whether there is a next one.
        search.limit = (limit - hits.len() + 1).min(MOST_IDS);
        let found = api.indexer.engine.search(tenant, search.clone()).await?;
        let is_last = found.len() < search.limit;
        let mut messages = hydrate(api, &context, &found, request.include_spam).await?.into_iter().peekable();
        for hit in found {
            let id = hit.message.to_string();
            if let Some(message) = messages.next_if(|message| message.message_id == id)
                && let Some(highlighted) = highlighted(&search.sought, message)
            {
                if hits.len() == limit {
                    return Ok(response(hits, next, caught_up));
                }
                hits.push(highlighted);
            }
            (next, search.after) = (Some(hit), Some(hit));
        }
        if is_last {
            return Ok(response(hits, None, caught_up));
        }
    }
    Ok(response(hits, next, caught_up))
}

fn response(hits: Vec<SearchHit>, next: Option<Hit>, caught_up: bool) -> SearchMessagesResponse {
    SearchMessagesResponse { hits, next: next.map(cursor).unwrap_or_default(), caught_up }
}

/// Rank (4 bytes, big-endian), then the page key.
fn cursor(hit: Hit) -> Bytes {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(hit.at) * 1_000);
    let key = PageKey { at: at.unwrap_or(OffsetDateTime::UNIX_EPOCH), id: hit.message.uuid() };
    [&hit.rank.to_be_bytes()[..], &key.encode()].concat().into()
}

/// The hit that [`cursor`] wrote down.
fn after(page: Option<&Page>) -> Result<Option<Hit>, Failure> {
    let Some(page) = page.filter(|page| !page.after.is_empty()) else { return Ok(None) };
    let wrong = || Failure::invalid("page.after", "is not a cursor of this list");
    let (rank, _) = page.after.split_first_chunk::<4>().ok_or_else(wrong)?;
    let key = Page { after: page.after.slice(4..), ..page.clone() };
    let key = PageKey::of(Some(&key))?.ok_or_else(wrong)?;
    Ok(Some(Hit { rank: u32::from_be_bytes(*rank), at: micros(key.at), message: MessageId::new(key.id) }))
}

/// The request as a search. What does not fit is refused with its field.
fn read(request: &SearchMessagesRequest) -> Result<Search, Failure> {
    if request.query.is_empty() || request.query.chars().count() > LONGEST_QUERY {
        return Err(Failure::invalid("query", "must have 1 to 256 characters"));
    }
    let sought = analysis::sought(&request.query);
    let channel =
        Channel::try_from(request.channel).map_err(|_| Failure::invalid("channel", "is none of ours"))?;
    let order = match SearchOrder::try_from(request.order) {
        Ok(SearchOrder::Unspecified | SearchOrder::Newest) => Order::Newest,
        Ok(SearchOrder::Relevance) => Order::Relevance,
        Err(_) => return Err(Failure::invalid("order", "is none of ours")),
    };
    let (from, until) = (time(&request.from, "from")?, time(&request.until, "until")?);
    if let (Some(from), Some(until)) = (from, until)
        && until <= from
    {
        return Err(Failure::invalid("until", "must be later than from"));
    }
    Ok(Search {
        sought: sought.ok_or_else(|| Failure::invalid("query", "has no word to look for"))?,
        channel: Some(channel).filter(|channel| *channel != Channel::Unspecified),
        contact: optional::<ContactId>("contact_id", &request.contact_id)?,
        conversation: optional::<ConversationId>("conversation_id", &request.conversation_id)?,
        member: optional::<MemberId>("member_id", &request.member_id)?,
        from,
        until,
        order,
        after: after(request.page.as_ref())?,
        limit: 0,
    })
}

fn optional<T: std::str::FromStr<Err = lethe_ids::NotAnId>>(
    field: &str,
    text: &str,
) -> Result<Option<T>, Failure> {
    if text.is_empty() { Ok(None) } else { id(field, text).map(Some) }
}

fn time(timestamp: &Option<Timestamp>, field: &str) -> Result<Option<i64>, Failure> {
    timestamp.as_ref().map(|timestamp| instant(timestamp, field).map(micros)).transpose()
}

/// Waits until the change is visible. Answers whether it is.
async fn wait(api: &Api, context: &CallContext, tenant: TenantId, wait_for: &WaitFor) -> Result<bool, Error> {
    let contact: ContactId = id("wait_for.contact_id", &wait_for.contact_id)?;
    let indexer = &api.indexer;
    let mut limit = indexer.config.wait_for();
    if let Some(left) = context.remaining() {
        limit = limit.min(left / 2);
    }
    let deadline = Instant::now() + limit;
    let mut progressed = indexer.progressed();
    loop {
        progressed.borrow_and_update();
        let Ok(look) = timeout_at(deadline, api.looks.acquire()).await else { return Ok(false) };
        let mut tx = indexer.db.tenant(tenant).await?;
        let progress = store::progress::read(&mut tx, &[contact].into()).await?;
        let is_whole = store::tenants::standing(&mut tx).await?.is_some_and(|(is_done, _)| is_done);
        drop((tx, look));
        if indexer.is_settled()
            && is_whole
            && progress.get(&contact).is_some_and(|progress| progress.has_reached(wait_for.seq))
        {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        let look = (Instant::now() + LOOK).min(deadline);
        tokio::select! {
            _ = progressed.changed() => {}
            () = tokio::time::sleep_until(look) => {}
        }
    }
}

/// The messages of these hits that the viewer may see, in their order.
async fn hydrate(
    api: &Api,
    context: &CallContext,
    hits: &[Hit],
    include_spam: bool,
) -> Result<Vec<Message>, Error> {
    if hits.is_empty() {
        return Ok(Vec::new());
    }
    let mut messaging = MessageServiceClient::new(api.peers.client("messaging", context))
        .max_decoding_message_size(LARGEST_ANSWER);
    let message_ids = hits.iter().map(|hit| hit.message.to_string()).collect();
    Ok(messaging
        .hydrate_messages(HydrateMessagesRequest { message_ids, include_spam })
        .await?
        .into_inner()
        .messages)
}

/// The hit with its highlights; nothing when the words are no longer in the text.
fn highlighted(sought: &Sought, message: Message) -> Option<SearchHit> {
    let ranges = analysis::highlight(sought, &message.text)?;
    let highlights = ranges.into_iter().map(|(start, end)| Highlight { start, end }).collect();
    Some(SearchHit { message: Some(message), highlights })
}
