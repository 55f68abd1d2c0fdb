//! From what a user typed to scored rows. Nothing in the text can make an error: it is words, phrases in quotes, and
//! beginnings of words with a star.
//!
//! The words are analysed once for each language that the collection holds. A chunk was analysed in one language only,
//! so it meets only the terms of that one; a word counts as frequent as its terms of all languages together
//! ([`Statistics`]), so that scores do not depend on the language that a chunk was taken for. Where a word is a stop
//! word it counts as standing in every chunk of that language: a single Swedish chunk makes German *in* no rare word.

use std::collections::{HashMap, HashSet};

use tantivy::query::{Bm25StatisticsProvider, BooleanQuery, Occur, PhraseQuery, Query, TermQuery};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocAddress, Searcher, Term};

use super::analyze::{Analysis, analysis_for};
use super::dictionary::Dictionary;
use super::expand;
use super::mark::Marker;
use super::parse::Typed;
use super::rows::{Rows, ScoredRows};
use super::schema::Fields;
use super::score::{self, Asked, Pool, idf};

/// Different terms of one language that a query may have.
const TERMS_MAX: usize = 256;
/// Words of a query whose spelling is doubted.
const DOUBTED_MAX: usize = 24;
/// What a term counts for each edit that it is away from the word.
const EDIT_WEIGHT: f32 = 0.5;
/// What a part of a compound counts.
const PART_WEIGHT: f32 = 0.4;
/// The language whose compounds are split; measured for no other.
const COMPOUNDING: &str = "de";
/// A language is at home in a collection that has this share of its rows in it, one in so many.
const AT_HOME: u64 = 10;

/// A language, how many rows were analysed in it, and the positions of the segments that have such rows.
#[derive(Clone)]
pub struct Spoken {
    pub analysis: &'static Analysis,
    pub rows: u64,
    pub segments: Vec<u32>,
}

/// A term of the query, what it counts, and which words it came from.
#[derive(Debug, Default)]
struct Said {
    weight: f32,
    positions: Vec<usize>,
}

type SaidTerms = HashMap<String, Said>;

fn said(text: &str, analysis: &Analysis) -> SaidTerms {
    let mut terms = SaidTerms::new();
    analysis.terms(text, |position, term| {
        if terms.len() < TERMS_MAX || terms.contains_key(term) {
            let said = terms.entry(term.to_owned()).or_default();
            said.weight += 1.0;
            said.positions.push(position);
        }
    });
    terms
}

/// Document frequencies that belong to words rather than to terms.
pub struct Statistics<'a> {
    pub searcher: &'a Searcher,
    documents: u64,
    /// Length of all texts.
    tokens: u64,
    frequencies: HashMap<String, u64>,
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
    /// Terms that the index knows, with what they count.
    terms: HashMap<String, f32>,
    prefixes: Vec<ScoredRows>,
}

/// Builds a query and the statistics to score it with.
struct Builder<'a> {
    fields: Fields,
    languages: &'a [Spoken],
    dictionary: Dictionary<'a>,
    statistics: Statistics<'a>,
}

impl<'a> Builder<'a> {
    fn new(searcher: &'a Searcher, fields: Fields, languages: &'a [Spoken]) -> tantivy::Result<Self> {
        let dictionary = Dictionary::new(searcher, fields.body, languages)?;
        Ok(Self { fields, languages, dictionary, statistics: Statistics::of(searcher, fields)? })
    }

    fn wanted(&mut self, typed: &Typed, typo_tolerance: bool) -> tantivy::Result<Wanted> {
        let text = typed.words.as_str();
        let by_language: Vec<_> = self.languages.iter().map(|spoken| said(text, spoken.analysis)).collect();
        let mut by_position = stopped(text, self.languages, &by_language);
        let mut terms = self.known_terms(&by_language, &mut by_position)?;
        self.add_parts(&by_language, &mut terms)?;
        if typo_tolerance {
            let doubted = doubted(text, self.languages, &by_language);
            self.add_spellings(doubted, &by_position, &mut terms)?;
        }
        let prefixes = typed.prefixes.iter().map(|prefix| self.prefix(prefix));
        Ok(Wanted { terms, prefixes: prefixes.collect::<tantivy::Result<_>>()? })
    }

    /// The terms that the index has, with what they count; notes the frequencies of their words, also by position.
    fn known_terms(
        &mut self,
        by_language: &[SaidTerms],
        by_position: &mut HashMap<usize, u64>,
    ) -> tantivy::Result<HashMap<String, f32>> {
        let mut known = Vec::new();
        for (term, said) in by_language.iter().flatten() {
            let frequency = self.dictionary.frequency(term)?;
            if frequency > 0 {
                said.positions.iter().for_each(|at| *by_position.entry(*at).or_default() += frequency);
                known.push((term, said));
            }
        }
        for (term, said) in &known {
            let frequency = said.positions.iter().filter_map(|at| by_position.get(at)).max();
            self.statistics.frequencies.insert((*term).clone(), frequency.copied().unwrap_or_default());
        }
        Ok(known.into_iter().map(|(term, said)| (term.clone(), said.weight)).collect())
    }

    fn is_at_home(&self, spoken: &Spoken) -> bool {
        spoken.rows * AT_HOME >= self.statistics.documents
    }

    /// Parts of compounds count a little. In a collection of another language they would be rare words by accident.
    fn add_parts(
        &mut self,
        by_language: &[SaidTerms],
        terms: &mut HashMap<String, f32>,
    ) -> tantivy::Result<()> {
        let compounding = |spoken: &Spoken| spoken.analysis.code == COMPOUNDING && self.is_at_home(spoken);
        let mut both = self.languages.iter().zip(by_language);
        let Some((spoken, said)) = both.find(|(spoken, _)| compounding(spoken)) else { return Ok(()) };
        for (text, said) in said {
            let parts = expand::parts(spoken.analysis, text, |part| self.dictionary.frequency(part))?;
            for part in parts.into_iter().flatten() {
                *terms.entry(part).or_default() += said.weight * PART_WEIGHT;
            }
        }
        Ok(())
    }

    /// Terms of words that are spelled almost like those of the query. They count less than the word itself, also
    /// because they are taken for no rarer.
    fn add_spellings(
        &mut self,
        doubted: Vec<(usize, String)>,
        by_position: &HashMap<usize, u64>,
        terms: &mut HashMap<String, f32>,
    ) -> tantivy::Result<()> {
        for (position, word) in doubted {
            let mut found: HashMap<String, (f32, u64)> = HashMap::new();
            for (spelling, edits) in expand::spelled_like(self.statistics.searcher, self.fields.words, &word)?
            {
                let weight = (0..edits).fold(1.0, |weight, _| weight * EDIT_WEIGHT);
                for term in self.terms_of(&spelling).filter(|term| !terms.contains_key(term)) {
                    let frequency = self.dictionary.frequency(&term)?;
                    if frequency > 0 {
                        // The nearest comes first.
                        found.entry(term).or_insert((weight, frequency));
                    }
                }
            }
            let together: u64 = found.values().map(|(_, frequency)| frequency).sum();
            let frequency = together.max(by_position.get(&position).copied().unwrap_or_default());
            for (term, (weight, _)) in found {
                self.statistics.frequencies.insert(term.clone(), frequency);
                terms.insert(term, weight);
            }
        }
        Ok(())
    }

    /// The terms of one word in all languages.
    fn terms_of(&self, word: &str) -> impl Iterator<Item = String> + use<> {
        let mut terms = Vec::new();
        for spoken in self.languages {
            spoken.analysis.terms(word, |_, term| terms.push(term.to_owned()));
        }
        terms.into_iter()
    }

    /// Rows with a word that begins so, each with the score of a word as rare as all of them in a text of mean length.
    fn prefix(&self, prefix: &str) -> tantivy::Result<ScoredRows> {
        let rows = expand::beginning_with(self.statistics.searcher, self.fields.words, prefix)?;
        let score = self.statistics.idf(rows.len());
        Ok(ScoredRows { rows, score })
    }

    /// The phrase in any language, and more than the inverse document frequencies of its words; `None` if it has no words.
    fn phrase(&self, text: &str) -> Option<(Box<dyn Query>, f32)> {
        let mut words = 0;
        let variants: Vec<(Occur, Box<dyn Query>)> = self
            .languages
            .iter()
            .filter_map(|spoken| {
                let mut terms = Vec::new();
                spoken.analysis.terms(text, |position, term| terms.push((position, term.to_owned())));
                words += terms.len();
                phrase_in(self.fields.body, &terms).map(|query| (Occur::Should, query))
            })
            .collect();
        let most = words as f32 * self.statistics.idf(0);
        (!variants.is_empty()).then(|| (Box::new(BooleanQuery::new(variants)) as Box<dyn Query>, most))
    }

    /// All that a search scores.
    fn asked(&mut self, typed: &Typed, typo_tolerance: bool) -> tantivy::Result<Asked> {
        let Wanted { terms, prefixes } = self.wanted(typed, typo_tolerance)?;
        let mut words = Vec::with_capacity(terms.len());
        for (term, weight) in terms {
            let Some(entry) = self.dictionary.look_up(&term)? else { continue };
            let frequency = self.statistics.frequencies.get(&term).copied().unwrap_or(entry.frequency);
            words.push((entry, weight * self.statistics.idf(frequency)));
        }
        let phrases = typed.phrases.iter().filter_map(|phrase| self.phrase(phrase)).collect();
        Ok(Asked { words, prefixes, phrases })
    }
}

/// Rows of the languages in which the word at a position is a stop word.
fn stopped(text: &str, languages: &[Spoken], by_language: &[SaidTerms]) -> HashMap<usize, u64> {
    let mut stopped: HashMap<usize, u64> = HashMap::new();
    let all: Vec<usize> = positions(&said(text, analysis_for(None))).collect();
    for (spoken, said) in languages.iter().zip(by_language) {
        let kept: HashSet<usize> = positions(said).collect();
        for at in all.iter().filter(|at| !kept.contains(at)) {
            *stopped.entry(*at).or_default() += spoken.rows;
        }
    }
    stopped
}

fn positions(said: &SaidTerms) -> impl Iterator<Item = usize> + '_ {
    said.values().flat_map(|said| said.positions.iter().copied())
}

/// The words whose spelling is doubted, with their positions: those that are a stop word in no language at home.
fn doubted(text: &str, languages: &[Spoken], by_language: &[SaidTerms]) -> Vec<(usize, String)> {
    let rows: u64 = languages.iter().map(|spoken| spoken.rows).sum();
    let at_home = languages.iter().zip(by_language).filter(|(spoken, _)| spoken.rows * AT_HOME >= rows);
    let kept: Vec<HashSet<usize>> = at_home.map(|(_, said)| positions(said).collect()).collect();
    let general = analysis_for(None);
    let mut doubted = Vec::new();
    general.terms(text, |position, term| {
        let word = term.strip_prefix(general.prefix).unwrap_or(term);
        let known = doubted.iter().any(|(_, other)| other == word);
        if doubted.len() < DOUBTED_MAX && !known && kept.iter().all(|kept| kept.contains(&position)) {
            doubted.push((position, word.to_owned()));
        }
    });
    doubted
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
    (searcher, pool): (&Searcher, &Pool),
    fields: Fields,
    languages: &[Spoken],
    (text, typo_tolerance): (&str, bool),
    allowed: Option<&Rows>,
    limit: usize,
) -> tantivy::Result<Vec<(f32, DocAddress)>> {
    if limit == 0 || searcher.num_docs() == 0 {
        return Ok(Vec::new());
    }
    let mut builder = Builder::new(searcher, fields, languages)?;
    let asked = builder.asked(&Typed::new(text), typo_tolerance)?;
    score::run((&builder.statistics, &builder.dictionary, pool), &asked, allowed, limit)
}

/// Marks what [`search`] looks for.
pub fn marker(
    searcher: &Searcher,
    fields: Fields,
    languages: &[Spoken],
    (text, typo_tolerance): (&str, bool),
) -> tantivy::Result<Marker> {
    let typed = Typed::new(text);
    let mut builder = Builder::new(searcher, fields, languages)?;
    let words = Typed { words: typed.words, ..Typed::default() };
    let wanted = builder.wanted(&words, typo_tolerance)?;
    Ok(Marker { terms: wanted.terms.into_keys().collect(), prefixes: typed.prefixes })
}
