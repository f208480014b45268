//! Embeddings as OpenAI has them, from and to the hub: both directions, request and answer.

use super::usage::usage_of_whole;
use crate::protocol::hub::embedding::{Numbers, Texts, Vectors};
use crate::protocol::hub::field::Objection;
use crate::protocol::hub::read::Values;
use crate::protocol::hub::text::Quoted;
use crate::protocol::hub::write::{Raw, Write};
use crate::protocol::json::{Flaw, Reader};

/// How numbers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::protocol) enum Form {
    #[default]
    Array,
    Packed,
}

pub(in crate::protocol) fn decode(body: &[u8]) -> Result<(Texts<'_>, Form), Objection> {
    let (mut asking, mut form) = (Texts::default(), Form::default());
    let mut reader = Reader::new(body);
    reader.space();
    reader.members(|reader, key| {
        match key {
            b"input" => asking.texts = texts(reader)?,
            b"dimensions" => asking.dimensions = reader.unsigned()?,
            b"encoding_format" => {
                form = if reader.text()?.is_some_and(|form| form.is("base64")) { Form::Packed } else { Form::Array };
            }
            b"model" => reader.skip()?,
            _ => {
                if reader.json()?.is_some() {
                    asking.only_here.add_foreign(key);
                }
            }
        }
        Ok::<(), Objection>(())
    })?;
    Ok((asking, form))
}

/// One text or several. Numbers of tokens mean something to one model only.
fn texts<'a>(reader: &mut Reader<'a>) -> Result<Vec<Quoted<'a>>, Objection> {
    let mut texts = Vec::new();
    if reader.peek() == Some(b'"') {
        texts.extend(reader.text()?);
        return Ok(texts);
    }
    reader.elements(|reader| {
        texts.push(reader.text()?.ok_or_else(|| Objection::unsupported("input"))?);
        Ok::<(), Objection>(())
    })?;
    Ok(texts)
}

pub(in crate::protocol) fn encode(asking: &Texts<'_>, model: &str) -> Vec<u8> {
    let mut out = Vec::new();
    out.object(|out| {
        out.member("model", Quoted::of(model)).key("input").array(|out| {
            asking.texts.iter().for_each(|text| {
                out.value(text);
            });
        });
        out.member("encoding_format", "float").maybe("dimensions", asking.dimensions);
    });
    out
}

/// `None` where it is no answer of this kind.
pub(in crate::protocol) fn decode_answer(body: &[u8]) -> Option<Vectors<'_>> {
    let mut answer = Vectors { usage: usage_of_whole(body), ..Vectors::default() };
    let mut vectors: Vec<(u64, Numbers<'_>)> = Vec::new();
    let mut is_answer = false;
    let mut reader = Reader::new(body.trim_ascii());
    let read = reader.members(|reader, key| {
        match key {
            b"model" => answer.model = reader.text()?,
            b"data" => {
                is_answer = reader.elements(|reader| {
                    vectors.extend(vector(reader, vectors.len() as u64)?);
                    Ok::<(), Flaw>(())
                })?;
            }
            _ => reader.skip()?,
        }
        Ok::<(), Flaw>(())
    });
    vectors.sort_by_key(|(index, _)| *index);
    answer.vectors = vectors.into_iter().map(|(_, numbers)| numbers).collect();
    Some(answer).filter(|_| is_answer && read.is_ok())
}

fn vector<'a>(reader: &mut Reader<'a>, place: u64) -> Result<Option<(u64, Numbers<'a>)>, Flaw> {
    let (mut index, mut numbers) = (place, None);
    reader.members(|reader, key| {
        match key {
            b"index" => index = reader.unsigned()?.unwrap_or(place),
            b"embedding" => numbers = Some(Numbers::read(reader)?),
            _ => reader.skip()?,
        }
        Ok::<(), Flaw>(())
    })?;
    Ok(numbers.map(|numbers| (index, numbers)))
}

pub(in crate::protocol) fn encode_answer(answer: &Vectors<'_>, form: Form, model: &Quoted<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    out.object(|out| {
        out.member("object", "list").key("data").array(|out| {
            for (index, numbers) in answer.vectors.iter().enumerate() {
                out.object(|out| {
                    out.member("object", "embedding").member("index", index);
                    match form {
                        Form::Array => out.member("embedding", numbers.array()),
                        Form::Packed => out.member("embedding", numbers.packed()),
                    };
                });
            }
        });
        out.member("model", answer.model.as_ref().unwrap_or(model)).key("usage");
        let input = answer.usage.map_or(0, |usage| usage.input_total());
        out.value(Raw(format!(r#"{{"prompt_tokens":{input},"total_tokens":{input}}}"#).as_bytes()));
    });
    out
}
