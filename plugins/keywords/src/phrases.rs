//! A text as sentences of words, and its candidate phrases.

use smartrag_words::{Language, Stemmer, Word, is_stop_word, words};

use rustc_hash::FxHashMap;

/// Words of the longest phrase.
const PHRASE_MAX: usize = 3;

/// A word in its place.
pub struct Token<'a> {
    pub word: Word<'a>,
    /// Number of its stem; `None` for stop words, numbers and single letters.
    pub stem: Option<usize>,
    pub sentence: usize,
    pub starts_sentence: bool,
    /// Whether only blanks or a hyphen stand between it and the word before.
    pub follows: bool,
}

/// The words of a text and the number of stems among them.
pub struct Tokens<'a> {
    pub list: Vec<Token<'a>>,
    pub stems: usize,
    pub sentences: usize,
}

impl<'a> Tokens<'a> {
    /// Splits a text; a stem is computed once for each form.
    pub fn of(text: &'a str, language: Language) -> Self {
        let mut forms = Forms::new(language);
        let mut list: Vec<Token> = Vec::new();
        let (mut end, mut sentence) = (0, 0);
        for word in words(text) {
            let gap = &text[end..word.start];
            let starts_sentence = list.is_empty() || ends_sentence(gap);
            sentence += usize::from(starts_sentence);
            let follows = !list.is_empty() && matches!(gap, " " | "-" | "\u{ad}");
            end = word.span().end;
            let stem = forms.stem(word.text);
            list.push(Token { word, stem, sentence, starts_sentence, follows });
        }
        Self { list, stems: forms.stems.len(), sentences: sentence }
    }

    /// Runs of one to three words without stop words or punctuation, as ranges of the list (Rose et al. 2010, RAKE).
    pub fn phrases(&self) -> impl Iterator<Item = &[Token<'a>]> {
        (0..self.list.len()).flat_map(move |start| {
            let run = self.list[start..].iter().enumerate().take(PHRASE_MAX);
            let fits =
                run.take_while(|(at, token)| token.stem.is_some() && (*at == 0 || token.follows)).count();
            (1..=fits).map(move |length| &self.list[start..start + length])
        })
    }
}

struct Forms<'a> {
    language: Language,
    stemmer: Stemmer,
    known: FxHashMap<&'a str, Option<usize>>,
    stems: FxHashMap<String, usize>,
}

impl<'a> Forms<'a> {
    fn new(language: Language) -> Self {
        Self {
            language,
            stemmer: Stemmer::new(language),
            known: FxHashMap::default(),
            stems: FxHashMap::default(),
        }
    }

    fn stem(&mut self, form: &'a str) -> Option<usize> {
        if let Some(known) = self.known.get(form) {
            return *known;
        }
        let letters = form.chars().filter(|c| c.is_alphabetic()).count();
        let stem = (letters > 1 && !is_stop_word(self.language, form)).then(|| {
            let next = self.stems.len();
            *self.stems.entry(self.stemmer.stem(form)).or_insert(next)
        });
        self.known.insert(form, stem);
        stem
    }
}

fn ends_sentence(gap: &str) -> bool {
    gap.contains(['.', '!', '?', ':', '。']) || gap.matches('\n').count() > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_stop_at_stop_words_and_punctuation() {
        let tokens = Tokens::of("deep neural networks, and 3 red cars. Blue", Language::English);
        let text =
            |phrase: &[Token]| phrase.iter().map(|token| token.word.text).collect::<Vec<_>>().join(" ");
        let phrases: Vec<String> = tokens.phrases().map(text).collect();
        let expected = [
            "deep",
            "deep neural",
            "deep neural networks",
            "neural",
            "neural networks",
            "networks",
            "red",
            "red cars",
            "cars",
            "Blue",
        ];
        assert_eq!(phrases, expected);
        assert_eq!(tokens.sentences, 2);
    }
}
