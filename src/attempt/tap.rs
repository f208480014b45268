//! The tap on a stream: it watches what goes by, and keeps from the client what only we asked for, or puts all of it into
//! the client's protocol.

use bytes::Bytes;

use super::translation::Translation;
use crate::domain::failure::Failure;
use crate::domain::protocol::Protocol;
use crate::domain::usage::Usage;
use crate::protocol::chat::UsageFilter;
use crate::protocol::translate::Translator;
use crate::protocol::{self, Ending, Progress, Watch};

pub struct Tap {
    through: Through,
    ending: Option<Ending>,
    /// Hears the id of each item of a response.
    hears_items: Option<HearsItem>,
    /// Hears the event with which a translated stream ends.
    hears_end: Option<HearsEnd>,
    /// What ended it before anybody wanted to hear.
    last: Option<Bytes>,
}

/// Whoever wants to know what a response consists of.
pub type HearsItem = Box<dyn FnMut(String) + Send>;

/// Whoever wants to know how a stream ended, in the client's words.
pub type HearsEnd = Box<dyn FnOnce(&[u8]) + Send>;

/// What the stream goes through.
enum Through {
    /// It stays as it is.
    Watch {
        watch: Box<Watch>,
        /// Only where we asked for usage and the client did not.
        filter: Option<UsageFilter>,
    },
    Translator(Box<Translator>),
}

impl Tap {
    pub(super) fn new(protocol: Protocol, drops_usage: bool) -> Self {
        let (watch, filter) = (Box::new(Watch::of(protocol)), drops_usage.then(UsageFilter::default));
        Self::through(Through::Watch { watch, filter })
    }

    pub(super) fn translating(translation: Translation) -> Result<Self, Failure> {
        let translator = translation.translator().ok_or(Failure::Internal("what was asked for is no stream"))?;
        Ok(Self::through(Through::Translator(Box::new(translator))))
    }

    const fn through(through: Through) -> Self {
        Self { through, ending: None, hears_items: None, hears_end: None, last: None }
    }

    /// Takes the next piece; what of it is for the client goes out.
    pub fn push(&mut self, piece: Bytes, out: &mut Vec<Bytes>) -> Progress {
        match &mut self.through {
            Through::Watch { watch, filter } => {
                let progress = watch.push(&piece);
                match filter {
                    None => out.push(piece),
                    Some(filter) if progress.is_plain && filter.holds_nothing() => out.push(piece),
                    Some(filter) => out.extend(filter.push(piece)),
                }
                self.tell_items();
                progress
            }
            Through::Translator(translator) => {
                let mut said = Vec::new();
                let progress = translator.push(&piece, &mut said);
                let has_ended = progress.terminal_at.is_some();
                self.give(said, has_ended, out);
                progress
            }
        }
    }

    /// The stream is over: what was held back goes out, and how it ended is told.
    pub fn end(&mut self, out: &mut Vec<Bytes>) -> Ending {
        if let Some(ending) = self.ending {
            return ending;
        }
        let ending = match &mut self.through {
            Through::Watch { watch, filter } => {
                if let Some(filter) = filter {
                    out.push(filter.finish());
                }
                watch.finish();
                let ending = watch.ending();
                self.tell_items();
                ending
            }
            Through::Translator(translator) => {
                let mut said = Vec::new();
                let ending = translator.finish(&mut said);
                self.give(said, ending == Ending::Clean, out);
                ending
            }
        };
        *self.ending.insert(ending)
    }

    /// The last words for a client whose stream broke.
    pub fn broken(&mut self, client: Protocol, why: &'static str) -> Bytes {
        match &mut self.through {
            // An event cut in its middle must not run into ours.
            Through::Watch { watch, .. } => protocol::broken_event(client, watch, why),
            Through::Translator(translator) => {
                let mut said = Vec::new();
                translator.broken(why, &mut said);
                said.into()
            }
        }
    }

    /// What bridges a silence without saying anything.
    pub fn keep_alive(&self, client: Protocol) -> Bytes {
        match &self.through {
            Through::Watch { .. } => protocol::keep_alive(client),
            Through::Translator(translator) => {
                translator.keep_alive().map_or_else(|| protocol::keep_alive(client), Bytes::from_static)
            }
        }
    }

    /// Tells how the stream ends, if it ends well; only of a translated one.
    pub fn tells_end(&mut self, hears: HearsEnd) {
        match self.last.take() {
            Some(last) => hears(&last),
            None => self.hears_end = Some(hears),
        }
    }

    /// What was translated goes out, and its end to whoever hears of it.
    fn give(&mut self, said: Vec<u8>, has_ended: bool, out: &mut Vec<Bytes>) {
        if said.is_empty() {
            return;
        }
        let said = Bytes::from(said);
        if has_ended {
            match self.hears_end.take() {
                Some(hears) => hears(&said),
                None => self.last = Some(said.clone()),
            }
        }
        out.push(said);
    }

    /// Tells of each item that came and is still to come.
    pub fn tells_items(&mut self, hears: HearsItem) {
        self.hears_items = Some(hears);
        self.tell_items();
    }

    /// The ids of a translated answer are ours, and lie at no provider.
    fn tell_items(&mut self) {
        if let (Some(hears), Through::Watch { watch, .. }) = (&mut self.hears_items, &mut self.through) {
            watch.take_item_ids().into_iter().for_each(hears);
        }
    }

    /// The client has been told by the provider itself that it failed.
    pub fn has_failed(&self) -> bool {
        match &self.through {
            Through::Watch { watch, .. } => watch.has_failed(),
            Through::Translator(translator) => translator.has_failed(),
        }
    }

    /// The id of what the stream makes, once it was named.
    pub fn object_id(&self) -> Option<&str> {
        match &self.through {
            Through::Watch { watch, .. } => watch.object_id(),
            Through::Translator(_) => None,
        }
    }

    pub fn usage(&self) -> Option<Usage> {
        match &self.through {
            Through::Watch { watch, .. } => watch.usage(),
            Through::Translator(translator) => translator.usage(),
        }
    }

    /// Units that a broken stream never reported, estimated by its events with content.
    pub fn content_events(&self) -> u64 {
        match &self.through {
            Through::Watch { watch, .. } => watch.content_events(),
            Through::Translator(translator) => translator.content_events(),
        }
    }

    pub fn events(&self) -> u64 {
        match &self.through {
            Through::Watch { watch, .. } => watch.events(),
            Through::Translator(translator) => translator.events(),
        }
    }

    /// May something of our own be put in here? Not into an event, nor before one that is held back.
    pub fn is_between_events(&self) -> bool {
        match &self.through {
            Through::Watch { watch, .. } => watch.at_boundary(),
            // It gives whole events only.
            Through::Translator(_) => true,
        }
    }
}
