//! Our own way to ask: one message to a model, or to several at once. Such a question becomes a request of Responses, and
//! its answer becomes ours.
//!
//! Bytes in, bytes out. It never knows how a question is sent, nor whose it is.

mod answer;
mod question;

pub use answer::{Beside, Error, Said, all, problem, read, whole};
pub use question::{Broadcast, Chat, broadcast, chat};
