//! Cuts long sentences.

/// Places where a part may begin that are looked at.
const STARTS_MAX: usize = 64;
const CLAUSE_MARKS: [char; 5] = [',', ';', ':', '–', '('];

/// The part of a sentence that is worth most, of `chars_max` characters at most besides the ellipses that stand for the
/// rest. Parts begin behind a clause and end behind one, or else behind a word; of equals the first is taken.
pub fn shorten(sentence: &str, chars_max: usize, worth: impl Fn(&str) -> f32) -> String {
    if sentence.chars().nth(chars_max).is_none() {
        return sentence.into();
    }
    let mut best = (f32::NEG_INFINITY, 0, "");
    for start in starts(sentence) {
        let part = part(&sentence[start..], chars_max);
        let worth = worth(part);
        if worth > best.0 {
            best = (worth, start, part);
        }
        if start + part.len() == sentence.len() {
            break;
        }
    }
    let (_, start, part) = best;
    let before = if start > 0 { "… " } else { "" };
    let behind = if start + part.len() < sentence.len() { " …" } else { "" };
    format!("{before}{}{behind}", part.trim_end())
}

/// The beginning, and what follows each mark of a clause.
fn starts(sentence: &str) -> impl Iterator<Item = usize> + '_ {
    let behind = sentence.match_indices(CLAUSE_MARKS).map(|(at, mark)| {
        let rest = &sentence[at + mark.len()..];
        at + mark.len() + (rest.len() - rest.trim_start().len())
    });
    std::iter::once(0).chain(behind).filter(|start| *start < sentence.len()).take(STARTS_MAX)
}

/// What fits of a text.
fn part(text: &str, chars_max: usize) -> &str {
    let Some((end, _)) = text.char_indices().nth(chars_max) else { return text };
    let head = &text[..end];
    let clause = head.rfind(CLAUSE_MARKS).filter(|at| 2 * at > end);
    &head[..clause.or_else(|| head.rfind(' ')).unwrap_or(end)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn long_sentences_are_cut_behind_a_clause() {
        let long = format!("{}, {}", "wort ".repeat(15).trim(), "mehr ".repeat(50));
        assert_eq!(shorten(&long, 80, |_| 0.0), format!("{} …", "wort ".repeat(15).trim()));
        assert!(shorten(&"x".repeat(500), 80, |_| 0.0).ends_with("x …"));
        assert_eq!(shorten("kurz, aber gut", 80, |_| 0.0), "kurz, aber gut");
    }

    #[test]
    fn the_part_that_is_worth_most_remains() {
        let long =
            format!("{}, der Pegel steht bei 40 cm, {}", "wort ".repeat(30).trim(), "mehr ".repeat(30));
        let short = shorten(&long, 80, |part| f32::from(u8::from(part.contains("Pegel"))));
        assert!(short.starts_with("… der Pegel steht bei 40 cm") && short.ends_with(" …"), "{short}");
        let last = format!("{}, am Ende 7", "wort ".repeat(30).trim());
        assert_eq!(shorten(&last, 80, |part| f32::from(u8::from(part.contains('7')))), "… am Ende 7");
    }

    proptest! {
        #[test]
        fn what_remains_stood_there(sentence in "[a-zé,:( –]{0,200}", max in 1usize..90, wanted in "[a-z]") {
            let short = shorten(&sentence, max, |part| part.matches(&wanted).count() as f32);
            let part = short.trim_start_matches("… ").trim_end_matches(" …");
            prop_assert!(sentence.contains(part), "{:?}", part);
            prop_assert!(short.chars().count() <= max + 4);
        }
    }
}
