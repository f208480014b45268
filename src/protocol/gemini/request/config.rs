//! `generationConfig`: both directions.

use super::super::key;
use super::{schema, thinking};
use crate::protocol::hub::field::Objection;
use crate::protocol::hub::read::{Name, Values};
use crate::protocol::hub::request::{Format, Request, Terms};
use crate::protocol::hub::text::{Json, Quoted};
use crate::protocol::hub::write::Write;
use crate::protocol::json::Reader;

pub(super) fn decode<'a>(reader: &mut Reader<'a>, request: &mut Request<'a>) -> Result<(), Objection> {
    let mut form = Form::default();
    key::members(reader, |reader, key| field(reader, key, request, &mut form))?;
    request.format = form.format()?;
    Ok(())
}

/// How the answer's text is to look.
#[derive(Default)]
struct Form<'a> {
    media_type: Option<Quoted<'a>>,
    schema: Option<Json<'a>>,
}

impl<'a> Form<'a> {
    fn format(self) -> Result<Option<Format<'a>>, Objection> {
        let is_json = match self.media_type.as_ref().map(Quoted::decode).as_deref() {
            None | Some("" | "text/plain") => false,
            Some("application/json") => true,
            Some(_) => return Err(Objection::unsupported("generationConfig.responseMimeType")),
        };
        Ok(match self.schema {
            // What is asked for here is always kept to.
            Some(schema) => Some(Format::JsonSchema { name: None, description: None, schema, strict: Some(true) }),
            None => is_json.then_some(Format::JsonObject),
        })
    }
}

fn field<'a>(
    reader: &mut Reader<'a>,
    key: Name<'_>,
    request: &mut Request<'a>,
    form: &mut Form<'a>,
) -> Result<(), Objection> {
    let sampling = &mut request.sampling;
    match key {
        b"temperature" => sampling.temperature = reader.number()?,
        b"topp" => sampling.top_p = reader.number()?,
        b"topk" => sampling.top_k = reader.number()?,
        b"seed" => sampling.seed = reader.number()?,
        b"frequencypenalty" => sampling.frequency_penalty = reader.number()?.filter(|it| !it.is_zero()),
        b"presencepenalty" => sampling.presence_penalty = reader.number()?.filter(|it| !it.is_zero()),
        b"maxoutputtokens" => request.max_output_tokens = reader.unsigned()?,
        b"stopsequences" => {
            reader.elements(|reader| {
                request.stop.extend(reader.text()?);
                Ok::<(), Objection>(())
            })?;
        }
        b"candidatecount" => {
            if reader.unsigned()?.is_some_and(|count| count > 1) {
                return Err(Objection::unsupported("generationConfig.candidateCount"));
            }
        }
        b"responselogprobs" => {
            if reader.flag()? == Some(true) {
                return Err(Objection::unsupported("generationConfig.responseLogprobs"));
            }
        }
        // Of no meaning but beside the one above.
        b"logprobs" => reader.skip()?,
        b"responsemimetype" => form.media_type = reader.text()?,
        b"responseschema" => {
            form.schema = reader.json()?.map(|written| schema::of_openapi(&written)).or(form.schema.take())
        }
        b"responsejsonschema" => form.schema = reader.json()?.or(form.schema.take()),
        b"responsemodalities" => {
            reader.elements(|reader| match reader.text()? {
                Some(other) if !other.decode().eq_ignore_ascii_case("text") => {
                    Err(Objection::unsupported("generationConfig.responseModalities"))
                }
                _ => Ok(()),
            })?;
        }
        b"speechconfig" => {
            if reader.json()?.is_some() {
                return Err(Objection::unsupported("generationConfig.speechConfig"));
            }
        }
        b"thinkingconfig" => thinking::decode(reader, &mut request.thinking)?,
        other => {
            if reader.json()?.is_some_and(|value| !value.is_nothing()) {
                request.only_here.add_foreign(&[b"generationConfig.", other].concat());
            }
        }
    }
    Ok(())
}

pub(super) fn encode(request: &Request<'_>, terms: &Terms<'_>, out: &mut Vec<u8>) {
    let mut config = Vec::new();
    config.object(|out| members(request, terms, out));
    if config != b"{}" {
        out.key("generationConfig").value(Json::of(config));
    }
}

fn members(request: &Request<'_>, terms: &Terms<'_>, out: &mut Vec<u8>) {
    let sampling = &request.sampling;
    out.maybe("temperature", sampling.temperature.as_ref()).maybe("topP", sampling.top_p.as_ref());
    out.maybe("topK", sampling.top_k.as_ref()).maybe("seed", sampling.seed.as_ref());
    out.maybe("frequencyPenalty", sampling.frequency_penalty.as_ref());
    out.maybe("presencePenalty", sampling.presence_penalty.as_ref());
    out.maybe("maxOutputTokens", request.max_output_tokens);
    if !request.stop.is_empty() {
        out.key("stopSequences").array(|out| {
            request.stop.iter().for_each(|stop| {
                out.value(stop);
            });
        });
    }
    match &request.format {
        None | Some(Format::Text) => {}
        Some(Format::JsonObject) => {
            out.member("responseMimeType", "application/json");
        }
        Some(Format::JsonSchema { schema, .. }) => {
            out.member("responseMimeType", "application/json").member("responseJsonSchema", schema);
        }
    }
    thinking::encode(&request.thinking, terms.model, out);
}
