//! The documents say what the code does: every code is explained, every link leads somewhere, every page is found.

#![expect(clippy::unwrap_used, reason = "a test that can't read its page has failed, and says where")]

mod conformance;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use keyway::directory::DirectoryError;
use keyway::domain::refusal::Refusal;

/// A Markdown page, without what stands in its fences.
struct Page {
    path: PathBuf,
    prose: String,
}

impl Page {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path: path.to_path_buf(), prose: without_fences(&text) }
    }

    /// What stands in the round brackets of `[words](…)`, but for links to other sites.
    fn links(&self) -> impl Iterator<Item = &str> {
        let behind = self.prose.split("](").skip(1);
        behind.filter_map(|rest| rest.split(')').next()).filter(|link| !link.contains("://"))
    }

    fn headings(&self) -> impl Iterator<Item = &str> {
        self.prose.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim())
    }

    fn anchors(&self) -> BTreeSet<String> {
        self.headings().map(anchor).collect()
    }
}

fn without_fences(text: &str) -> String {
    let mut fenced = false;
    let mut prose = String::new();
    for line in text.lines() {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        if !fenced && !is_fence {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose
}

/// The anchor that a heading gets: lower case, hyphens for blanks, without other signs.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.map(|letter| if letter == ' ' { '-' } else { letter.to_ascii_lowercase() }).collect()
}

/// The pages for people: those beside Cargo.toml and all below `docs`.
fn pages() -> Vec<Page> {
    let mut paths = markdown_in(Path::new(""));
    paths.extend(markdown_in(Path::new("docs")));
    paths.extend(markdown_in(Path::new("docs/clients")));
    paths.iter().map(|path| Page::read(path)).collect()
}

fn markdown_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(".").join(folder)).unwrap();
    let names = entries.map(|entry| PathBuf::from(entry.unwrap().file_name()));
    let mut pages: Vec<PathBuf> = names
        .filter(|name| name.extension().is_some_and(|ending| ending == "md"))
        .map(|name| folder.join(name))
        .collect();
    pages.sort();
    pages
}

/// Where a link on this page leads: a path from the root, and the anchor on it.
fn destination<'a>(page: &Path, link: &'a str) -> (PathBuf, Option<&'a str>) {
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    if path.is_empty() {
        return (page.to_path_buf(), anchor);
    }
    let mut found = page.parent().unwrap().to_path_buf();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => assert!(found.pop(), "{}: {link} leads out of the repository", page.display()),
            Component::CurDir => {}
            other => found.push(other),
        }
    }
    (found, anchor)
}

#[test]
fn every_relative_link_leads_somewhere() {
    let pages = pages();
    let anchors: BTreeMap<&Path, BTreeSet<String>> =
        pages.iter().map(|page| (page.path.as_path(), page.anchors())).collect();
    let mut broken = Vec::new();
    for page in &pages {
        for link in page.links() {
            let (path, anchor) = destination(&page.path, link);
            let has_anchor = |name| anchors.get(path.as_path()).is_some_and(|on_page| on_page.contains(name));
            if !path.exists() || !anchor.is_none_or(has_anchor) {
                broken.push(format!("{}: {link}", page.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_page_of_docs_is_reached_from_the_readme() {
    let readme = Page::read(Path::new("README.md"));
    let linked: BTreeSet<PathBuf> = readme.links().map(|link| destination(&readme.path, link).0).collect();
    for page in pages().iter().filter(|page| page.path.starts_with("docs")) {
        assert!(linked.contains(&page.path), "README.md does not link to {}", page.path.display());
    }
}

/// Heading → the text below it, for headings that are a code: ### `model_not_found`.
fn explained_codes() -> BTreeMap<String, String> {
    let errors = Page::read(Path::new("docs/errors.md"));
    let sections = errors.prose.split("\n#").skip(1).map(|section| section.trim_start_matches('#').trim_start());
    let codes = sections.filter_map(|section| section.strip_prefix('`')?.split_once('`'));
    codes.map(|(code, text)| (code.to_string(), text.to_string())).collect()
}

/// Of calls, of the directory's rules and of the admin API. What two of them say, they say with one status.
fn codes() -> impl Iterator<Item = (&'static str, u16)> {
    Refusal::CODES.into_iter().chain(DirectoryError::CODES).chain(keyway::admin::api::CODES)
}

#[test]
fn every_refusal_is_explained_with_its_status_cause_and_remedy() {
    let explained = explained_codes();
    for (code, status) in codes() {
        let text = explained.get(code).unwrap_or_else(|| panic!("docs/errors.md has no heading for `{code}`"));
        assert!(text.contains(&format!("**Status** {status}")), "docs/errors.md gives another status for `{code}`");
        assert!(text.contains("**Cause**") && text.contains("**Remedy**"), "`{code}` lacks its cause or its remedy");
    }
}

#[test]
fn no_code_is_explained_that_nobody_hears() {
    let known: BTreeSet<&str> = codes().map(|(code, _)| code).collect();
    for code in explained_codes().keys() {
        assert!(known.contains(code.as_str()), "docs/errors.md explains `{code}`, which no refusal has");
    }
}

#[test]
fn a_heading_becomes_the_anchor_that_readers_are_sent_to() {
    assert_eq!(anchor("`model_not_found`"), "model_not_found");
    assert_eq!(anchor("Try it, in 2 commands"), "try-it-in-2-commands");
}

#[test]
fn the_page_of_permissions_is_the_tables() {
    let (page, path) = (keyway::admin::api::permissions_page(), "docs/permissions.md");
    if std::env::var_os("KEYWAY_WRITE_DOCS").is_some() {
        fs::write(path, &page).unwrap();
    }
    let written = fs::read_to_string(path).unwrap_or_default();
    assert!(written == page, "{path} is not what the tables say; write it with KEYWAY_WRITE_DOCS=1");
}
