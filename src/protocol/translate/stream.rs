//! A provider's stream on its way to a client of another protocol.

use super::{Asked, Client, Of};
use crate::domain::failure::Failure;
use crate::domain::protocol::Protocol;
use crate::domain::usage::Usage;
use crate::protocol::hub::about::About;
use crate::protocol::hub::event::{End, Event, Fault, Sink};
use crate::protocol::hub::ids::Ids;
use crate::protocol::hub::opaque::Maker;
use crate::protocol::watch::{Ending, Progress};
use crate::protocol::{bedrock, chat, gemini, messages, responses};

/// Some clients hear at the end all that was said, or one call behind the other: so much is held for them. The longest
/// answers that models give are a hundredth of it.
const ANSWER_LIMIT_BYTES: usize = 64 * 1024 * 1024;

#[derive(Debug)]
pub struct Translator {
    decoder: Decoder,
    encoder: Encoder,
    seen: Seen,
    read_bytes: usize,
}

#[derive(Debug)]
enum Decoder {
    Chat(Box<chat::events::decode::Decoder>),
    Responses(Box<responses::events::decode::Decoder>),
    Messages(Box<messages::events::decode::Decoder>),
    Gemini(Box<gemini::events::decode::Decoder>),
    Bedrock(Box<bedrock::events::Decoder>),
}

#[derive(Debug)]
enum Encoder {
    Chat(Box<chat::events::encode::Encoder>),
    Responses(Box<responses::events::encode::Encoder>),
    Messages(Box<messages::events::encode::Encoder>),
    Gemini(Box<gemini::events::encode::Encoder>),
}

/// What was learned on the way.
#[derive(Debug, Default)]
struct Seen {
    usage: Option<Usage>,
    events: u64,
    content_events: u64,
    has_failed: bool,
    has_ended: bool,
}

impl Translator {
    /// `None` where no stream comes, for embeddings were asked for.
    pub fn new(upstream: Protocol, maker: Maker, asked: Asked, about: About) -> Option<Self> {
        let Of::Answer(client) = asked.0 else { return None };
        let decoder = Decoder::of(upstream, maker, about.ids);
        Some(Self { decoder, encoder: Encoder::of(client, about), seen: Seen::default(), read_bytes: 0 })
    }

    /// Translates the next bytes. What goes to `out` are whole events of the client's.
    pub fn push(&mut self, read: &[u8], out: &mut Vec<u8>) -> Progress {
        self.read_bytes = self.read_bytes.saturating_add(read.len());
        if self.read_bytes > ANSWER_LIMIT_BYTES && !self.seen.has_ended {
            let failure = Failure::AnswerTooLarge { limit_bytes: ANSWER_LIMIT_BYTES };
            let fault = Fault::found(failure, "the provider's answer is larger than 64 MiB");
            return self.run(out, |_, sink| sink(Event::Ended(End::Failed(fault))));
        }
        self.run(out, |decoder, sink| decoder.push(read, sink))
    }

    /// The stream's end. `Cut` means that the client must be told: with `broken`.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Ending {
        self.run(out, Decoder::finish);
        match &self.seen {
            Seen { has_failed: true, .. } => Ending::Failed,
            Seen { has_ended: true, .. } => Ending::Clean,
            _ => Ending::Cut,
        }
    }

    /// The client's own error event, for a stream that broke: never an invented end.
    pub fn broken(&mut self, why: &'static str, out: &mut Vec<u8>) {
        if !self.seen.has_ended {
            self.run(out, |_, sink| sink(Event::Ended(End::Failed(Fault::found(Failure::BrokeOff, why)))));
        }
    }

    fn run(&mut self, out: &mut Vec<u8>, decode: impl FnOnce(&mut Decoder, &mut Sink<'_>)) -> Progress {
        let Self { decoder, encoder, seen, .. } = self;
        let mut progress = Progress::default();
        decode(decoder, &mut |event| {
            // Nothing follows the last word, whoever said it.
            if seen.has_ended {
                return;
            }
            seen.note(&event, out.len(), &mut progress);
            encoder.event(&event, out);
        });
        progress
    }

    /// What bridges a silence without saying anything, where it is not the protocol's usual.
    pub const fn keep_alive(&self) -> Option<&'static [u8]> {
        match &self.encoder {
            Encoder::Gemini(encoder) if encoder.is_array() => Some(b"\n"),
            _ => None,
        }
    }

    /// The last that the provider said of usage.
    pub const fn usage(&self) -> Option<Usage> {
        self.seen.usage
    }

    /// Events of the hub so far.
    pub const fn events(&self) -> u64 {
        self.seen.events
    }

    /// Events with content: near the number of output units where a broken stream never said it.
    pub const fn content_events(&self) -> u64 {
        self.seen.content_events
    }

    /// The client has been told that the provider failed.
    pub const fn has_failed(&self) -> bool {
        self.seen.has_failed
    }
}

impl Decoder {
    fn of(upstream: Protocol, maker: Maker, ids: Ids) -> Self {
        match upstream {
            Protocol::Chat => Self::Chat(Box::new(chat::events::decode::decoder(maker, ids))),
            Protocol::Responses => Self::Responses(Box::new(responses::events::decode::decoder(maker))),
            Protocol::Messages => Self::Messages(Box::new(messages::events::decode::decoder(maker, ids))),
            Protocol::Gemini => Self::Gemini(Box::new(gemini::events::decode::decoder(maker, ids))),
            Protocol::Bedrock => Self::Bedrock(Box::new(bedrock::events::Decoder::new(maker, ids))),
        }
    }

    fn push(&mut self, read: &[u8], sink: &mut Sink<'_>) {
        match self {
            Self::Chat(decoder) => decoder.push(read, sink),
            Self::Responses(decoder) => decoder.push(read, sink),
            Self::Messages(decoder) => decoder.push(read, sink),
            Self::Gemini(decoder) => decoder.push(read, sink),
            Self::Bedrock(decoder) => decoder.push(read, sink),
        }
    }

    fn finish(&mut self, sink: &mut Sink<'_>) {
        match self {
            Self::Chat(decoder) => decoder.finish(sink),
            Self::Responses(decoder) => decoder.finish(sink),
            Self::Messages(decoder) => decoder.finish(sink),
            Self::Gemini(decoder) => decoder.finish(sink),
            Self::Bedrock(decoder) => decoder.finish(sink),
        }
    }
}

impl Encoder {
    fn of(client: Client, about: About) -> Self {
        match client {
            Client::Chat(asked) => Self::Chat(Box::new(chat::events::encode::Encoder::new(about, asked))),
            Client::Responses(asked) => {
                Self::Responses(Box::new(responses::events::encode::Encoder::new(about, asked)))
            }
            Client::Messages => Self::Messages(Box::new(messages::events::encode::Encoder::new(about))),
            Client::Gemini(framing) => Self::Gemini(Box::new(gemini::events::encode::Encoder::new(about, framing))),
        }
    }

    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Chat(encoder) => encoder.event(event, out),
            Self::Responses(encoder) => encoder.event(event, out),
            Self::Messages(encoder) => encoder.event(event, out),
            Self::Gemini(encoder) => encoder.event(event, out),
        }
    }
}

impl Seen {
    fn note(&mut self, event: &Event<'_>, at: usize, progress: &mut Progress) {
        progress.events += 1;
        self.events += 1;
        if event.is_content() {
            self.content_events += 1;
            progress.content = true;
        }
        match event {
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Ended(end) => {
                self.has_ended = true;
                match end {
                    End::Failed(fault) => {
                        self.has_failed = true;
                        progress.failure = Some(fault.failure.clone());
                    }
                    // An answer with nothing in it is one too.
                    End::Completed { .. } | End::Incomplete(_) => {
                        progress.content = true;
                        progress.terminal_at = Some(at);
                    }
                }
            }
            _ => {}
        }
    }
}
