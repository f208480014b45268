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

#[cfg(test)]
mod tests {
    use super::*;

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
