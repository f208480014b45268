//! Work that a client names, so that what it cost can be summed: an agent's session, a batch job, a pipeline.

use std::sync::Arc;

/// Longest name of a run, in bytes.
pub const RUN_MAX: usize = 128;

/// The run that a call is part of. Its name means something within one workspace only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub name: Arc<str>,
    /// The run that began it.
    pub parent: Option<Arc<str>>,
}

/// Is it a name that a run may have? Visible ASCII, so that it can stand in paths and tables as it is.
pub fn is_name(text: &str) -> bool {
    (1..=RUN_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_a_short_visible_name() {
        assert!(is_name("nightly/42") && is_name(&"x".repeat(RUN_MAX)));
        for wrong in ["", "a b", "ä", "a\n", &"x".repeat(RUN_MAX + 1)] {
            assert!(!is_name(wrong), "{wrong}");
        }
    }
}
