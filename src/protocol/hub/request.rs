//! A call as every protocol can say it, and what a target adds to it.
//!
//! `None` and empty mean that the client did not say. What of a request its target cannot say is decided by `field`.

use super::field::{Field, Named};
use super::item::{CacheMark, Content, Item, Message, Part, Role};
use super::opaque::Maker;
use super::text::{Json, Quoted};
use super::thinking::Thinking;
use crate::domain::preset::MaxField;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request<'a> {
    pub items: Vec<Item<'a>>,
    pub tools: Vec<Tool<'a>>,
    pub tool_choice: Option<ToolChoice<'a>>,
    pub parallel_tool_calls: Option<bool>,
    pub max_tool_calls: Option<u64>,
    pub format: Option<Format<'a>>,
    pub verbosity: Option<Quoted<'a>>,
    pub thinking: Thinking<'a>,
    pub max_output_tokens: Option<u64>,
    pub sampling: Sampling<'a>,
    pub stop: Vec<Quoted<'a>>,
    /// Probabilities of the tokens in the answer, with this many others for each.
    pub logprobs: Option<u64>,
    /// An object of texts.
    pub metadata: Option<Json<'a>>,
    /// Who the provider may hold responsible: an id of the client's own users.
    pub user: Option<Quoted<'a>>,
    pub prompt_cache_key: Option<Quoted<'a>>,
    pub service_tier: Option<Quoted<'a>>,
    pub store: Option<bool>,
    /// What the client said and no other protocol can: it is named to the client, by these names.
    pub only_here: Named,
}

/// Numbers as the client wrote them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sampling<'a> {
    pub temperature: Option<Json<'a>>,
    pub top_p: Option<Json<'a>>,
    pub top_k: Option<Json<'a>>,
    pub seed: Option<Json<'a>>,
    pub frequency_penalty: Option<Json<'a>>,
    pub presence_penalty: Option<Json<'a>>,
    /// An object from token ids to numbers; the ids mean something to one model only.
    pub logit_bias: Option<Json<'a>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tool<'a> {
    pub name: Quoted<'a>,
    pub description: Option<Quoted<'a>>,
    /// A JSON schema; `None` where the tool takes nothing.
    pub parameters: Option<Json<'a>>,
    /// Shall the arguments keep to the schema? Protocols differ in what they take for granted where nobody says.
    pub strict: Option<bool>,
    pub cache: Option<CacheMark>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice<'a> {
    None,
    Auto,
    Required,
    /// This one, always.
    Tool(Quoted<'a>),
    /// Only these, and of these one always if `is_required`.
    Allowed {
        names: Vec<Quoted<'a>>,
        is_required: bool,
    },
}

/// What form the answer's text has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format<'a> {
    Text,
    JsonObject,
    JsonSchema { name: Option<Quoted<'a>>, description: Option<Quoted<'a>>, schema: Json<'a>, strict: Option<bool> },
}

/// What the target brings to a call: how its model is called, what fills in what the client left out, and what its
/// provider is particular about.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'t> {
    pub model: &'t str,
    /// Whose opaque state may be sent along.
    pub maker: Maker,
    /// A JSON number as written.
    pub temperature: Option<&'t str>,
    pub max_tokens: Option<u64>,
    /// The most that the model can write, for protocols in which a limit must be said.
    pub max_output_tokens: Option<u64>,
    pub system_prompt: Option<&'t str>,
    /// Put before whatever system prompt stands.
    pub hydration: Option<&'t str>,
    pub max_field: MaxField,
    /// Does the provider take `stream_options.include_usage`?
    pub takes_stream_options: bool,
    /// Do the body's items begin with those of the response that it goes on from?
    pub holds_past: bool,
    /// What the provider does not take though its protocol has it.
    pub lacks: &'t [Field],
}

impl<'t> Terms<'t> {
    /// Of a model that brings nothing but its name.
    pub const fn of(model: &'t str) -> Self {
        Self {
            model,
            maker: Maker(0),
            temperature: None,
            max_tokens: None,
            max_output_tokens: None,
            system_prompt: None,
            hydration: None,
            max_field: MaxField::MaxTokens,
            takes_stream_options: true,
            holds_past: false,
            lacks: &[],
        }
    }
}

impl<'a> Request<'a> {
    /// Fills in what the client left out. What it said, stands.
    pub fn fill(&mut self, terms: &Terms<'_>) {
        if self.sampling.temperature.is_none() {
            self.sampling.temperature = terms.temperature.map(|number| Json::of(number.as_bytes().to_vec()));
        }
        self.max_output_tokens = self.max_output_tokens.or(terms.max_tokens);
        let leading = self.items.iter_mut().find_map(|item| match item {
            Item::Message(message) if message.leads() => Some(message),
            _ => None,
        });
        match (leading, terms.hydration) {
            (Some(message), Some(hydration)) => message.put_before(hydration),
            (Some(_), None) => {}
            (None, hydration) => {
                let texts: Vec<&str> = hydration.into_iter().chain(terms.system_prompt).collect();
                if !texts.is_empty() {
                    let content = vec![Part::text(Quoted::of(&texts.join(BETWEEN)))];
                    self.items.insert(0, Item::Message(Message { role: Role::System, content }));
                }
            }
        }
    }

    /// Keeps only the tools that may be called: whoever is not shown a tool can't call it, in every protocol.
    pub fn keep_allowed(&mut self) {
        if let Some(ToolChoice::Allowed { names, is_required }) = &self.tool_choice {
            self.tools.retain(|tool| names.contains(&tool.name));
            self.tool_choice = Some(if *is_required { ToolChoice::Required } else { ToolChoice::Auto });
        }
    }

    /// The messages that lead, and what follows them: many protocols have a place of its own for the former.
    pub fn split_system(&self) -> (impl Iterator<Item = &Message<'a>>, &[Item<'a>]) {
        let leading = |item: &Item<'a>| matches!(item, Item::Message(message) if message.leads());
        let end = self.items.iter().position(|item| !leading(item)).unwrap_or(self.items.len());
        let (system, rest) = self.items.split_at(end);
        let messages = system.iter().filter_map(|item| match item {
            Item::Message(message) => Some(message),
            Item::Reasoning(_) | Item::Call(_) | Item::Result(_) => None,
        });
        (messages, rest)
    }
}

/// Between two texts that one message holds.
const BETWEEN: &str = "\n\n";

impl Message<'_> {
    /// In the same part, where there is one: some servers take but one text.
    fn put_before(&mut self, text: &str) {
        match self.content.first_mut().map(|part| &mut part.content) {
            Some(Content::Text(first)) => {
                let mut whole = Quoted::of(&[text, BETWEEN].concat());
                whole.push(&first.text);
                first.text = whole;
            }
            _ => self.content.insert(0, Part::text(Quoted::of(text))),
        }
    }

    /// Does it tell the model what it is, rather than being said to it?
    pub const fn leads(&self) -> bool {
        matches!(self.role, Role::System | Role::Developer)
    }

    /// Is it made of text only?
    pub fn is_text(&self) -> bool {
        self.content.iter().all(|part| matches!(part.content, Content::Text(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms() -> Terms<'static> {
        let (temperature, max_tokens) = (Some("0.5"), Some(7));
        let (system_prompt, hydration) = (Some("be brief"), Some("you are Ada"));
        Terms { temperature, max_tokens, system_prompt, hydration, ..Terms::of("m") }
    }

    fn message(role: Role, text: &'static str) -> Item<'static> {
        Item::Message(Message { role, content: vec![Part::text(Quoted::plain(text))] })
    }

    fn texts(request: &Request<'_>) -> Vec<String> {
        let (system, rest) = request.split_system();
        let text = |message: &Message<'_>| message.content[0].as_text().unwrap().decode().into_owned();
        let behind = rest.iter().map(|item| match item {
            Item::Message(message) => text(message),
            other => format!("{other:?}"),
        });
        system.map(text).chain(behind).collect()
    }

    #[test]
    fn defaults_fill_in_only_what_was_left_out() {
        let mut request = Request { items: vec![message(Role::User, "hi")], ..Request::default() };
        request.fill(&terms());
        assert_eq!(texts(&request), ["you are Ada\n\nbe brief", "hi"]);
        assert_eq!((request.max_output_tokens, request.sampling.temperature), (Some(7), Some(Json::of(&b"0.5"[..]))));

        let mut request = Request {
            items: vec![message(Role::Developer, "be long"), message(Role::User, "hi")],
            max_output_tokens: Some(9),
            ..Request::default()
        };
        request.sampling.temperature = Some(Json::of(&b"1"[..]));
        request.fill(&terms());
        assert_eq!(texts(&request), ["you are Ada\n\nbe long", "hi"]);
        assert_eq!((request.max_output_tokens, request.sampling.temperature), (Some(9), Some(Json::of(&b"1"[..]))));
    }
}
