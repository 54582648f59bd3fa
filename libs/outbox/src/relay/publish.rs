//! Publishing a batch: all of it is sent, then the answers are awaited as a window.

use std::time::Duration;

use async_nats::jetstream::message::PublishMessage;

use super::{Relay, RelayError};
use crate::event::Outgoing;

/// Where in the stream an event is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    pub(super) seq: u64,
    /// It was there before: NATS remembered its id.
    pub(super) again: bool,
}

impl Relay {
    /// Publishes a batch. An event that the bus did not acknowledge has no position and is tried again by the next claim.
    pub(super) async fn publish(&self, batch: &[Outgoing]) -> Result<Vec<Option<Position>>, RelayError> {
        let limit = Duration::from_millis(self.config.publish_timeout_ms);
        tokio::time::timeout(limit, self.window(batch)).await.map_err(|_| RelayError::BusAway)?
    }

    async fn window(&self, batch: &[Outgoing]) -> Result<Vec<Option<Position>>, RelayError> {
        let jetstream = self.bus.nats.jetstream();
        let mut answers = Vec::with_capacity(batch.len());
        for event in batch {
            let message =
                PublishMessage::build().headers(event.headers()).payload(event.body(self.incarnation));
            answers.push(jetstream.send_publish(event.subject(), message).await);
        }
        let mut positions = Vec::with_capacity(batch.len());
        let mut refused = None;
        for answer in answers {
            let acknowledged = match answer {
                Ok(answer) => answer.await,
                Err(error) => Err(error),
            };
            positions.push(match acknowledged {
                Ok(ack) => Some(Position { seq: ack.sequence, again: ack.duplicate }),
                Err(error) => {
                    refused = Some(error);
                    None
                }
            });
        }
        match refused {
            Some(error) if positions.iter().all(Option::is_none) => Err(RelayError::Publish(error.into())),
            _ => Ok(positions),
        }
    }
}
