//! lethe-tests
