//! Any client to any provider: every case in `tests/golden/`, as its protocol writes it, held against every other one.
//!
//! A case is a folder `tests/golden/PROTOCOL/CASE/` with what it has of `request.json`, `answer.json` and `stream.sse`. As a
//! client's, the request goes to a provider of each other protocol; as a provider's, answer and stream go to a client of
//! each other protocol, who asked what `tests/golden/PROTOCOL/asker.json` says. What comes out lies in
//! `CASE/to/OTHER.…`. `KEYWAY_REWRITE_GOLDEN=1` writes it anew, for a person to read before it is kept.

pub(crate) mod frames;
mod generated;
mod growth;
mod long;
mod matrix;
mod open_responses;
mod pretty;
mod round_trip;
mod schema;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use keyway::domain::protocol::{Delivery, Protocol};
use keyway::protocol::Ending;
use keyway::protocol::hub::about::About;
use keyway::protocol::hub::ids::Ids;
use keyway::protocol::hub::opaque::Maker;
use keyway::protocol::hub::request::Terms;
use keyway::protocol::hub::text::Quoted;
use keyway::protocol::translate::{self, Asked, Translator};
use pretty::pretty;

/// Protocols that can be spoken by clients, and all that providers speak.
const CLIENTS: [Protocol; 4] = [Protocol::Chat, Protocol::Responses, Protocol::Messages, Protocol::Gemini];
const UPSTREAMS: [Protocol; 5] =
    [Protocol::Chat, Protocol::Responses, Protocol::Messages, Protocol::Gemini, Protocol::Bedrock];

struct Case {
    protocol: Protocol,
    folder: PathBuf,
}

impl Case {
    fn read(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.folder.join(name)).ok()
    }

    /// The stream as the provider sends it. Frames are written as lines of their kind and their payload.
    fn stream(&self) -> Option<Vec<u8>> {
        match self.protocol {
            Protocol::Bedrock => self.read("stream.frames").map(|lines| frames::written(&lines)),
            Protocol::Chat | Protocol::Responses | Protocol::Messages | Protocol::Gemini => self.read("stream.sse"),
        }
    }

    /// Does one of the provider's events end here?
    fn is_boundary(&self, stream: &[u8], at: usize) -> bool {
        match self.protocol {
            Protocol::Bedrock => frames::ends(stream).contains(&at),
            Protocol::Chat | Protocol::Responses | Protocol::Messages | Protocol::Gemini => {
                stream[..at].ends_with(b"\n\n") || stream[..at].ends_with(b"\r\n\r\n")
            }
        }
    }
}

/// Every folder below a protocol's.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for protocol in UPSTREAMS {
        let folder = Path::new("tests/golden").join(protocol.name());
        let mut folders: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        folders.retain(|path| path.is_dir());
        folders.sort();
        assert!(!folders.is_empty(), "{} has no case", folder.display());
        cases.extend(folders.into_iter().map(|folder| Case { protocol, folder }));
    }
    cases
}

/// What is expected, or where it is to be kept.
#[derive(Default)]
struct Kept {
    differing: BTreeMap<PathBuf, String>,
}

impl Kept {
    fn check(&mut self, case: &Case, other: Protocol, what: &str, got: &str) {
        let path = case.folder.join("to").join(format!("{other}.{what}"));
        if env::var_os("KEYWAY_REWRITE_GOLDEN").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, got).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != got {
            self.differing.insert(path, got.to_string());
        }
    }

    fn report(self) {
        let shown: Vec<String> =
            self.differing.iter().map(|(path, got)| format!("{} is now:\n{got}", path.display())).collect();
        assert!(shown.is_empty(), "{}", shown.join("\n"));
    }
}

/// Of a model whose generation is told what it shall think, each in its own way.
fn terms(upstream: Protocol) -> Terms<'static> {
    let model = match upstream {
        Protocol::Chat | Protocol::Responses => "the-model",
        Protocol::Bedrock => "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
        Protocol::Messages => "claude-sonnet-4-5",
        Protocol::Gemini => "gemini-3-pro",
    };
    Terms { maker: maker(), max_output_tokens: Some(8_192), ..Terms::of(model) }
}

fn maker() -> Maker {
    Maker::of(&["golden"])
}

fn about() -> About {
    let ids = Ids::of(uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
    About { ids, created: 1_700_000_000, model: Quoted::plain("the-model"), input_tokens: 5 }
}

/// What a client of this protocol asked, where only its answer matters.
fn asked(client: Protocol) -> Asked {
    let body = fs::read(Path::new("tests/golden").join(client.name()).join("asker.json")).unwrap();
    let other = UPSTREAMS.into_iter().find(|upstream| *upstream != client).unwrap();
    translate::request(client, other, &body, Delivery::Streamed, &terms(other)).unwrap().asked
}

/// A stream in pieces, translated, with how it ended.
fn streamed(case: &Case, client: Protocol, pieces: &[&[u8]]) -> (Vec<u8>, Ending) {
    let mut translator = Translator::new(case.protocol, maker(), asked(client), about()).unwrap();
    let mut out = Vec::new();
    for piece in pieces {
        translator.push(piece, &mut out);
    }
    let ending = translator.finish(&mut out);
    (out, ending)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn every_request_says_the_same_in_every_other_protocol_or_is_refused_by_name() {
    let mut kept = Kept::default();
    for case in cases().iter().filter(|case| CLIENTS.contains(&case.protocol)) {
        let Some(body) = case.read("request.json") else { continue };
        for upstream in UPSTREAMS.into_iter().filter(|upstream| *upstream != case.protocol) {
            let got = match translate::request(case.protocol, upstream, &body, Delivery::Whole, &terms(upstream)) {
                Ok(done) if done.dropped.is_empty() => pretty(&done.body),
                Ok(done) => format!("{}dropped: {}\n", pretty(&done.body), done.dropped.joined()),
                Err(objection) => format!("refused: {objection}\n"),
            };
            kept.check(case, upstream, "request.json", &got);
        }
    }
    kept.report();
}

#[test]
fn every_whole_answer_says_the_same_in_every_other_protocol() {
    let mut kept = Kept::default();
    for case in &cases() {
        let Some(body) = case.read("answer.json") else { continue };
        for client in CLIENTS.into_iter().filter(|client| *client != case.protocol) {
            let got = match translate::whole(case.protocol, &body, maker(), &asked(client), &about()) {
                Ok(whole) => pretty(&whole.body),
                Err(fault) => format!("failed: {:?}\n", fault.failure),
            };
            kept.check(case, client, "answer.json", &got);
        }
    }
    kept.report();
}

#[test]
fn every_stream_says_the_same_in_every_other_protocol() {
    let mut kept = Kept::default();
    for case in &cases() {
        let Some(stream) = case.stream() else { continue };
        for client in CLIENTS.into_iter().filter(|client| *client != case.protocol) {
            let (out, ending) = streamed(case, client, &[&stream]);
            assert_ne!(ending, Ending::Cut, "{} to {client}", case.folder.display());
            kept.check(case, client, "stream.sse", &text(out));
        }
    }
    kept.report();
}

#[test]
fn a_stream_cut_into_reads_at_any_byte_gives_the_same_bytes() {
    for case in &cases() {
        let Some(stream) = case.stream() else { continue };
        for client in CLIENTS.into_iter().filter(|client| *client != case.protocol) {
            let whole = streamed(case, client, &[&stream]);
            let single: Vec<&[u8]> = stream.chunks(1).collect();
            assert_eq!(streamed(case, client, &single), whole, "{} to {client}", case.folder.display());
            for at in 1..stream.len() {
                let (before, behind) = stream.split_at(at);
                let split = streamed(case, client, &[before, behind]);
                assert_eq!(split, whole, "{} to {client}, cut at {at}", case.folder.display());
            }
        }
    }
}

/// What looks like an end to some client.
const ENDS: [&str; 7] = [
    "[DONE]",
    "finish_reason\":\"",
    "response.completed",
    "response.incomplete",
    "message_stop",
    "stop_reason\":\"",
    "finishReason",
];

#[test]
fn a_stream_that_stops_short_is_never_told_as_finished() {
    for case in &cases() {
        let Some(stream) = case.stream() else { continue };
        for client in CLIENTS.into_iter().filter(|client| *client != case.protocol) {
            let (whole, _) = streamed(case, client, &[&stream]);
            for at in (0..stream.len()).filter(|at| case.is_boundary(&stream, *at)) {
                let mut translator = Translator::new(case.protocol, maker(), asked(client), about()).unwrap();
                let mut out = Vec::new();
                translator.push(&stream[..at], &mut out);
                // A last word was said, and behind it at most what was used.
                if translator.finish(&mut out) != Ending::Cut {
                    let rest = String::from_utf8_lossy(&stream[at..]);
                    assert!(
                        !rest.contains("\"delta\":{\"content\""),
                        "{} to {client}, stopped at {at}",
                        case.folder.display()
                    );
                    continue;
                }
                assert!(whole.starts_with(&out), "{} to {client}, stopped at {at}", case.folder.display());
                translator.broken("it broke", &mut out);
                let out = text(out);
                assert!(out.contains("it broke"), "{out}");
                for end in ENDS {
                    assert!(!out.contains(end), "{out}");
                }
            }
        }
    }
}
