//! lethe-access
