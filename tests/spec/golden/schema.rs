//! Holds JSON against a schema of an OpenAPI 3.1 document. Knows the words that the documents here use, and fails on any
//! other, so that nothing passes unlooked at.

use serde_json::Value;

pub(super) struct Document(Value);

/// Words that bind nothing.
const NOTES: [&str; 8] =
    ["description", "title", "default", "example", "discriminator", "maxProperties", "pattern", "format"];

impl Document {
    pub(super) fn read(path: &str) -> Self {
        Self(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
    }

    /// The schema of a component.
    pub(super) fn component(&self, name: &str) -> &Value {
        let schema = &self.0["components"]["schemas"][name];
        assert!(schema.is_object(), "the document has no schema {name}");
        schema
    }

    pub(super) fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap()
    }

    /// What is wrong with the value, if anything is.
    pub(super) fn check(&self, schema: &Value, value: &Value) -> Result<(), String> {
        for (word, bound) in schema.as_object().unwrap() {
            let why = match word.as_str() {
                "$ref" => {
                    let pointer = bound.as_str().unwrap().strip_prefix('#').unwrap();
                    self.check(self.at(pointer), value).err()
                }
                "type" => {
                    let is_it = is_of(value, bound.as_str().unwrap());
                    (!is_it).then(|| format!("{value} is not of type {bound}"))
                }
                "enum" => {
                    let is_in = bound.as_array().unwrap().contains(value);
                    (!is_in).then(|| format!("{value} is none of {bound}"))
                }
                "allOf" => bound.as_array().unwrap().iter().find_map(|each| self.check(each, value).err()),
                "anyOf" | "oneOf" => self.any(bound.as_array().unwrap(), value),
                "required" => {
                    let names = bound.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
                    let mut missing = names.filter(|name| value.is_object() && value.get(name).is_none());
                    missing.next().map(|name| format!("{name} is missing"))
                }
                "properties" => bound.as_object().unwrap().iter().find_map(|(name, schema)| {
                    let why = self.check(schema, value.get(name)?).err()?;
                    Some(format!("{name}: {why}"))
                }),
                "additionalProperties" if bound.is_object() => value
                    .as_object()
                    .and_then(|members| members.values().find_map(|member| self.check(bound, member).err())),
                "additionalProperties" => None,
                "items" => value.as_array().and_then(|items| {
                    items.iter().enumerate().find_map(|(at, item)| {
                        let why = self.check(bound, item).err()?;
                        Some(format!("[{at}]: {why}"))
                    })
                }),
                "minLength" | "maxLength" => value.as_str().and_then(|text| {
                    let (length, limit) = (text.chars().count() as u64, bound.as_u64().unwrap());
                    let fits = if word == "minLength" { length >= limit } else { length <= limit };
                    (!fits).then(|| format!("its length {length} is beyond {limit}"))
                }),
                "minItems" | "maxItems" => value.as_array().and_then(|items| {
                    let (length, limit) = (items.len() as u64, bound.as_u64().unwrap());
                    let fits = if word == "minItems" { length >= limit } else { length <= limit };
                    (!fits).then(|| format!("its length {length} is beyond {limit}"))
                }),
                "minimum" | "maximum" => value.as_f64().and_then(|number| {
                    let limit = bound.as_f64().unwrap();
                    let fits = if word == "minimum" { number >= limit } else { number <= limit };
                    (!fits).then(|| format!("{number} is beyond {limit}"))
                }),
                note if NOTES.contains(&note) || note.starts_with("x-") => None,
                other => panic!("a schema says {other}, and nothing here knows what that means"),
            };
            if let Some(why) = why {
                return Err(why);
            }
        }
        Ok(())
    }

    fn any(&self, schemas: &[Value], value: &Value) -> Option<String> {
        let whys: Vec<String> = schemas.iter().filter_map(|each| self.check(each, value).err()).collect();
        (whys.len() == schemas.len()).then(|| whys.join(", and "))
    }
}

fn is_of(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("a schema wants the type {other}"),
    }
}
