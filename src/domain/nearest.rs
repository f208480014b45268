//! «Did you mean»: the known name that a mistyped one was probably meant to be.

/// Comparing is quadratic in length, and a longer name is no slip of the finger.
const COMPARED_CHARS: usize = 128;

/// The nearest of the known names, if one is near enough to be a slip.
pub fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // A third of the letters wrong is another name; two slips are forgiven in short ones.
    let allowed = (name.chars().count() / 3).max(2);
    let distances = known.into_iter().map(|candidate| (distance(name, candidate), candidate));
    distances.filter(|(distance, _)| *distance <= allowed).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// Letters to add, drop or change until one name is the other.
pub fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().take(COMPARED_CHARS).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, letter) in one.chars().take(COMPARED_CHARS).enumerate() {
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
    fn a_slip_finds_its_name_and_another_name_finds_none() {
        let known = ["team", "research", "openai"];
        assert_eq!(nearest("taem", known), Some("team"));
        assert_eq!(nearest("opanai", known), Some("openai"));
        assert_eq!(nearest("marketing", known), None);
    }

    #[test]
    fn distance_counts_the_fewest_edits() {
        assert_eq!((distance("kitten", "sitting"), distance("", "abc"), distance("a", "a")), (3, 3, 0));
    }
}
