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

    /// Is this what we call an item of an answer? It lies at no provider.
    pub fn is_item(id: &str) -> bool {
        let own = id.rsplit_once('_').filter(|(_, number)| number.bytes().all(|byte| byte.is_ascii_digit()));
        own.and_then(|(own, _)| own.rsplit_once('_')).is_some_and(|(_, letters)| is_drawn(letters))
    }

    /// Is this what we call a response? Its letters are an exchange's id, of the kind that only we draw.
    pub fn is_response(id: &str) -> bool {
        id.strip_prefix("resp_").is_some_and(is_drawn)
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

/// Are these letters an exchange's id?
fn is_drawn(letters: &str) -> bool {
    letters.len() == uuid::fmt::Simple::LENGTH && Uuid::try_parse(letters).is_ok_and(|id| id.get_version_num() == 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_names_are_known_as_ours_and_others_are_not() {
        let ids = Ids::of(Uuid::now_v7());
        let text = |name: Quoted<'_>| name.decode().into_owned();
        assert!(Ids::is_response(&text(ids.answer("resp_"))) && Ids::is_item(&text(ids.item("rs_", 12))));
        let other = Uuid::from_u128(0x0190_0000_0000_4000_8000_0000_0000_0001).simple();
        for name in
            ["resp_1", "resp_", "rs_1", "msg_abc_1", "", "_", &format!("resp_{other}"), &format!("rs_{other}_0")]
        {
            assert!(!Ids::is_response(name) && !Ids::is_item(name), "{name}");
        }
        assert!(!Ids::is_item(&text(ids.answer("resp_"))) && !Ids::is_response(&text(ids.item("msg_", 0))));
    }
}
