//! `docs/protocols.md` says of every field which protocol can say it, as the code has it.
//!
//! `KEYWAY_REWRITE_GOLDEN=1` writes its table anew.

use std::{env, fs};

use keyway::domain::protocol::Protocol;
use keyway::protocol::hub::field::Field;

const PAGE: &str = "docs/protocols.md";
const BEGIN: &str = "<!-- the table: written by a test from the code -->\n";
const END: &str = "<!-- the table's end -->\n";
const COLUMNS: [Protocol; 5] =
    [Protocol::Chat, Protocol::Responses, Protocol::Messages, Protocol::Gemini, Protocol::Bedrock];

fn table() -> String {
    let mut table = "\n| | chat | responses | messages | gemini | bedrock | where it can't be said |\n\
                     |---|---|---|---|---|---|---|\n"
        .to_string();
    for field in Field::ALL {
        table.push_str(&format!("| {} |", words(field)));
        for protocol in COLUMNS {
            match field.name(protocol) {
                Some(name) => table.push_str(&format!(" `{name}` |")),
                None => table.push_str(" – |"),
            }
        }
        table.push_str(if field.changes_meaning() { " refused |\n" } else { " dropped |\n" });
    }
    table.push('\n');
    table
}

/// `ParallelToolCalls` as `parallel tool calls`.
fn words(field: Field) -> String {
    let mut words = String::new();
    for (at, letter) in format!("{field:?}").char_indices() {
        if letter.is_uppercase() && at > 0 {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

#[test]
fn the_page_on_protocols_has_the_codes_own_table() {
    let page = fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (written, behind) = rest.split_once(END).unwrap();
    if env::var_os("KEYWAY_REWRITE_GOLDEN").is_some() {
        fs::write(PAGE, [before, BEGIN, &table(), END, behind].concat()).unwrap();
    } else {
        assert_eq!(written, table());
    }
}
