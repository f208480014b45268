//! The parts that contents are made of: both directions.

use super::super::{key, signature};
use crate::protocol::hub::field::{Named, Objection};
use crate::protocol::hub::item::{Content, Media, MediaKind, Part, Source};
use crate::protocol::hub::opaque::Opaque;
use crate::protocol::hub::read::{Name, Values};
use crate::protocol::hub::text::{Json, Quoted};
use crate::protocol::hub::write::Write;
use crate::protocol::json::Reader;

/// A part's keys in any order, whatever it is.
#[derive(Default)]
pub(super) struct Written<'a> {
    pub(super) text: Option<Quoted<'a>>,
    pub(super) is_thought: bool,
    pub(super) states: Vec<Opaque<'static>>,
    pub(super) media: Option<Media<'a>>,
    pub(super) call: Option<Function<'a>>,
    pub(super) response: Option<Function<'a>>,
}

/// A call, or what came of it.
#[derive(Default)]
pub(super) struct Function<'a> {
    pub(super) id: Option<Quoted<'a>>,
    pub(super) name: Quoted<'a>,
    /// Its arguments, or its response.
    pub(super) object: Option<Json<'a>>,
    /// What else it gave.
    pub(super) media: Vec<Media<'a>>,
}

impl<'a> Written<'a> {
    pub(super) fn read(reader: &mut Reader<'a>, only_here: &mut Named) -> Result<Self, Objection> {
        let mut written = Self::default();
        key::members(reader, |reader, key| written.field(reader, key, only_here))?;
        Ok(written)
    }

    fn field(&mut self, reader: &mut Reader<'a>, key: Name<'_>, only_here: &mut Named) -> Result<(), Objection> {
        match key {
            b"text" => self.text = reader.text()?,
            b"thought" => self.is_thought = reader.flag()?.unwrap_or(false),
            b"thoughtsignature" => {
                self.states = reader.text()?.map(|text| signature::decode(&text)).unwrap_or_default();
            }
            b"inlinedata" | b"filedata" => self.media = decode_media(reader)?,
            b"functioncall" => self.call = Some(Function::read(reader)?),
            b"functionresponse" => self.response = Some(Function::read(reader)?),
            // What the provider did itself is history, and how a film is cut no other protocol says.
            b"executablecode" | b"codeexecutionresult" | b"toolcall" | b"toolresponse" | b"videometadata" => {
                if reader.json()?.is_some() {
                    only_here.add_foreign(&[b"contents.parts.", key].concat());
                }
            }
            _ => reader.skip()?,
        }
        Ok(())
    }
}

impl<'a> Function<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Objection> {
        let mut function = Self::default();
        key::members(reader, |reader, key| {
            match key {
                b"id" => function.id = reader.text()?.filter(|id| !id.is_empty()),
                b"name" => function.name = reader.text()?.unwrap_or_default(),
                b"args" | b"response" => function.object = reader.json()?,
                b"parts" => {
                    reader.elements(|reader| {
                        key::members(reader, |reader, key| {
                            match key {
                                b"inlinedata" | b"filedata" => function.media.extend(decode_media(reader)?),
                                _ => reader.skip()?,
                            }
                            Ok::<(), Objection>(())
                        })?;
                        Ok::<(), Objection>(())
                    })?;
                }
                _ => reader.skip()?,
            }
            Ok::<(), Objection>(())
        })?;
        Ok(function)
    }
}

/// `inlineData` or `fileData`.
fn decode_media<'a>(reader: &mut Reader<'a>) -> Result<Option<Media<'a>>, Objection> {
    let (mut media_type, mut data, mut url, mut name) = (Quoted::default(), None, None, None);
    let is_there = key::members(reader, |reader, key| {
        match key {
            b"mimetype" => media_type = reader.text()?.unwrap_or_default().unescaped(),
            b"data" => data = reader.text()?.map(Quoted::unescaped),
            b"fileuri" => url = reader.text()?.map(Quoted::unescaped),
            b"displayname" => name = reader.text()?,
            _ => reader.skip()?,
        }
        Ok::<(), Objection>(())
    })?;
    if !is_there {
        return Ok(None);
    }
    let kind = MediaKind::of_type(&media_type);
    let source = match (data, url) {
        // In either alphabet; others know but one.
        (Some(data), _) => Source::Bytes { media_type, data: in_standard(data) },
        (None, Some(url)) if is_public(&url) => Source::Url(url),
        (None, Some(_)) => return Err(Objection::unsupported("fileData")),
        (None, None) => {
            return Err(Objection::Invalid { field: "contents", why: "a part has neither data nor a file" });
        }
    };
    Ok(Some(Media { kind, source, name, detail: None }))
}

fn in_standard(data: Quoted<'_>) -> Quoted<'_> {
    match memchr::memchr2(b'-', b'_', data.as_bytes()) {
        None => data,
        Some(_) => Quoted::written(data.decode().replace('-', "+").replace('_', "/")),
    }
}

/// Can anybody fetch it? Files that were given to the provider are its own.
fn is_public(url: &Quoted<'_>) -> bool {
    let url = url.decode();
    url.starts_with("http") && !url.contains("generativelanguage.googleapis.com")
}

/// `signature` is what proves the thought that led to it.
pub(super) fn encode(part: &Part<'_>, signature: Option<&Quoted<'_>>, out: &mut Vec<u8>) {
    out.object(|out| {
        match &part.content {
            Content::Text(text) => {
                out.member("text", &text.text);
            }
            Content::Refusal(refusal) => {
                out.member("text", refusal);
            }
            Content::Media(media) => encode_media(media, out),
        }
        out.maybe("thoughtSignature", signature);
    });
}

fn encode_media(media: &Media<'_>, out: &mut Vec<u8>) {
    match &media.source {
        Source::Text(text) => {
            out.member("text", text);
        }
        Source::Bytes { media_type, data } => {
            out.key("inlineData").object(|out| {
                out.member("mimeType", media_type).member("data", data);
            });
        }
        // No call with an id comes here.
        Source::Url(url) | Source::FileId(url) => {
            out.key("fileData").object(|out| {
                out.maybe("mimeType", media_type(media.kind, url)).member("fileUri", url);
            });
        }
    }
}

/// What the end of a URL says that it is; the provider looks for itself where that says nothing.
fn media_type(kind: MediaKind, url: &Quoted<'_>) -> Option<&'static str> {
    let url = url.decode();
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let end = path.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    match (kind, end.as_str()) {
        (MediaKind::Image, "png") => Some("image/png"),
        (MediaKind::Image, "webp") => Some("image/webp"),
        (MediaKind::Image, "gif") => Some("image/gif"),
        (MediaKind::Image, _) => Some("image/jpeg"),
        (MediaKind::Document, _) => Some("application/pdf"),
        (MediaKind::Audio | MediaKind::Video, _) => None,
    }
}
