//! Promise: what a stream's translation holds in memory grows only by what its client must hear again as a whole.

use keyway::protocol::translate::Translator;

use super::*;

/// Numbers have more digits at the end than at the beginning.
const DIGITS: usize = 64;
/// A byte is shown as a number and a comma.
const SHOWN: usize = 5;

/// All that a translator holds after so many events, as `Debug` shows it: every byte of every buffer.
fn held(upstream: Protocol, client: Protocol, events: usize) -> usize {
    let mut translator = Translator::new(upstream, maker(), asked(client), about()).unwrap();
    let mut out = Vec::new();
    for event in &long::of(upstream, events)[..events] {
        translator.push(event, &mut out);
        assert!(out.len() < 4_096, "an event is told as it comes");
        out.clear();
    }
    format!("{translator:?}").len()
}

#[test]
fn a_translator_holds_no_more_of_a_long_stream_than_its_client_hears_again() {
    let (short, long) = (100, 1_100);
    let text = (long - short) * long::WORD.len() * SHOWN;
    for upstream in UPSTREAMS {
        for client in CLIENTS.into_iter().filter(|client| *client != upstream) {
            let grown = held(upstream, client, long) - held(upstream, client, short);
            // The last event of Responses holds the whole answer: its text is kept once.
            let allowed = if client == Protocol::Responses { text + DIGITS } else { DIGITS };
            assert!(grown <= allowed, "{client} <- {upstream}: {grown} letters more, of {allowed}");
        }
    }
}
