//! What crosses services, as one binary: each module is a promise of the design and its tests.

mod tidy;
