//! What json promises, by example and over generated input.

use std::ops::Range;

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
fn only_what_is_a_whole_number_from_zero_on_is_one() {
    let read = |json: &str| Reader::new(json.as_bytes()).unsigned().unwrap();
    for (json, number) in [("0", 0), ("12", 12), ("12.0", 12), ("7.00", 7), ("18446744073709551615", u64::MAX)] {
        assert_eq!(read(json), Some(number), "{json}");
    }
    for json in ["-1", "-0.0", "1.5", "1.05", "1e2", "1.0e2", "18446744073709551616", "\"7\"", "true", "null", "[1]"] {
        assert_eq!(read(json), None, "{json}");
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

/// Reads a string byte by byte, as the grammar says it: where its inside stands and whether escapes are in it.
fn slowly(json: &[u8]) -> Option<(Range<usize>, bool)> {
    let (mut at, mut escaped) = (1, false);
    while json.get(at)? != &b'"' {
        at += match json[at] {
            b'\\' => {
                escaped = true;
                match json.get(at + 1)? {
                    b'u' if json.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit) => 6,
                    byte if b"\"\\/bfnrt".contains(byte) => 2,
                    _ => return None,
                }
            }
            0..0x20 => return None,
            _ => 1,
        };
    }
    std::str::from_utf8(&json[1..at]).is_ok().then_some((1..at, escaped))
}

fn check_string(json: &[u8]) {
    let read = Reader::new(json).string().ok();
    let expected = slowly(json).map(|(inside, escaped)| (&json[inside], escaped));
    assert_eq!(read.map(|text| (text.raw, text.escaped)), expected, "{}", json.escape_ascii());
}

/// What makes or breaks a string, beside plain text.
const TELLING: [&[u8]; 24] = [
    b"\"",
    b"\\",
    b"\\\"",
    b"\\\\",
    b"\\\\\"",
    b"\\/",
    b"\\n",
    b"\\x",
    b"\\u00e9",
    b"\\uABCD",
    b"\\u00g9",
    b"\\u12",
    b"\\ud83d\\ude00",
    b"\0",
    b"\x1f",
    b" ",
    b"\x7f",
    "é".as_bytes(),
    "€".as_bytes(),
    "😀".as_bytes(),
    b"\x80",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xff",
];

#[test]
fn whatever_stands_at_any_place_of_a_string_is_judged_as_byte_by_byte() {
    for telling in TELLING {
        for before in 0..140 {
            for behind in [0, 1, 2, 70] {
                let fill = |bytes: usize| b"a".repeat(bytes);
                let json = [b"\"".as_slice(), &fill(before), telling, &fill(behind), b"\"", &fill(70)].concat();
                check_string(&json);
                check_string(&json[..json.len() - 70]);
            }
        }
    }
}

#[test]
fn a_run_of_backslashes_of_any_length_at_any_place_escapes_every_second_byte() {
    for before in 0..70 {
        for run in 0..140 {
            let json = ["\"", &"a".repeat(before), &"\\".repeat(run), "\",\"", &"\\".repeat(70), "\""].concat();
            check_string(json.as_bytes());
        }
    }
}

#[test]
fn what_stands_behind_a_string_is_not_looked_at() {
    for length in 0..140 {
        let plain = "a".repeat(length);
        for behind in [b"\0\x1f".as_slice(), b"\xff\x80", b"\\x\\u", b"\\\\\\\"", b"\"\"\""] {
            for more in [0, 70] {
                let json = [b"\"", plain.as_bytes(), b"\"", behind, &b" ".repeat(more)].concat();
                let text = Reader::new(&json).string().unwrap();
                assert_eq!((text.raw, text.escaped), (plain.as_bytes(), false), "{}", json.escape_ascii());
            }
        }
    }
}

#[test]
fn long_texts_are_judged_as_byte_by_byte_wherever_a_letter_falls() {
    let letters = ["a", "é", "€", "😀"];
    let broken: [&[u8]; 6] = [b"\x80", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xf5", b"\x80\x80\x80\x80\x80"];
    for (letter, shift) in letters.into_iter().flat_map(|letter| (0..4).map(move |shift| (letter, shift))) {
        let plain = "a".repeat(shift) + &letter.repeat(40_000 / letter.len());
        check_string(format!("\"{plain}\"").as_bytes());
        for at in [1, 16_380, 16_383, 16_384, 16_385, 16_448, 32_770, 39_990] {
            for broken in broken {
                let mut json = format!("\"{plain}\"").into_bytes();
                json.splice(at..at, broken.iter().copied());
                check_string(&json);
            }
        }
    }
}

#[test]
fn a_string_cut_at_any_byte_is_none() {
    let json = format!(r#""{}\\\u00e9\"{}\\{}😀""#, "é".repeat(20), "a".repeat(61), "b".repeat(62)).into_bytes();
    assert!(Reader::new(&json).string().is_ok());
    for cut in 0..json.len() {
        assert!(Reader::new(&json[..cut]).string().is_err(), "{cut}");
    }
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
    fn strings_of_any_make_are_judged_as_byte_by_byte(
        pieces in proptest::collection::vec((0..TELLING.len(), 0..70usize), 0..12),
    ) {
        let piece = |(telling, fill): (usize, usize)| [TELLING[telling], &b"a".repeat(fill)].concat();
        let inside: Vec<u8> = pieces.into_iter().flat_map(piece).collect();
        check_string(&[b"\"", inside.as_slice(), b"\""].concat());
    }

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
