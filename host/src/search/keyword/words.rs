//! What a word of a query is in the languages of an index: analysed and looked up once a commit, since questions share
//! most of their words, and an index can have many languages and segments.

use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;

use super::dictionary::{Dictionary, Entry};
use super::expand;
use super::query::Spoken;

/// Words kept. One has a few hundred bytes for each language that knows it.
const KEPT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4095);
/// The language whose compounds are split; measured for no other.
const COMPOUNDING: &str = "de";
/// A language is at home in a collection that has this share of its rows in it, one in so many.
const AT_HOME: u64 = 10;

/// A word of a query.
#[derive(Debug, Default)]
pub struct Word {
    /// Its terms, of all languages that know it.
    pub terms: Vec<Arc<Entry>>,
    /// Rows that have any of them. Where it is a stop word it counts as standing in every row of that language.
    pub frequency: u64,
    /// Terms of its parts, if it is a compound.
    pub parts: Vec<Arc<Entry>>,
    /// Whether it is a stop word of a language at home.
    pub is_stop_word: bool,
}

impl Word {
    fn new(word: &str, dictionary: &mut Dictionary<'_>) -> tantivy::Result<Self> {
        let languages = dictionary.languages();
        let rows: u64 = languages.iter().map(|spoken| spoken.rows).sum();
        let mut made = Self::default();
        for spoken in languages {
            let is_at_home = spoken.rows * AT_HOME >= rows;
            let Some(term) = spoken.analysis.term(word) else {
                made.frequency += spoken.rows;
                made.is_stop_word |= is_at_home;
                continue;
            };
            if let Some(entry) = dictionary.look_up(&term)? {
                made.frequency += entry.frequency;
                made.terms.push(entry);
            }
            // In a collection of another language parts would be rare words by accident.
            if is_at_home && spoken.analysis.code == COMPOUNDING {
                made.parts = parts(spoken, &term, dictionary)?;
            }
        }
        Ok(made)
    }
}

fn parts(spoken: &Spoken, term: &str, dictionary: &mut Dictionary<'_>) -> tantivy::Result<Vec<Arc<Entry>>> {
    let parts = expand::parts(spoken.analysis, term, |part| dictionary.frequency(part))?;
    let entries = parts.into_iter().flatten().map(|part| dictionary.look_up(&part));
    entries.filter_map(tantivy::Result::transpose).collect()
}

/// The words that were asked for last, of an index as it is.
pub struct Words(Mutex<LruCache<String, Arc<Word>>>);

impl Default for Words {
    fn default() -> Self {
        // Grows with what is asked.
        let mut words = LruCache::unbounded();
        words.resize(KEPT);
        Self(Mutex::new(words))
    }
}

impl Words {
    /// A word in lower case.
    pub fn get(&self, word: &str, dictionary: &mut Dictionary<'_>) -> tantivy::Result<Arc<Word>> {
        let known = self.0.lock().get(word).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let made = Arc::new(Word::new(word, dictionary)?);
        self.0.lock().put(word.to_owned(), made.clone());
        Ok(made)
    }
}
