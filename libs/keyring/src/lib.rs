//! lethe-keyring
