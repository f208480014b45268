//! What Keyway promises, one module per promise.

#![expect(clippy::unwrap_used, reason = "a panic in a test is the report, also in the functions tests share")]

mod listening;
