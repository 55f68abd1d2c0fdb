//! From what a user typed to scored rows. Nothing in the text can make an error: it is words, and phrases in quotes.
//!
//! The words are analysed once for each language that the collection holds. A chunk was analysed in one language only,
//! so it meets only the terms of that one; a word counts as frequent as its terms of all languages together
//! ([`Statistics`]), so that scores do not depend on the language that a chunk was taken for. Where a word is a stop
//! word it counts as standing in every chunk of that language: a single Swedish chunk makes German *in* no rare word.

use std::collections::{HashMap, HashSet};

use tantivy::collector::TopDocs;
use tantivy::query::{
    Bm25StatisticsProvider, BooleanQuery, BoostQuery, EmptyQuery, Occur, PhraseQuery, Query, TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocAddress, Searcher, Term};

use super::analyze::{Analysis, analysis_for};
use super::rows::Rows;
use super::schema::Fields;

/// Of a longer query only the beginning counts.
const QUERY_BYTES_MAX: usize = 16 << 10;
/// Different terms of one language that a query may have.
const TERMS_MAX: usize = 256;
/// Phrases that a query may have.
const PHRASES_MAX: usize = 8;

/// Splits off what stands between plain double quotes. An unpaired quote is an ordinary character.
fn phrases(text: &str) -> Vec<&str> {
    let parts: Vec<&str> = text.split('"').collect();
    let pairs = (parts.len() - 1) / 2;
    (0..pairs)
        .map(|pair| parts[2 * pair + 1])
        .filter(|phrase| !phrase.trim().is_empty())
        .take(PHRASES_MAX)
        .collect()
}

fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(QUERY_BYTES_MAX)]
}

/// A language and how many rows were analysed in it.
#[derive(Clone, Copy)]
pub struct Spoken {
    pub analysis: &'static Analysis,
    pub rows: u64,
}

/// A term of the query, how often it was said, and which words it came from.
#[derive(Debug, Default)]
struct Said {
    times: u32,
    positions: Vec<usize>,
}

fn said(text: &str, analysis: &Analysis) -> HashMap<String, Said> {
    let mut terms: HashMap<String, Said> = HashMap::new();
    analysis.terms(text, |position, term| {
        if terms.len() < TERMS_MAX || terms.contains_key(term) {
            let said = terms.entry(term.to_owned()).or_default();
            said.times += 1;
            said.positions.push(position);
        }
    });
    terms
}

/// Document frequencies that belong to words rather than to terms.
pub struct Statistics<'a> {
    searcher: &'a Searcher,
    documents: u64,
    frequencies: HashMap<Term, u64>,
}

impl Bm25StatisticsProvider for Statistics<'_> {
    fn total_num_tokens(&self, field: Field) -> tantivy::Result<u64> {
        self.searcher.total_num_tokens(field)
    }

    fn total_num_docs(&self) -> tantivy::Result<u64> {
        Ok(self.documents)
    }

    fn doc_freq(&self, term: &Term) -> tantivy::Result<u64> {
        let frequency = match self.frequencies.get(term) {
            Some(frequency) => *frequency,
            None => self.searcher.doc_freq(term)?,
        };
        Ok(frequency.min(self.documents))
    }
}

impl<'a> Statistics<'a> {
    /// Of an index as it is.
    pub fn of(searcher: &'a Searcher) -> tantivy::Result<Self> {
        Ok(Self { searcher, documents: searcher.total_num_docs()?, frequencies: HashMap::new() })
    }
}

/// Builds a query and the statistics to score it with.
struct Builder<'a> {
    fields: Fields,
    languages: &'a [Spoken],
    statistics: Statistics<'a>,
}

impl<'a> Builder<'a> {
    fn new(searcher: &'a Searcher, fields: Fields, languages: &'a [Spoken]) -> tantivy::Result<Self> {
        Ok(Self { fields, languages, statistics: Statistics::of(searcher)? })
    }

    /// One clause a term and language that the index knows.
    fn words(&mut self, text: &str) -> tantivy::Result<Vec<(Occur, Box<dyn Query>)>> {
        let by_language: Vec<_> = self.languages.iter().map(|spoken| said(text, spoken.analysis)).collect();
        let stopped = stopped(text, self.languages, &by_language);
        let known = self.known_terms(&by_language, &stopped)?;
        Ok(known.into_iter().map(|(term, times)| (Occur::Should, boosted(term, times as f32))).collect())
    }

    /// The terms that the index has, with how often they were said; notes the frequencies of their words.
    fn known_terms(
        &mut self,
        by_language: &[HashMap<String, Said>],
        stopped: &HashMap<usize, u64>,
    ) -> tantivy::Result<Vec<(Term, u32)>> {
        let mut by_position = stopped.clone();
        let mut known = Vec::new();
        for (text, said) in by_language.iter().flatten() {
            let term = Term::from_field_text(self.fields.body, text);
            let frequency = self.statistics.searcher.doc_freq(&term)?;
            if frequency > 0 {
                said.positions.iter().for_each(|at| *by_position.entry(*at).or_default() += frequency);
                known.push((term, said));
            }
        }
        for (term, said) in &known {
            let frequency = said.positions.iter().filter_map(|at| by_position.get(at)).max();
            self.statistics.frequencies.insert(term.clone(), frequency.copied().unwrap_or_default());
        }
        known.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(known.into_iter().map(|(term, said)| (term, said.times)).collect())
    }

    /// The phrase in any language; `None` if it has no words.
    fn phrase(&self, text: &str) -> Option<Box<dyn Query>> {
        let variants: Vec<(Occur, Box<dyn Query>)> = self
            .languages
            .iter()
            .filter_map(|spoken| {
                let mut terms = Vec::new();
                spoken.analysis.terms(text, |position, term| terms.push((position, term.to_owned())));
                phrase_in(self.fields.body, &terms).map(|query| (Occur::Should, query))
            })
            .collect();
        (!variants.is_empty()).then(|| Box::new(BooleanQuery::new(variants)) as Box<dyn Query>)
    }
}

/// Rows of the languages in which the word at a position is a stop word.
fn stopped(text: &str, languages: &[Spoken], by_language: &[HashMap<String, Said>]) -> HashMap<usize, u64> {
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

fn positions(said: &HashMap<String, Said>) -> impl Iterator<Item = usize> + '_ {
    said.values().flat_map(|said| said.positions.iter().copied())
}

fn boosted(term: Term, boost: f32) -> Box<dyn Query> {
    let query = TermQuery::new(term, IndexRecordOption::WithFreqs);
    if boost == 1.0 { Box::new(query) } else { Box::new(BoostQuery::new(Box::new(query), boost)) }
}

fn phrase_in(field: Field, terms: &[(usize, String)]) -> Option<Box<dyn Query>> {
    let mut positioned: Vec<(usize, Term)> =
        terms.iter().map(|(position, term)| (*position, Term::from_field_text(field, term))).collect();
    match positioned.len() {
        0 => None,
        1 => positioned.pop().map(|(_, term)| boosted(term, 1.0)),
        _ => Some(Box::new(PhraseQuery::new_with_offset(positioned))),
    }
}

/// The best rows for what the user typed, best first, among `allowed` ones where given.
pub fn search(
    searcher: &Searcher,
    fields: Fields,
    languages: &[Spoken],
    text: &str,
    allowed: Option<&Rows>,
    limit: usize,
) -> tantivy::Result<Vec<(f32, DocAddress)>> {
    if limit == 0 || searcher.num_docs() == 0 {
        return Ok(Vec::new());
    }
    let text = bounded(text);
    let mut builder = Builder::new(searcher, fields, languages)?;
    let words = builder.words(text)?;
    let required: Vec<_> = phrases(text).into_iter().filter_map(|phrase| builder.phrase(phrase)).collect();
    run(&builder.statistics, words, required, allowed, limit)
}

/// The rows that match any of the clauses and all that is required.
pub fn run(
    statistics: &Statistics<'_>,
    words: Vec<(Occur, Box<dyn Query>)>,
    required: Vec<Box<dyn Query>>,
    allowed: Option<&Rows>,
    limit: usize,
) -> tantivy::Result<Vec<(f32, DocAddress)>> {
    let mut query: Box<dyn Query> =
        if words.is_empty() { Box::new(EmptyQuery) } else { Box::new(BooleanQuery::new(words)) };
    if !required.is_empty() {
        let must = required.into_iter().map(|phrase| (Occur::Must, phrase));
        query = Box::new(BooleanQuery::new(must.chain([(Occur::Should, query)]).collect()));
    }
    if let Some(rows) = allowed {
        query =
            Box::new(BooleanQuery::new(vec![(Occur::Must, Box::new(rows.clone())), (Occur::Must, query)]));
    }
    let top = TopDocs::with_limit(limit).order_by_score();
    statistics.searcher.search_with_statistics_provider(&query, &top, statistics)
}
