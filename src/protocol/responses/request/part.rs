//! The parts that messages and results are made of: both directions.

use crate::protocol::hub::field::Objection;
use crate::protocol::hub::item::{Content, Media, MediaKind, Part, Source};
use crate::protocol::hub::read::{Name, Values};
use crate::protocol::hub::text::Quoted;
use crate::protocol::hub::write::Write;
use crate::protocol::json::Reader;

/// Content: text, or parts.
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
    data: Option<Quoted<'a>>,
    file_id: Option<Quoted<'a>>,
    name: Option<Quoted<'a>>,
    detail: Option<Quoted<'a>>,
}

impl<'a> Written<'a> {
    fn field(&mut self, reader: &mut Reader<'a>, key: Name<'_>) -> Result<(), Objection> {
        match key {
            b"type" => self.kind = reader.text()?.unwrap_or_default(),
            b"text" | b"refusal" => self.text = reader.text()?,
            b"image_url" | b"file_url" => self.url = reader.text()?.or(self.url.take()),
            b"file_data" => self.data = reader.text()?,
            b"file_id" => self.file_id = reader.text()?,
            b"filename" => self.name = reader.text()?,
            b"detail" => self.detail = reader.text()?,
            _ => reader.skip()?,
        }
        Ok(())
    }

    fn part(self) -> Result<Part<'a>, Objection> {
        let kind = self.kind.decode();
        let media = |kind, source, name, detail| Content::Media(Media { kind, source, name, detail });
        Ok(match &*kind {
            "input_text" | "output_text" | "text" => return Ok(Part::text(self.text.unwrap_or_default())),
            "refusal" => Content::Refusal(self.text.unwrap_or_default()),
            "input_image" => {
                let source = match (self.file_id, self.url) {
                    (Some(id), _) => Source::FileId(id),
                    (None, url) => url.and_then(Source::of_url).ok_or(BAD_URL)?,
                };
                // Said to be so is as good as not said.
                let detail = self.detail.filter(|detail| !detail.is("auto"));
                media(MediaKind::Image, source, None, detail)
            }
            "input_file" => {
                let source = match (self.file_id, self.data, self.url) {
                    (Some(id), _, _) => Source::FileId(id),
                    (None, Some(data), _) => file(data)?,
                    (None, None, url) => url.and_then(Source::of_url).ok_or(BAD_URL)?,
                };
                media(MediaKind::of(&source), source, self.name, None)
            }
            other => return Err(Objection::unsupported(other.to_string())),
        }
        .into())
    }
}

const BAD_URL: Objection =
    Objection::Invalid { field: "input", why: "a part has no URL, or one whose data is not base64" };

/// A file's data is a `data:` URL; bare base64 is what some send instead, and then it is the usual kind.
fn file(data: Quoted<'_>) -> Result<Source<'_>, Objection> {
    match Source::of_url(data) {
        Some(Source::Url(data)) => Ok(Source::Bytes { media_type: Quoted::plain("application/pdf"), data }),
        Some(source) => Ok(source),
        None => Err(BAD_URL),
    }
}

/// Whose words they are decides how text is called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Input,
    Output,
}

pub(super) fn encode(parts: &[Part<'_>], side: Side, out: &mut Vec<u8>) {
    out.array(|out| {
        parts.iter().for_each(|part| {
            out.object(|out| match &part.content {
                Content::Text(text) => encode_text(&text.text, side, out),
                Content::Refusal(refusal) => {
                    out.member("type", "refusal").member("refusal", refusal);
                }
                Content::Media(media) => encode_media(media, out),
            });
        });
    });
}

fn encode_text(text: &Quoted<'_>, side: Side, out: &mut Vec<u8>) {
    match side {
        Side::Input => out.member("type", "input_text").member("text", text),
        Side::Output => out.member("type", "output_text").member("text", text).key("annotations").array(|_| {}),
    };
}

fn encode_media(media: &Media<'_>, out: &mut Vec<u8>) {
    match (media.kind, &media.source) {
        (_, Source::Text(text)) => encode_text(text, Side::Input, out),
        (MediaKind::Image, source) => {
            out.member("type", "input_image");
            match source {
                Source::FileId(id) => out.member("file_id", id),
                other => out.maybe("image_url", other.to_url()),
            };
            out.member("detail", media.detail.as_ref().map_or(Quoted::plain("auto"), Quoted::borrowed));
        }
        (_, source) => {
            out.member("type", "input_file");
            match source {
                Source::FileId(id) => out.member("file_id", id),
                Source::Url(url) => out.member("file_url", url),
                other => {
                    // The data go with a name, or are refused.
                    let name = media.name.clone().unwrap_or(Quoted::plain("document"));
                    out.member("filename", name).maybe("file_data", other.to_url())
                }
            };
        }
    }
}
