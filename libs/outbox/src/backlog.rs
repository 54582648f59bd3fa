//! What waits: events that are committed and not published, events that are published and not consumed, dead letters.

use std::time::Duration;

use async_nats::jetstream::{self, consumer::Info, stream::Stream};
use futures::TryStreamExt;
use lethe_proto::operation::{Backlog, ConsumerBacklog};
use lethe_service::timestamp;
use sqlx::Row;
use time::OffsetDateTime;

use crate::{Bus, kinds::KINDS, stream_name};

/// Events are counted no further.
const MOST_COUNTED: i32 = 100_000;
/// How long the bus may take to answer all questions.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);

/// The backlog of the service whose bus this is. A bus that is away is said and is no error: it is then that one asks.
///
/// # Errors
/// When PostgreSQL does not answer.
pub(crate) async fn backlog(bus: &Bus) -> Result<Backlog, sqlx::Error> {
    let pool = bus.db.jobs();
    let waiting: i32 =
        sqlx::query_scalar("select outbox_backlog_v1($1)").bind(MOST_COUNTED).fetch_one(pool).await?;
    let oldest: Option<OffsetDateTime> = match waiting {
        0 => None,
        _ => {
            sqlx::query_scalar("select min(created_at) from outbox where stream_seq is null")
                .fetch_one(pool)
                .await?
        }
    };
    let letters =
        sqlx::query("select count(*), min(died_at) from (select died_at from dead_letters limit $1) letters")
            .bind(i64::from(MOST_COUNTED))
            .fetch_one(pool)
            .await?;
    let consumers = tokio::time::timeout(ANSWERS_WITHIN, consumers(bus)).await.ok().and_then(Result::ok);
    Ok(Backlog {
        outbox_waiting: waiting.unsigned_abs(),
        outbox_oldest_at: oldest.map(timestamp),
        dead_letters: u32::try_from(letters.try_get::<i64, _>(0)?).unwrap_or(u32::MAX),
        oldest_dead_letter_at: letters.try_get::<Option<OffsetDateTime>, _>(1)?.map(timestamp),
        bus_answers: consumers.is_some(),
        consumers: consumers.unwrap_or_default(),
    })
}

/// The durable consumers that begin with the service's name, over the streams of all areas. An area without a stream has
/// had no event yet.
async fn consumers(bus: &Bus) -> Result<Vec<ConsumerBacklog>, async_nats::Error> {
    let mut areas: Vec<&str> = KINDS.iter().filter_map(|kind| kind.name.split('.').next()).collect();
    areas.sort_unstable();
    areas.dedup();
    let mut all = Vec::new();
    // Asked before any stream: whether a bus is there at all.
    bus.nats.jetstream().query_account().await?;
    for area in areas {
        let Ok(stream) = bus.nats.jetstream().get_stream(stream_name(area)).await else { continue };
        let mut infos = stream.consumers();
        while let Some(info) = infos.try_next().await? {
            if info.name.starts_with(bus.db.service()) {
                all.push(one(&stream, area, info).await?);
            }
        }
    }
    Ok(all)
}

async fn one(
    stream: &Stream<jetstream::stream::Info>,
    area: &str,
    info: Info,
) -> Result<ConsumerBacklog, async_nats::Error> {
    let in_hand = u64::try_from(info.num_ack_pending).unwrap_or(u64::MAX);
    let behind_since = match info.num_pending + in_hand {
        0 => None,
        // What lies between the floor and the next event may be another consumer's: it is never later than ours.
        _ => {
            stream.get_raw_message(info.ack_floor.stream_sequence + 1).await.ok().map(|message| message.time)
        }
    };
    Ok(ConsumerBacklog {
        consumer: info.name,
        area: area.to_owned(),
        waiting: info.num_pending,
        in_hand,
        behind_since: behind_since.map(timestamp),
    })
}
