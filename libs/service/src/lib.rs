//! lethe-service
