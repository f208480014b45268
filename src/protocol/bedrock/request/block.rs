//! The blocks that messages and results are made of.

use crate::domain::protocol::Protocol;
use crate::protocol::hub::field::Objection;
use crate::protocol::hub::item::{CacheMark, Content, Media, MediaKind, Part, Reasoning, Source, ToolCall, ToolResult};
use crate::protocol::hub::opaque::Form;
use crate::protocol::hub::request::Terms;
use crate::protocol::hub::text::Quoted;
use crate::protocol::hub::write::{Raw, Write};
use crate::protocol::messages::request::fitting;

/// A mark is a block of its own here, behind what it marks.
pub(super) fn encode_mark(mark: Option<CacheMark>, out: &mut Vec<u8>) {
    if let Some(mark) = mark {
        out.object(|out| {
            out.key("cachePoint").object(|out| {
                out.member("type", "default").maybe("ttl", (mark == CacheMark::OneHour).then_some("1h"));
            });
        });
    }
}

pub(super) fn encode_part(part: &Part<'_>, out: &mut Vec<u8>) -> Result<(), Objection> {
    match &part.content {
        Content::Text(text) => encode_text(&text.text, out),
        Content::Refusal(refusal) => encode_text(refusal, out),
        Content::Media(media) => encode_media(media, out)?,
    }
    encode_mark(part.cache, out);
    Ok(())
}

/// A text with nothing to see in it is refused.
fn encode_text(text: &Quoted<'_>, out: &mut Vec<u8>) {
    if !text.is_blank() {
        out.object(|out| {
            out.member("text", text);
        });
    }
}

fn encode_media(media: &Media<'_>, out: &mut Vec<u8>) -> Result<(), Objection> {
    let is_image = media.kind == MediaKind::Image;
    let format = format(media)
        .ok_or_else(|| Objection::unsupported(if is_image { "image.format" } else { "document.format" }))?;
    // A document is refused without words beside it.
    out.object(|out| {
        out.key(if is_image { "image" } else { "document" }).object(|out| {
            out.member("format", format);
            if !is_image {
                out.member("name", neutral(media.name.as_ref()));
            }
            out.key("source").object(|out| {
                match &media.source {
                    Source::Bytes { data, .. } => out.member("bytes", data),
                    Source::Text(text) => out.member("text", text),
                    // No call with one comes here.
                    Source::Url(url) | Source::FileId(url) => out.member("text", url),
                };
            });
        });
    });
    Ok(())
}

/// The few formats that are taken, by media type.
fn format(media: &Media<'_>) -> Option<&'static str> {
    let Source::Bytes { media_type, .. } = &media.source else { return Some("txt") };
    Some(match &*media_type.decode() {
        "image/png" => "png",
        "image/jpeg" | "image/jpg" => "jpeg",
        "image/gif" => "gif",
        "image/webp" => "webp",
        "application/pdf" => "pdf",
        "text/csv" => "csv",
        "text/html" => "html",
        "text/plain" => "txt",
        "text/markdown" => "md",
        "application/msword" => "doc",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => "docx",
        "application/vnd.ms-excel" => "xls",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => "xlsx",
        _ => return None,
    })
}

/// Names hold letters, digits, single spaces, hyphens and brackets.
fn neutral(name: Option<&Quoted<'_>>) -> Quoted<'static> {
    let name = name.map(Quoted::decode).unwrap_or_default();
    let fit = |sign: char| sign.is_ascii_alphanumeric() || "-()[]".contains(sign);
    let words: Vec<&str> = name.split(|sign: char| !fit(sign)).filter(|word| !word.is_empty()).collect();
    if words.is_empty() { Quoted::plain("document") } else { Quoted::of(&words.join(" ")) }
}

pub(super) fn encode_call(call: &ToolCall<'_>, out: &mut Vec<u8>) {
    out.object(|out| {
        out.key("toolUse").object(|out| {
            out.member("toolUseId", fitting(&call.call_id)).member("name", &call.name);
            out.member("input", Raw(&call.arguments.object()));
        });
    });
    encode_mark(call.cache, out);
}

/// The content of a result, and its status.
pub(super) fn encode_result(result: &ToolResult<'_>, out: &mut Vec<u8>) {
    out.array(|out| {
        for part in &result.output {
            match &part.content {
                // Empty it is a result too.
                Content::Text(text) => {
                    out.object(|out| {
                        out.member("text", &text.text);
                    });
                }
                Content::Refusal(refusal) => encode_text(refusal, out),
                // What is of no format that is taken was said not to be understood.
                Content::Media(media) => {
                    let _ = encode_media(media, out);
                }
            }
        }
    });
    out.maybe("status", result.is_error.then_some("error"));
}

/// What a model thought goes back to it as it was, and to no other.
pub(super) fn encode_thought(thought: &Reasoning<'_>, terms: &Terms<'_>, out: &mut Vec<u8>) {
    let Some(state) = &thought.state else { return };
    let Some(data) = state.for_maker(Protocol::Bedrock, terms.maker) else { return };
    out.object(|out| {
        out.key("reasoningContent").object(|out| {
            match state.form {
                Form::Signature => out.key("reasoningText").object(|out| {
                    out.member("text", thought.text()).member("signature", data);
                }),
                Form::Encrypted => out.member("redactedContent", data),
            };
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_documents_are_made_neutral() {
        assert_eq!(neutral(Some(&Quoted::plain("a_b  (1).pdf"))), Quoted::plain("a b (1) pdf"));
        assert_eq!(neutral(Some(&Quoted::plain("__"))), Quoted::plain("document"));
        assert_eq!(neutral(None), Quoted::plain("document"));
    }
}
