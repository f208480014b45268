//! What is asked of a provider outside of any call: its models, and whether it takes a key at all.
//!
//! Plain values in, requests out; answers in, what they say out. No sockets. Knows how each vendor lists what it has.

mod decimal;
mod models;
mod prices;

pub(super) use decimal::dollars;
pub use models::{ModelsPage, models};
pub use prices::prices;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::path::{azure_root, escaped};
use crate::domain::address::BaseUrl;
use crate::domain::entity::ProviderSettings;
use crate::domain::preset::{Kind, MaxField, Preset};
use crate::domain::protocol::Protocol;

/// A request but for its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    /// With its query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Option<Bytes>,
}

/// A provider as far as it bears on what is asked.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub preset: &'static Preset,
    pub protocol: Protocol,
    pub base: &'a BaseUrl,
    pub settings: &'a ProviderSettings,
}

/// Ids of one page. Most providers give all at once.
const PAGE: u32 = 1_000;

/// The answer's longest length. Models that think before they speak refuse or fail with very little.
const PING_TOKENS: u32 = 512;

const ANTHROPIC_VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("anthropic-version"), HeaderValue::from_static("2023-06-01"));

impl Asked<'_> {
    /// Asks for the models, or for the page behind this one; `None` where a provider has no list that we read.
    pub fn models(self, behind: Option<&str>) -> Option<Request> {
        let base = &self.base.path;
        let path = match (self.preset.kind, self.protocol) {
            (Kind::AgentSdk | Kind::Bedrock, _) | (_, Protocol::Bedrock) => return None,
            (Kind::AzureOpenAi, _) => match &self.settings.api_version {
                Some(version) => format!("{}/openai/models?api-version={}", azure_root(base), escaped(version)),
                None => format!("{}/openai/v1/models", azure_root(base)),
            },
            (_, Protocol::Chat | Protocol::Responses) => format!("{base}/models"),
            (_, Protocol::Messages) => paged(format!("{base}/models?limit={PAGE}"), "after_id", behind),
            (_, Protocol::Gemini) => paged(format!("{base}/models?pageSize={PAGE}"), "pageToken", behind),
        };
        Some(self.request(Method::GET, path, None))
    }

    /// Asks about the key alone, where a provider lists its models to anybody.
    pub fn key(self) -> Option<Request> {
        let is_public = self.preset.kind == Kind::OpenRouter;
        is_public.then(|| self.request(Method::GET, format!("{}/key", self.base.path), None))
    }

    /// The smallest call that shows whether a model answers; it costs a few units. `None` where we don't speak to it yet.
    pub fn ping(self, model: &str) -> Option<Request> {
        let base = &self.base.path;
        let said = serde_json::json!([{"role": "user", "content": "Reply with OK."}]);
        let (path, body) = match (self.preset.kind, self.protocol) {
            (Kind::AgentSdk | Kind::Bedrock, _) | (_, Protocol::Bedrock) => return None,
            (_, Protocol::Chat | Protocol::Responses) => {
                let bound = match self.preset.max_field {
                    MaxField::MaxTokens => "max_tokens",
                    MaxField::MaxCompletionTokens => "max_completion_tokens",
                };
                let mut body = serde_json::json!({"model": model, "messages": said});
                body[bound] = PING_TOKENS.into();
                (self.chat_path(model), body)
            }
            (_, Protocol::Messages) => {
                let body = serde_json::json!({"model": model, "max_tokens": PING_TOKENS, "messages": said});
                (format!("{base}/messages"), body)
            }
            (_, Protocol::Gemini) => {
                let model = escaped(model.strip_prefix("models/").unwrap_or(model));
                let contents = serde_json::json!([{"role": "user", "parts": [{"text": "Reply with OK."}]}]);
                let bound = serde_json::json!({"maxOutputTokens": PING_TOKENS});
                let body = serde_json::json!({"contents": contents, "generationConfig": bound});
                (format!("{base}/models/{model}:generateContent"), body)
            }
        };
        Some(self.request(Method::POST, path, Some(body.to_string().into())))
    }

    fn chat_path(self, model: &str) -> String {
        super::path::chat(self.preset.kind, self.base, self.settings, model)
    }

    fn request(self, method: Method, path: String, body: Option<Bytes>) -> Request {
        let mut headers = HeaderMap::new();
        if self.protocol == Protocol::Messages {
            headers.extend([ANTHROPIC_VERSION]);
        }
        Request { method, path, headers, body }
    }
}

fn paged(path: String, name: &str, behind: Option<&str>) -> String {
    behind.map_or_else(|| path.clone(), |behind| format!("{path}&{name}={}", escaped(behind)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::preset::preset;

    fn asked<T>(name: &str, base: &str, ask: impl FnOnce(Asked<'_>) -> T) -> T {
        let preset = preset(name).unwrap();
        let version = (name == "azure-openai").then(|| "2024-10-21".to_string());
        let settings = ProviderSettings { api_version: version, ..ProviderSettings::default() };
        ask(Asked { preset, protocol: preset.protocol, base: &base.parse().unwrap(), settings: &settings })
    }

    #[test]
    fn every_protocol_lists_its_models_at_its_own_place() {
        for (name, base, expected) in [
            ("openai", "https://api.example/v1", "/v1/models"),
            ("anthropic", "https://api.example/v1", "/v1/models?limit=1000&after_id=claude%201"),
            ("google", "https://api.example/v1beta", "/v1beta/models?pageSize=1000&pageToken=claude%201"),
            ("azure-openai", "https://r.example/openai/deployments/d", "/openai/models?api-version=2024-10-21"),
        ] {
            let request = asked(name, base, |asked| asked.models(Some("claude 1"))).unwrap();
            assert_eq!((request.path.as_str(), request.method), (expected, Method::GET));
            assert_eq!(request.headers.contains_key("anthropic-version"), name == "anthropic");
        }
        assert_eq!(asked("agent-sdk", "https://a.example", |asked| asked.models(None)), None);
        assert_eq!(asked("bedrock", "https://a.example", |asked| asked.ping("m")), None);
    }

    #[test]
    fn a_list_that_anybody_may_read_says_nothing_of_a_key() {
        let key = |name| asked(name, "https://api.example/v1", |asked| asked.key().map(|request| request.path));
        assert_eq!((key("openrouter"), key("openai")), (Some("/v1/key".into()), None));
    }

    #[test]
    fn a_ping_is_short_but_leaves_room_to_think() {
        let read = |name: &str, base: &str| {
            let request = asked(name, base, |asked| asked.ping("m/1")).unwrap();
            (request.path, serde_json::from_slice::<serde_json::Value>(&request.body.unwrap()).unwrap())
        };
        let (path, body) = read("openai", "https://api.example/v1");
        assert_eq!((path.as_str(), &body["max_completion_tokens"]), ("/v1/chat/completions", &512.into()));
        let (path, body) = read("mistral", "https://api.example/v1");
        assert_eq!(
            (path.as_str(), &body["max_tokens"], &body["model"]),
            ("/v1/chat/completions", &512.into(), &"m/1".into())
        );
        let (path, body) = read("anthropic", "https://api.example/v1");
        assert_eq!((path.as_str(), &body["max_tokens"]), ("/v1/messages", &512.into()));
        let (path, body) = read("google", "https://api.example/v1beta");
        assert_eq!(path, "/v1beta/models/m%2F1:generateContent");
        assert_eq!(body["generationConfig"]["maxOutputTokens"], 512);
        let (path, _) = read("azure-openai", "https://r.example");
        assert_eq!(path, "/openai/deployments/m%2F1/chat/completions?api-version=2024-10-21");
    }
}
