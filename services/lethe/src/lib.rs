//! lethe
