//! Every message of every stream.

use async_nats::jetstream::{Context, context::StreamsErrorKind, stream::RawMessageErrorKind};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::Search;

/// How many messages are asked for at once.
const AT_ONCE: usize = 64;

impl Search<'_> {
    /// Reads every message of every stream of an account: subject, headers, payload, and each stream's own settings.
    ///
    /// # Errors
    /// When the server gives no list of streams. A message that cannot be read is reported as unread.
    pub async fn jetstream(
        &self,
        store: &str,
        context: &Context,
    ) -> Result<(), async_nats::error::Error<StreamsErrorKind>> {
        let mut streams = context.streams();
        while let Some(info) = streams.try_next().await? {
            let name = info.config.name.clone();
            self.bytes(store, &format!("settings of {name}"), format!("{:?}", info.config).as_bytes());
            let stream = match context.get_stream(&name).await {
                Ok(stream) => stream,
                Err(error) => {
                    self.unread(store, &name, error.to_string());
                    continue;
                }
            };
            let state = &info.state;
            if state.messages == 0 {
                continue;
            }
            stream::iter(state.first_sequence..=state.last_sequence)
                .map(|sequence| {
                    let stream = &stream;
                    async move { (sequence, stream.get_raw_message(sequence).await) }
                })
                .buffer_unordered(AT_ONCE)
                .for_each(|(sequence, message)| {
                    let path = format!("{name} message {sequence}");
                    match message {
                        Ok(message) => {
                            self.bytes(store, &path, &flat(&message));
                            self.count(|looked| looked.messages += 1);
                        }
                        // Deleted, or expired since the stream was described.
                        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {}
                        Err(error) => self.unread(store, &path, error.to_string()),
                    }
                    futures::future::ready(())
                })
                .await;
        }
        Ok(())
    }
}

fn flat(message: &async_nats::jetstream::message::StreamMessage) -> Vec<u8> {
    let mut out = message.subject.as_bytes().to_vec();
    for (name, values) in message.headers.iter() {
        for value in values {
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(AsRef::<[u8]>::as_ref(name));
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_str().as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(&message.payload);
    out
}
