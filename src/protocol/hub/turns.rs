//! A conversation as turns, for protocols in which user and model speak by turns and every call is answered in the turn
//! right behind it: all of them, in their order, before anything else is said.

use super::item::{Item, Message, Part, Reasoning, Role, ToolCall, ToolResult};

#[derive(Debug, PartialEq, Eq)]
pub(in crate::protocol) enum Turn<'i, 'a> {
    User {
        /// Each call of the turn before, and what came of it if anything did. A result of no such call is left out:
        /// no provider takes one.
        answered: Vec<(&'i ToolCall<'a>, Option<&'i ToolResult<'a>>)>,
        /// What was said then, by whomever but the model.
        said: Vec<&'i Part<'a>>,
    },
    Model(Vec<Spoken<'i, 'a>>),
}

/// One thing of a model's turn, in order.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::protocol) enum Spoken<'i, 'a> {
    Thought(&'i Reasoning<'a>),
    Said(&'i Part<'a>),
    Called(&'i ToolCall<'a>),
}

/// What a model is told of a call that nobody answered.
pub(in crate::protocol) const UNANSWERED: &str = "(there is no result of this call)";

pub(in crate::protocol) fn turns<'i, 'a>(items: &'i [Item<'a>]) -> Vec<Turn<'i, 'a>> {
    let mut turns = Vec::new();
    let mut rest = items;
    while let Some(first) = rest.first() {
        let is_models = is_of_model(first);
        let end = rest.iter().position(|item| is_of_model(item) != is_models).unwrap_or(rest.len());
        let (turn, behind) = rest.split_at(end);
        turns.push(if is_models { Turn::Model(spoken(turn)) } else { said_to(turn, turns.last()) });
        rest = behind;
    }
    turns
}

const fn is_of_model(item: &Item<'_>) -> bool {
    matches!(item, Item::Reasoning(_) | Item::Call(_) | Item::Message(Message { role: Role::Assistant, .. }))
}

fn spoken<'i, 'a>(turn: &'i [Item<'a>]) -> Vec<Spoken<'i, 'a>> {
    let mut spoken = Vec::new();
    for item in turn {
        match item {
            Item::Reasoning(thought) => spoken.push(Spoken::Thought(thought)),
            Item::Message(message) => spoken.extend(message.content.iter().map(Spoken::Said)),
            Item::Call(call) => spoken.push(Spoken::Called(call)),
            Item::Result(_) => {}
        }
    }
    spoken
}

fn said_to<'i, 'a>(turn: &'i [Item<'a>], before: Option<&Turn<'i, 'a>>) -> Turn<'i, 'a> {
    let (mut results, mut said) = (Vec::new(), Vec::new());
    for item in turn {
        match item {
            Item::Result(result) => results.push(result),
            Item::Message(message) => said.extend(&message.content),
            Item::Reasoning(_) | Item::Call(_) => {}
        }
    }
    let spoken = match before {
        Some(Turn::Model(spoken)) => spoken.as_slice(),
        Some(Turn::User { .. }) | None => &[],
    };
    let calls = spoken.iter().filter_map(|one| match one {
        Spoken::Called(call) => Some(*call),
        Spoken::Thought(_) | Spoken::Said(_) => None,
    });
    let mut answer = |call: &'i ToolCall<'a>| {
        let at = results.iter().position(|result: &&ToolResult<'_>| result.call_id == call.call_id);
        (call, at.map(|at| results.remove(at)))
    };
    Turn::User { answered: calls.map(&mut answer).collect(), said }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::hub::text::Quoted;

    fn message(role: Role, text: &'static str) -> Item<'static> {
        Item::Message(Message { role, content: vec![Part::text(Quoted::plain(text))] })
    }

    fn call(id: &'static str) -> Item<'static> {
        Item::Call(ToolCall { call_id: Quoted::plain(id), ..ToolCall::default() })
    }

    fn result(id: &'static str) -> Item<'static> {
        Item::Result(ToolResult { call_id: Quoted::plain(id), ..ToolResult::default() })
    }

    #[test]
    fn every_call_is_answered_in_order_in_the_turn_behind_it() {
        let items = [
            message(Role::User, "hi"),
            call("1"),
            call("2"),
            call("3"),
            message(Role::Developer, "quick"),
            result("3"),
            result("other"),
            result("1"),
            message(Role::Assistant, "done"),
        ];
        let turns = turns(&items);
        let [Turn::User { .. }, Turn::Model(_), Turn::User { answered, said }, Turn::Model(last)] = turns.as_slice()
        else {
            panic!("{turns:?}")
        };
        let ids = |(call, result): &(&ToolCall<'_>, Option<&ToolResult<'_>>)| {
            (call.call_id.decode().into_owned(), result.map(|result| result.call_id.decode().into_owned()))
        };
        let some = |id: &str| (id.to_string(), Some(id.to_string()));
        assert_eq!(answered.iter().map(ids).collect::<Vec<_>>(), [some("1"), ("2".into(), None), some("3")]);
        assert_eq!((said.len(), last.len()), (1, 1));
    }
}
