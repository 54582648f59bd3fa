//! Planted tokens, in each form and each store: the scan finds them.
