//! Names for what an answer makes: drawn from the exchange's id, so that nothing here is random and a client's log leads
//! to ours.

use std::fmt::Write;

use uuid::Uuid;

use super::text::Quoted;

#[derive(Clone, Copy, Debug)]
pub struct Ids(Uuid);

impl Ids {
    pub const fn of(exchange: Uuid) -> Self {
        Self(exchange)
    }

    /// `resp_0190…`, `chatcmpl-0190…`
    pub fn answer(self, prefix: &str) -> Quoted<'static> {
        Quoted::of(&format!("{prefix}{}", self.0.simple()))
    }

    /// `msg_0190…_0`: of the item with this number.
    pub fn item(self, prefix: &str, item: usize) -> Quoted<'static> {
        let mut id = format!("{prefix}{}", self.0.simple());
        // Writing to a String can't fail.
        let _ = write!(id, "_{item}");
        Quoted::of(&id)
    }

    /// For a call that its provider gave no id. Within 40 characters and without signs, for some count them.
    pub fn call(self, call: usize) -> Quoted<'static> {
        Quoted::of(&format!("call{}{call:02}", self.0.simple()))
    }
}
