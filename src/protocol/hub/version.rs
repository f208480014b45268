//! Which generation a model is of, as its name tells: vendors' rules differ between generations of one family.

/// `("claude-sonnet-4-5-20250929", "claude-")` is 4.5. `None` for models of other families; one without a number is newer
/// than those that had to be told apart by theirs.
pub(in crate::protocol) fn version(model: &str, family: &str) -> Option<(u32, u32)> {
    let (_, name) = model.split_once(family)?;
    let mut words = name.split(['-', '.', ':', '@', '/']).skip_while(|word| number(word).is_none());
    let mut next = || words.next().and_then(number);
    Some(next().map_or((u32::MAX, 0), |major| (major, next().unwrap_or(0))))
}

/// A date is no version.
fn number(word: &str) -> Option<u32> {
    let is_short = (1..=2).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse().ok().filter(|_| is_short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_names() {
        for (model, family, read) in [
            ("claude-opus-4-6", "claude-", Some((4, 6))),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-", Some((4, 5))),
            ("claude-opus-4-20250514", "claude-", Some((4, 0))),
            ("claude-3-7-sonnet-latest", "claude-", Some((3, 7))),
            ("anthropic/claude-opus-4.7", "claude-", Some((4, 7))),
            ("claude-next", "claude-", Some((u32::MAX, 0))),
            ("kimi-k2", "claude-", None),
            ("gemini-2.5-flash-lite", "gemini-", Some((2, 5))),
            ("gemini-3-pro-preview-11-2025", "gemini-", Some((3, 0))),
            ("gemini-flash-latest", "gemini-", Some((u32::MAX, 0))),
        ] {
            assert_eq!(version(model, family), read, "{model}");
        }
    }
}
