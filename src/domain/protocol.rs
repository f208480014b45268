//! The wire formats we speak and the operations a client may ask for.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A wire format. Closed on purpose: `match` without `_`, so that a sixth is found by the compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(description = "A wire format.")]
pub enum Protocol {
    Chat,
    Responses,
    Messages,
    Gemini,
    Bedrock,
}

impl Protocol {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::Gemini => "gemini",
            Self::Bedrock => "bedrock",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the client asks for. The path decides it; the body only fills it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    ChatCompletions,
    Completions,
    Embeddings,
    Moderations,
    Rerank,
    ImageGenerations,
    ImageEdits,
    ImageVariations,
    Speech,
    Transcriptions,
    Translations,
    Responses,
    /// How long a call of Responses is, asked without making it.
    InputTokens,
    /// A conversation made shorter, to go on from.
    Compact,
    /// `/v1/responses/{id}` and what lies below it.
    StoredResponse,
    /// `/v1/conversations` and what lies below it.
    Conversations,
    Files,
    Batches,
    Messages,
    /// How long a call is, asked without making it: in Messages and in Gemini.
    CountTokens,
    GenerateContent,
    EmbedContent,
    BatchEmbedContents,
}

/// What an operation is about, whatever its protocol calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A model goes on with a conversation: every protocol has this.
    Answer,
    Embedding,
    /// How long a call is, without making it.
    Count,
    /// Something that only its own protocol has.
    Other,
}

impl Operation {
    /// The name used as a metric label and in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat_completions",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Moderations => "moderations",
            Self::Rerank => "rerank",
            Self::ImageGenerations => "image_generations",
            Self::ImageEdits => "image_edits",
            Self::ImageVariations => "image_variations",
            Self::Speech => "speech",
            Self::Transcriptions => "transcriptions",
            Self::Translations => "translations",
            Self::Responses => "responses",
            Self::InputTokens => "input_tokens",
            Self::Compact => "compact",
            Self::StoredResponse => "stored_response",
            Self::Conversations => "conversations",
            Self::Files => "files",
            Self::Batches => "batches",
            Self::Messages => "messages",
            Self::CountTokens => "count_tokens",
            Self::GenerateContent => "generate_content",
            Self::EmbedContent => "embed_content",
            Self::BatchEmbedContents => "batch_embed_contents",
        }
    }

    pub const fn purpose(self) -> Purpose {
        match self {
            Self::ChatCompletions | Self::Responses | Self::Messages | Self::GenerateContent => Purpose::Answer,
            Self::Embeddings | Self::EmbedContent | Self::BatchEmbedContents => Purpose::Embedding,
            Self::InputTokens | Self::CountTokens => Purpose::Count,
            Self::Completions
            | Self::Moderations
            | Self::Rerank
            | Self::ImageGenerations
            | Self::ImageEdits
            | Self::ImageVariations
            | Self::Speech
            | Self::Transcriptions
            | Self::Translations
            | Self::Compact
            | Self::StoredResponse
            | Self::Conversations
            | Self::Files
            | Self::Batches => Purpose::Other,
        }
    }

    /// Is its body one of Responses, with an input of items?
    pub const fn takes_items(self) -> bool {
        matches!(self, Self::Responses | Self::InputTokens | Self::Compact)
    }

    /// Can a call of this kind be put into another protocol's words?
    pub const fn is_translated_to(self, upstream: Protocol) -> bool {
        match (self.purpose(), upstream) {
            // Where a protocol has no counter, the length is estimated.
            (Purpose::Answer | Purpose::Count, _) | (Purpose::Embedding, Protocol::Chat | Protocol::Gemini) => true,
            (Purpose::Embedding, Protocol::Responses | Protocol::Messages | Protocol::Bedrock)
            | (Purpose::Other, _) => false,
        }
    }

    /// Does the body (or the path) name a model? Those that don't are about an object at the provider.
    pub const fn names_model(self) -> bool {
        !matches!(self, Self::StoredResponse | Self::Conversations | Self::Files | Self::Batches)
    }

    /// Is its answer text that a model writes, whose length nobody knows before?
    pub const fn writes_text(self) -> bool {
        matches!(
            self,
            Self::ChatCompletions | Self::Completions | Self::Responses | Self::Messages | Self::GenerateContent
        )
    }

    pub const fn metered(self) -> Metered {
        match self {
            Self::ChatCompletions
            | Self::Completions
            | Self::Embeddings
            | Self::Rerank
            | Self::Responses
            | Self::Compact
            | Self::Messages
            | Self::GenerateContent
            | Self::EmbedContent
            | Self::BatchEmbedContents => Metered::Text,
            Self::ImageGenerations
            | Self::ImageEdits
            | Self::ImageVariations
            | Self::Speech
            | Self::Transcriptions
            | Self::Translations => Metered::Media,
            Self::Moderations
            | Self::InputTokens
            | Self::CountTokens
            | Self::StoredResponse
            | Self::Conversations
            | Self::Files
            | Self::Batches => Metered::Nothing,
        }
    }

    /// The path below a provider's base URL, for operations that have a fixed one: Gemini's hold the model.
    pub const fn upstream_path(self) -> Option<&'static str> {
        match self {
            Self::ChatCompletions => Some("/chat/completions"),
            Self::Completions => Some("/completions"),
            Self::Embeddings => Some("/embeddings"),
            Self::Moderations => Some("/moderations"),
            Self::Rerank => Some("/rerank"),
            Self::ImageGenerations => Some("/images/generations"),
            Self::ImageEdits => Some("/images/edits"),
            Self::ImageVariations => Some("/images/variations"),
            Self::Speech => Some("/audio/speech"),
            Self::Transcriptions => Some("/audio/transcriptions"),
            Self::Translations => Some("/audio/translations"),
            Self::Responses => Some("/responses"),
            Self::InputTokens => Some("/responses/input_tokens"),
            Self::Compact => Some("/responses/compact"),
            Self::Messages => Some("/messages"),
            Self::CountTokens => Some("/messages/count_tokens"),
            Self::StoredResponse
            | Self::Conversations
            | Self::Files
            | Self::Batches
            | Self::GenerateContent
            | Self::EmbedContent
            | Self::BatchEmbedContents => None,
        }
    }
}

/// What an operation uses of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metered {
    /// Units of text, which can be reckoned from bytes where nobody counts them.
    Text,
    /// Pictures or sound, whose bytes tell nothing.
    Media,
    /// Nothing that is charged by itself.
    Nothing,
}

/// How the answer is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    Whole,
    Streamed,
}

impl Delivery {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Streamed => "streamed",
        }
    }
}
