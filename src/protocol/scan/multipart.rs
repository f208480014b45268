//! Reads a form with files and finds the field that names the model. Bytes and content type in, its place out.
//!
//! Pure and strict: what two readers of forms could read in two ways is refused, for the provider reads it once more.
//! Files are passed over, not looked at.

use std::ops::Range;

use bytes::Bytes;
use http::HeaderValue;
use memchr::memmem;

use super::fault_of_model;
use crate::domain::refusal::Refusal;
use crate::protocol::splice::Edit;

/// The operations that take forms have some dozen fields; image edits take up to sixteen files.
const PARTS_LIMIT: usize = 64;

/// A part's head names a field and perhaps a file.
const HEAD_LIMIT_BYTES: usize = 8 * 1024;

/// Is the form here altogether?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    Whole,
    Beginning,
}

/// The text of the field `model` and where it stands, wherever in the form that is.
pub fn multipart(body: &[u8], content_type: &HeaderValue) -> Result<Option<(String, Range<usize>)>, Refusal> {
    form(body, content_type, Extent::Whole)
}

/// The same of a form of which only the beginning is here: fields that it does not show whole are not looked at.
pub fn beginning(body: &[u8], content_type: &HeaderValue) -> Result<Option<(String, Range<usize>)>, Refusal> {
    form(body, content_type, Extent::Beginning)
}

fn form(body: &[u8], content_type: &HeaderValue, extent: Extent) -> Result<Option<(String, Range<usize>)>, Refusal> {
    let delimiter = delimiter(content_type)?;
    let mut model = None;
    each_part(body, &delimiter, extent, |head, content| {
        let part = Part::read(&body[head.clone()]).map_err(|what| Refusal::BodyInvalid { what, at: head.start })?;
        part.check()?;
        if part.name != b"model" {
            return Ok(());
        }
        if model.is_some() {
            return Err(Refusal::FieldInvalid { field: "model", why: "it stands twice" });
        }
        let text = part.model(&body[content.clone()]);
        let text = text.map_err(|why| Refusal::FieldInvalid { field: "model", why })?;
        model = Some((text, content));
        Ok(())
    })?;
    Ok(model)
}

/// What makes a scanned form name this model: its field changed, or put in where there was none.
pub fn model_edit(
    body: &[u8],
    content_type: &HeaderValue,
    found: Option<&(String, Range<usize>)>,
    model: &str,
) -> Option<Edit> {
    match found {
        Some((asked, _)) if asked == model => None,
        Some((_, at)) => Some(Edit { at: at.clone(), with: Bytes::copy_from_slice(model.as_bytes()) }),
        None => {
            let delimiter = delimiter(content_type).ok()?;
            let head = b"\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n";
            let at = memmem::find(body, &delimiter)?;
            Some(Edit::insert(at, [&delimiter, head.as_slice(), model.as_bytes(), b"\r\n"].concat()))
        }
    }
}

/// Two hyphens and the boundary that the content type names.
fn delimiter(content_type: &HeaderValue) -> Result<Vec<u8>, Refusal> {
    let refused = |why| Refusal::HeaderInvalid { header: "content-type", why };
    let (_, rest) = split_at_semicolon(content_type.as_bytes());
    let mut boundary = None;
    parameters(rest, |name, value| {
        if name.eq_ignore_ascii_case(b"boundary") && boundary.replace(value).is_some() {
            return Err("it names two boundaries");
        }
        Ok(())
    })
    .map_err(refused)?;
    let boundary = boundary.ok_or_else(|| refused("it names no boundary"))?;
    let is_boundary = |byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(byte);
    if !(1..=70).contains(&boundary.len()) || !boundary.iter().all(is_boundary) || boundary.ends_with(b" ") {
        return Err(refused("its boundary is not one"));
    }
    Ok([b"--", boundary].concat())
}

/// Gives each part's head and content by their ranges.
fn each_part(
    body: &[u8],
    delimiter: &[u8],
    extent: Extent,
    mut each: impl FnMut(Range<usize>, Range<usize>) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let fault = |what, at| Refusal::BodyInvalid { what, at };
    let between = memmem::Finder::new(delimiter);
    let mut at = if body.starts_with(b"\r\n") { 2 } else { 0 };
    if !body[at..].starts_with(delimiter) {
        return Err(fault("the form does not begin with its boundary", at));
    }
    at += delimiter.len();
    for _ in 0..=PARTS_LIMIT {
        let rest = &body[at..];
        if let Some(end) = rest.strip_prefix(b"--") {
            return if matches!(end, b"" | b"\r\n") {
                Ok(())
            } else {
                Err(fault("something follows the form's end", at))
            };
        }
        if rest.len() < 2 && extent == Extent::Beginning {
            return Ok(());
        }
        if !rest.starts_with(b"\r\n") {
            return Err(fault("a boundary does not end its line", at));
        }
        let head = at + 2;
        // What a beginning does not show whole is looked at no further.
        let is_cut = |found: bool| !found && extent == Extent::Beginning;
        let room = &body[head..body.len().min(head + HEAD_LIMIT_BYTES)];
        let length = memmem::find(room, b"\r\n\r\n");
        if is_cut(length.is_some() || room.len() >= HEAD_LIMIT_BYTES) {
            return Ok(());
        }
        let length = length.ok_or_else(|| fault("a part's head has no end", head))?;
        let content = head + length + 4;
        let next = next_delimiter(body, &between, content);
        if is_cut(next.is_some()) {
            return Ok(());
        }
        let next = next.ok_or_else(|| fault("the form has no end", content))?;
        each(head..head + length, content..next)?;
        at = next + 2 + delimiter.len();
    }
    Err(fault("the form has more than 64 parts", at))
}

/// Where the line end before the next delimiter stands.
fn next_delimiter(body: &[u8], between: &memmem::Finder<'_>, from: usize) -> Option<usize> {
    let mut found = between.find_iter(&body[from..]).map(|at| from + at);
    found.find(|at| *at >= from + 2 && body[..*at].ends_with(b"\r\n")).map(|at| at - 2)
}

/// What a part's head says.
#[derive(Debug, Default)]
struct Part<'a> {
    name: &'a [u8],
    is_file: bool,
    is_coded: bool,
}

impl<'a> Part<'a> {
    fn read(head: &'a [u8]) -> Result<Self, &'static str> {
        let mut part = Part::default();
        let mut named = false;
        if memchr::memchr_iter(b'\n', head).any(|at| at == 0 || head[at - 1] != b'\r') {
            return Err("a line of a part's head is folded or not a line");
        }
        for line in head.split(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.iter().any(|byte| *byte < b' ' && *byte != b'\t')
                || line.starts_with(b" ")
                || line.starts_with(b"\t")
            {
                return Err("a line of a part's head is folded or not a line");
            }
            let colon = line.iter().position(|byte| *byte == b':').ok_or("a line of a part's head has no colon")?;
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if name.eq_ignore_ascii_case(b"content-disposition") {
                if std::mem::replace(&mut named, true) {
                    return Err("a part is named twice");
                }
                part.disposition(value)?;
            } else if name.eq_ignore_ascii_case(b"content-transfer-encoding") {
                part.is_coded =
                    ![&b"binary"[..], b"8bit", b"7bit"].iter().any(|plain| value.eq_ignore_ascii_case(plain));
            }
        }
        if named { Ok(part) } else { Err("a part has no name") }
    }

    fn disposition(&mut self, value: &'a [u8]) -> Result<(), &'static str> {
        let (kind, rest) = split_at_semicolon(value);
        if !kind.eq_ignore_ascii_case(b"form-data") {
            return Err("a part is no form data");
        }
        let mut name = None;
        parameters(rest, |key, value| {
            if key.eq_ignore_ascii_case(b"name") && name.replace(value).is_some() {
                return Err("a part is named twice");
            }
            if key.eq_ignore_ascii_case(b"name*") {
                return Err("a part's name is coded");
            }
            self.is_file |= key.eq_ignore_ascii_case(b"filename") || key.eq_ignore_ascii_case(b"filename*");
            Ok(())
        })?;
        self.name = name.ok_or("a part has no name")?;
        if self.name.contains(&b'\\') { Err("a part's name is escaped") } else { Ok(()) }
    }

    /// Where a call goes is no more a form's to say than a JSON body's.
    fn check(&self) -> Result<(), Refusal> {
        const DENIED: [&str; 4] = ["api_base", "base_url", "api_key", "custom_llm_provider"];
        match DENIED.into_iter().find(|denied| denied.as_bytes() == self.name) {
            Some(denied) => Err(Refusal::FieldDenied(denied)),
            None => Ok(()),
        }
    }

    fn model(&self, content: &[u8]) -> Result<String, &'static str> {
        if self.is_file || self.is_coded {
            return Err("it is a file or coded");
        }
        let text = std::str::from_utf8(content).map_err(|_| "it is not UTF-8")?;
        fault_of_model(text).map_or_else(|| Ok(text.to_string()), Err)
    }
}

fn split_at_semicolon(value: &[u8]) -> (&[u8], &[u8]) {
    let at = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
    (value[..at].trim_ascii(), value.get(at + 1..).unwrap_or_default())
}

/// Gives each `name=value`; a quoted value without its quotes, escapes as they stand.
fn parameters<'a>(
    text: &'a [u8],
    mut each: impl FnMut(&'a [u8], &'a [u8]) -> Result<(), &'static str>,
) -> Result<(), &'static str> {
    let mut rest = text.trim_ascii();
    while !rest.is_empty() {
        let equals = rest.iter().position(|byte| *byte == b'=').ok_or("a parameter has no value")?;
        let (name, behind) = (rest[..equals].trim_ascii(), rest[equals + 1..].trim_ascii_start());
        let (value, behind) = match behind.strip_prefix(b"\"") {
            Some(quoted) => {
                let end = end_of_quoted(quoted).ok_or("a quoted value has no end")?;
                (&quoted[..end], quoted[end + 1..].trim_ascii_start())
            }
            None => {
                let end = behind.iter().position(|byte| *byte == b';').unwrap_or(behind.len());
                (behind[..end].trim_ascii_end(), &behind[end..])
            }
        };
        each(name, value)?;
        rest = match behind.strip_prefix(b";") {
            Some(next) => next.trim_ascii_start(),
            None if behind.is_empty() => behind,
            None => return Err("something follows a quoted value"),
        };
    }
    Ok(())
}

fn end_of_quoted(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::splice::apply;
    use proptest::prelude::*;

    const TYPE: HeaderValue = HeaderValue::from_static("multipart/form-data; boundary=\"b-1\"");
    const FILE: &str = "Content-Disposition: form-data; name=\"file\"; filename=\"a;\\\"b.mp3\"\r\nContent-Type: audio/mpeg\r\n\r\nname=\"model\"\r\n--b-2\r\n";
    const MODEL: &str = "content-disposition: form-data; name=\"model\"\r\n\r\nwhisper-1";

    fn form(parts: &[&str]) -> String {
        let parts: String = parts.iter().map(|part| format!("--b-1\r\n{part}\r\n")).collect();
        format!("{parts}--b-1--\r\n")
    }

    fn fault(body: &str) -> String {
        multipart(body.as_bytes(), &TYPE).unwrap_err().to_string()
    }

    #[test]
    fn the_model_is_found_wherever_it_stands() {
        for parts in [[MODEL, FILE], [FILE, MODEL]] {
            let body = form(&parts);
            let (text, at) = multipart(body.as_bytes(), &TYPE).unwrap().unwrap();
            assert_eq!((text.as_str(), &body[at]), ("whisper-1", "whisper-1"));
        }
        assert_eq!(multipart(form(&[FILE]).as_bytes(), &TYPE).unwrap(), None);
        assert_eq!(multipart(b"--b-1--", &TYPE).unwrap(), None);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let part = |head: &str| form(&[&format!("{head}\r\n\r\nx")]);
        for (body, what) in [
            (form(&[MODEL, MODEL]), "it stands twice"),
            (part("Content-Disposition: form-data; name=\"model\"; name=\"x\""), "named twice"),
            (part("Content-Disposition: form-data; name*=utf-8''model"), "coded"),
            (part("Content-Disposition: form-data; name=\"mod\\el\""), "escaped"),
            (part("Content-Disposition: form-data; name=\"model\"; filename=\"x\""), "a file or coded"),
            (
                part("Content-Disposition: form-data; name=\"model\"\r\nContent-Transfer-Encoding: base64"),
                "a file or coded",
            ),
            (part("Content-Disposition: form-data; name=\"x\"\r\n ;name=\"model\""), "folded"),
            (part("Content-Disposition: form-data; name=\"x\"\nX: y"), "not a line"),
            (part("Content-Type: text/plain"), "no name"),
            (part("Content-Disposition: form-data; name=\"api_base\""), "configuration"),
            (form(&[&MODEL.replace("whisper-1", "a\nb")]), "control characters"),
            (form(&[MODEL]).replace("--b-1--", ""), "the form has no end"),
            (form(&[MODEL]).replace("--b-1--\r\n", "--b-1--\r\n--b-1"), "something follows"),
            (form(&[MODEL]).replacen("--b-1\r\n", "--b-1 \r\n", 1), "does not end its line"),
            (format!("preamble\r\n{}", form(&[MODEL])), "does not begin"),
            (form(&[FILE; 65]), "more than 64 parts"),
        ] {
            let said = fault(&body);
            assert!(said.contains(what), "{what}: {said}");
        }
    }

    #[test]
    fn a_boundary_is_one_short_plain_word() {
        for kind in [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=a; boundary=b",
            "multipart/form-data; boundary=\"a",
            "multipart/form-data; boundary=a{b",
            "multipart/form-data; boundary=\"a \"",
        ] {
            assert!(multipart(b"--a--", &kind.parse().unwrap()).is_err(), "{kind}");
        }
        let long = format!("multipart/form-data; boundary={}", "a".repeat(71));
        assert!(multipart(b"--a--", &long.parse().unwrap()).is_err());
        assert!(multipart(b"--a--", &"multipart/form-data;charset=x;Boundary=a".parse().unwrap()).is_ok());
    }

    #[test]
    fn the_model_is_changed_or_put_in() {
        for parts in [&[FILE, MODEL][..], &[FILE]] {
            let body = form(parts);
            let found = multipart(body.as_bytes(), &TYPE).unwrap();
            let edit = model_edit(body.as_bytes(), &TYPE, found.as_ref(), "other").unwrap();
            let after: Vec<u8> = apply(&Bytes::from(body), &[edit]).into_iter().flatten().collect();
            let (model, at) = multipart(&after, &TYPE).unwrap().unwrap();
            assert_eq!(model, "other");
            assert_eq!(model_edit(&after, &TYPE, Some(&(model, at)), "other"), None);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in any::<Vec<u8>>(), kind in "[ -~]{0,30}", inside in "[a-z\"\\\\;:=*\r\n-]{0,60}") {
            let _ = multipart(&body, &TYPE);
            let _ = multipart(b"--b", &format!("multipart/form-data;{kind}").parse().unwrap());
            let _ = multipart(format!("--b-1\r\n{inside}\r\n\r\nx\r\n--b-1--").as_bytes(), &TYPE);
            let _ = multipart(format!("--b-1\r\nContent-Disposition: form-data; {inside}\r\n\r\nx\r\n--b-1--").as_bytes(), &TYPE);
            let _ = model_edit(&body, &TYPE, None, "m");
        }
    }
}
