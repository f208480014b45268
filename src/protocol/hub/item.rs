//! What a conversation consists of: the items of Open Responses. A request lists them, an answer adds some.

use super::arguments::Arguments;
use super::opaque::Opaque;
use super::text::{Json, Quoted};

/// One step of a conversation, in the order in which they happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    Message(Message<'a>),
    Reasoning(Reasoning<'a>),
    Call(ToolCall<'a>),
    Result(ToolResult<'a>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    System,
    Developer,
    User,
    Assistant,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    pub role: Role,
    pub content: Vec<Part<'a>>,
}

/// What a message or a tool's result is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    pub content: Content<'a>,
    /// The prompt up to here may be kept for the next call.
    pub cache: Option<CacheMark>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    Text(Text<'a>),
    /// The model's own no, in its own words. Only in messages of the assistant.
    Refusal(Quoted<'a>),
    Media(Media<'a>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text<'a> {
    pub text: Quoted<'a>,
    pub citations: Vec<Citation<'a>>,
    /// `{"token":…,"logprob":…,"bytes":…,"top_logprobs":[…]}`, one for each token, as chat and Responses write them alike.
    pub logprobs: Vec<Json<'a>>,
}

/// A place on the web that a span of the text rests on; the span counts characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Citation<'a> {
    pub url: Quoted<'a>,
    pub title: Quoted<'a>,
    pub start: u64,
    pub end: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media<'a> {
    pub kind: MediaKind,
    pub source: Source<'a>,
    /// A document's file name or title.
    pub name: Option<Quoted<'a>>,
    /// How closely an image shall be looked at: `low`, `high`, `auto`.
    pub detail: Option<Quoted<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    Image,
    Audio,
    Video,
    Document,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// `media_type` is `image/png` and the like; `data` is base64, and neither holds an escape.
    Bytes {
        media_type: Quoted<'a>,
        data: Quoted<'a>,
    },
    Url(Quoted<'a>),
    /// A document that is plain text.
    Text(Quoted<'a>),
    /// A file at the provider, which only that provider knows.
    FileId(Quoted<'a>),
}

/// How long what stands before a mark is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheMark {
    FiveMinutes,
    OneHour,
}

/// What a model thought. `state` lets its maker take up the thought again; without it no other protocol takes the text
/// back, and it must never be shown to a model as if somebody had said it.
///
/// An item with nothing but state belongs to the item behind it: so a signature that came with a tool's call returns
/// with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reasoning<'a> {
    /// Written for people to read.
    pub summary: Vec<Quoted<'a>>,
    /// The thoughts themselves.
    pub content: Vec<Quoted<'a>>,
    pub state: Option<Opaque<'a>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolCall<'a> {
    pub call_id: Quoted<'a>,
    pub name: Quoted<'a>,
    pub arguments: Arguments<'a>,
    pub cache: Option<CacheMark>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolResult<'a> {
    pub call_id: Quoted<'a>,
    pub output: Vec<Part<'a>>,
    /// The tool says that it failed.
    pub is_error: bool,
    pub cache: Option<CacheMark>,
}

impl<'a> Part<'a> {
    pub fn text(text: impl Into<Quoted<'a>>) -> Self {
        Content::Text(Text { text: text.into(), ..Text::default() }).into()
    }

    /// Its text, if it is nothing but text.
    pub fn as_text(&self) -> Option<&Quoted<'a>> {
        match &self.content {
            Content::Text(text) => Some(&text.text),
            Content::Refusal(_) | Content::Media(_) => None,
        }
    }
}

impl Citation<'_> {
    pub fn into_owned(self) -> Citation<'static> {
        let Self { url, title, start, end } = self;
        Citation { url: url.into_owned(), title: title.into_owned(), start, end }
    }
}

impl<'a> Media<'a> {
    pub const fn of(kind: MediaKind, source: Source<'a>) -> Self {
        Self { kind, source, name: None, detail: None }
    }
}

impl MediaKind {
    /// What bytes of this media type are. What has no such type is a document.
    pub fn of(source: &Source<'_>) -> Self {
        match source {
            Source::Bytes { media_type, .. } => Self::of_type(media_type),
            Source::Url(_) | Source::Text(_) | Source::FileId(_) => Self::Document,
        }
    }

    pub fn of_type(media_type: &Quoted<'_>) -> Self {
        match media_type.as_bytes().split(|byte| *byte == b'/').next() {
            Some(b"image") => Self::Image,
            Some(b"audio") => Self::Audio,
            Some(b"video") => Self::Video,
            _ => Self::Document,
        }
    }
}

impl<'a> Source<'a> {
    /// A URL, or what a `data:` URL holds; `None` where that is not base64.
    pub fn of_url(url: Quoted<'a>) -> Option<Self> {
        const DATA: &str = "data:";
        const CODED: &[u8] = b";base64";
        let url = url.unescaped();
        if !url.as_bytes().get(..DATA.len()).is_some_and(|head| head.eq_ignore_ascii_case(DATA.as_bytes())) {
            return Some(Self::Url(url));
        }
        let (_, rest) = url.cut(DATA.len());
        let comma = memchr::memchr(b',', rest.as_bytes())?;
        let (kind, data) = rest.cut(comma);
        let coded = kind.as_bytes().len().checked_sub(CODED.len())?;
        if !kind.as_bytes()[coded..].eq_ignore_ascii_case(CODED) {
            return None;
        }
        let end = memchr::memchr(b';', kind.as_bytes()).unwrap_or(coded);
        Some(Self::Bytes { media_type: kind.cut(end).0, data: data.cut(1).1 })
    }

    /// The way back, for protocols that know URLs only; `None` for text and ids.
    pub fn to_url(&self) -> Option<Quoted<'_>> {
        match self {
            Self::Url(url) => Some(url.borrowed()),
            Self::Bytes { media_type, data } => {
                let length = media_type.as_bytes().len() + data.as_bytes().len();
                let mut url = Quoted::with_capacity(length + "data:;base64,".len());
                url.push_plain("data:");
                url.push(media_type);
                url.push_plain(";base64,");
                url.push(data);
                Some(url)
            }
            Self::Text(_) | Self::FileId(_) => None,
        }
    }
}

impl<'a> From<Content<'a>> for Part<'a> {
    fn from(content: Content<'a>) -> Self {
        Self { content, cache: None }
    }
}

impl Reasoning<'_> {
    /// Does it carry nothing but state?
    pub fn is_state_only(&self) -> bool {
        self.summary.is_empty() && self.content.is_empty()
    }

    /// All its text: the thoughts, or what stands for them.
    pub fn text(&self) -> Quoted<'_> {
        let texts = if self.content.is_empty() { &self.summary } else { &self.content };
        match texts.as_slice() {
            [] => Quoted::default(),
            [one] => one.borrowed(),
            several => Quoted::joined(several.iter(), PARAGRAPH),
        }
    }
}

/// Between two texts that one text holds, as JSON writes it.
pub const PARAGRAPH: &str = r"\n\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_url_is_taken_apart_and_put_together_again() {
        let source = |url: &'static str| Source::of_url(Quoted::plain(url));
        let png = Source::Bytes { media_type: Quoted::plain("image/png"), data: Quoted::plain("iVBO/w==") };
        assert_eq!(source("data:image/png;base64,iVBO/w=="), Some(png.clone()));
        assert_eq!(source(r"data:image\/png;base64,iVBO\/w=="), Some(png.clone()));
        assert_eq!(png.to_url(), Some(Quoted::plain("data:image/png;base64,iVBO/w==")));
        let text = Source::Bytes { media_type: Quoted::plain("text/plain"), data: Quoted::plain("aGk=") };
        assert_eq!(source("DATA:text/plain;charset=utf-8;BASE64,aGk="), Some(text));
        assert_eq!(source("https://x/y.png"), Some(Source::Url(Quoted::plain("https://x/y.png"))));
        for broken in ["data:", "data:,", "data:text/plain,hi", "data:image/png;base64"] {
            assert_eq!(source(broken), None, "{broken}");
        }
    }
}
