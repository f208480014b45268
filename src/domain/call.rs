//! The client's request once read: what it asks for, its bytes as they came, and where in them the few things
//! stand that the gateway may change.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;
use std::{fmt, io};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body;
use uuid::Uuid;

use super::entity::{Credential, Provider};
use super::id::Id;
use super::protocol::{Delivery, Operation, Protocol};
use super::run::Run;

#[derive(Debug)]
pub struct Call {
    /// The exchange's id, a UUIDv7; weights are drawn from it where the client names no conversation.
    pub id: Uuid,
    pub protocol: Protocol,
    pub operation: Operation,
    pub delivery: Delivery,
    /// What the client calls the model; `None` is «the default».
    pub model: Option<String>,
    pub method: http::Method,
    /// What follows the operation's own path, for operations on provider-side objects; the query without our own
    /// parameters. Of Gemini's query only that its stream shall be one of events.
    pub tail: Option<String>,
    pub query: Option<String>,
    /// The client's headers; only those on a protocol's allow-list go on.
    pub headers: HeaderMap,
    pub body: CallBody,
    /// The work that the client says it is part of.
    pub run: Option<Run>,
    /// A hash of the conversation the client names, if it does.
    pub conversation: Option<u64>,
    pub role: Option<String>,
    pub endpoint: Option<String>,
    pub project: Option<String>,
    /// `X-Keyway-Provider`: which provider an object's call goes to.
    pub provider: Option<String>,
    /// The response of ours that it goes on from. What was said up to there stands in the body's input already.
    pub continues: Option<String>,
    /// The client's own time-out, which shortens ours.
    pub allowed: Option<Duration>,
}

/// The client's bytes, shared by all attempts.
#[derive(Debug)]
pub enum CallBody {
    Empty,
    Json {
        bytes: Bytes,
        found: Box<Found>,
    },
    /// Held whole. `model` is the form field's text and the range of its value.
    Multipart {
        bytes: Bytes,
        content_type: http::HeaderValue,
        model: Option<(String, Range<usize>)>,
    },
    /// A form too large to be held: it goes by once, so there is one attempt.
    Upload(Box<Upload>),
}

/// Bytes that are still on their way from the client.
pub type Rest = Pin<Box<dyn Body<Data = Bytes, Error = io::Error> + Send>>;

/// A large form: its beginning is here, the rest is read while it is sent on.
pub struct Upload {
    pub content_type: http::HeaderValue,
    /// The form field `model`, if it stands in the beginning.
    pub model: Option<(String, Range<usize>)>,
    pub beginning: Bytes,
    /// Taken by the one attempt.
    pub rest: Mutex<Option<Rest>>,
    /// The length of beginning and rest, where the client said it.
    pub length: Option<u64>,
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upload({} bytes so far)", self.beginning.len())
    }
}

impl CallBody {
    /// Bytes that the client sent, as far as they are known.
    pub fn length(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Json { bytes, .. } | Self::Multipart { bytes, .. } => bytes.len() as u64,
            Self::Upload(upload) => upload.length.unwrap_or(upload.beginning.len() as u64),
        }
    }
}

impl Call {
    /// Does it name an object that lies at a provider and belongs to whoever made it?
    pub fn names_objects(&self) -> bool {
        let in_body = match &self.body {
            CallBody::Json { found, .. } => found.previous_response_id.is_some() || !found.object_ids.is_empty(),
            CallBody::Empty | CallBody::Multipart { .. } | CallBody::Upload(_) => false,
        };
        in_body || self.object_in_path().is_some()
    }

    /// The ids of the objects it names, each once.
    pub fn object_ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.object_in_path().into_iter().map(str::to_string).collect();
        if let CallBody::Json { found, .. } = &self.body {
            ids.extend(found.previous_response_id.iter().chain(&found.object_ids).cloned());
        }
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The id in the path of a call about one object.
    pub fn object_in_path(&self) -> Option<&str> {
        let tail = self.tail.as_deref()?.strip_prefix('/')?;
        Some(tail.split_once('/').map_or(tail, |(id, _)| id))
    }

    /// What it does with objects, as far as it is our business.
    pub fn deed(&self) -> Deed {
        use http::Method;
        let below = self.tail.as_deref().and_then(|tail| tail.strip_prefix('/')).map(|tail| tail.split_once('/'));
        match (self.operation, &self.method, below) {
            (Operation::Responses, ..) => match &self.body {
                CallBody::Json { found, .. } if found.store == Some(false) => Deed::Other,
                _ => Deed::Makes,
            },
            (Operation::Files | Operation::Batches, &Method::GET, None) => Deed::Lists,
            (Operation::Files | Operation::Batches, _, None) => Deed::Makes,
            (Operation::Conversations, &Method::POST, None) => Deed::Makes,
            // Not what deletes an item of a conversation.
            (_, &Method::DELETE, Some(None)) => Deed::Deletes,
            (Operation::Files | Operation::Batches, &Method::GET, Some(None)) => Deed::Shows,
            (Operation::Batches, _, Some(Some((_, "cancel")))) => Deed::Shows,
            _ => Deed::Other,
        }
    }

    /// Is its stream one JSON array, in which no word means nothing?
    pub fn is_one_array(&self) -> bool {
        self.protocol == Protocol::Gemini && self.delivery == Delivery::Streamed && self.query.is_none()
    }

    /// What weights are drawn from: the conversation where the client names one, else this call alone.
    pub fn seed(&self) -> u64 {
        let (high, low) = self.id.as_u64_pair();
        self.conversation.unwrap_or(high ^ low)
    }

    /// A low estimate of the input's length in tokens: too low to refuse a call that would fit.
    pub fn least_input_tokens(&self) -> u64 {
        match &self.body {
            CallBody::Json { found, .. } => (found.text_bytes / 8) as u64,
            CallBody::Empty | CallBody::Multipart { .. } | CallBody::Upload(_) => 0,
        }
    }
}

impl CallBody {
    pub fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Json { bytes, .. } | Self::Multipart { bytes, .. } => bytes.len(),
            Self::Upload(upload) => upload.beginning.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What one scan of a JSON body found at its top level. Ranges are byte ranges of the values as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Just behind the opening brace: where a missing field is spliced in.
    pub inside: usize,
    /// Is the object empty? Then a spliced field needs no comma.
    pub is_empty: bool,
    /// The value of `model`, quotes included; also where it is `null`.
    pub model: Option<Range<usize>>,
    /// The decoded text of `model`, unless it is `null` or absent.
    pub model_text: Option<String>,
    pub stream: bool,
    pub temperature: bool,
    pub max_tokens: Option<Option<u64>>,
    pub max_completion_tokens: Option<Option<u64>>,
    /// `max_output_tokens` of Responses, `maxOutputTokens` of Gemini.
    pub max_output_tokens: Option<Option<u64>>,
    /// How many answers are asked for, where that is said.
    pub n: Option<u64>,
    pub stream_options: Option<StreamOptions>,
    /// `messages` of a chat body, `input` of a Responses body where that is an array.
    pub messages: Option<Messages>,
    pub instructions: bool,
    /// `system` of Messages, `systemInstruction` of Gemini.
    pub system: bool,
    /// `generationConfig` of Gemini.
    pub generation_config: Option<Inside>,
    /// Where the fields that defaults may fill in have their values.
    pub places: Places,
    pub prompt_cache_key: Option<Range<usize>>,
    pub previous_response_id: Option<String>,
    pub store: Option<bool>,
    pub background: bool,
    /// Ids of provider-side objects named anywhere in the body (`file_id`, a conversation, an item, …), at most 512.
    pub object_ids: Vec<String>,
    /// Bytes of text and number of media parts, for estimates. A token id in place of text counts as three bytes.
    pub text_bytes: usize,
    pub media_parts: usize,
}

/// The ranges of values that are there, be they `null`: a default takes the place of a `null`, for a key that stood
/// twice would mean one thing here and another there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Of a Responses body.
    pub input: Option<Range<usize>>,
    pub temperature: Option<Range<usize>>,
    pub max_tokens: Option<Range<usize>>,
    pub max_completion_tokens: Option<Range<usize>>,
    pub max_output_tokens: Option<Range<usize>>,
    pub instructions: Option<Range<usize>>,
    pub system: Option<Range<usize>>,
}

/// An object in the body, into which fields may be put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside {
    /// The whole value.
    pub value: Range<usize>,
    /// Just behind its opening brace; `None` where the value is `null`.
    pub inside: Option<usize>,
    pub is_empty: bool,
}

/// Where `stream_options` stands and what it says of usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamOptions {
    /// The whole value.
    pub value: Range<usize>,
    /// Just behind its opening brace; `None` where the value is `null`.
    pub inside: Option<usize>,
    pub is_empty: bool,
    /// `include_usage`, where it stands and what it says; `null` says no.
    pub include_usage: Option<(Range<usize>, bool)>,
}

/// The array of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Messages {
    /// Just behind the opening bracket.
    pub inside: usize,
    pub is_empty: bool,
    /// The `content` value of the first system or developer message, if there is one.
    pub system: Option<Range<usize>>,
}

/// What a call does with objects that lie at a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Its answer holds the id of a new one.
    Makes,
    Lists,
    /// Its answer describes one as it is now.
    Shows,
    Deletes,
    /// Nothing, or nothing that would change what is on record.
    Other,
}

/// What an earlier object that the call names has to say about where the call may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Past {
    /// Nothing earlier is named.
    #[default]
    None,
    /// The object lies at a provider, made with this credential (or without one, where none is needed): only there can
    /// it be found.
    Theirs { provider: Id<Provider>, credential: Option<Id<Credential>> },
    /// It is not on record, so on a shared credential it would be somebody else's.
    Unrecorded,
    /// The record can't be asked: as if it were not on record, but that may change.
    Unasked,
    /// All the caller's objects are asked for: on a shared credential the provider's list would show everybody's.
    Listing,
}
