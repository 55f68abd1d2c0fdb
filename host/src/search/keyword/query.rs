//! From what a user typed to scored rows. Nothing in the text can make an error: it is words, phrases in quotes, and
//! beginnings of words with a star.
//!
//! The words are analysed once for each language that the collection holds. A chunk was analysed in one language only,
//! so it meets only the terms of that one; a word counts as frequent as its terms of all languages together
//! ([`Statistics`]), so that scores do not depend on the language that a chunk was taken for. Where a word is a stop
//! word it counts as standing in every chunk of that language: a single Swedish chunk makes German *in* no rare word.

use std::collections::HashMap;
use std::sync::Arc;

use tantivy::query::{Bm25StatisticsProvider, BooleanQuery, Occur, PhraseQuery, Query, TermQuery};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocAddress, Searcher, Term};

use super::Keywords;
use super::analyze::{Analysis, analysis_for};
use super::dictionary::{Dictionary, Entry};
use super::expand;
use super::mark::Marker;
use super::parse::Typed;
use super::rows::{Rows, ScoredRows};
use super::schema::Fields;
use super::score::{self, Asked, idf};
use super::words::Word;

/// Different words that a query may have.
const WORDS_MAX: usize = 256;
/// Words of a query whose spelling is doubted.
const DOUBTED_MAX: usize = 24;
/// What a term counts for each edit that it is away from the word.
const EDIT_WEIGHT: f32 = 0.5;
/// What a part of a compound counts.
const PART_WEIGHT: f32 = 0.4;

/// A language, how many rows were analysed in it, and the positions of the segments that have such rows.
#[derive(Clone)]
pub struct Spoken {
    pub analysis: &'static Analysis,
    pub rows: u64,
    pub segments: Vec<u32>,
}

/// A term that is looked for.
struct Sought {
    entry: Arc<Entry>,
    /// What it counts.
    weight: f32,
    /// Rows that have its word.
    frequency: u64,
}

type SoughtTerms = HashMap<Arc<str>, Sought>;

/// Document frequencies that belong to words rather than to terms.
pub struct Statistics<'a> {
    pub searcher: &'a Searcher,
    documents: u64,
    /// Length of all texts.
    tokens: u64,
    frequencies: HashMap<Arc<str>, u64>,
}

impl Bm25StatisticsProvider for Statistics<'_> {
    fn total_num_tokens(&self, _: Field) -> tantivy::Result<u64> {
        Ok(self.tokens)
    }

    fn total_num_docs(&self) -> tantivy::Result<u64> {
        Ok(self.documents)
    }

    fn doc_freq(&self, term: &Term) -> tantivy::Result<u64> {
        let known = term.value().as_str().and_then(|text| self.frequencies.get(text).copied());
        Ok(known.map_or_else(|| self.searcher.doc_freq(term), Ok)?.min(self.documents))
    }
}

impl<'a> Statistics<'a> {
    /// Of an index as it is.
    pub fn of(searcher: &'a Searcher, fields: Fields) -> tantivy::Result<Self> {
        let tokens = searcher.total_num_tokens(fields.body)?;
        Ok(Self { searcher, documents: searcher.total_num_docs()?, tokens, frequencies: HashMap::new() })
    }

    /// Terms in a row.
    pub fn mean_length(&self) -> f32 {
        self.tokens as f32 / self.documents.max(1) as f32
    }

    /// The inverse document frequency of a word that so many rows have.
    pub fn idf(&self, frequency: u64) -> f32 {
        idf(frequency, self.documents)
    }
}

/// What the query looks for in an index.
struct Wanted {
    terms: SoughtTerms,
    prefixes: Vec<ScoredRows>,
}

/// Builds a query and the statistics to score it with.
struct Builder<'a> {
    index: &'a Keywords,
    dictionary: Dictionary<'a>,
    statistics: Statistics<'a>,
}

impl<'a> Builder<'a> {
    fn new(index: &'a Keywords) -> tantivy::Result<Self> {
        let (searcher, fields) = (&index.searcher, index.fields);
        let dictionary = Dictionary::new(searcher, fields.body, &index.languages)?;
        Ok(Self { index, dictionary, statistics: Statistics::of(searcher, fields)? })
    }

    fn wanted(&mut self, typed: &Typed, typo_tolerance: bool) -> tantivy::Result<Wanted> {
        let mut words = Vec::new();
        for (text, times) in counted(&typed.words) {
            let word = self.index.words.get(&text, &mut self.dictionary)?;
            words.push((text, times, word));
        }
        let mut terms = SoughtTerms::new();
        for (_, times, word) in &words {
            for entry in &word.terms {
                let sought = sought(&mut terms, entry);
                sought.weight += times;
                sought.frequency = sought.frequency.max(word.frequency);
            }
        }
        // Parts of compounds count a little, and are as rare as they are.
        for (_, times, word) in &words {
            word.parts.iter().for_each(|entry| sought(&mut terms, entry).weight += times * PART_WEIGHT);
        }
        if typo_tolerance {
            let doubted = words.iter().filter(|(_, _, word)| !word.is_stop_word).take(DOUBTED_MAX);
            for (text, _, word) in doubted {
                self.add_spellings(text, word, &mut terms)?;
            }
        }
        let prefixes = typed.prefixes.iter().map(|prefix| self.prefix(prefix));
        Ok(Wanted { terms, prefixes: prefixes.collect::<tantivy::Result<_>>()? })
    }

    /// Terms of words that are spelled almost like one of the query. They count less than the word itself, also
    /// because they are taken for no rarer.
    fn add_spellings(&mut self, text: &str, word: &Word, terms: &mut SoughtTerms) -> tantivy::Result<()> {
        let mut found: HashMap<Arc<str>, (Arc<Entry>, f32)> = HashMap::new();
        for (spelling, edits) in expand::spelled_like(&self.index.searcher, self.index.fields.words, text)? {
            let weight = (0..edits).fold(1.0, |weight, _| weight * EDIT_WEIGHT);
            for term in self.index.languages.iter().filter_map(|spoken| spoken.analysis.term(&spelling)) {
                let Some(entry) = self.dictionary.look_up(&term)? else { continue };
                if !terms.contains_key(&entry.text) {
                    // The nearest comes first.
                    found.entry(entry.text.clone()).or_insert((entry, weight));
                }
            }
        }
        let together: u64 = found.values().map(|(entry, _)| entry.frequency).sum();
        let frequency = together.max(word.frequency);
        terms.extend(
            found.into_iter().map(|(text, (entry, weight))| (text, Sought { entry, weight, frequency })),
        );
        Ok(())
    }

    /// Rows with a word that begins so, each with the score of a word as rare as all of them in a text of mean length.
    fn prefix(&self, prefix: &str) -> tantivy::Result<ScoredRows> {
        let rows = expand::beginning_with(&self.index.searcher, self.index.fields.words, prefix)?;
        let score = self.statistics.idf(rows.len());
        Ok(ScoredRows { rows, score })
    }

    /// The phrase in any language, and more than the inverse document frequencies of its words; `None` if it has no words.
    fn phrase(&self, text: &str) -> Option<(Box<dyn Query>, f32)> {
        let mut words = 0;
        let variants: Vec<(Occur, Box<dyn Query>)> = self
            .index
            .languages
            .iter()
            .filter_map(|spoken| {
                let mut terms = Vec::new();
                spoken.analysis.terms(text, |position, term| terms.push((position, term.to_owned())));
                words += terms.len();
                phrase_in(self.index.fields.body, &terms).map(|query| (Occur::Should, query))
            })
            .collect();
        let most = words as f32 * self.statistics.idf(0);
        (!variants.is_empty()).then(|| (Box::new(BooleanQuery::new(variants)) as Box<dyn Query>, most))
    }

    /// All that a search scores.
    fn asked(&mut self, typed: &Typed, typo_tolerance: bool) -> tantivy::Result<Asked> {
        let Wanted { terms, prefixes } = self.wanted(typed, typo_tolerance)?;
        // Always in one order: sums of floating-point numbers depend on it, and so would scores.
        let mut terms: Vec<_> = terms.into_iter().collect();
        terms.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let idf = |sought: &Sought| self.statistics.idf(sought.frequency);
        let words =
            terms.iter().map(|(_, sought)| (sought.entry.clone(), sought.weight * idf(sought))).collect();
        let frequencies = terms.into_iter().map(|(text, sought)| (text, sought.frequency));
        self.statistics.frequencies = frequencies.collect();
        let phrases = typed.phrases.iter().filter_map(|phrase| self.phrase(phrase)).collect();
        Ok(Asked { words, prefixes, phrases })
    }
}

/// The different words of a text in lower case, and how often each stands in it.
fn counted(text: &str) -> Vec<(String, f32)> {
    let mut words: Vec<(String, f32)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let general = analysis_for(None);
    general.terms(text, |_, term| {
        let word = term.strip_prefix(general.prefix).unwrap_or(term);
        match places.get(word) {
            Some(at) => words[*at].1 += 1.0,
            None if words.len() < WORDS_MAX => {
                places.insert(word.to_owned(), words.len());
                words.push((word.to_owned(), 1.0));
            }
            None => {}
        }
    });
    words
}

fn sought<'a>(terms: &'a mut SoughtTerms, entry: &Arc<Entry>) -> &'a mut Sought {
    let new = || Sought { entry: entry.clone(), weight: 0.0, frequency: entry.frequency };
    terms.entry(entry.text.clone()).or_insert_with(new)
}

fn phrase_in(field: Field, terms: &[(usize, String)]) -> Option<Box<dyn Query>> {
    let mut positioned: Vec<(usize, Term)> =
        terms.iter().map(|(position, term)| (*position, Term::from_field_text(field, term))).collect();
    match positioned.len() {
        0 => None,
        1 => positioned
            .pop()
            .map(|(_, term)| Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs)) as Box<dyn Query>),
        _ => Some(Box::new(PhraseQuery::new_with_offset(positioned))),
    }
}

/// The best rows for what the user typed, best first, among `allowed` ones where given.
pub fn search(
    index: &Keywords,
    (text, typo_tolerance): (&str, bool),
    allowed: Option<&Rows>,
    limit: usize,
) -> tantivy::Result<Vec<(f32, DocAddress)>> {
    if limit == 0 || index.searcher.num_docs() == 0 {
        return Ok(Vec::new());
    }
    let mut builder = Builder::new(index)?;
    let asked = builder.asked(&Typed::new(text), typo_tolerance)?;
    score::run((&builder.statistics, &builder.dictionary, &index.pool), &asked, allowed, limit)
}

/// Marks what [`search`] looks for.
pub fn marker(index: &Keywords, (text, typo_tolerance): (&str, bool)) -> tantivy::Result<Marker> {
    let typed = Typed::new(text);
    let words = Typed { words: typed.words, ..Typed::default() };
    let wanted = Builder::new(index)?.wanted(&words, typo_tolerance)?;
    let terms = wanted.terms.keys().map(|term| term.to_string()).collect();
    Ok(Marker { terms, prefixes: typed.prefixes })
}
