//! Logs to stderr, or to a file, always; traces, metrics and logs over OTLP when an endpoint is configured, and nothing of it
//! otherwise: no layer, no thread, no allocation.
//!
//! The filter is fixed to our own crates plus warnings of the others, because a subscriber without one prints SQL
//! statements and subjects of the bus.

mod logs;

use std::{collections::HashMap, fs::File, io, sync::Mutex, time::Duration};

use opentelemetry::{
    Context, KeyValue,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider},
};
use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    logs::SdkLoggerProvider,
    metrics::{PeriodicReader, SdkMeterProvider},
    trace::{Sampler, SdkTracerProvider},
};
use serde::Deserialize;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt, filter_fn},
    fmt::writer::BoxMakeWriter,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::{BuildError, Trace};

/// Where signals go.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    /// OTLP over gRPC, `http://collector:4317`; empty for none.
    #[serde(default)]
    pub endpoint: String,
    /// What is said, in the syntax of tracing's `EnvFilter`.
    pub filter: String,
    /// The same for standard error alone, where it is to be quieter than the collector; empty: `filter`.
    pub stderr_filter: String,
    /// How it looks on stderr.
    pub format: LogFormat,
    /// The share of traces that begin here and are recorded, 0 to 1; a caller's decision is kept.
    pub sample_ratio: f64,
    /// How often metrics are sent.
    pub metrics_interval_ms: u64,
    /// Sent with every signal: `deployment.environment.name` and the like.
    #[serde(default)]
    pub attributes: HashMap<String, String>,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// Options of the section `telemetry`, with their meaning.
pub const DEFAULTS: &str = include_str!("../telemetry.default.toml");

/// Sends what is left when it is dropped.
#[derive(Debug, Default)]
#[must_use = "signals are sent until the guard is dropped"]
pub struct TelemetryGuard {
    traces: Option<SdkTracerProvider>,
    metrics: Option<SdkMeterProvider>,
    logs: Option<SdkLoggerProvider>,
}

/// How long the last signals may take.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        // A collector that is away is no reason to fail: the signals are lost, and stderr has the logs.
        if let Some(traces) = &self.traces {
            let _ = traces.shutdown_with_timeout(FLUSH_LIMIT);
        }
        if let Some(metrics) = &self.metrics {
            let _ = metrics.shutdown_with_timeout(FLUSH_LIMIT);
        }
        if let Some(logs) = &self.logs {
            let _ = logs.shutdown_with_timeout(FLUSH_LIMIT);
        }
    }
}

/// Sets up the process's signals, once, from inside the runtime. What stderr would be told goes to `log`, if there is one.
///
/// # Errors
/// A filter that cannot be read, an endpoint that is none, or a subscriber that is there already.
pub fn init(config: &TelemetryConfig, name: &str, log: Option<File>) -> Result<TelemetryGuard, BuildError> {
    let quieter = Some(&config.stderr_filter).filter(|filter| !filter.is_empty());
    let filter = EnvFilter::try_new(quieter.unwrap_or(&config.filter))?;
    let colours = log.is_none();
    let writer =
        log.map_or_else(|| BoxMakeWriter::new(io::stderr), |log| BoxMakeWriter::new(Mutex::new(log)));
    let stderr = tracing_subscriber::fmt::layer().with_ansi(colours).with_writer(writer);
    let stderr: Box<dyn Layer<Registry> + Send + Sync> = match config.format {
        LogFormat::Text => stderr.with_filter(filter).boxed(),
        LogFormat::Json => {
            stderr.json().flatten_event(true).with_span_list(false).with_filter(filter).boxed()
        }
    };
    if config.endpoint.is_empty() {
        tracing_subscriber::registry().with(stderr).try_init()?;
        return Ok(TelemetryGuard::default());
    }
    let attributes = config.attributes.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    let resource = Resource::builder().with_service_name(name.to_owned()).with_attributes(attributes).build();
    let endpoint = config.endpoint.as_str();
    let traces = SdkTracerProvider::builder()
        .with_resource(resource.clone())
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sample_ratio))))
        .with_batch_exporter(SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?)
        .build();
    let metrics = MetricExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
    let interval = Duration::from_millis(config.metrics_interval_ms);
    let metrics = SdkMeterProvider::builder()
        .with_resource(resource.clone())
        .with_reader(PeriodicReader::builder(metrics).with_interval(interval).build())
        .build();
    let logs = SdkLoggerProvider::builder()
        .with_resource(resource)
        .with_batch_exporter(LogExporter::builder().with_tonic().with_endpoint(endpoint).build()?)
        .build();
    opentelemetry::global::set_meter_provider(metrics.clone());
    // A task lives as long as the process: it is no root of a trace. What it does begins traces of its own.
    let no_tasks = filter_fn(|span| span.name() != "task");
    let spans = tracing_opentelemetry::layer()
        .with_tracer(traces.tracer("lethe"))
        .with_filter(EnvFilter::try_new(&config.filter)?.and(no_tasks));
    let records = logs::LogLayer::new(&logs).with_filter(EnvFilter::try_new(&config.filter)?);
    tracing_subscriber::registry().with(stderr).with(spans).with(records).try_init()?;
    Ok(TelemetryGuard { traces: Some(traces), metrics: Some(metrics), logs: Some(logs) })
}

/// Hangs a span below the caller's.
pub fn set_parent(span: &Span, trace: Trace) {
    let flags = if trace.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let (trace_id, span_id) = (TraceId::from_bytes(trace.trace_id), SpanId::from_bytes(trace.span_id));
    let parent = SpanContext::new(trace_id, span_id, flags, true, TraceState::NONE);
    // Refused only where no spans are collected.
    let _ = span.set_parent(Context::new().with_remote_span_context(parent));
}

/// Where a span is in its trace; `None` where spans are not collected.
pub fn trace_of(span: &Span) -> Option<Trace> {
    let context = span.context();
    let here = context.span().span_context().clone();
    here.is_valid().then(|| Trace {
        trace_id: here.trace_id().to_bytes(),
        span_id: here.span_id().to_bytes(),
        sampled: here.is_sampled(),
    })
}
