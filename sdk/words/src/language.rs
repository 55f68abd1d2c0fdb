use crate::{is_stop_word, words};

/// A language whose words are known here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum Language {
    German,
    English,
}

impl Language {
    /// Of a BCP 47 tag such as `de-AT`.
    pub fn from_tag(tag: &str) -> Option<Self> {
        match tag.split(['-', '_']).next().map(str::to_ascii_lowercase).as_deref() {
            Some("de" | "deu" | "ger") => Some(Self::German),
            Some("en" | "eng") => Some(Self::English),
            _ => None,
        }
    }

    /// The one whose stop words are more frequent in a text; English where neither's are.
    pub fn guess(text: &str) -> Self {
        let count = |language| words(text).filter(|word| is_stop_word(language, word.text)).count();
        if count(Self::German) > count(Self::English) { Self::German } else { Self::English }
    }

    /// Of the tag where it is known here, else a guess from the text.
    pub fn of(tag: Option<&str>, text: &str) -> Self {
        tag.and_then(Self::from_tag).unwrap_or_else(|| Self::guess(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_win_over_guesses() {
        assert_eq!(Language::of(Some("de-CH"), "the house is in the city"), Language::German);
        assert_eq!(Language::of(Some("fr"), "Wann wurde das Haus gebaut?"), Language::German);
        assert_eq!(Language::of(None, "When was the house built?"), Language::English);
        assert_eq!(Language::of(None, "308"), Language::English);
    }
}
