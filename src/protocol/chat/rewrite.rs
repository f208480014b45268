//! What a call's body becomes for one target: the model's name, and what the model's defaults fill in.
//!
//! A body as it was scanned and what is wanted go in, edits come out. Serves chat completions, completions and
//! Responses, whose fields differ only in name, and hands others to their own folder; for every other operation the
//! model's name is all that changes.

use std::ops::Range;

use bytes::Bytes;

use crate::domain::call::{Found, StreamOptions};
use crate::domain::preset::MaxField;
use crate::domain::protocol::Operation;
use crate::protocol::json::escape_into;
use crate::protocol::splice::Edit;
use crate::protocol::{gemini, messages};

/// What one target wants changed. What the client said stands; these fill in what it left out.
#[derive(Clone, Copy, Debug)]
pub struct Rewrite<'a> {
    pub model: &'a str,
    /// A JSON number as written.
    pub temperature: Option<&'a str>,
    pub max_tokens: Option<u64>,
    pub max_field: MaxField,
    pub system_prompt: Option<&'a str>,
    /// Put before whatever system prompt stands.
    pub hydration: Option<&'a str>,
    /// Shall a stream end with its usage? Only where the provider takes the field.
    pub include_usage: bool,
}

/// The edits in order, and whether usage was asked for that the client does not expect.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Edits {
    pub edits: Vec<Edit>,
    pub usage_injected: bool,
}

/// Between a hydration text and the prompt it is put before.
pub(in crate::protocol) const PARAGRAPH: &str = "\n\n";

/// Decides every change. No edits where nothing changes.
pub fn edits(body: &[u8], found: &Found, operation: Operation, rewrite: &Rewrite<'_>) -> Edits {
    let mut draft = Draft { body, found, edits: Vec::new(), fields: Vec::new() };
    match operation {
        // The path names the model, and what repeats it within.
        Operation::GenerateContent | Operation::EmbedContent | Operation::BatchEmbedContents => {}
        _ => draft.model(rewrite.model),
    }
    match operation {
        Operation::ChatCompletions => {
            draft.temperature(rewrite);
            draft.max_tokens(rewrite);
            draft.messages(rewrite);
        }
        Operation::Completions => {
            draft.temperature(rewrite);
            draft.max_tokens(&Rewrite { max_field: MaxField::MaxTokens, ..*rewrite });
        }
        Operation::Responses => {
            draft.temperature(rewrite);
            draft.max_output_tokens(rewrite);
            draft.instructions(rewrite);
        }
        Operation::Messages => messages::rewrite::fill(&mut draft, rewrite),
        Operation::GenerateContent => gemini::rewrite::fill(&mut draft, rewrite),
        Operation::EmbedContent | Operation::BatchEmbedContents => gemini::rewrite::models(&mut draft, rewrite.model),
        _ => {}
    }
    let streams_chat = matches!(operation, Operation::ChatCompletions | Operation::Completions) && found.stream;
    let usage_injected = rewrite.include_usage && streams_chat && draft.include_usage();
    Edits { edits: draft.finish(), usage_injected }
}

/// Edits in the making.
pub(in crate::protocol) struct Draft<'a> {
    pub(in crate::protocol) body: &'a [u8],
    pub(in crate::protocol) found: &'a Found,
    edits: Vec<Edit>,
    /// Fields that were missing, each with its comma behind it.
    fields: Vec<u8>,
}

impl Draft<'_> {
    fn model(&mut self, model: &str) {
        if self.found.model_text.as_deref() == Some(model) {
            return;
        }
        self.put("model", self.found.model.clone(), quoted(&[model]));
    }

    pub(in crate::protocol) fn temperature(&mut self, rewrite: &Rewrite<'_>) {
        if let Some(temperature) = rewrite.temperature.filter(|_| !self.found.temperature) {
            self.put("temperature", self.found.places.temperature.clone(), temperature.into());
        }
    }

    /// Either field counts as given: a provider refuses both together.
    pub(in crate::protocol) fn max_tokens(&mut self, rewrite: &Rewrite<'_>) {
        let is_given = self.found.max_tokens.is_some() || self.found.max_completion_tokens.is_some();
        let Some(max) = rewrite.max_tokens.filter(|_| !is_given) else { return };
        let (name, place) = match rewrite.max_field {
            MaxField::MaxTokens => ("max_tokens", &self.found.places.max_tokens),
            MaxField::MaxCompletionTokens => ("max_completion_tokens", &self.found.places.max_completion_tokens),
        };
        self.put(name, place.clone(), max.to_string().into());
    }

    fn max_output_tokens(&mut self, rewrite: &Rewrite<'_>) {
        if let Some(max) = rewrite.max_tokens.filter(|_| self.found.max_output_tokens.is_none()) {
            let place = self.found.places.max_output_tokens.clone();
            self.put("max_output_tokens", place, max.to_string().into());
        }
    }

    /// A system prompt where there is none, hydration before the one that stands.
    fn messages(&mut self, rewrite: &Rewrite<'_>) {
        let Some(messages) = &self.found.messages else { return };
        let Some(content) = &messages.system else {
            let Some(prompt) = prompt(rewrite, true) else { return };
            let comma = if messages.is_empty { "" } else { "," };
            let message = [br#"{"role":"system","content":"#.as_slice(), &prompt, b"}", comma.as_bytes()].concat();
            self.edits.push(Edit::insert(messages.inside, message));
            return;
        };
        let Some(hydration) = rewrite.hydration else { return };
        match self.body.get(content.start) {
            Some(b'"') => self.edits.push(Edit::insert(content.start + 1, inside(&[hydration, PARAGRAPH]))),
            Some(b'[') => {
                let has_parts = self.body[content.clone()].iter().skip(1).find(|byte| !byte.is_ascii_whitespace());
                let comma = if has_parts == Some(&b']') { "" } else { "," };
                let part =
                    [br#"{"type":"text","text":"#.as_slice(), &quoted(&[hydration]), b"}", comma.as_bytes()].concat();
                self.edits.push(Edit::insert(content.start + 1, part));
            }
            _ => self.replace(content.clone(), quoted(&[hydration])),
        }
    }

    /// The same for Responses, where the prompt has a field of its own or stands among the items.
    fn instructions(&mut self, rewrite: &Rewrite<'_>) {
        let place = self.found.places.instructions.clone();
        match place.clone().filter(|_| self.found.instructions) {
            Some(place) if self.body.get(place.start) == Some(&b'"') => {
                let Some(hydration) = rewrite.hydration else { return };
                self.edits.push(Edit::insert(place.start + 1, inside(&[hydration, PARAGRAPH])));
            }
            Some(_) => {}
            None => {
                let has_system = self.found.messages.as_ref().is_some_and(|messages| messages.system.is_some());
                if let Some(prompt) = prompt(rewrite, !has_system) {
                    self.put("instructions", place, prompt);
                }
            }
        }
    }

    /// Asks for usage at the stream's end; says whether the client had not.
    fn include_usage(&mut self) -> bool {
        const OPTION: &str = r#""include_usage":true"#;
        let whole = format!("{{{OPTION}}}");
        match &self.found.stream_options {
            None => self.put("stream_options", None, whole.into()),
            Some(StreamOptions { include_usage: Some((_, true)), .. }) => return false,
            Some(StreamOptions { include_usage: Some((place, false)), .. }) => self.replace(place.clone(), "true"),
            Some(StreamOptions { inside: None, value, .. }) => self.replace(value.clone(), whole),
            Some(StreamOptions { inside: Some(inside), is_empty, .. }) => {
                let comma = if *is_empty { "" } else { "," };
                self.edits.push(Edit::insert(*inside, format!("{OPTION}{comma}")));
            }
        }
        true
    }

    /// Replaces the value that stands there, or adds the field.
    pub(in crate::protocol) fn put(&mut self, name: &str, place: Option<Range<usize>>, value: Vec<u8>) {
        match place {
            Some(place) => self.replace(place, value),
            None => self.fields.extend([b"\"", name.as_bytes(), b"\":", &value, b","].concat()),
        }
    }

    pub(in crate::protocol) fn replace(&mut self, at: Range<usize>, with: impl Into<Bytes>) {
        self.edits.push(Edit { at, with: with.into() });
    }

    /// These bytes are put in there.
    pub(in crate::protocol) fn insert(&mut self, at: usize, with: impl Into<Bytes>) {
        self.edits.push(Edit::insert(at, with));
    }

    fn finish(mut self) -> Vec<Edit> {
        if !self.fields.is_empty() {
            if self.found.is_empty {
                self.fields.pop();
            }
            self.edits.push(Edit::insert(self.found.inside, self.fields));
        }
        self.edits.sort_by_key(|edit| edit.at.start);
        self.edits
    }
}

/// The prompt to put where none stands, as a JSON string.
pub(in crate::protocol) fn prompt(rewrite: &Rewrite<'_>, with_default: bool) -> Option<Vec<u8>> {
    match (rewrite.hydration, rewrite.system_prompt.filter(|_| with_default)) {
        (None, None) => None,
        (Some(text), None) | (None, Some(text)) => Some(quoted(&[text])),
        (Some(hydration), Some(prompt)) => Some(quoted(&[hydration, PARAGRAPH, prompt])),
    }
}

pub(in crate::protocol) fn quoted(texts: &[&str]) -> Vec<u8> {
    written("\"", texts, "\"")
}

pub(in crate::protocol) fn inside(texts: &[&str]) -> Vec<u8> {
    written("", texts, "")
}

fn written(before: &str, texts: &[&str], behind: &str) -> Vec<u8> {
    let length: usize = texts.iter().map(|text| text.len()).sum();
    let mut json = Vec::with_capacity(before.len() + length + behind.len());
    json.extend_from_slice(before.as_bytes());
    for text in texts {
        escape_into(&mut json, text);
    }
    json.extend_from_slice(behind.as_bytes());
    json
}

#[cfg(test)]
mod tests;
