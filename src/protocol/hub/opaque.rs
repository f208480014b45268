//! State that only its maker can read: thinking signatures, thought signatures, encrypted reasoning.
//!
//! A client of another protocol gets it in an envelope of ours and sends it back with the conversation. The envelope
//! says who made it, for to anybody else it is worse than nothing: a provider refuses a foreign signature.

use super::text::Quoted;
use crate::domain::protocol::Protocol;

/// Every envelope begins with this, and nothing that providers make does. What follows is the version.
pub const ENVELOPE: &str = "kw1.";

/// Which model of which provider made a state, or is to be asked: a fingerprint, equal only for the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maker(pub u32);

impl Maker {
    /// From any names that tell makers apart. FNV-1a: stable across releases, for envelopes outlive them.
    pub fn of(names: &[&str]) -> Self {
        let bytes = names.iter().flat_map(|name| name.bytes().chain([0]));
        Self(bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opaque<'a> {
    pub protocol: Protocol,
    pub maker: Maker,
    pub form: Form,
    pub data: Quoted<'a>,
}

/// What the state is to its maker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Proves a text that stands beside it.
    Signature,
    /// Stands alone, in place of a text.
    Encrypted,
}

impl<'a> Opaque<'a> {
    /// For a client that can carry one string: `kw1.m0a1b2c3d.s.…`
    pub fn envelope(&self) -> Quoted<'static> {
        let protocol = letter(self.protocol);
        let form = match self.form {
            Form::Signature => 's',
            Form::Encrypted => 'e',
        };
        let mut envelope = Quoted::of(&format!("{ENVELOPE}{protocol}{:08x}.{form}.", self.maker.0));
        envelope.push(&self.data);
        envelope
    }

    /// Reads an envelope; `None` for what is none, which is then of no use to anybody here.
    pub fn open(envelope: &Quoted<'a>) -> Option<Opaque<'static>> {
        let bytes = envelope.as_bytes().strip_prefix(ENVELOPE.as_bytes())?;
        let (head, data) = bytes.split_at_checked(HEAD_BYTES)?;
        let head = std::str::from_utf8(head).ok()?;
        let protocol = LETTERS.into_iter().find(|(_, letter)| head.starts_with(*letter))?.0;
        let maker = Maker(u32::from_str_radix(head.get(1..9)?, 16).ok()?);
        let form = match head.get(9..)? {
            ".s." => Form::Signature,
            ".e." => Form::Encrypted,
            _ => return None,
        };
        Some(Opaque { protocol, maker, form, data: Quoted::from_raw(data.to_vec()) })
    }

    /// The state, if it is this one's.
    pub fn for_maker(&self, protocol: Protocol, maker: Maker) -> Option<&Quoted<'a>> {
        (self.protocol == protocol && self.maker == maker).then_some(&self.data)
    }

    pub fn into_owned(self) -> Opaque<'static> {
        let Self { protocol, maker, form, data } = self;
        Opaque { protocol, maker, form, data: data.into_owned() }
    }
}

/// `m0a1b2c3d.s.`
const HEAD_BYTES: usize = 12;

const LETTERS: [(Protocol, char); 5] = [
    (Protocol::Chat, 'c'),
    (Protocol::Responses, 'r'),
    (Protocol::Messages, 'm'),
    (Protocol::Gemini, 'g'),
    (Protocol::Bedrock, 'b'),
];

const fn letter(protocol: Protocol) -> char {
    match protocol {
        Protocol::Chat => 'c',
        Protocol::Responses => 'r',
        Protocol::Messages => 'm',
        Protocol::Gemini => 'g',
        Protocol::Bedrock => 'b',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_opens_to_what_was_put_in() {
        for (protocol, sign) in LETTERS {
            assert_eq!(letter(protocol), sign);
            for form in [Form::Signature, Form::Encrypted] {
                let state =
                    Opaque { protocol, maker: Maker::of(&["a", "b"]), form, data: Quoted::plain("E+/=\\u0041") };
                assert_eq!(Opaque::open(&state.envelope()).unwrap(), state);
            }
        }
    }

    #[test]
    fn what_is_no_envelope_is_not_opened() {
        for text in ["", "kw1.", "EqQBCkYIBxgCKkA", "kw1.m0a1b2c3d.x.data", "kw1.x0a1b2c3d.s.data", "kw1.m0a1b2c3é.s.d"]
        {
            assert_eq!(Opaque::open(&Quoted::of(text)), None, "{text}");
        }
    }

    #[test]
    fn a_state_is_for_its_maker_alone() {
        let maker = Maker::of(&["anthropic", "claude"]);
        assert_ne!(maker, Maker::of(&["anthropicc", "laude"]));
        let state = Opaque { protocol: Protocol::Messages, maker, form: Form::Signature, data: Quoted::plain("s") };
        assert!(state.for_maker(Protocol::Messages, maker).is_some());
        assert!(state.for_maker(Protocol::Messages, Maker::of(&["other"])).is_none());
        assert!(state.for_maker(Protocol::Bedrock, maker).is_none());
    }
}
