//! One text to one language.

use smartrag_words::{Language, is_stop_word, words};

use crate::codes;

/// Characters looked at; more would change nothing.
const TEXT_MAX: usize = 2000;
/// Share of a text's words that are stop words of one language alone. Running German or English has twice that,
/// Dutch or Danish half of it in German stop words.
const SHARE_MIN: f32 = 0.2;
/// Stop words from which a share of [`SHARE_MIN`] alone is enough, and trigrams need not be asked: they cost more.
const HITS_ENOUGH: u32 = 8;
/// Confidence of trigrams alone from which they are believed.
const TRIGRAMS_SURE: f64 = 0.9;
/// Confidence of trigrams below which those of a short text say no more than "German or English". In a longer text
/// it means that two neighbours, such as Danish and Norwegian, are close.
const TRIGRAMS_WEAK: f64 = 0.35;
/// Words of a short text.
const SHORT: u32 = 12;

/// A language and how sure that is, 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Guess {
    /// ISO 639-1.
    pub code: String,
    /// 0 to 1.
    pub confidence: f32,
}

impl Guess {
    /// What a file says of itself.
    pub fn declared(code: String) -> Self {
        Self { code, confidence: 0.9 }
    }
}

/// Trigram tables and candidates.
pub struct Detector {
    all: whatlang::Detector,
    two: whatlang::Detector,
}

impl Default for Detector {
    fn default() -> Self {
        let candidates = codes::CANDIDATES.iter().map(|(language, _)| *language).collect();
        Self {
            all: whatlang::Detector::with_allowlist(candidates),
            two: whatlang::Detector::with_allowlist(vec![whatlang::Lang::Deu, whatlang::Lang::Eng]),
        }
    }
}

impl Detector {
    /// The language of a text; `None` where it has no words.
    pub fn detect(&self, text: &str) -> Option<Guess> {
        let text = head(text);
        let evidence = Evidence::of(text);
        if evidence.is_plenty() {
            return Some(evidence.guess());
        }
        let trigrams = self.all.detect(text)?;
        let latin = trigrams.script() == whatlang::Script::Latin;
        if latin && evidence.is_clear(&trigrams) {
            return Some(evidence.guess());
        }
        let weak = latin && evidence.words <= SHORT && trigrams.confidence() < TRIGRAMS_WEAK;
        let language = if weak { self.two.detect_lang(text)? } else { trigrams.lang() };
        // Trigrams of a short text are never sure.
        let length = (text.len() as f32 / 100.0).min(1.0);
        let confidence = trigrams.confidence() as f32 * (0.5 + 0.5 * length);
        Some(Guess { code: codes::of(language)?.into(), confidence })
    }
}

/// Stop words that only German or only English has.
struct Evidence {
    german: u32,
    english: u32,
    words: u32,
}

impl Evidence {
    fn of(text: &str) -> Self {
        let mut evidence = Self { german: 0, english: 0, words: 0 };
        // Single letters are words in too many languages.
        for word in words(text).filter(|word| word.text.len() > 1 && !word.is_number()) {
            let german = is_stop_word(Language::German, word.text);
            let english = is_stop_word(Language::English, word.text);
            evidence.german += u32::from(german && !english);
            evidence.english += u32::from(english && !german);
            evidence.words += 1;
        }
        evidence
    }

    /// Whether nothing else need be asked.
    fn is_plenty(&self) -> bool {
        self.hits() >= HITS_ENOUGH && self.share() >= SHARE_MIN && self.is_one_sided()
    }

    /// Whether it decides against, or with, what the trigrams say.
    fn is_clear(&self, trigrams: &whatlang::Info) -> bool {
        let agrees = codes::of(trigrams.lang()) == Some(self.code());
        let enough = if agrees || trigrams.confidence() < TRIGRAMS_WEAK { 1 } else { 2 };
        let against = !agrees && trigrams.confidence() >= TRIGRAMS_SURE && self.words >= 20;
        self.hits() >= enough && self.is_one_sided() && self.share() >= SHARE_MIN && !against
    }

    fn hits(&self) -> u32 {
        self.german.max(self.english)
    }

    fn is_one_sided(&self) -> bool {
        self.hits() > 2 * self.german.min(self.english)
    }

    fn share(&self) -> f32 {
        self.hits() as f32 / self.words.max(1) as f32
    }

    fn code(&self) -> &'static str {
        if self.german > self.english { "de" } else { "en" }
    }

    /// Surer with every stop word.
    fn guess(&self) -> Guess {
        Guess { code: self.code().into(), confidence: 1.0 - 0.5f32.powi(self.hits().min(10) as i32) }
    }
}

fn head(text: &str) -> &str {
    text.char_indices().nth(TEXT_MAX).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_told_apart() {
        let detector = Detector::default();
        let cases = [
            ("Wann wurde das Haus gebaut?", "de"),
            ("Was bedeutet Rhodophyta?", "de"),
            ("How many points did they score?", "en"),
            (
                "De verdediging van de ploeg gaf slechts drie punten weg en was daarmee de zesde in de competitie.",
                "nl",
            ),
            (
                "Forsvaret gav kun tre point væk og blev dermed nummer seks i ligaen, mens den anden hold havde flere.",
                "da",
            ),
            (
                "La défense n'a concédé que trois points et s'est classée sixième de la ligue pendant la saison.",
                "fr",
            ),
            (
                "La defensa solo cedió tres puntos y ocupó el sexto lugar en la liga durante la temporada.",
                "es",
            ),
            ("Försvaret släppte bara in tre poäng och slutade på sjätte plats i ligan under säsongen.", "sv"),
            ("Оборона команды пропустила только триста очков и заняла шестое место.", "ru"),
            ("这支球队的防守只丢了三百分，在联盟中排名第六。", "zh"),
        ];
        for (text, code) in cases {
            let found = detector.detect(text).map(|guess| guess.code);
            assert_eq!(found.as_deref(), Some(code), "{text}");
        }
        assert_eq!(detector.detect("12 – 34 %"), None);
        assert_eq!(detector.detect(""), None);
    }
}
