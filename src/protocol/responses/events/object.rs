//! The response object with its items and parts, as events carry it and as it is answered whole.

use crate::domain::failure::Failure;
use crate::domain::usage::Usage;
use crate::protocol::hub::about::About;
use crate::protocol::hub::answer::Answer;
use crate::protocol::hub::event::{Cause, End};
use crate::protocol::hub::ids::Ids;
use crate::protocol::hub::item::{Citation, Content, Item, Part};
use crate::protocol::hub::text::{Json, Quoted};
use crate::protocol::hub::write::{Raw, Write};
use crate::protocol::responses::request::Asked;

/// How a response or an item stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    InProgress,
    Completed,
    Incomplete,
    Failed,
}

impl Status {
    const fn name(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
        }
    }
}

/// An answer's fold as a whole response.
pub(in crate::protocol) fn whole(answer: &Answer, about: &About, asked: &Asked) -> Vec<u8> {
    let mut out = Vec::new();
    let (status, last) = match &answer.end {
        Some(End::Incomplete(_)) => (Status::Incomplete, Status::Incomplete),
        Some(End::Failed(_)) => (Status::Failed, Status::Incomplete),
        Some(End::Completed { .. }) | None => (Status::Completed, Status::Completed),
    };
    let count = answer.items.len();
    let ids = answer.items.iter().enumerate().map(|(place, item)| {
        (item_id(about.ids, place, item), if place + 1 == count { last } else { Status::Completed })
    });
    response(answer, about, asked, status, &ids.collect::<Vec<_>>(), &mut out);
    out
}

pub(super) fn item_id(ids: Ids, place: usize, item: &Item<'_>) -> Quoted<'static> {
    ids.item(
        match item {
            Item::Message(_) => "msg_",
            Item::Reasoning(_) => "rs_",
            Item::Call(_) => "fc_",
            Item::Result(_) => "fco_",
        },
        place,
    )
}

/// Every member must be there. `completed_at` is not known here: nothing asks a clock.
pub(super) fn response(
    answer: &Answer,
    about: &About,
    asked: &Asked,
    status: Status,
    items: &[(Quoted<'_>, Status)],
    out: &mut Vec<u8>,
) {
    let reason = match &answer.end {
        Some(End::Incomplete(Cause::ContentFilter)) => Some("content_filter"),
        Some(End::Incomplete(Cause::MaxOutputTokens | Cause::ContextWindow)) => Some("max_output_tokens"),
        _ => None,
    };
    out.object(|out| {
        out.member("id", about.ids.answer("resp_")).member("object", "response");
        out.member("created_at", about.created).member("completed_at", None::<u64>).member("status", status.name());
        out.key("incomplete_details");
        match reason {
            Some(reason) => out.object(|out| {
                out.member("reason", reason);
            }),
            None => out.value(Raw(b"null")),
        };
        out.member("model", answer.model.as_ref().unwrap_or(&about.model));
        out.key("output").array(|out| {
            for (whole, (id, status)) in answer.items.iter().zip(items) {
                item(whole, id, *status, out);
            }
        });
        out.key("error");
        match &answer.end {
            Some(End::Failed(fault)) => out.object(|out| {
                out.member("code", code(&fault.failure)).member("message", &fault.message);
            }),
            _ => out.value(Raw(b"null")),
        };
        out.key("usage");
        match &answer.usage {
            Some(said) => usage(said, out),
            None => {
                out.value(Raw(b"null"));
            }
        }
        out.push(b',');
        out.extend_from_slice(&asked.echo);
    });
}

/// The few words that this protocol has for why a response failed.
const fn code(failure: &Failure) -> &'static str {
    match failure {
        Failure::RateLimited { .. } | Failure::QuotaExhausted { .. } => "rate_limit_exceeded",
        Failure::CallRejected(_) | Failure::ContextTooLong => "invalid_prompt",
        _ => "server_error",
    }
}

fn usage(usage: &Usage, out: &mut Vec<u8>) {
    let (input, output) = (usage.input_total(), usage.output_total());
    let written = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
    out.object(|out| {
        out.member("input_tokens", input).key("input_tokens_details").object(|out| {
            out.member("cached_tokens", usage.cache_read).member("cache_write_tokens", written);
        });
        out.member("output_tokens", output).key("output_tokens_details").object(|out| {
            out.member("reasoning_tokens", usage.reasoning);
        });
        out.member("total_tokens", input.saturating_add(output));
    });
}

pub(super) fn item(item: &Item<'_>, id: &Quoted<'_>, status: Status, out: &mut Vec<u8>) {
    out.object(|out| match item {
        Item::Message(message) => {
            out.member("id", id).member("type", "message").member("status", status.name());
            out.member("role", "assistant").key("content");
            out.array(|out| message.content.iter().for_each(|one| part(one, out)));
        }
        // Whatever was thought is told as a summary: that is what every client of the protocol shows and brings back.
        Item::Reasoning(reasoning) => {
            out.member("id", id).member("type", "reasoning").key("summary").array(|out| {
                reasoning.summary.iter().chain(&reasoning.content).for_each(|text| summary(text, out));
            });
            out.maybe("encrypted_content", reasoning.state.as_ref().map(|state| state.envelope()));
        }
        Item::Call(call) => {
            out.member("id", id).member("type", "function_call").member("status", status.name());
            out.member("call_id", &call.call_id).member("name", &call.name);
            out.member("arguments", call.arguments.text());
        }
        // No answer holds one.
        Item::Result(_) => {}
    });
}

pub(super) fn part(part: &Part<'_>, out: &mut Vec<u8>) {
    match &part.content {
        Content::Text(text) => {
            out.object(|out| {
                out.member("type", "output_text").member("text", &text.text).key("annotations").array(|out| {
                    text.citations.iter().for_each(|citation| annotation(citation, out));
                });
                logprobs(&text.logprobs, out);
            });
        }
        Content::Refusal(refusal) => {
            out.object(|out| {
                out.member("type", "refusal").member("refusal", refusal);
            });
        }
        Content::Media(_) => {}
    }
}

pub(super) fn summary(text: &Quoted<'_>, out: &mut Vec<u8>) {
    out.object(|out| {
        out.member("type", "summary_text").member("text", text);
    });
}

pub(super) fn logprobs(logprobs: &[Json<'_>], out: &mut Vec<u8>) {
    out.key("logprobs").array(|out| {
        logprobs.iter().for_each(|one| {
            out.value(one);
        });
    });
}

pub(super) fn annotation(citation: &Citation<'_>, out: &mut Vec<u8>) {
    out.object(|out| {
        out.member("type", "url_citation").member("url", &citation.url).member("title", &citation.title);
        out.member("start_index", citation.start).member("end_index", citation.end);
    });
}
