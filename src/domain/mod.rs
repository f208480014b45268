//! The nouns everybody shares, and the decisions that need nothing but them.
//!
//! Takes and gives plain values. No I/O, no clock, no sockets; it must never learn who calls it.

pub mod address;
pub mod call;
pub mod change;
pub mod directory;
pub mod entity;
pub mod failure;
pub mod found;
pub mod id;
pub mod ledger;
pub mod limits;
pub mod map;
pub mod model_name;
pub mod money;
pub mod nearest;
pub mod permission;
pub mod preset;
pub mod price_list;
pub mod prices;
pub mod protocol;
pub mod refusal;
pub mod run;
pub mod secret;
pub mod time;
pub mod token;
pub mod trail;
pub mod usage;
