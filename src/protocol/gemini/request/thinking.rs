//! How much the model shall think: both directions. One generation is given a budget in tokens, the next a level.

use super::super::key;
use crate::protocol::hub::field::Objection;
use crate::protocol::hub::read::Values;
use crate::protocol::hub::thinking::{Effort, Thinking};
use crate::protocol::hub::version::version;
use crate::protocol::hub::write::Write;
use crate::protocol::json::Reader;

pub(super) fn decode(reader: &mut Reader<'_>, thinking: &mut Thinking<'_>) -> Result<(), Objection> {
    key::members(reader, |reader, key| {
        match key {
            b"includethoughts" => thinking.is_shown = reader.flag()?,
            // -1, which is no such number, leaves it to the model.
            b"thinkingbudget" => thinking.budget = reader.unsigned()?,
            b"thinkinglevel" => {
                let why = "it is none of MINIMAL, LOW, MEDIUM, HIGH and XHIGH";
                let invalid = Objection::Invalid { field: "generationConfig.thinkingConfig.thinkingLevel", why };
                let level = reader.text()?.map(|level| level.decode().to_ascii_lowercase());
                thinking.effort = match level.as_deref() {
                    None | Some("thinking_level_unspecified") => None,
                    Some(level) => Some(Effort::ALL.into_iter().find(|effort| effort.name() == level).ok_or(invalid)?),
                };
            }
            _ => reader.skip()?,
        }
        Ok::<(), Objection>(())
    })?;
    Ok(())
}

/// The first generation that thinks.
const THINKS: (u32, u32) = (2, 5);
/// The first that is given a level.
const TAKES_LEVEL: (u32, u32) = (3, 0);

pub(super) fn can_be_told(model: &str) -> bool {
    version(model, "gemini-").is_some_and(|version| version >= THINKS)
}

/// Is a call of a tool refused that comes back without the thought that led to it?
pub(super) fn wants_signatures(model: &str) -> bool {
    version(model, "gemini-").is_some_and(|version| version >= TAKES_LEVEL)
}

pub(super) fn encode(thinking: &Thinking<'_>, model: &str, out: &mut Vec<u8>) {
    let (effort, wants_summary) = (thinking.as_effort(), thinking.summary.is_some());
    // Who asks for thought can mostly show it too.
    let is_shown = thinking.is_shown.unwrap_or(wants_summary || effort.is_some_and(|effort| effort != Effort::None));
    if effort.is_none() && !is_shown || !can_be_told(model) {
        return;
    }
    out.key("thinkingConfig").object(|out| {
        if is_shown {
            out.member("includeThoughts", true);
        }
        match effort {
            Some(effort) if wants_signatures(model) => out.member("thinkingLevel", level(effort, model)),
            Some(_) => out.maybe("thinkingBudget", thinking.as_budget()),
            None => out,
        };
    });
}

fn level(effort: Effort, model: &str) -> &'static str {
    match effort {
        // The larger models know no less than this.
        Effort::None | Effort::Minimal if !model.contains("flash") => "low",
        Effort::None | Effort::Minimal => "minimal",
        Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High | Effort::XHigh | Effort::Max => "high",
    }
}
