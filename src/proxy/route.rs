//! Which operation a path and method ask for. An exact table: what it does not hold is not served.

use http::{HeaderName, HeaderValue, Method, Uri, request};

use crate::domain::protocol::{Delivery, Operation, Protocol};
use crate::domain::refusal::Refusal;

/// Where a request is addressed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Call(Asked),
    /// `GET /v1/models`
    Models,
    /// `GET /v1/models/{id}`
    Model(String),
}

/// A call before its body is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) protocol: Protocol,
    pub(super) operation: Operation,
    /// The deployment of an Azure path stands for the model, whatever the body says.
    pub(super) model: Option<String>,
    /// What follows the operation's path, for objects at a provider: `/file-123/content`.
    pub(super) tail: Option<String>,
    /// In some protocols the path says how the answer is to come.
    pub(super) delivery: Option<Delivery>,
}

impl Asked {
    const fn of(protocol: Protocol, operation: Operation) -> Self {
        Self { protocol, operation, model: None, tail: None, delivery: None }
    }
}

/// How a refusal is to be written before anything else is known: by the path alone.
pub(super) fn protocol_of(path: &str) -> Protocol {
    if path.starts_with(BETA) {
        return Protocol::Gemini;
    }
    let path = path.strip_prefix("/v1").unwrap_or(path);
    let method = path.strip_prefix("/models/").and_then(|rest| rest.rsplit_once(':')).map(|(_, method)| method);
    if path.starts_with("/messages") {
        Protocol::Messages
    } else if method.is_some_and(|method| gemini_method(method).is_some()) {
        Protocol::Gemini
    } else {
        Protocol::Chat
    }
}

/// Below this only Gemini's clients ask.
const BETA: &str = "/v1beta";

/// Whose list of models a client can read: the path is the same for all, so its headers tell.
pub(super) fn shape_of_models(head: &request::Parts) -> Protocol {
    let (path, headers) = (head.uri.path(), &head.headers);
    if path.starts_with(BETA) || headers.contains_key(GOOG_API_KEY) {
        Protocol::Gemini
    } else if headers.contains_key("anthropic-version") {
        Protocol::Messages
    } else {
        Protocol::Chat
    }
}

const GOOG_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

/// Gemini's clients may show their token in the query. There it is seen by too many to be left.
pub(super) fn take_key(head: &mut request::Parts) {
    if protocol_of(head.uri.path()) != Protocol::Gemini {
        return;
    }
    let Some((path, query)) = head.uri.path_and_query().and_then(|all| all.as_str().split_once('?')) else { return };
    let (keys, rest): (Vec<&str>, Vec<&str>) = query.split('&').partition(|pair| pair.starts_with("key="));
    let Some(key) = keys.first().and_then(|pair| HeaderValue::from_str(&pair["key=".len()..]).ok()) else { return };
    let path = if rest.is_empty() { path.to_string() } else { format!("{path}?{}", rest.join("&")) };
    if let Ok(path) = path.parse() {
        let mut parts = std::mem::take(&mut head.uri).into_parts();
        parts.path_and_query = Some(path);
        head.uri = Uri::from_parts(parts).unwrap_or_default();
        head.headers.entry(GOOG_API_KEY).or_insert(key);
    }
}

/// What a method below a model is, and how its answer comes.
fn gemini_method(method: &str) -> Option<Asked> {
    let (operation, delivery) = match method {
        "generateContent" => (Operation::GenerateContent, Delivery::Whole),
        "streamGenerateContent" => (Operation::GenerateContent, Delivery::Streamed),
        "countTokens" => (Operation::CountTokens, Delivery::Whole),
        "embedContent" => (Operation::EmbedContent, Delivery::Whole),
        "batchEmbedContents" => (Operation::BatchEmbedContents, Delivery::Whole),
        _ => return None,
    };
    Some(Asked { delivery: Some(delivery), ..Asked::of(Protocol::Gemini, operation) })
}

/// The place of a path that `listen` found clean (no `..`, no `//`, no encoded dots).
pub(super) fn place(method: &Method, path: &str) -> Result<Place, Refusal> {
    if let Some(rest) = path.strip_prefix("/openai/deployments/") {
        let (deployment, operation) = rest.split_once('/').ok_or_else(|| unknown(path))?;
        return fixed(method, path, &format!("/{operation}"), Some(decoded(deployment)?));
    }
    let rest =
        ["/openai/v1", "/openai", BETA, "/v1"].into_iter().find_map(|prefix| path.strip_prefix(prefix)).unwrap_or(path);
    if rest.starts_with("/v1/") {
        return Err(Refusal::PathUnknown(
            path.to_string(),
            "; `/v1` stands there twice: give your SDK a base_url that ends in one `/v1`",
        ));
    }
    if rest == "/models" {
        return only(method, &[Method::GET], "GET", Place::Models);
    }
    if let Some(model) = rest.strip_prefix("/models/").filter(|model| !model.is_empty()) {
        // A model's name may hold colons too, so the last one is the method's.
        let of_method = |(model, method): (&str, &str)| Some((model.to_string(), gemini_method(method)?));
        if let Some((model, asked)) = model.rsplit_once(':').and_then(of_method) {
            let asked = Asked { model: Some(decoded(&model)?), ..asked };
            return only(method, &[Method::POST], "POST", Place::Call(asked));
        }
        return only(method, &[Method::GET], "GET", Place::Model(decoded(model)?));
    }
    match object(rest) {
        Some((operation, tail)) => about_object(method, operation, tail),
        None => fixed(method, path, rest, None),
    }
}

/// Operations with one path each, all of them POST.
fn fixed(method: &Method, path: &str, rest: &str, model: Option<String>) -> Result<Place, Refusal> {
    const FIXED: [Operation; 16] = [
        Operation::ChatCompletions,
        Operation::Completions,
        Operation::Embeddings,
        Operation::Moderations,
        Operation::Rerank,
        Operation::ImageGenerations,
        Operation::ImageEdits,
        Operation::ImageVariations,
        Operation::Speech,
        Operation::Transcriptions,
        Operation::Translations,
        Operation::Responses,
        Operation::InputTokens,
        Operation::Compact,
        Operation::Messages,
        Operation::CountTokens,
    ];
    let operation =
        FIXED.into_iter().find(|operation| operation.upstream_path() == Some(rest)).ok_or_else(|| unknown(path))?;
    let protocol = match operation {
        Operation::Responses | Operation::InputTokens | Operation::Compact => Protocol::Responses,
        Operation::Messages | Operation::CountTokens => Protocol::Messages,
        _ => Protocol::Chat,
    };
    only(method, &[Method::POST], "POST", Place::Call(Asked { model, ..Asked::of(protocol, operation) }))
}

/// `/files…`, `/batches…`, `/conversations…` and `/responses/…`, with what follows.
fn object(rest: &str) -> Option<(Operation, &str)> {
    let below = |prefix: &str| rest.strip_prefix(prefix).filter(|tail| tail.is_empty() || tail.starts_with('/'));
    if let Some(tail) = below("/files") {
        return Some((Operation::Files, tail));
    }
    if let Some(tail) = below("/batches") {
        return Some((Operation::Batches, tail));
    }
    if let Some(tail) = below("/conversations") {
        return Some((Operation::Conversations, tail));
    }
    let is_verb = |tail: &str| matches!(tail, "/input_tokens" | "/compact");
    below("/responses").filter(|tail| tail.len() > 1 && !is_verb(tail)).map(|tail| (Operation::StoredResponse, tail))
}

/// The verbs that each object has, at each depth below it.
fn about_object(method: &Method, operation: Operation, tail: &str) -> Result<Place, Refusal> {
    let parts: Vec<&str> = tail.split('/').skip(1).collect();
    let (allowed, allow): (&[Method], &'static str) = match (operation, parts.as_slice()) {
        (Operation::Files | Operation::Batches, []) => (&[Method::GET, Method::POST], "GET, POST"),
        (Operation::Files | Operation::StoredResponse, [_]) => (&[Method::GET, Method::DELETE], "GET, DELETE"),
        // Nobody lists conversations: their ids are their owners' to keep.
        (Operation::Conversations, []) => (&[Method::POST], "POST"),
        (Operation::Conversations, [_]) => (&[Method::GET, Method::POST, Method::DELETE], "GET, POST, DELETE"),
        (Operation::Conversations, [_, "items"]) => (&[Method::GET, Method::POST], "GET, POST"),
        (Operation::Conversations, [_, "items", _]) => (&[Method::GET, Method::DELETE], "GET, DELETE"),
        (Operation::Batches, [_])
        | (Operation::Files, [_, "content"])
        | (Operation::StoredResponse, [_, "input_items"]) => (&[Method::GET], "GET"),
        (Operation::Batches | Operation::StoredResponse, [_, "cancel"]) => (&[Method::POST], "POST"),
        _ => return Err(unknown(tail)),
    };
    let protocol = match operation {
        Operation::StoredResponse | Operation::Conversations => Protocol::Responses,
        _ => Protocol::Chat,
    };
    let tail = Some(tail.to_string());
    only(method, allowed, allow, Place::Call(Asked { tail, ..Asked::of(protocol, operation) }))
}

fn only(method: &Method, allowed: &[Method], allow: &'static str, place: Place) -> Result<Place, Refusal> {
    match allowed.contains(method) {
        true => Ok(place),
        false => Err(Refusal::MethodNotAllowed { method: method.to_string(), allow }),
    }
}

/// As much of a path as a refusal repeats.
const ECHOED_BYTES: usize = 120;

fn unknown(path: &str) -> Refusal {
    let shown = path.char_indices().take_while(|(at, _)| *at < ECHOED_BYTES).map(|(_, letter)| letter).collect();
    Refusal::PathUnknown(shown, "")
}

/// Percent-decoding of one path segment.
fn decoded(segment: &str) -> Result<String, Refusal> {
    let wrong = || Refusal::Malformed("the path holds a percent sign without two hexadecimal digits, or no UTF-8");
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok()).ok_or_else(wrong)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(method: Method, path: &str) -> Result<Operation, &'static str> {
        match place(&method, path) {
            Ok(Place::Call(asked)) => Ok(asked.operation),
            Ok(_) => Err("models"),
            Err(refusal) => Err(refusal.row().code),
        }
    }

    #[test]
    fn every_operation_is_reached_with_and_without_v1() {
        for (path, expected) in [
            ("/chat/completions", Operation::ChatCompletions),
            ("/embeddings", Operation::Embeddings),
            ("/audio/transcriptions", Operation::Transcriptions),
            ("/images/edits", Operation::ImageEdits),
            ("/rerank", Operation::Rerank),
            ("/responses", Operation::Responses),
            ("/responses/input_tokens", Operation::InputTokens),
            ("/responses/compact", Operation::Compact),
            ("/files", Operation::Files),
            ("/responses/resp_1/cancel", Operation::StoredResponse),
            ("/conversations/conv_1/items", Operation::Conversations),
        ] {
            for prefix in ["", "/v1", "/openai/v1"] {
                assert_eq!(operation(Method::POST, &format!("{prefix}{path}")), Ok(expected), "{prefix}{path}");
            }
        }
    }

    #[test]
    fn an_azure_path_names_its_deployment() {
        let Ok(Place::Call(asked)) = place(&Method::POST, "/openai/deployments/my%2Fgpt/chat/completions") else {
            panic!()
        };
        assert_eq!(asked.model.as_deref(), Some("my/gpt"));
        assert_eq!(operation(Method::POST, "/openai/deployments/gpt"), Err("path_unknown"));
    }

    #[test]
    fn a_doubled_v1_is_told_what_is_wrong() {
        let refusal = place(&Method::POST, "/v1/v1/chat/completions").unwrap_err();
        assert!(refusal.to_string().contains("twice"));
    }

    #[test]
    fn a_wrong_method_and_a_wrong_path_are_told_apart() {
        assert_eq!(operation(Method::GET, "/v1/chat/completions"), Err("method_not_allowed"));
        assert_eq!(operation(Method::POST, "/v1/models"), Err("method_not_allowed"));
        assert_eq!(operation(Method::DELETE, "/v1/files"), Err("method_not_allowed"));
        assert_eq!(operation(Method::POST, "/v1/chat"), Err("path_unknown"));
        assert_eq!(operation(Method::GET, "/v1/files/a/b/c"), Err("path_unknown"));
        assert_eq!(operation(Method::POST, "/v1/filesystem"), Err("path_unknown"));
    }

    #[test]
    fn a_model_id_with_slashes_is_one_id() {
        assert_eq!(
            place(&Method::GET, "/v1/models/or:anthropic/claude%3A1"),
            Ok(Place::Model("or:anthropic/claude:1".into()))
        );
        assert!(place(&Method::GET, "/v1/models/%zz").is_err());
    }
}
