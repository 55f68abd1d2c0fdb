use std::borrow::Cow;

use rust_stemmers::Algorithm;

use crate::Language;

/// Snowball's stemmer of a language.
pub struct Stemmer(rust_stemmers::Stemmer);

impl Stemmer {
    /// For one language.
    pub fn new(language: Language) -> Self {
        Self(rust_stemmers::Stemmer::create(match language {
            Language::German => Algorithm::German,
            Language::English => Algorithm::English,
        }))
    }

    /// The stem of a word, in lower case.
    pub fn stem(&self, word: &str) -> String {
        self.0.stem(&lower(word)).into_owned()
    }
}

/// In lower case and with a plain apostrophe.
pub(crate) fn lower(word: &str) -> Cow<'_, str> {
    if word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(word.to_lowercase().replace('’', "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_share_a_stem() {
        let german = Stemmer::new(Language::German);
        assert_eq!(german.stem("Häuser"), german.stem("HAUS"));
        let english = Stemmer::new(Language::English);
        assert_eq!(english.stem("Connections"), english.stem("connected"));
    }
}
