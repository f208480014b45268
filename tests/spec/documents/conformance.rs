//! `docs/conformance.md` against the repository: no row is missing, and what a row names is there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// How many rows each part has.
const PARTS: [(&str, usize); 6] = [("S0.", 42), ("S1.", 21), ("S2.", 22), ("S3.", 47), ("S4.", 128), ("C", 22)];

/// What is still to come, and a row may therefore name in place of a test.
const LATER: [&str; 3] = ["cost", "console", "importers"];

struct Line {
    promises: String,
    file: String,
    test: String,
}

/// The tables' lines by their numbers.
fn table() -> BTreeMap<String, Line> {
    let text = fs::read_to_string("docs/conformance.md").unwrap();
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| S") || line.starts_with("| C")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [row, promises, file, test] = cells[..] else { panic!("{line}") };
        let plain = |cell: &str| cell.trim_matches('`').to_string();
        let line = Line { promises: promises.to_string(), file: plain(file), test: plain(test) };
        assert!(found.insert(row.to_string(), line).is_none(), "{row} stands twice");
    }
    found
}

/// Why a line is wrong, if it is.
fn fault(line: &Line) -> Option<String> {
    if line.promises.is_empty() {
        return Some("promises nothing".into());
    }
    if let Some(what) = line.test.strip_prefix("later: ") {
        return (!LATER.contains(&what)).then(|| format!("`{what}` is nothing that is still to come"));
    }
    if !Path::new(&line.file).is_file() {
        return Some(format!("there is no file `{}`", line.file));
    }
    let Some((path, name)) = line.test.split_once("::") else { return Some(format!("`{}` is no test", line.test)) };
    let source = fs::read_to_string(path).unwrap_or_default();
    let before = source.split_once(&format!("fn {name}(")).map(|(before, _)| before);
    match before.is_some_and(is_marked) {
        true => None,
        false => Some(format!("there is no test `{}`", line.test)),
    }
}

/// Does the source end in a test's attribute, with nothing but `async` behind it?
fn is_marked(before: &str) -> bool {
    let above = before.trim_end_matches("async ").trim_end();
    let last = above.lines().last().unwrap_or_default().trim();
    last.starts_with("#[test") || last.starts_with("#[tokio::test")
}

#[test]
fn every_row_names_a_file_and_a_test_that_are_there() {
    let table = table();
    let mut wrong = Vec::new();
    for (row, line) in &table {
        wrong.extend(fault(line).map(|why| format!("{row}: {why}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let all = PARTS.into_iter().flat_map(|(part, count)| (1..=count).map(move |number| format!("{part}{number}")));
    let missing: Vec<String> = all.filter(|row| !table.contains_key(row)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(table.len(), PARTS.iter().map(|(_, count)| count).sum::<usize>(), "a row that no part has");
}

#[test]
fn a_row_that_names_nothing_is_found() {
    let line = |file: &str, test: &str| Line { promises: "x".into(), file: file.into(), test: test.into() };
    let here = "tests/spec/documents/conformance.rs";
    let good = format!("{here}::a_row_that_names_nothing_is_found");
    assert_eq!(fault(&line(here, &good)), None);
    assert_eq!(fault(&line("", "later: cost")), None);
    for (file, test) in [
        ("src/gone.rs", good.clone()),
        (here, format!("{here}::there_is_none_of_this_name")),
        // A function that is no test.
        (here, format!("{here}::fault")),
        (here, "a_test".into()),
        ("", "later: perhaps".into()),
    ] {
        assert!(fault(&line(file, &test)).is_some(), "{file} {test}");
    }
}
