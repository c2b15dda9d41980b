//! "Did you mean": the known name that is nearest to a mistyped one.

/// The nearest of `known`, if it is near enough that it was probably meant.
pub(super) fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_ascii_lowercase().replace('-', "_");
    // A third of the letters wrong is a typing error; more is another word.
    let most = typed.chars().count().div_ceil(3);
    known
        .into_iter()
        .map(|name| (distance(&typed, name), name))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein: insertions, deletions and replacements from one word to the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, letter) in left.chars().enumerate() {
        let mut diagonal = above;
        let mut before = above + 1;
        let mut next = vec![before];
        for (other, up) in right.iter().zip(row.iter().skip(1)) {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = *up;
            before = replaced.min(before + 1).min(up + 1);
            next.push(before);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_single_letter_changes() {
        for (left, right, expected) in
            [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("ab", "ba", 2)]
        {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }

    #[test]
    fn a_typing_error_is_recognised_and_another_word_is_not() {
        let known = ["public_listen", "public_url", "burst"];
        assert_eq!(nearest("public-lisen", known), Some("public_listen"));
        assert_eq!(nearest("brust", known), Some("burst"));
        assert_eq!(nearest("colour_scheme", known), None);
    }
}
