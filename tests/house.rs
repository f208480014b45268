//! The house: imports go down, rooms on one floor are strangers, and every room says what it is.
//!
//! The floors are read from the table in `src/lib.rs`, so that there is one place to change them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Room → floor, from the rows `| 5 | attempt, meter |`.
fn floors() -> BTreeMap<String, u32> {
    let map = fs::read_to_string("src/lib.rs").unwrap();
    let rows = map.lines().filter_map(|line| line.strip_prefix("//! | ")?.strip_suffix(" |")?.split_once(" | "));
    let numbered = rows.filter_map(|(floor, rooms)| Some((floor.parse::<u32>().ok()?, rooms)));
    numbered.flat_map(|(floor, rooms)| rooms.split(", ").map(move |room| (room.to_string(), floor))).collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

fn all_sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    sources(Path::new("src"), &mut found);
    found.sort();
    found
}

/// The room a file belongs to: the first part of its path below `src`.
fn room(path: &Path) -> String {
    let below = path.strip_prefix("src").unwrap();
    below.components().next().unwrap().as_os_str().to_string_lossy().trim_end_matches(".rs").to_string()
}

/// The rooms a source text names after `crate::`; main names them after `keyway::`.
fn named_rooms(text: &str, root: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (at, _) in text.match_indices(root) {
        let rest = &text[at + root.len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let inside = list.split(';').next().unwrap();
            rooms.extend(outer_names(inside));
        } else {
            rooms.push(rest.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect());
        }
    }
    rooms
}

/// The names at depth one of `a::{…}, b::C}`.
fn outer_names(list: &str) -> Vec<String> {
    let (mut depth, mut part, mut parts) = (0, String::new(), Vec::new());
    for letter in list.chars() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => parts.push(std::mem::take(&mut part)),
            _ if depth == 0 => part.push(letter),
            _ => {}
        }
    }
    parts.push(part);
    parts
        .iter()
        .map(|part| part.trim().split("::").next().unwrap().to_string())
        .filter(|part| !part.is_empty())
        .collect()
}

#[test]
fn every_room_stands_on_a_floor_and_every_floor_has_its_rooms() {
    let floors = floors();
    for path in all_sources().iter().filter(|path| path.file_name().unwrap() != "lib.rs") {
        assert!(floors.contains_key(&room(path)), "{} is on no floor of the table in src/lib.rs", path.display());
    }
    for name in floors.keys() {
        let exists = Path::new(&format!("src/{name}.rs")).exists() || Path::new(&format!("src/{name}/mod.rs")).exists();
        assert!(exists, "the table in src/lib.rs names a room that does not exist: {name}");
    }
}

#[test]
fn imports_go_down_and_rooms_on_one_floor_are_strangers() {
    let floors = floors();
    let mut wrong = Vec::new();
    for path in all_sources().iter().filter(|path| path.file_name().unwrap() != "lib.rs") {
        let (text, own) = (fs::read_to_string(path).unwrap(), room(path));
        let root = if own == "main" { "keyway::" } else { "crate::" };
        for other in named_rooms(&text, root).iter().filter(|other| **other != own) {
            if floors.get(other).is_none_or(|floor| *floor >= floors[&own]) {
                wrong.push(format!("{} (floor {}) names {other}", path.display(), floors[&own]));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_opens_by_saying_what_it_is() {
    for path in all_sources() {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//!"), "{} has no module doc", path.display());
    }
}

#[test]
fn only_the_proxy_orders_the_steps() {
    for path in all_sources().iter().filter(|path| !path.ends_with("proxy/mod.rs") && room(path) == "proxy") {
        let text = fs::read_to_string(path).unwrap();
        let calls = ["authenticate(", "resolve::resolve(", ".admit(", "attempts.run("];
        let step = calls.iter().find(|call| text.split("#[cfg(test)]").next().unwrap().contains(**call));
        assert!(step.is_none(), "{} calls the step {}", path.display(), step.unwrap());
    }
}
