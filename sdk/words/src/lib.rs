//! Words, stems and stop words of German and English, for plugins that look at text word by word.

mod language;
mod stem;
mod stop;
mod word;

pub use language::Language;
pub use stem::Stemmer;
pub use stop::is_stop_word;
pub use word::{Word, words};
