//! Embeddings as Gemini has them, of one text or of several: both directions, request and answer.

use super::key;
use super::usage::usage_of_whole;
use crate::protocol::hub::embedding::{Numbers, Texts, Vectors};
use crate::protocol::hub::field::Objection;
use crate::protocol::hub::read::{Name, Values};
use crate::protocol::hub::text::Quoted;
use crate::protocol::hub::write::Write;
use crate::protocol::json::{Flaw, Reader};

/// Which of the two methods it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::protocol) enum Form {
    One,
    Several,
}

pub(in crate::protocol) fn decode(body: &[u8]) -> Result<(Texts<'_>, Form), Objection> {
    let (mut asking, mut form) = (Texts::default(), Form::One);
    let mut reader = Reader::new(body);
    reader.space();
    key::members(&mut reader, |reader, key| {
        if key != b"requests" {
            return field(reader, key, &mut asking);
        }
        form = Form::Several;
        reader.elements(|reader| {
            key::members(reader, |reader, key| field(reader, key, &mut asking))?;
            Ok::<(), Objection>(())
        })?;
        Ok(())
    })?;
    Ok((asking, form))
}

/// Of a request, or of one among several.
fn field<'a>(reader: &mut Reader<'a>, name: Name<'_>, asking: &mut Texts<'a>) -> Result<(), Objection> {
    match name {
        b"content" => asking.texts.push(content(reader)?),
        b"outputdimensionality" => asking.dimensions = reader.unsigned()?.or(asking.dimensions),
        b"model" => reader.skip()?,
        other => {
            if reader.json()?.is_some_and(|value| !value.is_nothing()) {
                asking.only_here.add_foreign(other);
            }
        }
    }
    Ok(())
}

/// All its text as one.
fn content<'a>(reader: &mut Reader<'a>) -> Result<Quoted<'a>, Objection> {
    let mut texts: Vec<Quoted<'a>> = Vec::new();
    key::members(reader, |reader, key| {
        if key != b"parts" {
            reader.skip()?;
            return Ok::<(), Objection>(());
        }
        reader.elements(|reader| {
            key::members(reader, |reader, key| match key {
                b"text" => {
                    texts.extend(reader.text()?);
                    Ok(())
                }
                _ => Err(Objection::unsupported("content.parts")),
            })?;
            Ok::<(), Objection>(())
        })?;
        Ok(())
    })?;
    match texts.len() {
        1 => Ok(texts.remove(0)),
        _ => Ok(Quoted::joined(texts.iter(), r"\n")),
    }
}

/// Always of several.
pub(in crate::protocol) fn encode(asking: &Texts<'_>, model: &str) -> Vec<u8> {
    let name = Quoted::of(&format!("models/{model}"));
    let mut out = Vec::new();
    out.object(|out| {
        out.key("requests").array(|out| {
            for text in &asking.texts {
                out.object(|out| {
                    out.member("model", &name).key("content").object(|out| {
                        out.key("parts").array(|out| {
                            out.object(|out| {
                                out.member("text", text);
                            });
                        });
                    });
                    out.maybe("outputDimensionality", asking.dimensions);
                });
            }
        });
    });
    out
}

/// `None` where it is no answer of this kind.
pub(in crate::protocol) fn decode_answer(body: &[u8]) -> Option<Vectors<'_>> {
    let mut answer = Vectors { usage: usage_of_whole(body), ..Vectors::default() };
    let mut is_answer = false;
    let mut reader = Reader::new(body.trim_ascii());
    let read = key::members(&mut reader, |reader, key| {
        match key {
            b"embeddings" => {
                is_answer = reader.elements(|reader| {
                    answer.vectors.extend(values(reader)?);
                    Ok::<(), Flaw>(())
                })?;
            }
            b"embedding" => {
                is_answer = true;
                answer.vectors.extend(values(reader)?);
            }
            _ => reader.skip()?,
        }
        Ok::<(), Flaw>(())
    });
    Some(answer).filter(|_| is_answer && read.is_ok())
}

fn values<'a>(reader: &mut Reader<'a>) -> Result<Option<Numbers<'a>>, Flaw> {
    let mut numbers = None;
    key::members(reader, |reader, key| {
        match key {
            b"values" => numbers = Some(Numbers::read(reader)?),
            _ => reader.skip()?,
        }
        Ok::<(), Flaw>(())
    })?;
    Ok(numbers)
}

pub(in crate::protocol) fn encode_answer(answer: &Vectors<'_>, form: Form) -> Vec<u8> {
    let mut out = Vec::new();
    let one = |numbers: &Numbers<'_>, out: &mut Vec<u8>| {
        out.object(|out| {
            out.member("values", numbers.array());
        });
    };
    out.object(|out| match (form, answer.vectors.as_slice()) {
        (Form::One, [numbers, ..]) => {
            out.key("embedding");
            one(numbers, out);
        }
        (_, vectors) => {
            out.key("embeddings").array(|out| vectors.iter().for_each(|numbers| one(numbers, out)));
        }
    });
    out
}
