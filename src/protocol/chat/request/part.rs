//! The parts that messages are made of: both directions.

use std::borrow::Cow;

use crate::protocol::hub::field::Objection;
use crate::protocol::hub::item::{CacheMark, Content, Media, MediaKind, Part, Source};
use crate::protocol::hub::read::{Name, Values};
use crate::protocol::hub::text::Quoted;
use crate::protocol::hub::write::Write;
use crate::protocol::json::Reader;
// OpenAI has no such mark; who carries it through chat writes it as Messages does.
pub(super) use crate::protocol::messages::request::{decode_mark, encode_mark};

/// A message's content: text, parts, or nothing.
pub(super) fn decode<'a>(reader: &mut Reader<'a>) -> Result<Vec<Part<'a>>, Objection> {
    let mut parts = Vec::new();
    if reader.peek() == Some(b'"') {
        parts.extend(reader.text()?.map(Part::text));
        return Ok(parts);
    }
    reader.elements(|reader| {
        let mut written = Written::default();
        reader.members(|reader, key| written.field(reader, key))?;
        parts.push(written.part()?);
        Ok::<(), Objection>(())
    })?;
    Ok(parts)
}

/// A part's keys in any order, whatever its type.
#[derive(Default)]
struct Written<'a> {
    kind: Quoted<'a>,
    text: Option<Quoted<'a>>,
    url: Option<Quoted<'a>>,
    detail: Option<Quoted<'a>>,
    data: Option<Quoted<'a>>,
    format: Option<Quoted<'a>>,
    file_id: Option<Quoted<'a>>,
    name: Option<Quoted<'a>>,
    cache: Option<CacheMark>,
}

impl<'a> Written<'a> {
    fn field(&mut self, reader: &mut Reader<'a>, key: Name<'_>) -> Result<(), Objection> {
        match key {
            b"type" => self.kind = reader.text()?.unwrap_or_default(),
            b"text" | b"refusal" => self.text = reader.text()?,
            // Some clients write the URL without its object.
            b"image_url" if reader.peek() == Some(b'"') => self.url = reader.text()?,
            b"image_url" | b"input_audio" | b"file" => {
                reader.members(|reader, key| self.inner(reader, key))?;
            }
            b"cache_control" => self.cache = decode_mark(reader)?,
            // OpenAI's own mark for the same.
            b"prompt_cache_breakpoint" => self.cache = reader.json()?.map(|_| CacheMark::FiveMinutes).or(self.cache),
            _ => reader.skip()?,
        }
        Ok(())
    }

    fn inner(&mut self, reader: &mut Reader<'a>, key: Name<'_>) -> Result<(), Objection> {
        match key {
            b"url" => self.url = reader.text()?,
            b"detail" => self.detail = reader.text()?,
            b"data" | b"file_data" => self.data = reader.text()?,
            b"format" => self.format = reader.text()?,
            b"file_id" => self.file_id = reader.text()?,
            b"filename" => self.name = reader.text()?,
            _ => reader.skip()?,
        }
        Ok(())
    }

    fn part(self) -> Result<Part<'a>, Objection> {
        let cache = self.cache;
        let kind = self.kind.decode();
        let content = match &*kind {
            "text" => return Ok(Part { cache, ..Part::text(self.text.unwrap_or_default()) }),
            "refusal" => Content::Refusal(self.text.unwrap_or_default()),
            "image_url" => {
                let source = self.url.and_then(Source::of_url).ok_or(BAD_URL)?;
                Content::Media(Media { kind: MediaKind::Image, source, name: None, detail: self.detail })
            }
            "input_audio" => {
                let format = self.format.unwrap_or_default();
                let media_type =
                    Quoted::of(&format!("audio/{}", if format.is("mp3") { "mpeg".into() } else { format.decode() }));
                let data = self.data.unwrap_or_default().unescaped();
                Content::Media(Media::of(MediaKind::Audio, Source::Bytes { media_type, data }))
            }
            "file" => {
                let source = match (self.file_id, self.data) {
                    (Some(id), _) => Source::FileId(id),
                    (None, Some(data)) => file(data)?,
                    (None, None) => return Err(BAD_URL),
                };
                let kind = MediaKind::of(&source);
                Content::Media(Media { kind, source, name: self.name, detail: None })
            }
            other => return Err(Objection::unsupported(Cow::Owned(other.to_string()))),
        };
        Ok(Part { content, cache })
    }
}

const BAD_URL: Objection =
    Objection::Invalid { field: "messages", why: "a part has no URL, or one whose data is not base64" };

/// A file's data is a `data:` URL; bare base64 is what some send instead, and then it is the usual kind.
fn file(data: Quoted<'_>) -> Result<Source<'_>, Objection> {
    match Source::of_url(data) {
        Some(Source::Url(data)) => Ok(Source::Bytes { media_type: Quoted::plain("application/pdf"), data }),
        Some(source) => Ok(source),
        None => Err(BAD_URL),
    }
}

/// One text is written as text, for every server takes that; anything else as parts.
pub(super) fn encode(parts: &[&Part<'_>], out: &mut Vec<u8>) {
    match parts {
        [Part { content: Content::Text(text), cache: None }] => {
            out.value(&text.text);
        }
        _ => {
            out.array(|out| parts.iter().for_each(|part| encode_one(part, out)));
        }
    }
}

fn encode_one(part: &Part<'_>, out: &mut Vec<u8>) {
    out.object(|out| {
        match &part.content {
            Content::Text(text) => {
                out.member("type", "text").member("text", &text.text);
            }
            Content::Refusal(refusal) => {
                out.member("type", "refusal").member("refusal", refusal);
            }
            Content::Media(media) => encode_media(media, out),
        }
        encode_mark(part.cache, out);
    });
}

fn encode_media(media: &Media<'_>, out: &mut Vec<u8>) {
    match (media.kind, &media.source) {
        (_, Source::Text(text)) => {
            out.member("type", "text").member("text", text);
        }
        (MediaKind::Audio, Source::Bytes { media_type, data }) => {
            let kind = media_type.decode();
            let format = kind.strip_prefix("audio/").unwrap_or(&kind);
            let format = match format {
                "mpeg" => "mp3",
                "x-wav" | "wave" => "wav",
                other => other,
            };
            out.member("type", "input_audio").key("input_audio").object(|out| {
                out.member("data", data).member("format", Quoted::of(format));
            });
        }
        (MediaKind::Image, source @ (Source::Bytes { .. } | Source::Url(_))) => {
            out.member("type", "image_url").key("image_url").object(|out| {
                out.maybe("url", source.to_url());
                out.maybe("detail", media.detail.as_ref());
            });
        }
        (_, source) => {
            out.member("type", "file").key("file").object(|out| {
                match source {
                    Source::FileId(id) => out.member("file_id", id),
                    other => {
                        // The data go with a name, or are refused.
                        let name = media.name.clone().unwrap_or(Quoted::plain("document"));
                        out.member("filename", name).maybe("file_data", other.to_url())
                    }
                };
            });
        }
    }
}
