//! What Keyway promises, one module per promise.

mod listening;
