//! What a service says happened, and how the others hear of it (the design's section 4).
//!
//! Owns the tables `outbox`, `outbox_slots`, `outbox_relays`, `stream_positions`, `dead_letters`, `inbox`,
//! `tries` and `incarnation` in each service's database, and one stream an area on the bus. PostgreSQL is the record: the bus may
//! be wiped at any moment and is filled again from the outbox.
//!
//! The surprising thing: events are notifications. They carry ids and a version, never content; a consumer reads the
//! present state from the owner and writes it with the version, so neither order nor repetition matters.

mod backlog;
mod bus;
mod consumer;
mod dead_letters;
mod event;
mod inbox;
mod incarnation;
mod kinds;
mod operation;
mod outbox;
mod relay;
mod stream;

pub use bus::Bus;
pub use consumer::{Consume, ConsumeError, ConsumerConfig, consumer};
pub use dead_letters::{DeadLetter, ReplayError, dead_letters, replay};
pub use event::{Event, Malformed, Notification};
pub use inbox::{seen, sweep_consumed};
pub use incarnation::{incarnation, raise_incarnation};
pub use kinds::{KINDS, Kind, kind};
pub use operation::operation;
pub use outbox::{Actor, Audit, Outbox};
pub use relay::{RelayConfig, relay};
pub use stream::{StreamConfig, ensure_stream, stream_name};

use lethe_service::Migration;

/// The tables and functions of this library, for every service that owns data.
pub fn migrations() -> Vec<Migration> {
    let own = |version, name, sql| Migration { version, name, sql };
    vec![
        own(2, "outbox", include_str!("../migrations/0002_outbox.sql")),
        own(5, "dead_letters", include_str!("../migrations/0005_dead_letters.sql")),
        own(6, "tries", include_str!("../migrations/0006_tries.sql")),
    ]
}
