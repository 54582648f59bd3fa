//! lethe-gateway
