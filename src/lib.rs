//! Keyway: an LLM gateway. This is the map; there is no code here.
//!
//! The tree is the request: `listen → authenticate → admit → read → recall → resolve → reserve → attempt → relay → settle`,
//! and `proxy::handle` shows the order. A room imports only from lower floors; rooms on one floor are strangers.
//! `tests/house.rs` reads this table and enforces it.
//!
//! | floor | rooms |
//! |---|---|
//! | 9 | main |
//! | 8 | cli |
//! | 7 | app |
//! | 6 | proxy, admin |
//! | 5 | attempt, meter, directory, practice |
//! | 4 | authenticate, resolve |
//! | 3 | snapshot |
//! | 2 | store, protocol, listen |
//! | 1 | config, metrics, hands |
//! | 0 | domain |

pub mod admin;
pub mod app;
pub mod attempt;
pub mod authenticate;
pub mod cli;
pub mod config;
pub mod directory;
pub mod domain;
pub mod hands;
pub mod listen;
pub mod meter;
pub mod metrics;
pub mod practice;
pub mod protocol;
pub mod proxy;
pub mod resolve;
pub mod snapshot;
pub mod store;
