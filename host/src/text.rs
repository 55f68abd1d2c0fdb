//! Pure functions on text that several modules need: normal form, sentences, the language of a question.

use std::ops::Range;

use unicode_normalization::{UnicodeNormalization, is_nfc};
use unicode_segmentation::UnicodeSegmentation;

/// Canonical composition (NFC), without a copy where the text has it already.
pub fn nfc(text: &str) -> std::borrow::Cow<'_, str> {
    if is_nfc(text) { text.into() } else { text.nfc().collect::<String>().into() }
}

/// Byte ranges of the sentences of `text`, in order, without surrounding white space.
///
/// Unicode sentence boundaries (UAX #29), joined again behind abbreviations, initials and German ordinals, and cut
/// at empty lines.
pub fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut join = false;
    for (start, piece) in text.split_sentence_bound_indices() {
        for range in paragraphs(piece) {
            let range = start + range.start..start + range.end;
            match found.last_mut() {
                Some(last) if join => last.end = range.end,
                _ => found.push(range.clone()),
            }
            join = found.last().is_some_and(|last| ends_open(&text[last.clone()]));
        }
        if text[start..start + piece.len()].ends_with("\n\n") {
            join = false;
        }
    }
    found
}

/// Trimmed pieces of `piece` between empty lines.
fn paragraphs(piece: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    piece.split("\n\n").filter_map(move |part| {
        let start = at + (part.len() - part.trim_start().len());
        at += part.len() + 2;
        let trimmed = part.trim();
        (!trimmed.is_empty()).then(|| start..start + trimmed.len())
    })
}

/// Whether the full stop at the end does not end the sentence.
fn ends_open(sentence: &str) -> bool {
    const ABBREVIATIONS: &[&str] = &[
        "abb", "abs", "art", "aufl", "bd", "bzgl", "bzw", "ca", "cf", "co", "corp", "d.h", "dipl", "dr",
        "e.g", "eq", "etc", "evtl", "fig", "ggf", "hrsg", "i.e", "inc", "inkl", "jr", "kap", "lt", "ltd",
        "max", "min", "mio", "mr", "mrs", "ms", "nr", "no", "prof", "s.o", "s.u", "sog", "sr", "st", "str",
        "tab", "tel", "u.a", "u.s", "usw", "v.a", "vgl", "vol", "vs", "z.b", "z.t", "zit",
    ];
    let Some(body) = sentence.strip_suffix('.') else { return false };
    let word = body.rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or("");
    let is_initial = word.chars().count() == 1 && word.chars().all(char::is_alphabetic);
    let is_ordinal = (1..=2).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit());
    is_initial || is_ordinal || ABBREVIATIONS.contains(&word.to_lowercase().as_str())
}

/// The language of a short text as ISO 639-1: German or English by their function words, else by trigrams; `None`
/// where neither tells.
pub fn language(text: &str) -> Option<&'static str> {
    const GERMAN: &[&str] = &[
        "der", "die", "das", "den", "dem", "des", "ein", "eine", "einen", "einem", "einer", "und", "oder",
        "ist", "sind", "war", "waren", "wer", "wie", "wo", "wann", "warum", "welche", "welcher", "welches",
        "welchem", "wird", "werden", "wurde", "wurden", "hat", "haben", "nicht", "mit", "von", "vom", "zu",
        "zum", "zur", "für", "auf", "im", "bei", "gibt", "kann", "muss", "viele", "viel", "ich", "sich",
        "nach", "aus", "über", "wieviel", "wofür", "woraus",
    ];
    const ENGLISH: &[&str] = &[
        "the", "of", "and", "or", "is", "are", "was", "were", "who", "what", "when", "where", "why", "how",
        "which", "does", "do", "did", "has", "have", "had", "not", "with", "from", "to", "for", "on", "at",
        "by", "can", "must", "many", "much", "i", "it", "that", "this", "there", "be", "an", "a",
    ];
    let (mut german, mut english) = (0, 0);
    for word in text.unicode_words().take(200) {
        let word = word.to_lowercase();
        german +=
            usize::from(GERMAN.contains(&word.as_str())) + usize::from(word.contains(['ä', 'ö', 'ü', 'ß']));
        english += usize::from(ENGLISH.contains(&word.as_str()));
    }
    match german.cmp(&english) {
        std::cmp::Ordering::Greater => Some("de"),
        std::cmp::Ordering::Less => Some("en"),
        std::cmp::Ordering::Equal => by_trigrams(text),
    }
}

fn by_trigrams(text: &str) -> Option<&'static str> {
    use whatlang::Lang;
    let info = whatlang::detect(text)?;
    if !info.is_reliable() {
        return None;
    }
    Some(match info.lang() {
        Lang::Deu => "de",
        Lang::Eng => "en",
        Lang::Fra => "fr",
        Lang::Spa => "es",
        Lang::Ita => "it",
        Lang::Por => "pt",
        Lang::Nld => "nl",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(text: &str) -> Vec<&str> {
        sentences(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn sentences_survive_abbreviations_and_ordinals() {
        let text = "Dr. Müller kam am 3. Oktober, z.B. nach Köln. Er blieb.  Was nun? Nichts";
        assert_eq!(
            split(text),
            ["Dr. Müller kam am 3. Oktober, z.B. nach Köln.", "Er blieb.", "Was nun?", "Nichts"]
        );
    }

    #[test]
    fn sentences_end_at_empty_lines() {
        assert_eq!(split("Heading\n\nText of J. Doe. More."), ["Heading", "Text of J. Doe.", "More."]);
    }

    #[test]
    fn language_of_short_questions() {
        assert_eq!(language("Wie viele Sacks erzielte Jared Allen?"), Some("de"));
        assert_eq!(language("How many sacks did Jared Allen have?"), Some("en"));
        assert_eq!(language("12345"), None);
    }

    proptest! {
        #[test]
        fn sentences_are_ordered_trimmed_and_complete(text in "[a-zäß .!?\n\u{301}]{0,200}") {
            let ranges = sentences(&text);
            let mut at = 0;
            for range in &ranges {
                prop_assert!(range.start >= at && range.end > range.start);
                prop_assert!(text[at..range.start].trim().is_empty(), "lost text");
                prop_assert_eq!(text[range.clone()].trim(), &text[range.clone()]);
                at = range.end;
            }
            prop_assert!(text[at..].trim().is_empty(), "lost text at the end");
        }
    }
}
