//! lethe-identity
