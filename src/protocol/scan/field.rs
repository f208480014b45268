//! The names at the top of a body that mean something to the gateway, in all protocols.

/// Fields at the top that are looked at. Each has a bit, so that a second one is found.
#[derive(Clone, Copy)]
pub(super) enum Field {
    Model,
    Stream,
    StreamOptions,
    Messages,
    Input,
    Prompt,
    Temperature,
    MaxTokens,
    MaxCompletionTokens,
    MaxOutputTokens,
    N,
    Instructions,
    PromptCacheKey,
    PreviousResponseId,
    Conversation,
    Store,
    Background,
    System,
    GenerationConfig,
    Contents,
    Schemas,
    Metadata,
    Denied,
    Other,
}

impl Field {
    /// Which field this is, and its name in what is said of it.
    pub(super) fn of(name: &[u8]) -> (Self, &'static str) {
        match name {
            b"model" => (Self::Model, "model"),
            b"stream" => (Self::Stream, "stream"),
            b"stream_options" => (Self::StreamOptions, "stream_options"),
            b"messages" => (Self::Messages, "messages"),
            b"input" => (Self::Input, "input"),
            b"prompt" => (Self::Prompt, "prompt"),
            b"temperature" => (Self::Temperature, "temperature"),
            b"max_tokens" => (Self::MaxTokens, "max_tokens"),
            b"max_completion_tokens" => (Self::MaxCompletionTokens, "max_completion_tokens"),
            b"max_output_tokens" => (Self::MaxOutputTokens, "max_output_tokens"),
            b"n" => (Self::N, "n"),
            b"instructions" => (Self::Instructions, "instructions"),
            b"prompt_cache_key" => (Self::PromptCacheKey, "prompt_cache_key"),
            b"previous_response_id" => (Self::PreviousResponseId, "previous_response_id"),
            b"conversation" => (Self::Conversation, "conversation"),
            b"store" => (Self::Store, "store"),
            b"background" => (Self::Background, "background"),
            b"system" => (Self::System, "system"),
            b"systemInstruction" | b"system_instruction" => (Self::System, "systemInstruction"),
            b"generationConfig" | b"generation_config" => (Self::GenerationConfig, "generationConfig"),
            b"contents" | b"content" | b"requests" => (Self::Contents, ""),
            b"tools" | b"functions" | b"response_format" | b"text" => (Self::Schemas, ""),
            b"metadata" => (Self::Metadata, ""),
            b"api_base" => (Self::Denied, "api_base"),
            b"base_url" => (Self::Denied, "base_url"),
            b"api_key" => (Self::Denied, "api_key"),
            b"custom_llm_provider" => (Self::Denied, "custom_llm_provider"),
            _ => (Self::Other, ""),
        }
    }
}
