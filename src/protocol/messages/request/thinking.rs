//! How much the model shall think: both directions.
//!
//! Generations of models are told in different ways, and each refuses the other's: older ones get a budget in tokens, newer
//! ones think as they see fit and are given an effort. The newest let nobody choose how they sample.

use super::max_tokens;
use crate::domain::protocol::Protocol;
use crate::protocol::hub::field::{Field, Objection};
use crate::protocol::hub::item::{Item, Message, Role};
use crate::protocol::hub::read::Values;
use crate::protocol::hub::request::{Request, Terms, ToolChoice};
use crate::protocol::hub::thinking::{Effort, Thinking};
use crate::protocol::hub::write::Write;
use crate::protocol::json::Reader;

pub(super) fn decode(reader: &mut Reader<'_>, thinking: &mut Thinking<'_>) -> Result<(), Objection> {
    let (mut kind, mut budget) = (None, None);
    reader.members(|reader, key| {
        match key {
            b"type" => kind = reader.text()?,
            b"budget_tokens" => budget = reader.unsigned()?,
            b"display" => thinking.is_shown = reader.text()?.map(|display| !display.is("omitted")),
            _ => reader.skip()?,
        }
        Ok::<(), Objection>(())
    })?;
    // Not to think is what goes without saying; to say so would be refused by models that can't.
    thinking.budget = budget.filter(|_| kind.is_some_and(|kind| kind.is("enabled")));
    Ok(())
}

pub(super) fn decode_effort(reader: &mut Reader<'_>) -> Result<Option<Effort>, Objection> {
    let Some(name) = reader.text()? else { return Ok(None) };
    let why = "it is none of low, medium, high, xhigh and max";
    Effort::named(&name).map(Some).ok_or(Objection::Invalid { field: "output_config.effort", why })
}

/// `None` for models of others, whose servers imitate the older form.
fn version(model: &str) -> Option<(u32, u32)> {
    crate::protocol::hub::version::version(model, "claude-")
}

const TAKES_EFFORT: (u32, u32) = (4, 6);
const SAMPLES_BY_ITSELF: (u32, u32) = (4, 7);
/// Less is refused.
const LEAST_BUDGET: u64 = 1_024;

/// What is said to the model of how much to think, or that what the client wants can't be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::protocol) struct Told(Option<Said>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// Which to every model means not to think.
    Nothing,
    Effort(Effort),
    Budget(u64),
}

impl Told {
    /// `protocol` is the one in which the model's own thoughts come back.
    pub(in crate::protocol) fn of(request: &Request<'_>, terms: &Terms<'_>, protocol: Protocol) -> Self {
        let Some(effort) = request.thinking.as_effort().filter(|effort| *effort != Effort::None) else {
            return Self(Some(Said::Nothing));
        };
        // Who must call a tool must not think about it first.
        let is_forced = matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Tool(_)));
        if is_forced && !request.tools.is_empty() {
            return Self(None);
        }
        if version(terms.model).is_some_and(|version| version >= TAKES_EFFORT) {
            return Self(Some(Said::Effort(effort)));
        }
        // The budget is a part of what may be written, and something must be left for the answer.
        let most = max_tokens(request, terms) / 4 * 3;
        let budget = request.thinking.as_budget().unwrap_or(LEAST_BUDGET).max(LEAST_BUDGET).min(most);
        let can_think = budget >= LEAST_BUDGET && !has_lost_a_thought(&request.items, terms, protocol);
        Self(can_think.then_some(Said::Budget(budget)))
    }

    /// What can't be said to this model, or not together with the rest.
    pub(in crate::protocol) fn lacks(self, model: &str) -> Vec<Field> {
        let samples_by_itself = version(model).is_some_and(|version| version >= SAMPLES_BY_ITSELF);
        let thinks = matches!(self.0, Some(Said::Effort(_) | Said::Budget(_)));
        let effort = self.0.is_none().then_some(Field::Effort);
        let sampling = [Field::Temperature, Field::TopP, Field::TopK];
        effort.into_iter().chain(sampling.into_iter().filter(|_| samples_by_itself || thinks)).collect()
    }

    /// Writes `thinking`, if there is any.
    pub(in crate::protocol) fn encode(self, thinking: &Thinking<'_>, out: &mut Vec<u8>) {
        match self.0 {
            None | Some(Said::Nothing) => {}
            Some(Said::Effort(_)) => {
                let is_shown = thinking.is_shown.or(thinking.summary.as_ref().map(|_| true));
                let display = is_shown.map(|is_shown| if is_shown { "summarized" } else { "omitted" });
                out.key("thinking").object(|out| {
                    out.member("type", "adaptive").maybe("display", display);
                });
            }
            Some(Said::Budget(tokens)) => {
                out.key("thinking").object(|out| {
                    out.member("type", "enabled").member("budget_tokens", tokens);
                });
            }
        }
    }

    /// The effort in the model's words.
    pub(in crate::protocol) fn effort(self, model: &str) -> Option<&'static str> {
        match self.0 {
            Some(Said::Effort(effort)) => Some(effort_name(effort, model)),
            Some(Said::Nothing | Said::Budget(_)) | None => None,
        }
    }
}

/// Did the model call tools just now, and the thought that led to it can't be brought back to it? Then it refuses to think.
fn has_lost_a_thought(items: &[Item<'_>], terms: &Terms<'_>, protocol: Protocol) -> bool {
    let of_others = |item: &Item<'_>| matches!(item, Item::Message(Message { role, .. }) if *role != Role::Assistant);
    let current = items.iter().rposition(of_others).map_or(0, |at| at + 1);
    let (mut has_thought, mut has_lost) = (false, false);
    for item in &items[current..] {
        match item {
            Item::Reasoning(thought) => {
                let state = thought.state.as_ref();
                has_thought |= state.is_some_and(|state| state.for_maker(protocol, terms.maker).is_some());
            }
            Item::Call(_) => has_lost |= !has_thought,
            // What follows a result is a turn of its own.
            Item::Result(_) => has_thought = false,
            Item::Message(_) => {}
        }
    }
    has_lost
}

/// What can't be said to this model, or not together with the rest.
pub(in crate::protocol) fn lacks(request: &Request<'_>, terms: &Terms<'_>) -> Vec<Field> {
    Told::of(request, terms, Protocol::Messages).lacks(terms.model)
}

/// Writes `thinking`, and `output_config` with the answer's form.
pub(super) fn encode(request: &Request<'_>, terms: &Terms<'_>, out: &mut Vec<u8>) {
    let told = Told::of(request, terms, Protocol::Messages);
    told.encode(&request.thinking, out);
    let (effort, schema) = (told.effort(terms.model), super::tool::schema(request.format.as_ref()));
    if effort.is_some() || schema.is_some() {
        out.key("output_config").object(|out| {
            out.maybe("effort", effort);
            if let Some(schema) = schema {
                out.key("format").object(|out| {
                    out.member("type", "json_schema").member("schema", schema);
                });
            }
        });
    }
}

fn effort_name(effort: Effort, model: &str) -> &'static str {
    let has_extra_high = version(model).is_some_and(|version| version >= SAMPLES_BY_ITSELF);
    match effort {
        Effort::None | Effort::Minimal => Effort::Low.name(),
        Effort::XHigh if !has_extra_high => Effort::High.name(),
        other => other.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::hub::item::ToolCall;

    fn said(request: &Request<'_>, terms: &Terms<'_>) -> Option<Said> {
        Told::of(request, terms, Protocol::Messages).0
    }

    fn asking(effort: Effort) -> Request<'static> {
        Request { thinking: Thinking { effort: Some(effort), ..Thinking::default() }, ..Request::default() }
    }

    #[test]
    fn each_generation_is_told_in_its_own_way() {
        let request = asking(Effort::High);
        assert_eq!(said(&request, &Terms::of("claude-opus-4-7")), Some(Said::Effort(Effort::High)));
        assert_eq!(said(&request, &Terms::of("claude-sonnet-4-5")), Some(Said::Budget(6_144)));
        assert_eq!(said(&asking(Effort::Low), &Terms::of("local")), Some(Said::Budget(1_024)));
        assert_eq!(said(&asking(Effort::None), &Terms::of("claude-opus-4-7")), Some(Said::Nothing));
        let short = Request { max_output_tokens: Some(1_000), ..asking(Effort::Low) };
        assert_eq!(lacks(&short, &Terms::of("local")), [Field::Effort]);
        let newest = lacks(&Request::default(), &Terms::of("claude-opus-4-7"));
        assert_eq!(newest, [Field::Temperature, Field::TopP, Field::TopK]);
        assert_eq!(lacks(&Request::default(), &Terms::of("claude-opus-4-6")), []);
    }

    #[test]
    fn who_called_without_a_thought_does_not_think_in_the_same_turn() {
        let called = Request { items: vec![Item::Call(ToolCall::default())], ..asking(Effort::Low) };
        assert_eq!(said(&called, &Terms::of("claude-sonnet-4-5")), None);
        assert_eq!(said(&called, &Terms::of("claude-sonnet-4-6")), Some(Said::Effort(Effort::Low)));
        let asked = Item::Message(Message { role: Role::User, content: Vec::new() });
        let before = Request { items: vec![Item::Call(ToolCall::default()), asked], ..asking(Effort::Low) };
        assert_eq!(said(&before, &Terms::of("claude-sonnet-4-5")), Some(Said::Budget(1_024)));
    }
}
