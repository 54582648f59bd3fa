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

/// What became of a batch.
pub(super) struct Published {
    /// One for each event; none for one that the bus did not acknowledge.
    pub(super) positions: Vec<Option<Position>>,
    /// Why the last of these was not.
    pub(super) refused: Option<RelayError>,
}

impl Relay {
    /// Publishes a batch. What the bus did not acknowledge is tried again by the next claim.
    pub(super) async fn publish(&self, batch: &[Outgoing]) -> Result<Published, RelayError> {
        let limit = Duration::from_millis(self.config.publish_timeout_ms);
        tokio::time::timeout(limit, self.window(batch)).await.map_err(|_| RelayError::BusAway)?
    }

    async fn window(&self, batch: &[Outgoing]) -> Result<Published, RelayError> {
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
        Ok(Published { positions, refused: refused.map(|error| RelayError::Publish(error.into())) })
    }
}
