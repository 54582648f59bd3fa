//! W3C trace context on its way through the outbox: the producer's span is written into the row, travels as the
//! header `traceparent`, and the consumer's span continues its trace.

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The `traceparent` (W3C Trace Context, version 00) of the current span; none where nothing is traced.
pub fn current() -> Option<String> {
    let context = Span::current().context();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| {
        format!("00-{:032x}-{:016x}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8())
    })
}

/// Makes `span` a child of the span that `parent` names. A malformed parent is ignored, as the standard wants.
pub(crate) fn continue_in(span: &Span, parent: &str) {
    if let Some(parent) = parse(parent) {
        let context = opentelemetry::Context::new().with_remote_span_context(parent);
        // An error says that nothing listens to spans: then there is nothing to continue.
        let _ = span.set_parent(context);
    }
}

/// Links `span` to another event's producer: one call of a handler may serve many.
pub(crate) fn follow(span: &Span, parent: Option<&str>) {
    if let Some(parent) = parent.and_then(parse) {
        span.add_link(parent);
    }
}

fn parse(parent: &str) -> Option<SpanContext> {
    let mut parts = parent.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if version != "00" || trace.len() != 32 || span.len() != 16 || flags.len() != 2 || parts.next().is_some()
    {
        return None;
    }
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?),
        true,
        TraceState::default(),
    );
    context.is_valid().then_some(context)
}
