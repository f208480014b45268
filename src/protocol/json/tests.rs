//! What json promises, by example and over generated input.

use super::*;
use proptest::prelude::*;
use serde::de::IgnoredAny;

fn is_valid(bytes: &[u8]) -> bool {
    let mut reader = Reader::new(bytes);
    reader.space();
    reader.skip().and_then(|()| reader.end()).is_ok()
}

fn text(json: &str) -> Option<String> {
    Reader::new(json.as_bytes()).string().unwrap().decode()
}

#[test]
fn a_flaw_names_the_byte_where_the_grammar_was_left() {
    for (json, at) in
        [(r#"{"a":1,}"#, 7), (r#"{"a" 1}"#, 5), ("[1 2]", 3), ("\"a\u{1}\"", 2), (r#""\x""#, 1), ("01", 1)]
    {
        let mut reader = Reader::new(json.as_bytes());
        let flaw = reader.skip().and_then(|()| reader.end()).unwrap_err();
        assert_eq!(flaw.at, at, "{json}: {}", flaw.what);
    }
}

#[test]
fn nesting_ends_at_sixty_four() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(is_valid(nested(64).as_bytes()));
    assert!(!is_valid(nested(65).as_bytes()));
    assert!(!is_valid("[".repeat(1_000_000).as_bytes()));
}

#[test]
fn escapes_are_decoded_and_half_a_surrogate_pair_is_none() {
    assert_eq!(text(r#""a\u0062\n\"\ud83d\ude00""#).as_deref(), Some("ab\n\"😀"));
    assert_eq!(text(r#""\ud83d""#), None);
    assert_eq!(text(r#""\ude00x""#), None);
    assert_eq!(text(r#""\ud83dabcdef""#), None);
}

#[test]
fn a_stop_is_found_at_every_place_of_a_long_string() {
    for length in 0..300 {
        let plain = "é".repeat(length / 2) + &"a".repeat(length % 2);
        let json = format!("\"{plain}\"");
        assert_eq!(text(&json), Some(plain.clone()), "{length}");
        let broken = format!("\"{plain}\u{2}\"");
        assert_eq!(Reader::new(broken.as_bytes()).string().unwrap_err().at, plain.len() + 1);
    }
}

#[test]
fn bytes_that_are_not_utf_8_are_found_wherever_they_stand() {
    for length in 0..200 {
        let mut json = b"\"".to_vec();
        json.resize(length + 1, b'a');
        json.push(0xff);
        json.extend(b"bcd\"");
        assert_eq!(Reader::new(&json).string().unwrap_err().at, length + 1);
    }
}

proptest! {
    #[test]
    fn what_we_take_is_what_a_known_parser_takes(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let theirs = std::str::from_utf8(&bytes).is_ok() && serde_json::from_slice::<IgnoredAny>(&bytes).is_ok();
        prop_assert_eq!(is_valid(&bytes), theirs);
    }

    #[test]
    fn what_looks_like_json_is_judged_as_a_known_parser_judges_it(text in r#"[\[\]{}:,"\\u0-9a-e+.\-trufalsn \n\x01é]{0,24}"#) {
        prop_assert_eq!(is_valid(text.as_bytes()), serde_json::from_str::<IgnoredAny>(&text).is_ok());
    }

    #[test]
    fn a_text_written_is_the_text_read(text in any::<String>()) {
        let mut json = b"\"".to_vec();
        escape_into(&mut json, &text);
        json.push(b'"');
        prop_assert_eq!(Reader::new(&json).string().unwrap().decode(), Some(text));
    }
}
