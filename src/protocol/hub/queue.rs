//! Lets one item through at a time, for protocols in which items follow each other. What comes of others meanwhile waits,
//! which is of use to nobody but clients of those protocols, and grows no larger than the answer.

use super::event::Event;

#[derive(Debug, Default)]
pub(in crate::protocol) struct Queue {
    /// The item that is let through.
    front: Option<usize>,
    waiting: Vec<Event<'static>>,
}

impl Queue {
    /// Gives to `each` what may go now: the event, or those that waited for it.
    pub(in crate::protocol) fn push(&mut self, event: &Event<'_>, each: &mut dyn FnMut(&Event<'_>)) {
        let Some(item) = event.item() else { return each(event) };
        if self.front.is_some_and(|front| front != item) {
            return self.hold(event);
        }
        self.front = Some(item);
        each(event);
        if matches!(event, Event::ItemDone { .. }) {
            self.front = None;
            for event in std::mem::take(&mut self.waiting) {
                self.push(&event, each);
            }
        }
    }

    /// Deltas that follow each other become one.
    fn hold(&mut self, event: &Event<'_>) {
        match (self.waiting.last_mut(), event) {
            (Some(Event::Arguments { item, text }), Event::Arguments { item: same, text: more }) if item == same => {
                text.push(more);
            }
            (Some(Event::Delta { at, text, .. }), Event::Delta { at: same, text: more, logprobs })
                if at == same && logprobs.is_empty() =>
            {
                text.push(more);
            }
            _ => self.waiting.push(event.clone().into_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::hub::event::{Done, ItemKind};
    use crate::protocol::hub::text::Quoted;
    use proptest::prelude::*;

    fn added(item: usize) -> Event<'static> {
        let kind = ItemKind::Call { call_id: Quoted::of(&item.to_string()), name: Quoted::plain("f") };
        Event::ItemAdded { item, kind }
    }

    fn arguments(item: usize, text: &str) -> Event<'static> {
        Event::Arguments { item, text: Quoted::of(text) }
    }

    proptest! {
        #[test]
        fn items_come_one_behind_the_other_and_whole(order in proptest::collection::vec(0..4usize, 0..40)) {
            let mut events: Vec<Event<'static>> = (0..4).map(added).collect();
            events.extend(order.iter().enumerate().map(|(at, item)| arguments(*item, &at.to_string())));
            events.extend([2, 0, 3, 1].map(|item| Event::ItemDone { item, done: Done::Whole }));
            let (mut queue, mut out) = (Queue::default(), Vec::new());
            for event in &events {
                queue.push(event, &mut |event| out.push(event.clone().into_owned()));
            }
            let items: Vec<usize> = out.iter().filter_map(Event::item).collect();
            prop_assert!(items.is_sorted());
            for item in 0..4 {
                let said = |events: &[Event<'_>]| {
                    events.iter().fold(String::new(), |all, event| match event {
                        Event::Arguments { item: of, text } if *of == item => all + &text.decode(),
                        _ => all,
                    })
                };
                prop_assert_eq!(said(&out), said(&events));
            }
            prop_assert_eq!(out.iter().filter(|event| matches!(event, Event::ItemDone { .. })).count(), 4);
        }
    }
}
