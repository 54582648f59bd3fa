//! The loop of one consumer over one stream.

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use async_nats::{
    Subject,
    jetstream::{
        AckKind, Message,
        consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
    },
};
use futures::FutureExt;
use lethe_ambient::{Planted, planted};
use lethe_service::{BuildError, names, telemetry};
use opentelemetry::{KeyValue, metrics::Counter};
use tokio::time::Instant;
use tracing::{Instrument, Span, field::Empty};

use super::{Consume, ConsumeError, ConsumerConfig, pull::Pull, tries};
use crate::{Bus, Malformed, Notification, dead_letters, ensure_stream};

/// The handler answered for fewer events than it was handed.
const NO_ANSWER: &str = "NO_ANSWER";
/// The handler panicked.
const PANICKED: &str = "PANICKED";
/// The handler took longer than it may.
const TIMED_OUT: &str = "TIMED_OUT";
/// It was begun with so often without an outcome: it may have killed us each time.
const EXHAUSTED: &str = "DELIVERIES_EXHAUSTED";

const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub(super) struct Delivery<H> {
    pub(super) bus: Bus,
    pub(super) name: &'static str,
    pub(super) area: &'static str,
    pub(super) subjects: Vec<String>,
    pub(super) handler: Arc<H>,
    pub(super) config: Arc<ConsumerConfig>,
    pub(super) meters: Meters,
}

/// What is counted of a consumer.
pub(super) struct Meters {
    consumed: Counter<u64>,
    dead: Counter<u64>,
    whose: [KeyValue; 1],
}

impl Meters {
    pub(super) fn new(consumer: &'static str) -> Self {
        let meter = opentelemetry::global::meter("lethe");
        Self {
            consumed: meter.u64_counter(names::EVENTS_CONSUMED).build(),
            dead: meter.u64_counter(names::DEAD_LETTERS).build(),
            whose: [KeyValue::new(names::CONSUMER, consumer)],
        }
    }
}

/// Ours to answer for.
struct InHand {
    message: Message,
    notification: Notification,
    /// It was delivered before: its tries are counted in the database.
    came_again: bool,
}

impl<H: Consume> Delivery<H> {
    /// Pulls until the process stops. A consumer or a stream that is gone (the bus was wiped) is made again.
    pub(super) async fn run(self) {
        let mut failures = 0_u32;
        while !self.bus.tasks.is_stopping() {
            match self.pull(&mut failures).await {
                Ok(()) => return,
                Err(error) => {
                    if failures == 0 {
                        tracing::warn!(consumer = self.name, area = self.area, error = %error, "no events can be pulled");
                    }
                    failures = failures.saturating_add(1);
                    self.bus.tasks.rest(pause(failures)).await;
                }
            }
        }
    }

    /// Takes what is there, up to a batch; when nothing is, waits for the first. Nothing is fetched beyond the batch in
    /// hand: what lies in a buffer of ours would be delivered again while the batch takes long.
    async fn pull(&self, failures: &mut u32) -> Result<(), async_nats::Error> {
        let consumer = self.durable().await?;
        let client = self.bus.nats.client();
        let inbox = Subject::from(client.new_inbox());
        let replies = client.subscribe(inbox.clone()).await?;
        let context = self.bus.nats.jetstream().clone();
        let mut pull = Pull { consumer, inbox, replies, context, tasks: self.bus.tasks.clone() };
        while !self.bus.tasks.is_stopping() {
            let batch = pull.batch(self.config.batch as usize).await?;
            *failures = 0;
            if !batch.is_empty() {
                self.deliver(batch).await;
            }
        }
        Ok(())
    }

    /// The durable consumer, made if it is not there.
    async fn durable(&self) -> Result<PullConsumer, async_nats::Error> {
        let stream = ensure_stream(&self.bus.nats, self.area, &self.config.stream).await?;
        let config = pull::Config {
            durable_name: Some(self.name.to_owned()),
            filter_subjects: self.subjects.clone(),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: Duration::from_millis(self.config.ack_wait_ms),
            max_ack_pending: i64::from(self.config.max_in_hand),
            max_deliver: -1,
            ..pull::Config::default()
        };
        Ok(stream.create_consumer(config).await?)
    }

    /// Reads a batch, has it handled, and answers for each of its messages.
    async fn deliver(&self, messages: Vec<Message>) {
        let mut batch = Vec::with_capacity(messages.len());
        for message in messages {
            match self.read(&message) {
                Ok(notification) => {
                    let came_again = notification.attempt > 1;
                    batch.push(InHand { message, notification, came_again });
                }
                Err(error) => {
                    // Nothing of ours looks like this, and there is no tenant to keep it for.
                    tracing::error!(consumer = self.name, area = self.area, %error, "an event is malformed");
                    answer(&message, AckKind::Term).await;
                }
            }
        }
        let batch = self.begin(batch).await;
        if batch.is_empty() {
            return;
        }
        let outcomes = self.outcomes(&batch).await;
        let over = batch.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_ok());
        self.forget(over.map(|(event, _)| event)).await;
        for (event, outcome) in batch.iter().zip(outcomes) {
            match outcome {
                Ok(()) => {
                    self.meters.consumed.add(1, &self.meters.whose);
                    answer(&event.message, AckKind::Ack).await;
                }
                Err(ConsumeError::Reject(reason)) => self.give_up(event, reason).await,
                Err(ConsumeError::Retry(reason, source)) => {
                    let attempt = event.notification.attempt;
                    tracing::warn!(parent: &event.notification.span, consumer = self.name, reason, attempt, error = format!("{source:#}"), "an event is tried again");
                    if attempt >= self.config.max_deliver {
                        self.give_up(event, reason).await;
                    } else {
                        answer(&event.message, AckKind::Nak(Some(self.backoff(attempt)))).await;
                    }
                }
                // Only when the process stops: the next one goes on with it.
                Err(ConsumeError::Unavailable(_)) => answer(&event.message, AckKind::Nak(None)).await,
            }
        }
    }

    /// Counts a try of what was delivered before and gives up what was tried too often; the rest goes on. Waits as long as
    /// the count cannot be kept: then nothing else could be either.
    async fn begin(&self, mut batch: Vec<InHand>) -> Vec<InHand> {
        let again: Vec<_> = batch.iter().filter(|event| event.came_again).map(|e| &e.notification).collect();
        if again.is_empty() {
            return batch;
        }
        let mut failures = 0_u32;
        let tries = loop {
            match self.patiently(&batch, tries::begin(&self.bus.db, self.name, &again)).await {
                Ok(tries) => break tries,
                Err(error) => {
                    if failures == 0 {
                        tracing::warn!(consumer = self.name, events = batch.len(), %error, "a batch waits for its database");
                    }
                    failures = failures.saturating_add(1);
                    self.patiently(&batch, self.bus.tasks.rest(pause(failures))).await;
                    if self.bus.tasks.is_stopping() {
                        for event in &batch {
                            answer(&event.message, AckKind::Nak(None)).await;
                        }
                        return Vec::new();
                    }
                }
            }
        };
        for event in batch.iter_mut().filter(|event| event.came_again) {
            event.notification.attempt = tries.get(&event.notification.event_id).copied().unwrap_or(1);
        }
        let most = self.config.max_deliver;
        let (left, exhausted): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|event| event.notification.attempt <= most);
        for event in &exhausted {
            self.give_up(event, EXHAUSTED).await;
        }
        left
    }

    /// The tries of events that are over. What cannot be forgotten now is swept later.
    async fn forget(&self, events: impl Iterator<Item = &InHand>) {
        let over: Vec<_> = events.filter(|event| event.came_again).map(|event| &event.notification).collect();
        if let Err(error) = tries::forget(&self.bus.db, self.name, &over).await {
            tracing::debug!(%error, "tries were not forgotten");
        }
    }

    fn read(&self, message: &Message) -> Result<Notification, Malformed> {
        let delivered = message.info().map_or(1, |info| info.delivered);
        let attempt = u32::try_from(delivered.max(1)).unwrap_or(u32::MAX);
        let read =
            Notification::read(&message.subject, message.headers.as_ref(), message.payload.clone(), attempt)?;
        Ok(with_span(self.name, read))
    }

    /// What came of each event. While what the handler stands on is away, the batch waits here, and the server hears
    /// that it is in good hands.
    async fn outcomes(&self, batch: &[InHand]) -> Vec<Result<(), ConsumeError>> {
        let mut outcomes = self.patiently(batch, self.handle(batch)).await;
        let (mut failures, mut is_forgiven) = (0_u32, false);
        while outcomes.iter().any(is_unavailable) && !self.bus.tasks.is_stopping() {
            if failures == 0 {
                tracing::warn!(consumer = self.name, events = batch.len(), "a batch waits for what is away");
            }
            failures = failures.saturating_add(1);
            let again: Vec<usize> = (0..batch.len()).filter(|&i| is_unavailable(&outcomes[i])).collect();
            let events: Vec<&InHand> = again.iter().map(|&i| &batch[i]).collect();
            if !is_forgiven {
                // Before the wait: whoever ends the process meanwhile must not have it counted.
                let notifications: Vec<_> = events.iter().map(|event| &event.notification).collect();
                let forgiven = tries::forgive(&self.bus.db, self.name, &notifications);
                is_forgiven = self.patiently(batch, forgiven).await.is_ok();
            }
            self.patiently(batch, self.bus.tasks.rest(pause(failures))).await;
            for (i, outcome) in again.iter().zip(self.patiently(batch, self.handle_some(&events)).await) {
                outcomes[*i] = outcome;
            }
        }
        outcomes
    }

    async fn handle(&self, batch: &[InHand]) -> Vec<Result<(), ConsumeError>> {
        self.handle_some(&batch.iter().collect::<Vec<_>>()).await
    }

    /// One call of the handler; after a panic one call for each event, so that only the guilty one pays.
    async fn handle_some(&self, batch: &[&InHand]) -> Vec<Result<(), ConsumeError>> {
        if let Some(outcomes) = self.call(batch).await {
            return outcomes;
        }
        let mut outcomes = Vec::with_capacity(batch.len());
        for event in batch {
            outcomes.push(match self.call(&[*event]).await {
                Some(mut outcome) if !outcome.is_empty() => outcome.swap_remove(0),
                _ => Err(ConsumeError::Retry(PANICKED, BuildError::msg("the handler panicked"))),
            });
        }
        outcomes
    }

    /// Calls the handler in the first event's span, within its time. None when it panicked.
    async fn call(&self, batch: &[&InHand]) -> Option<Vec<Result<(), ConsumeError>>> {
        let span = batch.first().map_or_else(Span::none, |event| event.notification.span.clone());
        let events = batch.iter().map(|event| event.notification.clone()).collect();
        let limit = Duration::from_millis(self.config.handle_timeout_ms);
        let call = tokio::time::timeout(limit, self.handler.consume(events)).instrument(span);
        let mut outcomes = match AssertUnwindSafe(call).catch_unwind().await {
            Ok(Ok(outcomes)) => outcomes,
            Ok(Err(_)) => batch
                .iter()
                .map(|_| Err(ConsumeError::Retry(TIMED_OUT, BuildError::msg("the handler took too long"))))
                .collect(),
            Err(_) => return None,
        };
        while outcomes.len() < batch.len() {
            outcomes.push(Err(ConsumeError::Retry(NO_ANSWER, BuildError::msg("the handler forgot it"))));
        }
        Some(outcomes)
    }

    /// Awaits `work` and meanwhile tells the server that the batch is being worked on.
    async fn patiently<T>(&self, batch: &[InHand], work: impl Future<Output = T>) -> T {
        let every = Duration::from_millis(self.config.ack_wait_ms / 3);
        let mut ticks = tokio::time::interval_at(Instant::now() + every, every);
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = ticks.tick() => {
                    for event in batch {
                        answer(&event.message, AckKind::Progress).await;
                    }
                }
            }
        }
    }

    /// Writes the dead letter and ends the event. As long as it cannot be written, the event comes again.
    async fn give_up(&self, event: &InHand, reason: &'static str) {
        let kind = match dead_letters::bury(&self.bus, self.name, &event.notification, reason).await {
            Ok(()) => {
                self.meters.dead.add(1, &self.meters.whose);
                self.forget(std::iter::once(event)).await;
                tracing::error!(parent: &event.notification.span, consumer = self.name, reason, event_id = %event.notification.event_id, "an event is a dead letter");
                AckKind::Term
            }
            Err(error) => {
                tracing::warn!(consumer = self.name, reason, %error, "a dead letter could not be written");
                AckKind::Nak(Some(self.backoff(event.notification.attempt)))
            }
        };
        answer(&event.message, kind).await;
    }

    fn backoff(&self, attempt: u32) -> Duration {
        let steps = &self.config.backoff_ms;
        let step = (attempt.max(1) as usize - 1).min(steps.len().saturating_sub(1));
        Duration::from_millis(steps.get(step).copied().unwrap_or(1_000))
    }
}

/// Gives the event its span: a child of the producer's, where that was traced.
fn with_span(consumer: &'static str, mut notification: Notification) -> Notification {
    let Some(trace) = notification.trace else { return notification };
    let span = tracing::info_span!(
        "consume",
        otel.name = format!("{consumer} process"),
        otel.kind = "consumer",
        messaging.system = "nats",
        messaging.message.id = %notification.event_id,
        messaging.operation.type = "process",
        otel.status_code = Empty,
    );
    telemetry::set_parent(&span, trace);
    notification.span = span;
    notification
}

fn is_unavailable(outcome: &Result<(), ConsumeError>) -> bool {
    matches!(outcome, Err(ConsumeError::Unavailable(_)))
        || (planted(Planted::DeadLetterBlocks) && matches!(outcome, Err(ConsumeError::Reject(_))))
}

/// Answers the server. When the answer gets lost, the message comes again.
async fn answer(message: &Message, kind: AckKind) {
    if let Err(error) = message.ack_with(kind).await {
        tracing::debug!(%error, "an answer to the bus was not sent");
    }
}

fn pause(failures: u32) -> Duration {
    Duration::from_millis(25).saturating_mul(1 << failures.min(8)).min(LONGEST_PAUSE)
}
