//! The names of spans, attributes and metrics, so that dashboards and code agree. No name carries a value about a
//! person, and no attribute holds an address, a contact's id or a text.

/// Attribute: the service that answers, `messaging`.
pub const SERVICE: &str = "lethe.service";
/// Attribute: the RPC, `messaging.send_message`.
pub const RPC: &str = "lethe.rpc";
/// Attribute: the gRPC code by name, `NotFound`.
pub const CODE: &str = "rpc.grpc.status_code";
/// Metric, histogram in seconds: how long a call took, with [`RPC`] and [`CODE`].
pub const CALL_DURATION: &str = "lethe.rpc.duration";
/// Metric, counter: calls that were refused because too many were running.
pub const CALLS_SHED: &str = "lethe.rpc.shed";
/// Metric, counter: events that reached the bus, with [`SERVICE`].
pub const EVENTS_PUBLISHED: &str = "lethe.events.published";
/// Metric, counter: events that had their effect, with [`CONSUMER`].
pub const EVENTS_CONSUMED: &str = "lethe.events.consumed";
/// Metric, counter: events that a consumer gave up on, with [`CONSUMER`].
pub const DEAD_LETTERS: &str = "lethe.events.dead_letters";
/// Attribute: the durable consumer, `search-index`.
pub const CONSUMER: &str = "messaging.consumer.group.name";
/// Metadata: the id of the request that came in from outside.
pub const REQUEST_ID: &str = "x-request-id";
/// Metadata: W3C trace context.
pub const TRACEPARENT: &str = "traceparent";
/// Metadata: how long the caller still waits (gRPC over HTTP/2).
pub const GRPC_TIMEOUT: &str = "grpc-timeout";

/// `messaging.send_message`, of the service `messaging` and the path `/lethe.messaging.v1.MessageService/SendMessage`:
/// the name of the RPC's span.
pub fn span_of(service: &str, path: &str) -> String {
    let rpc = path.rsplit('/').next().unwrap_or_default();
    let mut name = String::with_capacity(service.len() + rpc.len() + 4);
    name.push_str(service);
    name.push('.');
    for (place, letter) in rpc.char_indices() {
        if letter.is_ascii_uppercase() && place > 0 {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}
