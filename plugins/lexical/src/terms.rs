use rustc_hash::FxHashMap;
use smartrag_words::{Language, Stemmer, is_stop_word, words};

/// The stems of all words, in order.
pub fn stems(text: &str, language: Language) -> Vec<String> {
    let stemmer = Stemmer::new(language);
    let mut known: FxHashMap<&str, String> = FxHashMap::default();
    words(text)
        .map(|word| known.entry(word.text).or_insert_with(|| stemmer.stem(word.text)).clone())
        .collect()
}

/// The stems that a query asks for, each once, in order: without stop words, unless it has nothing else.
pub fn wanted(query: &str, language: Language) -> Vec<String> {
    let content = words(query).filter(|word| !is_stop_word(language, word.text));
    let content: Vec<&str> = content.map(|word| word.text).collect();
    let all = stems(&if content.is_empty() { query.to_string() } else { content.join(" ") }, language);
    let mut distinct: Vec<String> = Vec::new();
    for stem in all {
        if !distinct.contains(&stem) {
            distinct.push(stem);
        }
    }
    distinct
}
