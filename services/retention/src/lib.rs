//! lethe-retention
