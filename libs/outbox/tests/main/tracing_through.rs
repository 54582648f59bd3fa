//! One trace from the producer to the consumer.

use std::sync::{Arc, Mutex};

use lethe_outbox::{Consume, ConsumeError, Notification};
use lethe_service::Trace;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Instrument;
use tracing_subscriber::layer::SubscriberExt;

use crate::rig::{Rig, until};

#[derive(Default)]
struct Traced(Mutex<Vec<Option<Trace>>>);

impl Consume for Traced {
    async fn consume(&self, batch: Vec<Notification>) -> Vec<Result<(), ConsumeError>> {
        self.0.lock().unwrap().push(Trace::current());
        batch.iter().map(|_| Ok(())).collect()
    }
}

// One thread, so that the subscriber of this test is the one of its tasks.
#[tokio::test(flavor = "current_thread")]
async fn the_consumers_span_continues_the_producers_trace() {
    let provider = SdkTracerProvider::builder().build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let rig = Rig::new().await;
    rig.relay();
    let traced = Arc::new(Traced::default());
    rig.consume("test-traced", &traced);
    let produced = async {
        rig.put(1, 1).await;
        Trace::current().expect("a trace")
    }
    .instrument(tracing::info_span!("produce"))
    .await;
    until("it arrived", async || !traced.0.lock().unwrap().is_empty()).await;
    let consumed = traced.0.lock().unwrap()[0].expect("a trace");
    assert_eq!(consumed.trace_id, produced.trace_id);
    assert_ne!(consumed.span_id, produced.span_id);
    rig.stop().await;
}
