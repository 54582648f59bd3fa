//! lethe-outbox
