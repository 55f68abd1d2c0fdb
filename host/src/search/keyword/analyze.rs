//! Text into terms. Every term begins with the code of the language that it was analysed in (`de:haus`), so that one
//! field holds all languages: lengths and counts stay those of the whole collection, and a new language needs no new
//! field.

use std::borrow::Cow;
use std::sync::OnceLock;

use tantivy::tokenizer::{
    BoxTokenStream, Language, RawTokenizer, Stemmer, StopWordFilter, TextAnalyzer, Token, TokenStream,
    Tokenizer,
};
use unicode_normalization::char::is_combining_mark;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// The name under which tantivy knows [`TaggedTokenizer::stems`].
pub const STEMS: &str = "smartrag";
/// The name under which tantivy knows [`TaggedTokenizer::words`].
pub const WORDS: &str = "smartrag-words";

/// Longer words are no words: they are left out, in texts as in queries.
const WORD_BYTES_MAX: usize = 200;

/// How text of one language is analysed.
pub struct Analysis {
    /// ISO 639-1, empty for text of any other language.
    pub code: &'static str,
    /// What its terms begin with.
    pub prefix: &'static str,
    analyzer: TextAnalyzer,
    /// The same without stems and prefix: the words as they are written, without stop words.
    words: TextAnalyzer,
    /// The same for a single word in lower case.
    word: TextAnalyzer,
}

impl Analysis {
    /// The term of a single word in lower case; `None` for a stop word.
    pub fn term(&self, word: &str) -> Option<String> {
        let mut analyzer = self.word.clone();
        let mut stream = Prefixed { inner: analyzer.token_stream(word), prefix: self.prefix };
        stream.advance().then(|| std::mem::take(&mut stream.inner.token_mut().text))
    }

    /// Calls `each` with the terms of `text` and the position of the word that each stands for.
    pub fn terms(&self, text: &str, mut each: impl FnMut(usize, &str)) {
        self.tokens(text, |token| each(token.position, &token.text));
    }

    /// Calls `each` with the terms of `text` as tokens. Their offsets are bytes of the text if it is NFC.
    pub fn tokens(&self, text: &str, mut each: impl FnMut(&Token)) {
        let mut analyzer = self.analyzer.clone();
        let mut stream = Prefixed { inner: analyzer.token_stream(text), prefix: self.prefix };
        while stream.advance() {
            each(stream.token());
        }
    }
}

macro_rules! languages {
    ($($code:literal $language:ident),* $(,)?) => {
        [$(($code, concat!($code, ":"), Language::$language)),*]
    };
}

/// The general analysis first, then one for each language that can be stemmed.
pub fn analyses() -> &'static [Analysis] {
    static ALL: OnceLock<Vec<Analysis>> = OnceLock::new();
    ALL.get_or_init(|| {
        let languages = languages![
            "ar" Arabic, "da" Danish, "de" German, "el" Greek, "en" English, "es" Spanish, "fi" Finnish,
            "fr" French, "hu" Hungarian, "it" Italian, "nl" Dutch, "no" Norwegian, "pt" Portuguese,
            "ro" Romanian, "ru" Russian, "sv" Swedish, "ta" Tamil, "tr" Turkish,
        ];
        let (analyzer, words, word) = (Words.into(), Words.into(), RawTokenizer::default().into());
        let general = Analysis { code: "", prefix: ":", analyzer, words, word };
        let stemmed = languages.map(|(code, prefix, language)| Analysis {
            code,
            prefix,
            analyzer: analyzer_of(Words, language, true),
            words: analyzer_of(Words, language, false),
            word: analyzer_of(RawTokenizer::default(), language, true),
        });
        std::iter::once(general).chain(stemmed).collect()
    })
}

fn analyzer_of(tokenizer: impl Tokenizer, language: Language, stemmed: bool) -> TextAnalyzer {
    let mut builder = TextAnalyzer::builder(tokenizer).dynamic();
    if let Some(stop_words) = StopWordFilter::new(language) {
        builder = builder.filter_dynamic(stop_words);
    }
    if stemmed {
        builder = builder.filter_dynamic(Stemmer::new(language));
    }
    builder.build()
}

/// The analysis for a language tag such as `de` or `de-AT`; the general one where there is none.
pub fn analysis_for(language: Option<&str>) -> &'static Analysis {
    let tag = language.unwrap_or_default();
    let primary = tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    let code = match primary.as_str() {
        "nb" | "nn" => "no",
        other => other,
    };
    analyses().iter().find(|analysis| analysis.code == code).unwrap_or(&analyses()[0])
}

/// Splits at everything that is neither letter, mark nor digit; lower case, NFC. Chinese and Japanese, which write no
/// spaces, become single characters and pairs of neighbours.
#[derive(Clone)]
struct Words;

impl Tokenizer for Words {
    type TokenStream<'a> = WordStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> WordStream<'a> {
        WordStream { text: nfc(text), at: 0, pair: None, position: 0, token: Token::default() }
    }
}

fn nfc(text: &str) -> Cow<'_, str> {
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => Cow::Borrowed(text),
        _ => Cow::Owned(text.nfc().collect()),
    }
}

struct WordStream<'a> {
    text: Cow<'a, str>,
    at: usize,
    /// Two neighbours of a script without spaces, to be given out behind the first of them.
    pair: Option<[char; 2]>,
    position: usize,
    token: Token,
}

impl WordStream<'_> {
    /// The next word as bytes of the text.
    fn next_word(&mut self) -> Option<std::ops::Range<usize>> {
        let rest = &self.text[self.at..];
        let start = self.at + rest.find(is_word_char)?;
        let word = &self.text[start..];
        let first = word.chars().next()?;
        let end = if is_unspaced(first) {
            start + first.len_utf8()
        } else {
            word.find(|c| !is_word_char(c) || is_unspaced(c)).map_or(self.text.len(), |len| start + len)
        };
        self.at = end;
        Some(start..end)
    }

    fn pair_at(&self, start: usize) -> Option<[char; 2]> {
        let mut chars = self.text[start..].chars();
        let pair = [chars.next()?, chars.next()?];
        pair.into_iter().all(is_unspaced).then_some(pair)
    }

    fn give(&mut self, position: usize) -> bool {
        self.token.position = position;
        true
    }
}

impl TokenStream for WordStream<'_> {
    fn advance(&mut self) -> bool {
        self.token.text.clear();
        if let Some(pair) = self.pair.take() {
            self.token.text.extend(pair);
            self.token.offset_to += pair[1].len_utf8();
            return self.give(self.position - 1);
        }
        while let Some(word) = self.next_word() {
            if word.len() > WORD_BYTES_MAX {
                continue;
            }
            self.pair = self.pair_at(word.start);
            self.token.offset_from = word.start;
            self.token.offset_to = word.end;
            push_lowercase(&self.text[word], &mut self.token.text);
            self.position += 1;
            return self.give(self.position - 1);
        }
        false
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

/// A word as it stands in the index where it is not stemmed.
pub fn folded(word: &str) -> String {
    let mut folded = String::with_capacity(word.len());
    push_lowercase(&nfc(word), &mut folded);
    folded
}

fn push_lowercase(word: &str, into: &mut String) {
    if word.is_ascii() {
        into.push_str(word);
        into.make_ascii_lowercase();
    } else {
        into.extend(word.chars().flat_map(char::to_lowercase));
    }
}

/// Whether a character is part of a word.
pub fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || (!c.is_ascii() && is_combining_mark(c))
}

/// Whether a character is of a script that writes no spaces.
pub fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Puts the language's prefix before each term.
struct Prefixed<'a> {
    inner: BoxTokenStream<'a>,
    prefix: &'static str,
}

impl TokenStream for Prefixed<'_> {
    fn advance(&mut self) -> bool {
        let more = self.inner.advance();
        if more {
            self.inner.token_mut().text.insert_str(0, self.prefix);
        }
        more
    }

    fn token(&self) -> &Token {
        self.inner.token()
    }

    fn token_mut(&mut self) -> &mut Token {
        self.inner.token_mut()
    }
}

/// What [`TaggedTokenizer`] expects: the text behind the code of its language.
pub fn tagged(analysis: &Analysis, text: &str) -> String {
    format!("{}{text}", analysis.prefix)
}

/// Analyses text that [`tagged`] made.
#[derive(Clone)]
pub struct TaggedTokenizer {
    stems: bool,
    current: Option<(&'static str, TextAnalyzer)>,
}

impl TaggedTokenizer {
    /// Into the terms of its language.
    pub fn stems() -> Self {
        Self { stems: true, current: None }
    }

    /// Into its words as they are written, in lower case; stop words are left out.
    pub fn words() -> Self {
        Self { stems: false, current: None }
    }
}

impl Tokenizer for TaggedTokenizer {
    type TokenStream<'a> = BoxTokenStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> BoxTokenStream<'a> {
        let (code, text) = text.split_once(':').unwrap_or(("", text));
        let analysis = analysis_for(Some(code));
        if self.current.as_ref().is_none_or(|(prefix, _)| *prefix != analysis.prefix) {
            self.current = None;
        }
        let analyzer = if self.stems { &analysis.analyzer } else { &analysis.words };
        let (prefix, analyzer) = self.current.get_or_insert_with(|| (analysis.prefix, analyzer.clone()));
        let inner = analyzer.token_stream(text);
        if self.stems { BoxTokenStream::new(Prefixed { inner, prefix }) } else { inner }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(language: Option<&str>, text: &str) -> Vec<String> {
        let mut terms = Vec::new();
        analysis_for(language).terms(text, |_, term| terms.push(term.to_owned()));
        terms
    }

    #[test]
    fn each_language_stems_and_drops_its_own_stop_words() {
        assert_eq!(terms(Some("en"), "The houses are burning"), ["en:hous", "en:burn"]);
        assert_eq!(terms(Some("de-AT"), "Die Häuser und die Gärten"), ["de:haus", "de:gart"]);
        assert_eq!(terms(None, "The Houses"), [":the", ":houses"]);
        assert_eq!(terms(Some("xx"), "The Houses"), [":the", ":houses"]);
        assert_eq!(terms(Some("nb"), "husene"), ["no:hus"]);
    }

    #[test]
    fn a_single_word_is_analysed_as_in_a_text() {
        let term = |language, word| analysis_for(Some(language)).term(word);
        assert_eq!(term("en", "houses").as_deref(), Some("en:hous"));
        assert_eq!(term("de", "gärten").as_deref(), Some("de:gart"));
        assert_eq!(term("de", "die"), None);
        assert_eq!(term("xx", "die").as_deref(), Some(":die"));
        assert_eq!(term("xx", "東京").as_deref(), Some(":東京"));
    }

    #[test]
    fn composed_and_decomposed_text_is_the_same() {
        assert_eq!(terms(Some("de"), "Gro\u{308}ße"), terms(Some("de"), "Größe"));
        assert_eq!(terms(None, "e\u{301}"), [":é"]);
    }

    #[test]
    fn scripts_without_spaces_become_characters_and_pairs() {
        assert_eq!(terms(None, "東京x 都"), [":東", ":東京", ":京", ":x", ":都"]);
    }

    #[test]
    fn stop_words_leave_a_gap_and_giants_are_dropped() {
        let mut positions = Vec::new();
        let text = format!("house {} of cards", "x".repeat(WORD_BYTES_MAX + 1));
        analysis_for(Some("en")).terms(&text, |at, term| positions.push((at, term.to_owned())));
        assert_eq!(positions, [(0, "en:hous".to_owned()), (2, "en:card".to_owned())]);
    }

    #[test]
    fn indexed_text_is_analysed_as_queries_are() {
        let text = tagged(analysis_for(Some("de")), "Zeiten: um 12:30 Uhr");
        let indexed = |mut tokenizer: TaggedTokenizer| {
            let mut stream = tokenizer.token_stream(&text);
            let mut indexed = Vec::new();
            while stream.advance() {
                indexed.push(stream.token().text.clone());
            }
            indexed
        };
        assert_eq!(indexed(TaggedTokenizer::stems()), terms(Some("de"), "Zeiten: um 12:30 Uhr"));
        assert_eq!(indexed(TaggedTokenizer::words()), ["zeiten", "12", "30", "uhr"]);
    }
}
