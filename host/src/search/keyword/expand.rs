//! Other words of the collection for a word of the query: words that begin so, words that are spelled almost so, and
//! the parts of a German compound.

use std::collections::HashMap;
use std::sync::Arc;

use roaring::RoaringBitmap;
use tantivy::postings::TermInfo;
use tantivy::query::FuzzyTermQuery;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocSet, InvertedIndexReader, Searcher, TERMINATED, Term};

use super::analyze::{Analysis, is_unspaced};
use super::rows::Rows;

/// Spellings tried for one word.
const SPELLINGS_MAX: usize = 8;
/// Longer words are no words that somebody mistyped.
const SPELLED_CHARS_MAX: usize = 40;
/// Letters that a part of a compound has at least.
const PART_CHARS_MIN: usize = 4;
/// What German puts between the parts of a compound.
const LINKS: [&str; 9] = ["", "s", "es", "n", "en", "er", "e", "ns", "ens"];

/// The rows with a word that begins so. A walk through these words and all their rows.
pub fn beginning_with(searcher: &Searcher, words: Field, prefix: &str) -> tantivy::Result<Rows> {
    let mut found = HashMap::new();
    let end = successor(prefix);
    for segment in searcher.segment_readers() {
        let index = segment.inverted_index(words)?;
        let mut rows = RoaringBitmap::new();
        let mut terms = index.terms().range().ge(prefix).lt(&end).into_stream()?;
        while terms.advance() {
            rows.extend(rows_of(&index, terms.value())?);
        }
        if let Some(alive) = segment.alive_bitset() {
            rows = rows.into_iter().filter(|row| alive.is_alive(*row)).collect();
        }
        found.insert(segment.segment_id(), rows);
    }
    Ok(Rows(Arc::new(found)))
}

fn rows_of(
    index: &InvertedIndexReader,
    info: &TermInfo,
) -> tantivy::Result<impl Iterator<Item = u32> + use<>> {
    let mut postings = index.read_postings_from_terminfo(info, IndexRecordOption::Basic)?;
    Ok(std::iter::from_fn(move || {
        let row = postings.doc();
        (row != TERMINATED).then(|| {
            postings.advance();
            row
        })
    }))
}

/// What comes behind all words that begin so. No byte of UTF-8 is 0xff.
fn successor(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

/// Edits that a word may be away: 1 from 4 letters on, 2 from 8 on; none for numbers and scripts without spaces.
fn edits(word: &str) -> u8 {
    if word.chars().any(|c| !c.is_alphabetic() || is_unspaced(c)) {
        return 0;
    }
    match word.chars().count() {
        4..=7 => 1,
        8..=SPELLED_CHARS_MAX => 2,
        _ => 0,
    }
}

/// Words of the collection that are spelled almost so, with the number of edits (insertion, deletion, substitution,
/// exchange of neighbours); nearest first, then the most frequent. A Levenshtein automaton (Schulz & Mihov, 2002) walks
/// through the dictionary.
pub fn spelled_like(searcher: &Searcher, words: Field, word: &str) -> tantivy::Result<Vec<(String, usize)>> {
    let edits = edits(word);
    if edits == 0 {
        return Ok(Vec::new());
    }
    let automaton = FuzzyTermQuery::new(Term::from_field_text(words, word), edits, true).automaton()?;
    let mut found: HashMap<String, u64> = HashMap::new();
    for segment in searcher.segment_readers() {
        let index = segment.inverted_index(words)?;
        let mut terms = index.terms().search(&automaton).into_stream()?;
        while terms.advance() {
            let spelling = String::from_utf8_lossy(terms.key()).into_owned();
            *found.entry(spelling).or_default() += u64::from(terms.value().doc_freq);
        }
    }
    found.remove(word);
    let mut ranked: Vec<_> = found
        .into_iter()
        .map(|(spelling, rows)| (strsim::osa_distance(word, &spelling), std::cmp::Reverse(rows), spelling))
        .collect();
    ranked.sort();
    ranked.truncate(SPELLINGS_MAX);
    Ok(ranked.into_iter().map(|(distance, _, spelling)| (spelling, distance)).collect())
}

/// The two parts of a stemmed compound that the collection knows as words, as terms: of all splits the one whose parts
/// have the greatest geometric mean of frequencies (Koehn & Knight, 2003). `frequency` is that of a term.
pub fn parts(
    analysis: &Analysis,
    term: &str,
    mut frequency: impl FnMut(&str) -> tantivy::Result<u64>,
) -> tantivy::Result<Option<[String; 2]>> {
    let word = term.strip_prefix(analysis.prefix).unwrap_or(term);
    let mut best: Option<(u64, [String; 2])> = None;
    for (at, _) in word.char_indices().skip(PART_CHARS_MIN) {
        let (front, back) = word.split_at(at);
        if back.chars().count() < PART_CHARS_MIN {
            break;
        }
        let head = format!("{}{back}", analysis.prefix);
        let rows = frequency(&head)?;
        if rows == 0 {
            continue;
        }
        for modifier in LINKS.iter().filter_map(|link| stem(analysis, front.strip_suffix(link)?)) {
            let mean = rows * frequency(&modifier)?;
            if mean > best.as_ref().map_or(0, |(mean, _)| *mean) {
                best = Some((mean, [modifier, head.clone()]));
            }
        }
    }
    Ok(best.map(|(_, parts)| parts))
}

/// The term of a word, unless it is too short for a part, or a stop word.
fn stem(analysis: &Analysis, word: &str) -> Option<String> {
    analysis.term(word).filter(|stem| stem.len() > analysis.prefix.len() + 2)
}

#[cfg(test)]
mod tests {
    use super::super::analyze::analysis_for;
    use super::*;

    #[test]
    fn short_words_and_numbers_are_taken_as_they_are() {
        assert_eq!([edits("der"), edits("haus"), edits("häuser"), edits("wartungen")], [0, 1, 1, 2]);
        assert_eq!([edits("2024"), edits("mp3player"), edits("東京都庁"), edits("")], [0; 4]);
        assert_eq!(edits(&"x".repeat(SPELLED_CHARS_MAX + 1)), 0);
    }

    #[test]
    fn a_compound_is_split_where_its_parts_are_the_most_frequent() {
        let known = HashMap::from([("wartung", 4), ("handbuch", 9), ("buch", 1), ("wartungshand", 1)]);
        let frequency = |term: &str| Ok(known.get(&term["de:".len()..]).copied().unwrap_or(0));
        let german = analysis_for(Some("de"));
        let split = |term| parts(german, term, frequency).unwrap();
        let expected = ["de:wartung", "de:handbuch"].map(str::to_owned);
        assert_eq!(split("de:wartungshandbuch"), Some(expected));
        assert_eq!(split("de:handbuch"), None);
        assert_eq!(split("de:größe"), None);
        assert_eq!(split("de:"), None);
    }

    #[test]
    fn the_successor_is_behind_all_that_begins_so() {
        assert_eq!(successor("a"), b"b");
        assert!(
            successor("ä").as_slice() > "äzzz".as_bytes()
                && successor("ä").as_slice() > "ä\u{10ffff}".as_bytes()
        );
    }
}
