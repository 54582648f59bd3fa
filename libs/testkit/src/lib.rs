//! lethe-testkit
