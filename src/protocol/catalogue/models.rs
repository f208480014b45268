//! Reads the lists of models that providers give. What can't be read in a line is left out of it, and a line without an id
//! is none: a list is worth more than its worst line.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::decimal::{dollars, per_million};
use crate::domain::found::FoundModel;
use crate::domain::prices::Prices;
use crate::domain::protocol::Protocol;
use crate::protocol::scan::fault_of_model;

/// Shown to people; longer names say no more.
const NAME_LIMIT_BYTES: usize = 256;

/// One answer's worth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelsPage {
    pub models: Vec<FoundModel>,
    /// What to ask the next page with.
    pub next: Option<String>,
}

/// Any value, to be looked at where it is needed.
type Any<'a> = Option<&'a RawValue>;

/// Reads a page of a provider's list; `None` if it is none.
pub fn models(protocol: Protocol, body: &[u8]) -> Option<ModelsPage> {
    match protocol {
        Protocol::Chat | Protocol::Responses | Protocol::Bedrock => chat(body),
        Protocol::Messages => messages(body),
        Protocol::Gemini => gemini(body),
    }
}

/// OpenAI's shape, with what its followers put beside it. One of them gives the bare list.
fn chat(body: &[u8]) -> Option<ModelsPage> {
    #[derive(Deserialize)]
    struct List<'a> {
        #[serde(borrow)]
        data: Vec<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Line<'a> {
        #[serde(borrow)]
        id: Any<'a>,
        name: Any<'a>,
        display_name: Any<'a>,
        context_length: Any<'a>,
        context_window: Any<'a>,
        max_context_length: Any<'a>,
        max_model_len: Any<'a>,
        max_completion_tokens: Any<'a>,
        max_output_tokens: Any<'a>,
        meta: Any<'a>,
        top_provider: Any<'a>,
        pricing: Any<'a>,
    }
    #[derive(Deserialize)]
    struct Meta<'a> {
        #[serde(borrow)]
        n_ctx_train: Any<'a>,
    }
    #[derive(Deserialize)]
    struct Top<'a> {
        #[serde(borrow)]
        max_completion_tokens: Any<'a>,
    }
    let lines = match serde_json::from_slice::<List<'_>>(body) {
        Ok(list) => list.data,
        Err(_) => serde_json::from_slice(body).ok()?,
    };
    let read = |raw: &&RawValue| {
        let line: Line<'_> = serde_json::from_str(raw.get()).ok()?;
        let meta = line.meta.and_then(|meta| serde_json::from_str::<Meta<'_>>(meta.get()).ok());
        let top = line.top_provider.and_then(|top| serde_json::from_str::<Top<'_>>(top.get()).ok());
        let lengths = [line.context_length, line.context_window, line.max_context_length, line.max_model_len];
        let trained = meta.and_then(|meta| meta.n_ctx_train);
        let longest =
            [line.max_completion_tokens, line.max_output_tokens, top.and_then(|top| top.max_completion_tokens)];
        Some(FoundModel {
            model_id: model_id(line.id)?,
            display_name: name(line.display_name).or_else(|| name(line.name)),
            context_length: lengths.into_iter().chain([trained]).find_map(count),
            max_completion_tokens: longest.into_iter().find_map(count),
            prices: line.pricing.and_then(openrouter_prices),
        })
    };
    Some(ModelsPage { models: lines.iter().filter_map(read).collect(), next: None })
}

fn messages(body: &[u8]) -> Option<ModelsPage> {
    #[derive(Deserialize)]
    struct List<'a> {
        #[serde(borrow)]
        data: Vec<&'a RawValue>,
        has_more: Option<bool>,
        last_id: Option<String>,
    }
    #[derive(Deserialize)]
    struct Line<'a> {
        #[serde(borrow)]
        id: Any<'a>,
        display_name: Any<'a>,
    }
    let list: List<'_> = serde_json::from_slice(body).ok()?;
    let read = |raw: &&RawValue| {
        let line: Line<'_> = serde_json::from_str(raw.get()).ok()?;
        let display_name = name(line.display_name);
        Some(FoundModel { model_id: model_id(line.id)?, display_name, ..FoundModel::default() })
    };
    let next = list.last_id.filter(|_| list.has_more == Some(true));
    Some(ModelsPage { models: list.data.iter().filter_map(read).collect(), next })
}

fn gemini(body: &[u8]) -> Option<ModelsPage> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct List<'a> {
        #[serde(borrow)]
        models: Vec<&'a RawValue>,
        next_page_token: Option<String>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Line<'a> {
        #[serde(borrow)]
        name: Any<'a>,
        display_name: Any<'a>,
        input_token_limit: Any<'a>,
        output_token_limit: Any<'a>,
    }
    let list: List<'_> = serde_json::from_slice(body).ok()?;
    let read = |raw: &&RawValue| {
        let line: Line<'_> = serde_json::from_str(raw.get()).ok()?;
        let id = model_id(line.name)?;
        Some(FoundModel {
            model_id: id.strip_prefix("models/").map(str::to_string).unwrap_or(id),
            display_name: name(line.display_name),
            context_length: count(line.input_token_limit),
            max_completion_tokens: count(line.output_token_limit),
            prices: None,
        })
    };
    let next = list.next_page_token.filter(|token| !token.is_empty());
    Some(ModelsPage { models: list.models.iter().filter_map(read).collect(), next })
}

/// Dollars a unit, as text. A price of -1 varies from call to call, and then none of them means anything.
fn openrouter_prices(raw: &RawValue) -> Option<Prices> {
    #[derive(Deserialize)]
    struct Pricing<'a> {
        #[serde(borrow)]
        prompt: Any<'a>,
        completion: Any<'a>,
        request: Any<'a>,
        internal_reasoning: Any<'a>,
        input_cache_read: Any<'a>,
        input_cache_write: Any<'a>,
    }
    let pricing: Pricing<'_> = serde_json::from_str(raw.get()).ok()?;
    let (input, output) = (priced(pricing.prompt)?, priced(pricing.completion)?);
    Some(Prices {
        input: Some(input),
        output: Some(output),
        cache_read: priced(pricing.input_cache_read),
        cache_write_5m: priced(pricing.input_cache_write),
        // Nothing means here that reasoning costs what output costs.
        reasoning: priced(pricing.internal_reasoning).filter(|price| price.0 > 0),
        per_request: text(pricing.request).as_deref().and_then(dollars).filter(|price| price.0 > 0),
        ..Prices::default()
    })
}

fn priced(raw: Any<'_>) -> Option<crate::domain::money::Nanodollars> {
    per_million(&text(raw)?)
}

/// A string's text, or a number as it is written.
pub(super) fn text(raw: Any<'_>) -> Option<String> {
    let raw = raw?.get();
    match raw.as_bytes().first()? {
        b'"' => serde_json::from_str(raw).ok(),
        b'-' | b'0'..=b'9' => Some(raw.to_string()),
        _ => None,
    }
}

pub(super) fn count(raw: Any<'_>) -> Option<u64> {
    serde_json::from_str::<u64>(raw?.get()).ok().filter(|count| *count > 0)
}

/// An id that a call could name.
pub(super) fn model_id(raw: Any<'_>) -> Option<String> {
    text(raw).filter(|id| !id.is_empty() && fault_of_model(id).is_none())
}

fn name(raw: Any<'_>) -> Option<String> {
    let name = text(raw)?;
    let name = name.trim();
    let is_shown = !name.is_empty() && name.len() <= NAME_LIMIT_BYTES && !name.chars().any(char::is_control);
    is_shown.then(|| name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(page: &ModelsPage) -> Vec<&str> {
        page.models.iter().map(|model| model.model_id.as_str()).collect()
    }

    #[test]
    fn the_lists_of_openais_followers_are_read_with_what_they_say_of_length() {
        let list = br#"{"object":"list","data":[{"id":"a","object":"model","owned_by":"x"},{"id":"b","context_window":8192,"max_completion_tokens":100},
            {"id":"c","max_model_len":4096},{"id":"d","meta":{"n_ctx_train":131072}},{"id":"e","context_length":"long"},{"name":"no id"},{"id":7},{"id":"../etc"},"f"]}"#;
        let page = models(Protocol::Chat, list).unwrap();
        assert_eq!(ids(&page), ["a", "b", "c", "d", "e", "7"]);
        let lengths: Vec<_> = page.models.iter().map(|model| model.context_length).collect();
        assert_eq!(lengths, [None, Some(8192), Some(4096), Some(131_072), None, None]);
        assert_eq!(page.models[1].max_completion_tokens, Some(100));
        let bare = br#"[{"id":"meta/llama","display_name":"Llama","context_length":8}]"#;
        assert_eq!(models(Protocol::Chat, bare).unwrap().models[0].display_name.as_deref(), Some("Llama"));
    }

    #[test]
    fn openrouters_prices_are_read_and_those_that_vary_are_not() {
        let list = br#"{"data":[
            {"id":"a/b:free","name":"A: B","context_length":9,"pricing":{"prompt":"0","completion":"0"}},
            {"id":"c/d","top_provider":{"max_completion_tokens":64},"pricing":{"prompt":"0.000003","completion":"0.000015","request":"0.01",
              "image":"0.0048","internal_reasoning":"0","input_cache_read":"0.0000003","input_cache_write":"0.00000375"}},
            {"id":"openrouter/auto","pricing":{"prompt":"-1","completion":"-1"}}]}"#;
        let page = models(Protocol::Chat, list).unwrap();
        let prices: Vec<_> = page.models.iter().map(|model| model.prices.clone()).collect();
        let money = |text: &str| text.parse().ok();
        let dear = Prices {
            input: money("3"),
            output: money("15"),
            cache_read: money("0.3"),
            cache_write_5m: money("3.75"),
            per_request: money("0.01"),
            ..Prices::default()
        };
        let free = Prices { input: money("0"), output: money("0"), ..Prices::default() };
        assert_eq!(prices, [Some(free), Some(dear), None]);
        assert_eq!(page.models[1].max_completion_tokens, Some(64));
    }

    #[test]
    fn anthropics_and_googles_lists_come_in_pages() {
        let list = br#"{"data":[{"id":"claude-1","display_name":"Claude 1","type":"model"}],"has_more":true,"last_id":"claude-1"}"#;
        let page = models(Protocol::Messages, list).unwrap();
        assert_eq!((ids(&page), page.next.as_deref()), (vec!["claude-1"], Some("claude-1")));
        assert_eq!(page.models[0].display_name.as_deref(), Some("Claude 1"));
        let last = br#"{"data":[],"has_more":false,"last_id":"claude-1"}"#;
        assert_eq!(models(Protocol::Messages, last), Some(ModelsPage::default()));

        let list = br#"{"models":[{"name":"models/gemini-1","displayName":"Gemini","inputTokenLimit":1000,"outputTokenLimit":10}],"nextPageToken":"t"}"#;
        let page = models(Protocol::Gemini, list).unwrap();
        assert_eq!((ids(&page), page.next.as_deref()), (vec!["gemini-1"], Some("t")));
        assert_eq!((page.models[0].context_length, page.models[0].max_completion_tokens), (Some(1000), Some(10)));
    }

    #[test]
    fn what_is_no_list_is_none() {
        for body in [&b"<html>"[..], b"", b"{}", br#"{"data":7}"#, br#"{"error":{"message":"no"}}"#, b"\"data\""] {
            for protocol in [Protocol::Chat, Protocol::Messages, Protocol::Gemini] {
                assert_eq!(models(protocol, body), None, "{:?}", String::from_utf8_lossy(body));
            }
        }
    }
}
