//! What a model thought, as chat carries it: `reasoning_content`, and `reasoning_details` where a state must come back.
//! Both directions, for a client's history and a provider's answer.
//!
//! OpenAI has neither; servers of open models and routers to many models have made them common.

use crate::protocol::hub::item::Reasoning;
use crate::protocol::hub::opaque::{Form, Opaque};
use crate::protocol::hub::read::Values;
use crate::protocol::hub::text::Quoted;
use crate::protocol::hub::write::Write;
use crate::protocol::json::{Flaw, Reader};

/// One of `reasoning_details`, as it came.
#[derive(Default)]
pub(in crate::protocol) struct Detail<'a> {
    kind: Quoted<'a>,
    pub(in crate::protocol) text: Option<Quoted<'a>>,
    pub(in crate::protocol) summary: Option<Quoted<'a>>,
    data: Option<Quoted<'a>>,
    signature: Option<Quoted<'a>>,
    id: Option<Quoted<'a>>,
    /// All but the text, as members of an object.
    rest: Vec<u8>,
}

/// All that an array of them holds.
pub(in crate::protocol) fn decode<'a>(reader: &mut Reader<'a>) -> Result<Vec<Detail<'a>>, Flaw> {
    let mut details = Vec::new();
    reader.elements(|reader| {
        let mut detail = Detail::default();
        reader.members(|reader, key| {
            match key {
                b"text" => detail.text = reader.text()?,
                b"summary" => detail.summary = reader.text()?,
                _ => {
                    let value = reader.value()?;
                    detail.keep(key, value);
                    let text = Reader::new(value).text()?;
                    match key {
                        b"type" => detail.kind = text.unwrap_or_default(),
                        b"data" => detail.data = text,
                        b"signature" => detail.signature = text,
                        b"id" => detail.id = text,
                        _ => {}
                    }
                }
            }
            Ok::<(), Flaw>(())
        })?;
        details.push(detail);
        Ok::<(), Flaw>(())
    })?;
    Ok(details)
}

impl<'a> Detail<'a> {
    fn keep(&mut self, key: &[u8], value: &[u8]) {
        let comma: &[u8] = if self.rest.is_empty() { b"" } else { b"," };
        self.rest.extend_from_slice(&[comma, b"\"", key, b"\":", value].concat());
    }

    /// From a client, in whose history an envelope of ours may be; and the call that it belongs to.
    pub(super) fn returned(self) -> (Option<Quoted<'a>>, Reasoning<'a>) {
        let state = self.signature.or(self.data).and_then(|envelope| Opaque::open(&envelope));
        let (summary, content) = (self.summary.into_iter().collect(), self.text.into_iter().collect());
        (self.id, Reasoning { summary, content, state })
    }

    /// From a provider: what of it must come back beside its text, and how.
    pub(in crate::protocol) fn state(&self) -> Option<(Form, Quoted<'static>)> {
        let form = match (&self.signature, &self.data) {
            (Some(signature), _) if !signature.is_empty() => Form::Signature,
            (_, Some(data)) if !data.is_empty() => Form::Encrypted,
            _ => return None,
        };
        Some((form, Quoted::of(&String::from_utf8_lossy(&self.rest))))
    }
}

/// What makes a state of a member that a provider puts on a call; it begins like no detail does.
pub(in crate::protocol) const EXTRA: &str = "\"extra_content\":";

/// How a thought goes back to the provider that thought it.
pub(super) enum Returned<'r> {
    /// As plain text.
    Plain(Quoted<'r>),
    /// As a detail.
    Detail(Vec<u8>),
    /// As a member of the call that follows.
    Extra(Vec<u8>),
}

/// `data` is what `state` gave, or was made with `EXTRA`, or nothing.
pub(super) fn returned<'r>(thought: &'r Reasoning<'_>, form: Form, data: &Quoted<'_>) -> Returned<'r> {
    let rest = data.decode().into_owned().into_bytes();
    if rest.is_empty() {
        return Returned::Plain(thought.text());
    }
    if rest.starts_with(EXTRA.as_bytes()) {
        return Returned::Extra(rest);
    }
    let mut detail = Vec::new();
    detail.object(|out| {
        out.extend_from_slice(&rest);
        match form {
            Form::Signature => out.member("text", thought.text()),
            Form::Encrypted => out,
        };
    });
    Returned::Detail(detail)
}

/// Writes a detail for a client that shall bring it back. `call` is whom a state without a text belongs to.
pub(in crate::protocol) fn encode(thought: &Reasoning<'_>, call: Option<&Quoted<'_>>, out: &mut Vec<u8>) {
    let Some(state) = &thought.state else { return };
    out.object(|out| {
        if thought.is_state_only() {
            out.member("type", "reasoning.encrypted").member("data", state.envelope()).maybe("id", call);
        } else if thought.content.is_empty() {
            let summary = thought.text();
            out.member("type", "reasoning.summary").member("summary", summary).member("signature", state.envelope());
        } else {
            out.member("type", "reasoning.text").member("text", thought.text()).member("signature", state.envelope());
        }
    });
}
