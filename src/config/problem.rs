//! What is wrong with a configuration: all of it at once, each with its place and its remedy.
//!
//! Never holds a secret: what is said is about names and places, not about values that may be keys.

use std::fmt;

/// One thing wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file's name as it was given, or `environment`.
    pub file: String,
    /// Counted from 1; 0 where the problem has no line.
    pub line: usize,
    pub column: usize,
    pub what: String,
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}; {}", self.file, self.what, self.remedy),
            line => write!(f, "{}:{line}: {}; {}", self.file, self.what, self.remedy),
        }
    }
}

/// Everything wrong with a configuration, in the file's order; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// `Err` if there is any.
    pub(super) fn none(mut all: Vec<Problem>) -> Result<(), Self> {
        all.sort_by_key(|problem| (problem.line, problem.column));
        all.dedup();
        if all.is_empty() { Ok(()) } else { Err(Self(all)) }
    }

    /// The same about a text that nobody wrote, whose lines would say nothing.
    pub(super) fn without_lines(self) -> Self {
        Self(self.0.into_iter().map(|problem| Problem { line: 0, column: 0, ..problem }).collect())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The known word a mistyped one was probably meant to be.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // A third of the letters wrong is another word, not a slip; two slips are forgiven in short ones.
    let allowed = (word.chars().count() / 3).max(2);
    let distances = known.into_iter().map(|candidate| (distance(word, candidate), candidate));
    distances.filter(|(distance, _)| *distance <= allowed).min_by_key(|(distance, _)| *distance).map(|(_, word)| word)
}

/// Letters to add, drop or change until one word is the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (left, candidate) in other.iter().enumerate() {
            let change = diagonal + usize::from(letter != *candidate);
            diagonal = row[left + 1];
            row[left + 1] = change.min(row[left] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_word_and_another_word_finds_none() {
        let known = ["listen", "limits", "log", "idle_timeout"];
        assert_eq!(nearest("lisen", known), Some("listen"));
        assert_eq!(nearest("idel_timeout", known), Some("idle_timeout"));
        assert_eq!(nearest("database", known), None);
    }

    #[test]
    fn a_problem_says_where_what_and_what_to_do() {
        let problem = Problem {
            file: "gateway.toml".into(),
            line: 12,
            column: 3,
            what: "unknown setting `lisen`".into(),
            remedy: "did you mean `listen`?".into(),
        };
        assert_eq!(problem.to_string(), "gateway.toml:12: unknown setting `lisen`; did you mean `listen`?");
    }
}
