//! Asking the durable consumer for messages, one request at a time over one inbox.

use std::time::Duration;

use async_nats::{
    StatusCode, Subject, Subscriber,
    jetstream::{
        self, Message,
        consumer::{PullConsumer, pull::BatchConfig},
    },
};
use futures::StreamExt;
use lethe_ambient::Tasks;

/// How long NATS waits for a first message, and how often it says that it still does.
const WAIT: Duration = Duration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(1);
/// After so long without a word the request is lost: the server was away in between.
const SILENCE: Duration = Duration::from_millis(2_500);

pub(super) struct Pull {
    pub(super) consumer: PullConsumer,
    pub(super) inbox: Subject,
    pub(super) replies: Subscriber,
    pub(super) context: jetstream::Context,
    pub(super) tasks: Tasks,
}

impl Pull {
    /// At most `size` messages: all that are there, or else the first that comes and all that came with it. Empty when
    /// none came for a while.
    pub(super) async fn batch(&mut self, size: usize) -> Result<Vec<Message>, async_nats::Error> {
        let mut batch = self.ask(size, None).await?;
        if batch.is_empty() {
            batch = self.ask(1, Some(WAIT)).await?;
            if batch.len() == 1 && size > 1 {
                // Trouble shows at the next request; the first is ours in any case.
                batch.extend(self.ask(size - 1, None).await.unwrap_or_default());
            }
        }
        Ok(batch)
    }

    /// One request, answered to its end.
    async fn ask(&mut self, size: usize, wait: Option<Duration>) -> Result<Vec<Message>, async_nats::Error> {
        let request = BatchConfig {
            batch: size,
            expires: wait,
            no_wait: wait.is_none(),
            idle_heartbeat: wait.map_or(Duration::ZERO, |_| HEARTBEAT),
            ..BatchConfig::default()
        };
        self.consumer.request_batch(request, self.inbox.clone()).await?;
        let mut got = Vec::new();
        while got.len() < size {
            let reply = tokio::select! {
                () = self.tasks.stopped(), if got.is_empty() => break,
                reply = tokio::time::timeout(SILENCE, self.replies.next()) => reply,
            };
            let reply = reply.map_err(|_| "the bus is silent")?.ok_or("the inbox is closed")?;
            match reply.status {
                None | Some(StatusCode::OK) => {
                    got.push(Message { message: reply, context: self.context.clone() });
                }
                Some(StatusCode::IDLE_HEARTBEAT) => {}
                Some(StatusCode::NOT_FOUND | StatusCode::TIMEOUT) => break,
                // As much is in hand as may be: ask in the way that waits.
                Some(StatusCode::REQUEST_TERMINATED) if wait.is_none() => break,
                // What came before the trouble is ours all the same.
                Some(_) if !got.is_empty() => break,
                Some(status) => return Err(format!("the pull ended with {status}").into()),
            }
        }
        Ok(got)
    }
}
