//! Watches a stream that passes through: what has begun, what it used, and whether it ended as it should.
//!
//! Pure: reads in, progress out; the bytes themselves go their way untouched. Before the first content every event is
//! looked at closely, for it may be an error; after it only those that hold a telling key.

use super::sse::{Block, Splitter};
use super::{chat, gemini, messages, responses};
use crate::domain::failure::Failure;
use crate::domain::protocol::Protocol;
use crate::domain::usage::Usage;

/// Larger events are not held by the watch: it learns what it needs from their heads and tails.
const EVENT_LIMIT_BYTES: usize = 64 * 1024;

/// What one read showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Events that ended in this read; comments are none.
    pub events: usize,
    /// Content, or a regular finish, came in this read and before any failure.
    pub content: bool,
    /// The provider said that it failed. Before the first content another target may be tried.
    pub failure: Option<Failure>,
    /// Where in this read the protocol's terminal event begins; 0 if it began in an earlier one.
    pub terminal_at: Option<usize>,
    /// All of it was whole events of content, with nothing else in them.
    pub is_plain: bool,
}

/// How a stream stands at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As its protocol wants it.
    Clean,
    /// With the provider's own error event: the client has been told.
    Failed,
    /// Without a word: the client must be told.
    Cut,
}

/// What one event is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// A comment, or a block without data.
    Nothing,
    Lifecycle,
    Content,
    /// The answer's last word, with nothing in it that could be counted.
    Finish,
    Failed(Failure),
    Terminal,
}

/// What was learned so far.
#[derive(Debug, Default)]
pub(super) struct Learned {
    pub(super) usage: Option<Usage>,
    /// The id of the object that the stream makes, where it names one.
    pub(super) object_id: Option<String>,
    /// The ids of the response's items, as they begin, until somebody takes them.
    pub(super) item_ids: Vec<String>,
    /// The answer's last word was said, be the terminal event still to come.
    pub(super) is_finished: bool,
    pub(super) has_content: bool,
    events: u64,
    content_events: u64,
    has_failed: bool,
    is_terminated: bool,
}

#[derive(Debug)]
enum Format {
    Chat(chat::events::Events),
    Responses(responses::events::Events),
    Messages(messages::events::Events),
    Gemini(gemini::events::Events),
}

/// The watch over one stream.
#[derive(Debug)]
pub struct Watch {
    splitter: Splitter,
    format: Format,
    learned: Learned,
}

impl Watch {
    /// For a stream in this protocol. Bedrock's are no events of this kind: they are always translated.
    pub fn of(protocol: Protocol) -> Self {
        Self::over(match protocol {
            Protocol::Chat | Protocol::Bedrock => Format::Chat(chat::events::Events::default()),
            Protocol::Responses => Format::Responses(responses::events::Events),
            Protocol::Messages => Format::Messages(messages::events::Events::default()),
            Protocol::Gemini => Format::Gemini(gemini::events::Events),
        })
    }

    fn over(format: Format) -> Self {
        Self { splitter: Splitter::new(EVENT_LIMIT_BYTES), format, learned: Learned::default() }
    }

    /// Looks at the next bytes of the stream.
    pub fn push(&mut self, read: &[u8]) -> Progress {
        let Self { splitter, format, learned } = self;
        let mut progress = Progress::default();
        let mut known = 0;
        if splitter.holds_nothing() {
            while let Some(length) = format.plain_length(&read[known..]) {
                learned.note(Sight::Content, known, &mut progress);
                known += length;
            }
            if known > 0 && known == read.len() {
                progress.is_plain = true;
                return progress;
            }
        }
        splitter.push(&read[known..], |block, start, _| {
            let sight = format.see(block, learned);
            learned.note(sight, known + start, &mut progress);
        });
        progress
    }

    /// The stream's end: an event without its blank line counts if it can be read.
    pub fn finish(&mut self) -> Progress {
        let Self { splitter, format, learned } = self;
        let mut progress = Progress::default();
        if let Some(block) = splitter.finish() {
            let sight = format.see(block, learned);
            learned.note(sight, 0, &mut progress);
        }
        progress
    }

    /// To be asked after `finish`.
    pub const fn ending(&self) -> Ending {
        match &self.learned {
            Learned { has_failed: true, .. } => Ending::Failed,
            Learned { is_terminated: true, .. } | Learned { is_finished: true, .. } => Ending::Clean,
            _ => Ending::Cut,
        }
    }

    /// The last that the provider said of usage; some say it more than once, and each time all of it.
    pub const fn usage(&self) -> Option<Usage> {
        self.learned.usage
    }

    /// The id of what the stream makes (a stored response), once it was named.
    pub fn object_id(&self) -> Option<&str> {
        self.learned.object_id.as_deref()
    }

    /// The ids of what the response consists of that have come since they were last taken.
    pub fn take_item_ids(&mut self) -> Vec<String> {
        std::mem::take(&mut self.learned.item_ids)
    }

    /// How many events there were: also the next sequence number where a protocol counts them.
    pub const fn events(&self) -> u64 {
        self.learned.events
    }

    /// The provider has said that it failed.
    pub const fn has_failed(&self) -> bool {
        self.learned.has_failed
    }

    /// Events with content: near the number of output units where a broken stream never said it.
    pub const fn content_events(&self) -> u64 {
        self.learned.content_events
    }

    /// Is the stream between two events?
    pub fn at_boundary(&self) -> bool {
        self.splitter.at_boundary()
    }
}

impl Format {
    /// The length of the event that a read begins with, if all of it is there and a look at it would find content only.
    fn plain_length(&self, read: &[u8]) -> Option<usize> {
        match self {
            Self::Chat(events) => events.plain_length(read),
            Self::Responses(_) | Self::Messages(_) | Self::Gemini(_) => None,
        }
    }

    fn see(&mut self, block: Block<'_>, learned: &mut Learned) -> Sight {
        match self {
            Self::Chat(events) => events.see(block, learned),
            Self::Responses(events) => events.see(block, learned),
            Self::Messages(events) => events.see(block, learned),
            Self::Gemini(events) => events.see(block, learned),
        }
    }
}

impl Learned {
    fn note(&mut self, sight: Sight, start: usize, progress: &mut Progress) {
        if sight == Sight::Nothing {
            return;
        }
        progress.events += 1;
        self.events += 1;
        match sight {
            Sight::Nothing | Sight::Lifecycle => {}
            Sight::Content | Sight::Finish => {
                self.content_events += u64::from(sight == Sight::Content);
                self.has_content = true;
                progress.content |= !self.has_failed;
            }
            Sight::Failed(failure) => {
                if !self.has_failed {
                    progress.failure = Some(failure);
                }
                self.has_failed = true;
            }
            Sight::Terminal => {
                self.is_terminated = true;
                progress.terminal_at.get_or_insert(start);
            }
        }
    }
}
