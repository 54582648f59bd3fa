//! lethe-messaging
