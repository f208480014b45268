//! The tap on a stream: it watches what goes by, and keeps from the client what only we asked for.

use bytes::Bytes;

use crate::domain::protocol::Protocol;
use crate::domain::usage::Usage;
use crate::protocol::chat::UsageFilter;
use crate::protocol::{Ending, Progress, Watch};

pub struct Tap {
    watch: Box<Watch>,
    /// Only where we asked for usage and the client did not.
    filter: Option<UsageFilter>,
    ending: Option<Ending>,
    /// Hears the id of each item of a response.
    hears_items: Option<HearsItem>,
}

/// Whoever wants to know what a response consists of.
pub type HearsItem = Box<dyn FnMut(String) + Send>;

impl Tap {
    pub(super) fn new(protocol: Protocol, drops_usage: bool) -> Self {
        Self {
            watch: Box::new(Watch::of(protocol)),
            filter: drops_usage.then(UsageFilter::default),
            ending: None,
            hears_items: None,
        }
    }

    /// Takes the next piece; what of it is for the client goes out.
    pub fn push(&mut self, piece: Bytes, out: &mut Vec<Bytes>) -> Progress {
        let progress = self.watch.push(&piece);
        self.tell_items();
        match &mut self.filter {
            None => out.push(piece),
            Some(filter) => out.extend(filter.push(piece)),
        }
        progress
    }

    /// The stream is over: what was held back goes out, and how it ended is told.
    pub fn end(&mut self, out: &mut Vec<Bytes>) -> Ending {
        if let Some(ending) = self.ending {
            return ending;
        }
        if let Some(filter) = &mut self.filter {
            out.push(filter.finish());
        }
        self.watch.finish();
        self.tell_items();
        *self.ending.insert(self.watch.ending())
    }

    /// Tells of each item that came and is still to come.
    pub fn tells_items(&mut self, hears: HearsItem) {
        self.hears_items = Some(hears);
        self.tell_items();
    }

    fn tell_items(&mut self) {
        if let Some(hears) = &mut self.hears_items {
            self.watch.take_item_ids().into_iter().for_each(hears);
        }
    }

    /// The client has been told by the provider itself that it failed.
    pub fn has_failed(&self) -> bool {
        self.watch.has_failed()
    }

    /// The id of what the stream makes, once it was named.
    pub fn object_id(&self) -> Option<&str> {
        self.watch.object_id()
    }

    pub fn usage(&self) -> Option<Usage> {
        self.watch.usage()
    }

    /// Units that a broken stream never reported, estimated by its events with content.
    pub fn content_events(&self) -> u64 {
        self.watch.content_events()
    }

    pub fn events(&self) -> u64 {
        self.watch.events()
    }

    /// May something of our own be put in here? Not into an event, nor before one that is held back.
    pub fn is_between_events(&self) -> bool {
        self.watch.at_boundary()
    }
}
