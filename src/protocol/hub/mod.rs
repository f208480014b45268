//! The hub between the protocols: the items and events of Open Responses, as Rust types.
//!
//! ```text
//! client's request ── decode ──▶ Request ── fill, dropped ──▶ encode ──▶ provider's request
//! provider's stream ── Decoder ──▶ Event, Event, … ──▶ Encoder ──▶ client's stream
//! provider's answer ── decode ──▶ Event, Event, … ── fold ──▶ Answer ── encode ──▶ client's answer
//! ```
//!
//! Same protocol on both sides never comes here. Nothing here knows a vendor's field names, a socket or a clock.
//! A request borrows from the body it was read from, an event from the bytes it came in; only `Answer` owns. Texts stay as
//! JSON wrote them (`Quoted`), so a long conversation costs a scan and a copy.
//!
//! # Adding a protocol
//!
//! A folder `src/protocol/NAME/` with these parts, as `chat` and `responses` have them; then the compiler finds the places
//! in `translate` and `field` that must name it. Both directions of a shape stand side by side in one file.
//!
//! 1. `request`:
//!    - `name(Field) -> Option<&'static str>`: its column of what can be said, a `match` without `_`.
//!    - `decode(body) -> Result<(Request, Asked), Objection>`. What no other protocol has goes into `only_here` or, if the
//!      answer hangs on it, is an `Objection`. `Asked` is what the encoder of the answer must know; small, for it lives as
//!      long as a stream.
//!    - `encode(&Request, &Terms, Delivery) -> Vec<u8>`. Model defaults are filled in, and what `name` says can't be said
//!      is gone by then; so an encoder writes what is there. What only some values of a field can't say is its own to
//!      refuse: then it gives a `Result`.
//! 2. `events::decode`: `Decoder::{new, push(bytes, sink), finish(sink)}` over whatever frames the protocol has, and
//!    `whole(body, …, sink)`, which gives the same events as the stream would. Keep the order that `event` states; an
//!    `Opener` keeps it for you. Any split of the bytes gives the same events (`Frames` sees to it for SSE). What can't be
//!    read is `Ended(Failed)`, never skipped; a stream that ends without its last event ends without `Ended`.
//! 3. `events::encode`: `Encoder::{new, event(&Event, out)}`. Whole events only, so that something may be put between any
//!    two calls. `Ended(Failed)` is the protocol's own error event; one for `Failure::BrokeOff` must not look like an end.
//!    Nothing grows with the stream, but where the protocol can't do otherwise. And `whole(&Answer, &About, …)`, which
//!    writes the fold of the events.
//! 4. `fault`: an error object, `decode` and `encode`; `errors`: what a status and a body mean (`Failure`).
//! 5. `headers`: the names that travel.
//! 6. Cases in `tests/golden/NAME/`; the harness finds them and holds them against every other protocol.
//!
//! # State that only its maker can read
//!
//! It travels in a `Reasoning` item (see there) as `Opaque`. Decoders of answers make one of what their provider sent,
//! with their own protocol and the maker they were given; encoders of answers write `Opaque::envelope()` wherever their
//! protocol carries such a thing; decoders of requests `open` it again; encoders of requests take it only
//! `for_maker(their own protocol, terms.maker)` and otherwise leave it out with the thought it belongs to.

pub mod about;
pub mod answer;
pub mod arguments;
pub(in crate::protocol) mod embedding;
pub mod event;
pub mod field;
pub(in crate::protocol) mod frames;
pub mod ids;
pub mod item;
pub(in crate::protocol) mod left_out;
pub mod opaque;
pub(in crate::protocol) mod opener;
pub(in crate::protocol) mod queue;
pub(in crate::protocol) mod read;
pub mod request;
pub mod text;
pub mod thinking;
pub(in crate::protocol) mod turns;
pub(in crate::protocol) mod version;
pub(in crate::protocol) mod write;
