//! What can be written as a model: the same bounds for calls, for registered models and for routes.

/// Longest name of a model, in bytes.
pub const LONGEST: usize = 512;

/// Words that a model string may begin with and that are no provider's prefix and no route's name.
const RESERVED: [&str; 3] = ["role", "endpoint", "default"];

/// Can a call name this as its model?
pub fn is_one(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST && !text.chars().any(char::is_control) && !text.contains("..")
}

/// Would a call that names this mean something else by it?
pub fn is_reserved(text: &str) -> bool {
    let head = text.split(':').next().unwrap_or(text);
    RESERVED.contains(&head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_visible_and_climbs_no_path() {
        assert!(is_one("anthropic/claude-3.5-sonnet:free"));
        for text in ["", "a\nb", "../v1", &"x".repeat(LONGEST + 1)] {
            assert!(!is_one(text), "{text}");
        }
    }

    #[test]
    fn words_with_a_meaning_of_their_own_are_reserved_also_before_a_colon() {
        assert!(is_reserved("default") && is_reserved("role:coder") && !is_reserved("roles"));
    }
}
