//! Reads a body or a query into meaning, and says exactly what is wrong with one that has none.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, Schema};
use uuid::Uuid;

use super::problem::{Fault, Problem};
use super::strict::Strict;
use crate::domain::nearest::nearest;
use crate::domain::refusal::Refusal;

/// Providers' keys are longer.
const KEY_LEAST: usize = 16;

/// What a request may bring. Implemented by what stands in `Ask<B>`.
pub(crate) trait Body: Sized + Send + 'static {
    /// The media types it is taken in; none: there is no body.
    const MEDIA: &'static [&'static str];

    fn read(bytes: &[u8]) -> Result<Self, Problem>;

    /// The schema's name, itself and those it refers to.
    fn describe(described: &mut Described);
}

/// Schemas of one body or answer, the first of them its own.
#[derive(Default)]
pub(crate) struct Described {
    pub(super) name: Option<String>,
    pub(super) schemas: Vec<(String, RefOr<Schema>)>,
}

impl Described {
    pub(super) fn with<T: ToSchema>(&mut self) {
        let name = T::name().into_owned();
        self.schemas.push((name.clone(), T::schema()));
        T::schemas(&mut self.schemas);
        self.name = Some(name);
    }
}

/// A request without a body; one that comes is not looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nothing;

/// A whole thing.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

/// A thing to be made: beside what its making alone says, all that a change may say too.
#[derive(Debug)]
pub(crate) struct New<H, C> {
    pub(crate) head: H,
    pub(crate) change: C,
}

/// What changes of a thing: a JSON merge patch (RFC 7396).
#[derive(Debug)]
pub(crate) struct Merge<T>(pub(crate) T);

impl Body for Nothing {
    const MEDIA: &'static [&'static str] = &[];

    fn read(_: &[u8]) -> Result<Self, Problem> {
        Ok(Self)
    }

    fn describe(_: &mut Described) {}
}

impl<T: DeserializeOwned + ToSchema + Send + 'static> Body for Json<T> {
    const MEDIA: &'static [&'static str] = &["application/json"];

    fn read(bytes: &[u8]) -> Result<Self, Problem> {
        json(bytes).map(Self)
    }

    fn describe(described: &mut Described) {
        described.with::<T>();
    }
}

impl<H, C> Body for New<H, C>
where
    H: DeserializeOwned + ToSchema + Send + 'static,
    C: DeserializeOwned + ToSchema + Send + 'static,
{
    const MEDIA: &'static [&'static str] = &["application/json"];

    fn read(bytes: &[u8]) -> Result<Self, Problem> {
        let mut rest: Map<String, Value> = json(bytes)?;
        let names: Vec<String> = object::<H>().properties.into_keys().collect();
        let head: Map<_, _> = names.iter().filter_map(|name| rest.remove_entry(name)).collect();
        let change = part(rest, &names)?;
        Ok(Self { head: part(head, &[])?, change })
    }

    fn describe(described: &mut Described) {
        described.with::<C>();
        H::schemas(&mut described.schemas);
        let (head, mut whole) = (object::<H>(), object::<C>());
        whole.properties.extend(head.properties);
        whole.required.extend(head.required);
        whole.description = head.description;
        whole.example = head.example;
        let name = H::name().into_owned();
        described.schemas.push((name.clone(), Schema::Object(whole).into()));
        described.name = Some(name);
    }
}

/// The schema of a struct, which is an object's.
fn object<T: ToSchema>() -> Object {
    match T::schema() {
        RefOr::T(Schema::Object(object)) => object,
        _ => Object::new(),
    }
}

fn part<T: DeserializeOwned>(fields: Map<String, Value>, more: &[String]) -> Result<T, Problem> {
    serde_path_to_error::deserialize(Strict(Value::Object(fields)))
        .map_err(|error| wrong_field(&error.path().to_string(), &error.into_inner().to_string(), more))
}

impl<T: DeserializeOwned + ToSchema + Send + 'static> Body for Merge<T> {
    const MEDIA: &'static [&'static str] = &["application/merge-patch+json", "application/json"];

    fn read(bytes: &[u8]) -> Result<Self, Problem> {
        json(bytes).map(Self)
    }

    fn describe(described: &mut Described) {
        described.with::<T>();
    }
}

fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    let value = serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
    serde_path_to_error::deserialize(Strict(value)).map_err(|error| {
        let path = error.path().to_string();
        wrong_field(&path, &error.into_inner().to_string(), &[])
    })
}

fn malformed(error: &serde_json::Error) -> Problem {
    let detail =
        format!("the body is not valid JSON: {} at line {}, column {}", plain(error), error.line(), error.column());
    Problem::from(Refusal::BodyInvalid { what: "not JSON", at: 0 }).with_detail(detail)
}

/// serde_json's sentence without the place, which we say ourselves.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(sentence, _)| sentence.to_string())
}

/// What may be a key that was pasted into the wrong place is not said back.
fn wrong_field(path: &str, sentence: &str, more: &[String]) -> Problem {
    let words = sentence.split(['`', '"']).chain(path.split('.'));
    words.filter(|word| may_be_a_key(word)).fold(explained(path, sentence, more), Problem::without)
}

/// Long and with digits in it, as no field is called and no value of a list; ids are no secrets.
fn may_be_a_key(word: &str) -> bool {
    let has_digit = || word.bytes().any(|byte| byte.is_ascii_digit());
    let is_one_word = || word.bytes().all(|byte| byte.is_ascii_graphic());
    word.len() >= KEY_LEAST && has_digit() && is_one_word() && Uuid::try_parse(word).is_err()
}

/// serde says it in a sentence; the names in it are between backticks, the wrong one first. `more` are names that serde does
/// not know of.
fn explained(path: &str, sentence: &str, more: &[String]) -> Problem {
    let parent = if path == "." { "" } else { path };
    let sentence = &without_type(sentence);
    let within = |name: &str| match parent.strip_suffix(name).map(|rest| rest.trim_end_matches('.')) {
        // The path may already end in the field at fault.
        Some(rest) if rest.len() < parent.len() => format!("{rest}{}{name}", if rest.is_empty() { "" } else { "." }),
        _ if parent.is_empty() => name.to_string(),
        _ => format!("{parent}.{name}"),
    };
    let mut names = sentence.split('`').skip(1).step_by(2);
    match names.next() {
        Some(unknown) if sentence.starts_with("unknown field") => {
            let more = more.iter().map(String::as_str).filter(|_| within(unknown) == unknown);
            let known: Vec<&str> = names.chain(more).collect();
            let problem = Problem::field(within(unknown), format!("there is no field `{unknown}` here"));
            match (nearest(unknown, known.iter().copied()), known.is_empty()) {
                (Some(near), _) => problem.with_remedy(format!("did you mean `{near}`?")),
                (None, false) => problem.with_remedy(format!("there are {}", known.join(", "))),
                (None, true) => problem.with_remedy("leave it out"),
            }
        }
        Some(missing) if sentence.starts_with("missing field") => {
            Problem::field(within(missing), format!("`{missing}` is missing"))
        }
        _ if parent.is_empty() => Problem::body(sentence),
        _ => Problem::field(parent, format!("`{parent}`: {sentence}")),
    }
}

/// What a type of ours is called is nobody's matter.
fn without_type(sentence: &str) -> String {
    match sentence.split_once("expected struct ") {
        Some((before, rest)) => {
            let behind = rest.trim_start_matches(|letter: char| letter.is_alphanumeric());
            format!("{before}expected an object{behind}")
        }
        None => sentence.to_string(),
    }
}

/// The pairs of a query, of which `limit` and `cursor` belong to pages.
pub(super) fn query<Q: DeserializeOwned>(pairs: &[(String, String)]) -> Result<Q, Problem> {
    let text = serde_urlencoded::to_string(pairs).map_err(|error| Problem::of(Fault::Query, error.to_string()))?;
    let reader = serde_urlencoded::Deserializer::new(form_urlencoded::parse(text.as_bytes()));
    serde_path_to_error::deserialize(reader).map_err(|error| {
        let path = error.path().to_string();
        wrong_field(&path, &error.into_inner().to_string(), &[]).in_query()
    })
}

/// A query as its pairs.
pub(super) fn pairs(query: Option<&str>) -> Result<Vec<(String, String)>, Problem> {
    serde_urlencoded::from_str(query.unwrap_or_default()).map_err(|error| Problem::of(Fault::Query, error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq, ToSchema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Made {
        name: String,
        #[serde(default)]
        limits: Limits,
    }

    #[derive(Debug, Default, Deserialize, PartialEq, ToSchema)]
    #[serde(rename_all = "camelCase", default, deny_unknown_fields)]
    struct Limits {
        parallel: Option<u32>,
    }

    #[track_caller]
    fn refused(text: &str) -> Problem {
        Json::<Made>::read(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn an_unknown_field_is_named_with_its_nearest_neighbour_wherever_it_stands() {
        let problem = refused(r#"{"nmae": "x"}"#);
        assert_eq!((problem.status, problem.code, problem.field.as_deref()), (400, "field_invalid", Some("nmae")));
        assert_eq!(problem.remedy.as_deref(), Some("did you mean `name`?"));
        let problem = refused(r#"{"name": "x", "limits": {"paralel": 1}}"#);
        assert_eq!(problem.field.as_deref(), Some("limits.paralel"));
        assert_eq!(problem.remedy.as_deref(), Some("did you mean `parallel`?"));
        assert_eq!(refused(r#"{"zzzzzzzz": 1}"#).remedy.as_deref(), Some("there are name, limits"));
    }

    #[test]
    fn a_key_in_the_wrong_place_is_not_said_back() {
        for body in [
            r#"{"sk-12345-abcdefgh": 1}"#,
            r#"{"name": "x", "limits": {"sk-12345-abcdefgh": 1}}"#,
            r#"{"name": "x", "limits": {"parallel": "sk-12345-abcdefgh"}}"#,
            r#"{"name": "x", "limits": "sk-12345-abcdefgh"}"#,
        ] {
            let problem = refused(body);
            assert!(problem.detail.contains('…') && !format!("{problem:?}").contains("12345"), "{problem:?}");
        }
    }

    #[test]
    fn a_new_thing_is_read_from_what_its_making_says_and_what_a_change_says() {
        #[derive(Debug, Deserialize, ToSchema)]
        struct Head {
            kind: String,
        }
        let read = |text: &str| New::<Head, Limits>::read(text.as_bytes());
        let new = read(r#"{"kind": "custom", "parallel": 3}"#).unwrap();
        assert_eq!((new.head.kind.as_str(), new.change.parallel), ("custom", Some(3)));
        assert_eq!(read(r#"{"parallel": 3}"#).unwrap_err().field.as_deref(), Some("kind"));
        let problem = read(r#"{"knd": "custom"}"#).unwrap_err();
        assert_eq!((problem.field.as_deref(), problem.remedy.as_deref()), (Some("knd"), Some("did you mean `kind`?")));
        assert_eq!(read("[]").unwrap_err().field, None);
    }

    #[test]
    fn a_missing_field_and_one_of_another_type_are_named() {
        assert_eq!(refused("{}").field.as_deref(), Some("name"));
        assert_eq!(refused("").field.as_deref(), Some("name"));
        let problem = refused(r#"{"name": "x", "limits": {"parallel": "many"}}"#);
        assert_eq!(problem.field.as_deref(), Some("limits.parallel"));
        assert_eq!(refused(r#"{"name": 1}"#).field.as_deref(), Some("name"));
        assert_eq!(refused(r#"{"name": "x", "limits": [1]}"#).field.as_deref(), Some("limits"));
        let problem = refused(r#"["x"]"#);
        assert_eq!(
            (problem.field.as_deref(), problem.detail.as_str()),
            (None, "invalid type: sequence, expected an object")
        );
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_place() {
        for (text, place) in [("{\"name\": \"x\",\n}", "line 2, column 1"), (r#"{"name": "x"} 1"#, "line 1, column 15")]
        {
            let problem = refused(text);
            assert_eq!((problem.status, problem.code), (400, "body_invalid"));
            assert!(problem.detail.contains(place), "{}", problem.detail);
        }
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Filter {
        enabled_only: Option<bool>,
    }

    #[test]
    fn a_query_is_held_to_the_same_rules() {
        let read = |text: &str| query::<Filter>(&pairs(Some(text)).unwrap());
        assert_eq!(read("enabledOnly=true").unwrap(), Filter { enabled_only: Some(true) });
        assert_eq!(read("").unwrap(), Filter { enabled_only: None });
        let problem = read("enabledonly=true").unwrap_err();
        assert_eq!((problem.code, problem.field.as_deref()), ("query_invalid", Some("enabledonly")));
        assert_eq!(problem.remedy.as_deref(), Some("did you mean `enabledOnly`?"));
        assert_eq!(read("enabledOnly=maybe").unwrap_err().field.as_deref(), Some("enabledOnly"));
    }
}
