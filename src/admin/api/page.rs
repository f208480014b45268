//! Pages as clients ask for them and get them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::problem::{Fault, Problem};
use crate::directory::page::{PAGE_MAX, Page};

/// Takes `limit` and `cursor` out of a query's pairs.
pub(super) fn taken_from(pairs: &mut Vec<(String, String)>) -> Result<Page, Problem> {
    let mut page = Page::default();
    let mut wrong = None;
    pairs.retain(|(name, value)| {
        let read = match name.as_str() {
            "limit" => limit(value).map(|limit| page.limit = limit),
            "cursor" => after(value).map(|after| page.after = Some(after)),
            _ => return true,
        };
        wrong = wrong.take().or(read.err());
        false
    });
    wrong.map_or(Ok(page), Err)
}

fn limit(text: &str) -> Result<u32, Problem> {
    match text.parse() {
        Ok(limit @ 1..=PAGE_MAX) => Ok(limit),
        _ => Err(wrong("limit", format!("`limit` is a number from 1 to {PAGE_MAX}"))),
    }
}

/// Opaque to clients, so that what it is made of may change.
pub(super) fn cursor(last: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(last.as_bytes())
}

fn after(text: &str) -> Result<Uuid, Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let id = bytes.and_then(|bytes| Uuid::from_slice(&bytes).ok());
    id.ok_or_else(|| wrong("cursor", "the cursor is none of ours; take `nextCursor` as the page before gave it".into()))
}

fn wrong(field: &str, detail: String) -> Problem {
    Problem::of(Fault::Query, detail).with_field(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &[(&str, &str)]) -> Result<(Page, usize), Problem> {
        let mut pairs = query.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        taken_from(&mut pairs).map(|page| (page, pairs.len()))
    }

    #[test]
    fn a_cursor_leads_on_and_a_made_up_one_is_refused() {
        let last = Uuid::new_v4();
        let (page, left) = read(&[("limit", "200"), ("cursor", &cursor(last)), ("orgId", "x")]).unwrap();
        assert_eq!((page, left), (Page { after: Some(last), limit: 200 }, 1));
        for wrong in [("limit", "0"), ("limit", "201"), ("limit", "x"), ("cursor", "x"), ("cursor", "")] {
            assert_eq!(read(&[wrong]).unwrap_err().field.as_deref(), Some(wrong.0), "{wrong:?}");
        }
    }
}
