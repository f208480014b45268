//! Where under a provider's base URL an operation lies. Plain values in, path and query out.

use std::fmt::Write;

use crate::domain::address::BaseUrl;
use crate::domain::call::Call;
use crate::domain::entity::ProviderSettings;
use crate::domain::preset::Kind;
use crate::domain::protocol::Operation;

/// The path and query of an upstream request.
pub fn upstream_path(kind: Kind, base: &BaseUrl, settings: &ProviderSettings, call: &Call, model: &str) -> String {
    let tail = call.tail.as_deref().unwrap_or_default();
    let mut path = match kind {
        Kind::AzureOpenAi => azure(&base.path, settings, call.operation, model),
        Kind::OpenAi
        | Kind::Anthropic
        | Kind::Google
        | Kind::Bedrock
        | Kind::OpenRouter
        | Kind::LlamaCpp
        | Kind::Custom
        | Kind::AgentSdk => {
            let own = of(call.operation);
            let mut path = String::with_capacity(base.path.len() + own.len() + tail.len());
            path.push_str(&base.path);
            path.push_str(own);
            path
        }
    };
    path.push_str(tail);
    add_query(&mut path, version(kind, settings), call.query.as_deref());
    path
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
    if !operation.names_model() || operation == Operation::Responses {
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
    use crate::domain::protocol::{Delivery, Protocol};

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
            conversation: None,
            role: None,
            endpoint: None,
            project: None,
            provider: None,
            allowed: None,
        }
    }

    fn azure_path(base: &str, version: Option<&str>, operation: Operation, model: &str) -> String {
        let settings = ProviderSettings { api_version: version.map(str::to_string), ..ProviderSettings::default() };
        let base: BaseUrl = format!("https://res.openai.azure.com{base}").parse().unwrap();
        upstream_path(Kind::AzureOpenAi, &base, &settings, &call(operation, None, None), model)
    }

    #[test]
    fn an_operation_lies_below_the_base_url_with_its_tail_and_query() {
        let base: BaseUrl = "https://api.openai.com/v1".parse().unwrap();
        let path = |operation, tail, query| {
            upstream_path(Kind::OpenAi, &base, &ProviderSettings::default(), &call(operation, tail, query), "m")
        };
        assert_eq!(path(Operation::ChatCompletions, None, None), "/v1/chat/completions");
        assert_eq!(path(Operation::Files, Some("/file-1/content"), None), "/v1/files/file-1/content");
        assert_eq!(path(Operation::Batches, Some(""), Some("limit=2")), "/v1/batches?limit=2");
        assert_eq!(path(Operation::StoredResponse, Some("/resp_1/cancel"), None), "/v1/responses/resp_1/cancel");
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
