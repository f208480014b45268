//! Where under a provider's base URL an operation lies. Plain values in, path and query out.

use std::fmt::Write;

use crate::domain::address::BaseUrl;
use crate::domain::call::Call;
use crate::domain::entity::ProviderSettings;
use crate::domain::preset::Kind;
use crate::domain::protocol::{Delivery, Operation, Protocol, Purpose};

/// The path and query of an upstream request, in the protocol in which the call goes out.
pub fn upstream_path(
    kind: Kind,
    base: &BaseUrl,
    settings: &ProviderSettings,
    call: &Call,
    upstream: Protocol,
    model: &str,
) -> String {
    let operation = if call.protocol == upstream { call.operation } else { translated(call.operation, upstream) };
    match upstream {
        Protocol::Gemini => return gemini(&base.path, operation, call, model),
        Protocol::Bedrock => return bedrock(&base.path, call.delivery, model),
        Protocol::Chat | Protocol::Responses | Protocol::Messages => {}
    }
    let tail = call.tail.as_deref().unwrap_or_default();
    let mut path = match kind {
        Kind::AzureOpenAi => azure(&base.path, settings, operation, model),
        Kind::OpenAi
        | Kind::Anthropic
        | Kind::Google
        | Kind::Bedrock
        | Kind::OpenRouter
        | Kind::LlamaCpp
        | Kind::Custom
        | Kind::AgentSdk => {
            let own = of(operation);
            let mut path = String::with_capacity(base.path.len() + own.len() + tail.len());
            path.push_str(&base.path);
            path.push_str(own);
            path
        }
    };
    path.push_str(tail);
    let query = call.query.as_deref().filter(|_| call.tail.is_some());
    add_query(&mut path, version(kind, settings), query);
    path
}

/// What an operation is called in another protocol than its own.
const fn translated(operation: Operation, upstream: Protocol) -> Operation {
    match (operation.purpose(), upstream) {
        // Of those that count, these have no path: nobody is asked.
        (Purpose::Other, _) | (Purpose::Count, Protocol::Chat | Protocol::Bedrock) => operation,
        (Purpose::Count, Protocol::Responses) => Operation::InputTokens,
        (Purpose::Count, Protocol::Messages | Protocol::Gemini) => Operation::CountTokens,
        (Purpose::Embedding, Protocol::Gemini) => Operation::BatchEmbedContents,
        (Purpose::Embedding, _) => Operation::Embeddings,
        (Purpose::Answer, Protocol::Chat) => Operation::ChatCompletions,
        (Purpose::Answer, Protocol::Responses) => Operation::Responses,
        (Purpose::Answer, Protocol::Messages) => Operation::Messages,
        (Purpose::Answer, Protocol::Gemini | Protocol::Bedrock) => Operation::GenerateContent,
    }
}

/// `…/models/{model}:{method}`. A stream is asked for as events, unless the client itself asked otherwise.
fn gemini(base: &str, operation: Operation, call: &Call, model: &str) -> String {
    let is_streamed = call.delivery == Delivery::Streamed;
    let method = match operation {
        Operation::CountTokens => "countTokens",
        Operation::EmbedContent => "embedContent",
        Operation::BatchEmbedContents => "batchEmbedContents",
        _ if is_streamed => "streamGenerateContent",
        _ => "generateContent",
    };
    let folder = if model.contains('/') { "" } else { "models/" };
    let model: Vec<String> = model.split('/').map(escaped).collect();
    let query = if is_streamed && !call.is_one_array() { "?alt=sse" } else { "" };
    format!("{base}/{folder}{}:{method}{query}", model.join("/"))
}

/// `…/model/{model}/converse`. A model's name may hold anything, and is one segment.
fn bedrock(base: &str, delivery: Delivery, model: &str) -> String {
    let method = match delivery {
        Delivery::Whole => "converse",
        Delivery::Streamed => "converse-stream",
    };
    format!("{base}/model/{}/{method}", escaped(model))
}

/// The operation's own path, below the base URL.
fn of(operation: Operation) -> &'static str {
    match operation.upstream_path() {
        Some(path) => path,
        None => match operation {
            Operation::Batches => "/batches",
            Operation::StoredResponse => "/responses",
            Operation::Conversations => "/conversations",
            _ => "/files",
        },
    }
}

/// Where a chat completion of a model goes, without a call.
pub(super) fn chat(kind: Kind, base: &BaseUrl, settings: &ProviderSettings, model: &str) -> String {
    let operation = Operation::ChatCompletions;
    let mut path = match kind {
        Kind::AzureOpenAi => azure(&base.path, settings, operation, model),
        _ => format!("{}{}", base.path, of(operation)),
    };
    add_query(&mut path, version(kind, settings), None);
    path
}

/// Azure's classic form says it in the query.
fn version(kind: Kind, settings: &ProviderSettings) -> Option<&str> {
    (kind == Kind::AzureOpenAi).then_some(settings.api_version.as_deref()).flatten()
}

/// The resource of an Azure URL, whatever of it was pasted.
pub(super) fn azure_root(base: &str) -> &str {
    let base = base.trim_end_matches('/');
    let root = base.split_once("/openai/deployments/").map_or(base, |(root, _)| root);
    let root = root.strip_suffix("/openai").unwrap_or(root);
    root.strip_suffix("/openai/v1").unwrap_or(root)
}

/// Both forms of Azure's URLs. What an operator pastes may end in any part of either; it is taken back to the resource.
fn azure(base: &str, settings: &ProviderSettings, operation: Operation, model: &str) -> String {
    let base = base.trim_end_matches('/');
    let pasted = base.split_once("/openai/deployments/").and_then(|(_, rest)| rest.split('/').next());
    let named_v1 = base.ends_with("/openai/v1");
    let root = azure_root(base);
    if named_v1 || settings.api_version.is_none() {
        return format!("{root}/openai/v1{}", of(operation));
    }
    // Stored things and Responses belong to the resource, the rest to a deployment.
    if !operation.names_model() || operation.takes_items() {
        return format!("{root}/openai{}", of(operation));
    }
    let named = Some(model).filter(|model| !model.is_empty());
    let deployment = named.or(settings.deployment.as_deref()).or(pasted).unwrap_or_default();
    format!("{root}/openai/deployments/{}{}", escaped(deployment), of(operation))
}

fn add_query(path: &mut String, api_version: Option<&str>, query: Option<&str>) {
    let mut sign = '?';
    if let Some(version) = api_version {
        path.push_str("?api-version=");
        path.push_str(&escaped(version));
        sign = '&';
    }
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        path.push(sign);
        path.push_str(query);
    }
}

/// Percent-encodes all but letters, digits and `-._~`.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String can't fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::call::CallBody;

    fn call(operation: Operation, tail: Option<&str>, query: Option<&str>) -> Call {
        Call {
            id: uuid::Uuid::nil(),
            protocol: Protocol::Chat,
            operation,
            delivery: Delivery::Whole,
            model: None,
            method: http::Method::POST,
            tail: tail.map(str::to_string),
            query: query.map(str::to_string),
            headers: http::HeaderMap::new(),
            body: CallBody::Empty,
            run: None,
            conversation: None,
            role: None,
            endpoint: None,
            project: None,
            provider: None,
            continues: None,
            allowed: None,
        }
    }

    fn azure_path(base: &str, version: Option<&str>, operation: Operation, model: &str) -> String {
        let settings = ProviderSettings { api_version: version.map(str::to_string), ..ProviderSettings::default() };
        let base: BaseUrl = format!("https://res.openai.azure.com{base}").parse().unwrap();
        upstream_path(Kind::AzureOpenAi, &base, &settings, &call(operation, None, None), Protocol::Chat, model)
    }

    #[test]
    fn an_operation_lies_below_the_base_url_with_its_tail_and_query() {
        let base: BaseUrl = "https://api.openai.com/v1".parse().unwrap();
        let path = |operation, tail, query| {
            let call = call(operation, tail, query);
            upstream_path(Kind::OpenAi, &base, &ProviderSettings::default(), &call, Protocol::Chat, "m")
        };
        assert_eq!(path(Operation::ChatCompletions, None, None), "/v1/chat/completions");
        assert_eq!(path(Operation::Files, Some("/file-1/content"), None), "/v1/files/file-1/content");
        assert_eq!(path(Operation::Batches, Some(""), Some("limit=2")), "/v1/batches?limit=2");
        assert_eq!(path(Operation::StoredResponse, Some("/resp_1/cancel"), None), "/v1/responses/resp_1/cancel");
    }

    #[test]
    fn a_translated_call_lies_where_its_new_protocol_has_it() {
        let base: BaseUrl = "https://h/v1".parse().unwrap();
        let path = |delivery, operation, upstream, model| {
            let call = Call { delivery, ..call(operation, None, None) };
            upstream_path(Kind::Custom, &base, &ProviderSettings::default(), &call, upstream, model)
        };
        let (whole, streamed) = (Delivery::Whole, Delivery::Streamed);
        let chat = Operation::ChatCompletions;
        assert_eq!(path(whole, chat, Protocol::Messages, "m"), "/v1/messages");
        assert_eq!(path(whole, chat, Protocol::Responses, "m"), "/v1/responses");
        assert_eq!(path(whole, chat, Protocol::Gemini, "gemini-3"), "/v1/models/gemini-3:generateContent");
        let streams = "/v1/models/gemini-3:streamGenerateContent?alt=sse";
        assert_eq!(path(streamed, chat, Protocol::Gemini, "gemini-3"), streams);
        let embeds = "/v1/models/e:batchEmbedContents";
        assert_eq!(path(whole, Operation::Embeddings, Protocol::Gemini, "e"), embeds);
        assert_eq!(path(streamed, chat, Protocol::Bedrock, "a.b-v1:0"), "/v1/model/a.b-v1%3A0/converse-stream");
    }

    #[test]
    fn azure_has_a_classic_form_and_a_v1_form() {
        let chat = Operation::ChatCompletions;
        let classic = "/openai/deployments/my%20gpt%2F4/chat/completions?api-version=2024-10-21";
        assert_eq!(azure_path("", Some("2024-10-21"), chat, "my gpt/4"), classic);
        assert_eq!(azure_path("", None, chat, "d"), "/openai/v1/chat/completions");
        assert_eq!(azure_path("", Some("p"), Operation::Responses, "d"), "/openai/responses?api-version=p");
    }

    #[test]
    fn whatever_part_of_azures_url_is_pasted_comes_out_the_same() {
        for base in ["", "/openai", "/openai/deployments/x", "/openai/deployments/x/chat/completions"] {
            let path = azure_path(base, Some("v"), Operation::Embeddings, "d");
            assert_eq!(path, "/openai/deployments/d/embeddings?api-version=v", "{base}");
        }
        for base in ["", "/openai", "/openai/v1", "/openai/deployments/x"] {
            assert_eq!(azure_path(base, None, Operation::Embeddings, "d"), "/openai/v1/embeddings", "{base}");
        }
        let pasted = azure_path("/openai/deployments/x", Some("v"), Operation::Embeddings, "");
        assert_eq!(pasted, "/openai/deployments/x/embeddings?api-version=v");
        let preview = azure_path("/openai/v1", Some("preview"), Operation::Responses, "d");
        assert_eq!(preview, "/openai/v1/responses?api-version=preview");
    }
}
