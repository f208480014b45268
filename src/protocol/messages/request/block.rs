//! The blocks that messages, prompts and results are made of: both directions.

use crate::protocol::hub::arguments::Arguments;
use crate::protocol::hub::field::{Named, Objection};
use crate::protocol::hub::item::{CacheMark, Content, Media, MediaKind, Part, Reasoning, Source, ToolCall, ToolResult};
use crate::protocol::hub::opaque::Opaque;
use crate::protocol::hub::read::{Name, Values};
use crate::protocol::hub::text::{Json, Quoted};
use crate::protocol::hub::write::Write;
use crate::protocol::json::Reader;

/// A block as it is meant.
pub(super) enum Block<'a> {
    Part(Part<'a>),
    Call(ToolCall<'a>),
    Result(ToolResult<'a>),
    Thought(Reasoning<'a>),
}

/// Content: one text, or blocks.
pub(super) fn decode<'a>(reader: &mut Reader<'a>, only_here: &mut Named) -> Result<Vec<Block<'a>>, Objection> {
    let mut blocks = Vec::new();
    if reader.peek() == Some(b'"') {
        blocks.extend(reader.text()?.map(|text| Block::Part(Part::text(text))));
        return Ok(blocks);
    }
    reader.elements(|reader| {
        let mut written = Written::default();
        reader.members(|reader, key| written.field(reader, key, only_here))?;
        blocks.extend(written.block(only_here)?);
        Ok::<(), Objection>(())
    })?;
    Ok(blocks)
}

/// Content where nobody calls or thinks: a prompt, a result.
pub(super) fn decode_parts<'a>(reader: &mut Reader<'a>, only_here: &mut Named) -> Result<Vec<Part<'a>>, Objection> {
    let blocks = decode(reader, only_here)?.into_iter();
    Ok(blocks
        .filter_map(|block| match block {
            Block::Part(part) => Some(part),
            Block::Call(_) | Block::Result(_) | Block::Thought(_) => None,
        })
        .collect())
}

/// A block's keys in any order, whatever its type.
#[derive(Default)]
struct Written<'a> {
    kind: Quoted<'a>,
    text: Option<Quoted<'a>>,
    source: Option<Source<'a>>,
    title: Option<Quoted<'a>>,
    id: Option<Quoted<'a>>,
    name: Option<Quoted<'a>>,
    input: Option<Json<'a>>,
    content: Option<&'a [u8]>,
    is_error: bool,
    signature: Option<Quoted<'a>>,
    cache: Option<CacheMark>,
}

impl<'a> Written<'a> {
    fn field(&mut self, reader: &mut Reader<'a>, key: Name<'_>, only_here: &mut Named) -> Result<(), Objection> {
        match key {
            b"type" => self.kind = reader.text()?.unwrap_or_default(),
            b"text" | b"thinking" => self.text = reader.text()?,
            b"source" if reader.peek() == Some(b'{') => self.source = Some(decode_source(reader, only_here)?),
            b"title" => self.title = reader.text()?,
            b"id" | b"tool_use_id" => self.id = reader.text()?,
            b"name" => self.name = reader.text()?,
            b"input" => self.input = reader.json()?,
            b"content" => self.content = Some(reader.value()?),
            b"is_error" => self.is_error = reader.flag()?.unwrap_or(false),
            b"signature" | b"data" => self.signature = reader.text()?,
            b"cache_control" => self.cache = decode_mark(reader)?,
            b"context" => {
                if reader.text()?.is_some() {
                    only_here.add("document.context");
                }
            }
            _ => reader.skip()?,
        }
        Ok(())
    }

    fn block(self, only_here: &mut Named) -> Result<Option<Block<'a>>, Objection> {
        let cache = self.cache;
        let kind = self.kind.decode();
        let content = match &*kind {
            "text" => return Ok(Some(Block::Part(Part { cache, ..Part::text(self.text.unwrap_or_default()) }))),
            "image" => Content::Media(Media::of(MediaKind::Image, self.source.ok_or(NO_SOURCE)?)),
            "document" => {
                let source = self.source.ok_or(NO_SOURCE)?;
                Content::Media(Media { kind: MediaKind::Document, source, name: self.title, detail: None })
            }
            "tool_use" => {
                let arguments = self.input.map_or_else(Arguments::default, Arguments::Object);
                let (call_id, name) = (self.id.unwrap_or_default(), self.name.unwrap_or_default());
                return Ok(Some(Block::Call(ToolCall { call_id, name, arguments, cache })));
            }
            "tool_result" => {
                let output = decode_parts(&mut Reader::new(self.content.unwrap_or(b"null")), only_here)?;
                let (call_id, is_error) = (self.id.unwrap_or_default(), self.is_error);
                return Ok(Some(Block::Result(ToolResult { call_id, output, is_error, cache })));
            }
            "thinking" | "redacted_thinking" => {
                let state = self.signature.and_then(|envelope| Opaque::open(&envelope));
                let content = self.text.filter(|text| !text.is_empty()).into_iter().collect();
                return Ok(Some(Block::Thought(Reasoning { summary: Vec::new(), content, state })));
            }
            // What the vendor did itself is history; its outcome is in what was said next.
            hosted if is_hosted(hosted) => {
                only_here.add_foreign(format!("messages.{hosted}").as_bytes());
                return Ok(None);
            }
            other => return Err(Objection::unsupported(other.to_string())),
        };
        Ok(Some(Block::Part(Part { content, cache })))
    }
}

const NO_SOURCE: Objection = Objection::Invalid { field: "messages", why: "an image or a document has no source" };

fn is_hosted(kind: &str) -> bool {
    kind == "server_tool_use" || kind == "mcp_tool_use" || kind == "tool_reference" || kind.ends_with("_tool_result")
}

fn decode_source<'a>(reader: &mut Reader<'a>, only_here: &mut Named) -> Result<Source<'a>, Objection> {
    let (mut kind, mut media_type, mut data, mut url, mut content) =
        (Quoted::default(), Quoted::default(), Quoted::default(), Quoted::default(), None);
    reader.members(|reader, key| {
        match key {
            b"type" => kind = reader.text()?.unwrap_or_default(),
            b"media_type" => media_type = reader.text()?.unwrap_or_default(),
            b"data" => data = reader.text()?.unwrap_or_default(),
            b"url" => url = reader.text()?.unwrap_or_default(),
            b"content" => content = Some(reader.value()?),
            _ => reader.skip()?,
        }
        Ok::<(), Objection>(())
    })?;
    match &*kind.decode() {
        "base64" => Ok(Source::Bytes { media_type: media_type.unescaped(), data: data.unescaped() }),
        "text" => Ok(Source::Text(data)),
        "url" => Ok(Source::Url(url.unescaped())),
        "content" => {
            let parts = decode_parts(&mut Reader::new(content.unwrap_or(b"null")), only_here)?;
            let texts: Option<Vec<&Quoted<'_>>> = parts.iter().map(Part::as_text).collect();
            let texts = texts.ok_or_else(|| Objection::unsupported("document.source.content"))?;
            Ok(Source::Text(Quoted::joined(texts.into_iter(), r"\n")))
        }
        other => Err(Objection::unsupported(format!("source.{other}"))),
    }
}

pub(in crate::protocol) fn decode_mark(reader: &mut Reader<'_>) -> Result<Option<CacheMark>, Objection> {
    let mut mark = CacheMark::FiveMinutes;
    let is_there = reader.members(|reader, key| {
        if key == b"ttl" {
            if reader.text()?.is_some_and(|ttl| ttl.is("1h")) {
                mark = CacheMark::OneHour;
            }
            return Ok(());
        }
        Ok::<(), Objection>(reader.skip()?)
    })?;
    Ok(is_there.then_some(mark))
}

pub(in crate::protocol) fn encode_mark(mark: Option<CacheMark>, out: &mut Vec<u8>) {
    if let Some(mark) = mark {
        out.key("cache_control").object(|out| {
            out.member("type", "ephemeral").maybe("ttl", (mark == CacheMark::OneHour).then_some("1h"));
        });
    }
}

/// A text with nothing to see in it is refused, so nothing is written for one.
pub(super) fn encode_part(part: &Part<'_>, out: &mut Vec<u8>) {
    match &part.content {
        Content::Text(text) => encode_text(&text.text, part.cache, out),
        Content::Refusal(refusal) => encode_text(refusal, part.cache, out),
        Content::Media(media) => {
            out.object(|out| {
                out.member("type", if media.kind == MediaKind::Image { "image" } else { "document" });
                out.key("source").object(|out| encode_source(&media.source, out));
                out.maybe("title", media.name.as_ref().filter(|_| media.kind == MediaKind::Document));
                encode_mark(part.cache, out);
            });
        }
    }
}

fn encode_text(text: &Quoted<'_>, cache: Option<CacheMark>, out: &mut Vec<u8>) {
    if !text.is_blank() {
        out.object(|out| {
            out.member("type", "text").member("text", text);
            encode_mark(cache, out);
        });
    }
}

fn encode_source(source: &Source<'_>, out: &mut Vec<u8>) {
    match source {
        Source::Bytes { media_type, data } => {
            out.member("type", "base64").member("media_type", media_type).member("data", data)
        }
        Source::Url(url) => out.member("type", "url").member("url", url),
        Source::Text(text) => out.member("type", "text").member("media_type", "text/plain").member("data", text),
        // No call with one comes here.
        Source::FileId(id) => out.member("type", "file").member("file_id", id),
    };
}
