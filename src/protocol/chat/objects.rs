//! Files, batches and stored responses as their answers describe them, and lists of them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::refusal::written;

/// Providers' ids are some 30 bytes long.
const ID_LIMIT_BYTES: usize = 512;

/// What an answer says of the object that it describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    pub id: String,
    /// A file's.
    pub purpose: Option<String>,
    /// The files that a batch has written.
    pub files: Vec<String>,
}

/// Reads a description; `None` for anything that has no id, or one that is none.
pub fn described(body: &[u8]) -> Option<Described> {
    #[derive(Deserialize)]
    struct Answer {
        id: String,
        purpose: Option<String>,
        output_file_id: Option<String>,
        error_file_id: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let files = [answer.output_file_id, answer.error_file_id];
    let files: Vec<String> = files.into_iter().flatten().filter(|id| is_id(id)).collect();
    Some(Described { id: answer.id, purpose: answer.purpose, files }).filter(|one| is_id(&one.id))
}

fn is_id(id: &str) -> bool {
    (1..=ID_LIMIT_BYTES).contains(&id.len())
}

/// Does an answer to a deletion say that it was done? A provider that says nothing else but 200 has done it.
pub fn is_deleted(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Answer {
        deleted: Option<bool>,
    }
    serde_json::from_slice(body).map_or(true, |answer: Answer| answer.deleted != Some(false))
}

/// One line of a list: as the provider last described it, else what we know ourselves.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    pub id: &'a str,
    pub object: &'static str,
    pub purpose: Option<&'a str>,
    pub created_at_s: i64,
    pub shown: Option<&'a [u8]>,
}

/// A page of a list.
pub fn page(lines: &[Line<'_>], has_more: bool) -> Bytes {
    #[derive(Serialize)]
    struct Known<'a> {
        id: &'a str,
        object: &'static str,
        created_at: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        purpose: Option<&'a str>,
    }
    #[derive(Serialize)]
    struct Rest<'a> {
        first_id: Option<&'a str>,
        last_id: Option<&'a str>,
        has_more: bool,
    }
    let mut out = br#"{"object":"list","data":["#.to_vec();
    for (place, line) in lines.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        let Line { id, object, purpose, created_at_s: created_at, shown } = *line;
        match shown {
            Some(shown) => out.extend_from_slice(shown),
            None => out.extend_from_slice(&written(&Known { id, object, created_at, purpose })),
        }
    }
    let (first_id, last_id) = (lines.first().map(|line| line.id), lines.last().map(|line| line.id));
    let rest = written(&Rest { first_id, last_id, has_more });
    out.extend_from_slice(b"],");
    // Behind its brace, which stands at the beginning already.
    out.extend_from_slice(&rest[1..]);
    out.into()
}

/// Which page of a list is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked<'a> {
    pub limit: Option<u32>,
    pub after: Option<&'a str>,
    pub oldest_first: bool,
    pub purpose: Option<&'a str>,
}

/// Reads a list's query; what it holds besides is left to whoever wrote it. The name of what is wrong, if something is.
pub fn asked(query: &str) -> Result<Asked<'_>, &'static str> {
    let mut asked = Asked::default();
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match name {
            "limit" => asked.limit = Some(value.parse().ok().filter(|limit| *limit > 0).ok_or("limit")?),
            "after" => asked.after = Some(value),
            "order" if value == "asc" || value == "desc" => asked.oldest_first = value == "asc",
            "order" => return Err("order"),
            "purpose" => asked.purpose = Some(value),
            _ => {}
        }
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_description_gives_its_id_its_purpose_and_the_files_that_came_of_it() {
        let batch = br#"{"id":"batch_1","object":"batch","input_file_id":"file-1","output_file_id":"file-2","error_file_id":null}"#;
        let read = described(batch).unwrap();
        assert_eq!((read.id.as_str(), read.purpose, read.files), ("batch_1", None, vec!["file-2".to_string()]));
        assert_eq!(described(br#"{"id":"file-1","purpose":"batch"}"#).unwrap().purpose.as_deref(), Some("batch"));
        for none in [&b"{}"[..], br#"{"id":7}"#, br#"{"id":""}"#, b"[]", b"", br#"{"id":"a""#] {
            assert_eq!(described(none), None);
        }
        assert_eq!(described(format!(r#"{{"id":"{}"}}"#, "x".repeat(513)).as_bytes()), None);
    }

    #[test]
    fn a_page_shows_what_the_provider_said_and_else_what_is_known() {
        let line = Line { id: "a", object: "file", purpose: Some("batch"), created_at_s: 5, shown: None };
        let lines = [Line { shown: Some(br#"{"id":"z","bytes":3}"#), id: "z", ..line }, line];
        let read: Value = serde_json::from_slice(&page(&lines, true)).unwrap();
        let data = json!([{"id": "z", "bytes": 3}, {"id": "a", "object": "file", "created_at": 5, "purpose": "batch"}]);
        let whole = json!({"object": "list", "data": data, "first_id": "z", "last_id": "a", "has_more": true});
        assert_eq!(read, whole);
        let read: Value = serde_json::from_slice(&page(&[], false)).unwrap();
        assert_eq!(read, json!({"object": "list", "data": [], "first_id": null, "last_id": null, "has_more": false}));
    }

    #[test]
    fn a_query_is_read_or_its_fault_is_named() {
        let all = Asked { limit: Some(2), after: Some("file-1"), oldest_first: true, purpose: Some("batch") };
        assert_eq!(asked("limit=2&after=file-1&order=asc&purpose=batch&x=1"), Ok(all));
        assert_eq!(asked(""), Ok(Asked::default()));
        assert_eq!((asked("limit=0"), asked("limit=x"), asked("order=up")), (Err("limit"), Err("limit"), Err("order")));
    }

    #[test]
    fn a_deletion_is_done_unless_it_says_otherwise() {
        assert!(is_deleted(br#"{"id":"a","deleted":true}"#) && is_deleted(b"") && is_deleted(b"{}"));
        assert!(!is_deleted(br#"{"id":"a","deleted":false}"#));
    }
}
