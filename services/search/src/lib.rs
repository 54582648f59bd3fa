//! lethe-search
