//! Bullets and numbers at the beginning of list items.

use crate::lines::is_unmapped;

const BULLETS: &str = "•‣◦∙●○■□▪▫◆◇➢➤►▶✓✔❖";
/// These begin other lines as well.
const DASHES: &str = "–—*-·o";

/// What a list item begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// A sign that hardly begins anything else.
    Bullet,
    /// A number, letter or dash, which could also begin a sentence or heading.
    Weak,
}

/// The marker that a line begins with.
pub fn marker(line: &str) -> Option<Marker> {
    let (word, rest) = line.split_once(' ')?;
    if rest.trim().is_empty() {
        return None;
    }
    let mut chars = word.chars();
    let first = chars.next()?;
    if is_unmapped(word) && word.chars().count() <= 2 {
        return Some(Marker::Bullet);
    }
    if chars.next().is_none() {
        return if BULLETS.contains(first) {
            Some(Marker::Bullet)
        } else {
            DASHES.contains(first).then_some(Marker::Weak)
        };
    }
    let bare = word.strip_prefix('(').unwrap_or(word);
    let bare = bare.strip_suffix(['.', ')'])?;
    let number = (1..=3).contains(&bare.len()) && bare.bytes().all(|b| b.is_ascii_digit());
    // `A.` is more often the initial of a name.
    let letter = bare.len() == 1
        && bare.bytes().all(|b| b.is_ascii_lowercase() || (b.is_ascii_uppercase() && word.ends_with(')')));
    let roman = (1..=5).contains(&bare.len()) && bare.bytes().all(|b| b"ivx".contains(&b));
    (number || letter || roman).then_some(Marker::Weak)
}

/// Whether the line begins with a bullet or dash, as no heading does.
pub fn is_dashed(line: &str) -> bool {
    marker(line).is_some() && !line.starts_with(|c: char| c.is_alphanumeric() || c == '(')
}

/// A bullet from a font without meanings becomes one that can be read.
pub fn readable(line: &str) -> String {
    match line.split_once(' ') {
        Some((word, rest)) if is_unmapped(word) => format!("• {rest}"),
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers() {
        assert_eq!(marker("• one"), Some(Marker::Bullet));
        assert_eq!(marker("12. one"), Some(Marker::Weak));
        assert_eq!(marker("(a) one"), Some(Marker::Weak));
        assert_eq!(marker("iv) one"), Some(Marker::Weak));
        assert_eq!(marker("3.1 Title"), None);
        assert!(is_dashed("* one") && is_dashed("• one") && !is_dashed("1. One") && !is_dashed("One"));
        assert_eq!(marker("A. Smith"), None);
        assert_eq!(marker("– one"), Some(Marker::Weak));
        assert_eq!(marker("•"), None);
        assert_eq!(marker("-5 degrees"), None);
    }
}
