//! How a call ended without an answer's head, and whether it may go out again.

use std::error::Error;

use crate::domain::failure::Failure;

/// What is left of a call whose connection failed it.
pub(super) struct Died {
    pub(super) failure: Failure,
    pub(super) left: Left,
}

pub(super) enum Left {
    /// Nothing of it was written.
    Unsent,
    /// It was written, but no byte of an answer came: on a reused connection the peer had most likely hung up before.
    Unheard,
    /// The peer itself says that it did nothing with it.
    Refused,
    /// The peer may have begun the work. Never sent again by the client.
    Spent,
}

impl Died {
    pub(super) fn of(failure: Failure) -> Self {
        Self { failure, left: Left::Spent }
    }

    pub(super) fn unheard(failure: Failure) -> Self {
        Self { failure, left: Left::Unheard }
    }

    pub(super) fn unsent(failure: Failure) -> Self {
        Self { failure, left: Left::Unsent }
    }

    pub(super) fn refused() -> Self {
        Self { failure: Failure::Reset, left: Left::Refused }
    }
}

/// What hyper saw, in our words.
pub(super) fn failure_of(error: &hyper::Error) -> Failure {
    if error.is_parse_too_large() {
        return Failure::Garbage("the head is too large".into());
    }
    if error.is_parse() {
        return Failure::Garbage("the head is malformed".into());
    }
    Failure::Reset
}

/// The first error of type `E` in the chain of causes.
pub(super) fn cause<E: Error + 'static>(error: &hyper::Error) -> Option<&E> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
