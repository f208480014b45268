//! Our envelopes as this protocol carries them: its signatures are bytes, which its clients decode and encode again.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::protocol::hub::opaque::Opaque;
use crate::protocol::hub::text::Quoted;

/// Clients differ in whether they pad.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Between two envelopes; text in JSON holds no such byte.
const BETWEEN: u8 = b'\n';

pub(super) fn encode<'s>(states: impl Iterator<Item = &'s Opaque<'s>>) -> Quoted<'static> {
    let envelopes: Vec<Vec<u8>> = states.map(|state| state.envelope().as_bytes().to_vec()).collect();
    Quoted::of(&ENGINE.encode(envelopes.join(&BETWEEN)))
}

/// What of it is ours.
pub(super) fn decode(signature: &Quoted<'_>) -> Vec<Opaque<'static>> {
    let standard: String = signature
        .decode()
        .chars()
        .map(|sign| {
            if sign == '-' {
                '+'
            } else if sign == '_' {
                '/'
            } else {
                sign
            }
        })
        .collect();
    let bytes = ENGINE.decode(standard).unwrap_or_default();
    let envelopes =
        bytes.split(|byte| *byte == BETWEEN).filter_map(|envelope| String::from_utf8(envelope.to_vec()).ok());
    // They were inside JSON before, so they are so again, escapes and all.
    envelopes.filter_map(|envelope| Opaque::open(&Quoted::written(envelope))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::protocol::Protocol;
    use crate::protocol::hub::opaque::{Form, Maker};

    #[test]
    fn states_come_back_in_either_alphabet() {
        let state = |data: &'static str| Opaque {
            protocol: Protocol::Messages,
            maker: Maker::of(&["m"]),
            form: Form::Signature,
            data: Quoted::plain(data),
        };
        let states = [state("a+/b=?>"), state(r"\u00e9\n")];
        let signature = encode(states.iter());
        assert_eq!(decode(&signature), states);
        let other = signature.decode().replace('+', "-").replace('/', "_").trim_end_matches('=').to_string();
        assert_eq!(decode(&Quoted::of(&other)), states);
        assert_eq!(decode(&Quoted::plain("CiQB")), []);
    }
}
