use smartrag_words::{Language, Stemmer, is_stop_word, words};

use crate::kind::Kind;

/// A word that the answer should be about.
pub struct Term {
    /// Its stems as a German and as an English word: passages may be either.
    stems: [String; 2],
    /// Weight beside its rarity: less for words that only frame a question.
    pub weight: f32,
    /// Whether it is written as names and numbers are: with a capital within the question, or with a digit first.
    pub named: bool,
}

impl Term {
    /// The stem to look for in a passage of `language`.
    pub fn stem(&self, language: Language) -> &str {
        &self.stems[index(language)]
    }
}

/// A question, taken apart.
pub struct Question {
    /// As asked.
    pub text: String,
    /// Its content words, each once.
    pub terms: Vec<Term>,
    /// What it asks for.
    pub kind: Kind,
    pub(crate) stemmers: [Stemmer; 2],
}

/// Verbs and nouns that only frame a question.
const FRAME: &[&str] = &[
    "name",
    "many",
    "much",
    "kind",
    "type",
    "called",
    "known",
    "happen",
    "happened",
    "mean",
    "means",
    "used",
    "heißt",
    "hieß",
    "heißen",
    "nennt",
    "nennen",
    "nannte",
    "genannt",
    "bezeichnet",
    "art",
    "lautet",
    "gibt",
    "gab",
];

impl Question {
    /// Takes a question apart; without content words all its words count.
    pub fn new(text: &str) -> Self {
        let language = Language::guess(text);
        let stemmers = [Stemmer::new(Language::German), Stemmer::new(Language::English)];
        let mut terms = content(text, &stemmers, |word| !is_stop_word(language, word));
        if terms.is_empty() {
            terms = content(text, &stemmers, |_| true);
        }
        Self { text: text.into(), terms, kind: Kind::of(text), stemmers }
    }

    pub(crate) fn stemmer(&self, language: Language) -> &Stemmer {
        &self.stemmers[index(language)]
    }
}

fn content(text: &str, stemmers: &[Stemmer; 2], keep: impl Fn(&str) -> bool) -> Vec<Term> {
    let mut terms: Vec<Term> = Vec::new();
    for (at, word) in words(text).enumerate().filter(|(_, word)| keep(word.text)) {
        let stems = [0, 1].map(|which: usize| stemmers[which].stem(word.text));
        let frame = FRAME.contains(&&*word.text.to_lowercase());
        if !terms.iter().any(|term| term.stems == stems) {
            let named = at > 0 && word.is_capitalised() || word.text.starts_with(char::is_numeric);
            terms.push(Term { stems, weight: if frame { 0.3 } else { 1.0 }, named });
        }
    }
    terms
}

fn index(language: Language) -> usize {
    match language {
        Language::German => 0,
        Language::English => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_words_remain() {
        let question = Question::new("Who did the Panthers defeat in 2015?");
        let stems: Vec<&str> = question.terms.iter().map(|term| term.stem(Language::English)).collect();
        assert_eq!(stems, ["panther", "defeat", "2015"]);
        assert_eq!(Question::new("Was ist das?").terms.len(), 3);
    }

    #[test]
    fn names_and_numbers_are_known_by_how_they_are_written() {
        let named = |text: &str| -> Vec<String> {
            let terms = Question::new(text).terms;
            let named = terms.iter().filter(|term| term.named);
            named.map(|term| term.stem(Language::English).to_owned()).collect()
        };
        assert_eq!(named("Defeated by whom were the Panthers in 2015?"), ["panther", "2015"]);
        assert_eq!(named("1999 war what?"), ["1999"]);
        assert!(named("how does it work").is_empty());
    }
}
