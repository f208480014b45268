//! Which call a delta belongs to.
//!
//! OpenAI numbers calls and names each once. Others leave the number out, give all calls the same one, repeat name and id
//! in every delta, or send the name only after the id.

use super::chunk::CallDelta;
use crate::protocol::chat::request::thought::EXTRA;
use crate::protocol::hub::event::Sink;
use crate::protocol::hub::ids::Ids;
use crate::protocol::hub::opaque::Opaque;
use crate::protocol::hub::opener::Opener;
use crate::protocol::hub::text::Quoted;

#[derive(Debug)]
pub(super) struct Calls {
    ids: Ids,
    /// In the order of their beginning; a call's place is its key.
    begun: Vec<Begun>,
}

#[derive(Debug)]
struct Begun {
    index: Option<u64>,
    id: Option<Quoted<'static>>,
    /// What came before the name; nothing is said of a call without one.
    waiting: Option<Quoted<'static>>,
}

impl Calls {
    pub(super) const fn new(ids: Ids) -> Self {
        Self { ids, begun: Vec::new() }
    }

    pub(super) fn delta(
        &mut self,
        delta: CallDelta<'_>,
        opener: &mut Opener,
        state: &dyn Fn(Quoted<'static>) -> Opaque<'static>,
        sink: &mut Sink<'_>,
    ) {
        let key = self.key(&delta);
        if let Some(extra) = &delta.extra {
            let extra = [EXTRA, &String::from_utf8_lossy(extra.as_bytes())].concat();
            // It belongs to the call, and must be there before it begins.
            if self.begun[key].waiting.is_some() {
                opener.state(state(Quoted::of(&extra)), sink);
            }
        }
        let call = &mut self.begun[key];
        let arguments = delta.arguments.text();
        match (call.waiting.take(), delta.name) {
            (Some(before), Some(name)) => {
                let id = call.id.clone().unwrap_or_else(|| self.ids.call(key));
                opener.call(key as u64, id, name, sink);
                opener.arguments(key as u64, before, sink);
                opener.arguments(key as u64, arguments, sink);
            }
            (Some(mut before), None) => {
                before.push(&arguments);
                call.waiting = Some(before);
            }
            (None, _) => opener.arguments(key as u64, arguments, sink),
        }
    }

    /// A call that never got its name is told all the same: the client must see that something was called.
    pub(super) fn finish(&mut self, opener: &mut Opener, sink: &mut Sink<'_>) {
        for (key, call) in self.begun.iter_mut().enumerate() {
            if let Some(arguments) = call.waiting.take() {
                let id = call.id.clone().unwrap_or_else(|| self.ids.call(key));
                opener.call(key as u64, id, Quoted::default(), sink);
                opener.arguments(key as u64, arguments, sink);
            }
        }
    }

    /// The latest call with this number, or without one the latest of all, unless the id is another.
    fn key(&mut self, delta: &CallDelta<'_>) -> usize {
        let known = match delta.index {
            Some(index) => self.begun.iter().rposition(|call| call.index == Some(index)),
            None => self.begun.len().checked_sub(1),
        };
        let is_other = |call: &Begun| matches!((&call.id, &delta.id), (Some(known), Some(id)) if known != id);
        // Without a number a name begins a call, where the id does not say otherwise.
        let begins = |call: &Begun| {
            delta.index.is_none() && delta.id.is_none() && delta.name.is_some() && call.waiting.is_none()
        };
        if let Some(key) = known.filter(|key| !is_other(&self.begun[*key]) && !begins(&self.begun[*key])) {
            let call = &mut self.begun[key];
            call.id = call.id.take().or_else(|| delta.id.clone().map(Quoted::into_owned));
            return key;
        }
        let id = delta.id.clone().map(Quoted::into_owned);
        self.begun.push(Begun { index: delta.index, id, waiting: Some(Quoted::default()) });
        self.begun.len() - 1
    }
}
