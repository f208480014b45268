//! AWS Bedrock's Converse format. Nobody calls us in it, so every call to it is translated: requests are written, answers
//! and their frames are read.

pub(super) mod errors;
pub(super) mod events;
pub(super) mod fault;
mod frame;
pub(super) mod request;
