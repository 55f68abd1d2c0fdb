//! ISO 639-1 codes, and the languages that are looked for.

use whatlang::Lang;

/// Candidates: widely written languages. Rare ones next to them (Afrikaans beside Dutch, Esperanto, Latin) would
/// win short texts more often than they occur.
pub const CANDIDATES: &[(Lang, &str)] = &[
    (Lang::Deu, "de"),
    (Lang::Eng, "en"),
    (Lang::Fra, "fr"),
    (Lang::Spa, "es"),
    (Lang::Ita, "it"),
    (Lang::Por, "pt"),
    (Lang::Nld, "nl"),
    (Lang::Dan, "da"),
    (Lang::Swe, "sv"),
    (Lang::Nob, "no"),
    (Lang::Fin, "fi"),
    (Lang::Pol, "pl"),
    (Lang::Ces, "cs"),
    (Lang::Slk, "sk"),
    (Lang::Hun, "hu"),
    (Lang::Ron, "ro"),
    (Lang::Hrv, "hr"),
    (Lang::Tur, "tr"),
    (Lang::Vie, "vi"),
    (Lang::Ind, "id"),
    (Lang::Rus, "ru"),
    (Lang::Ukr, "uk"),
    (Lang::Bul, "bg"),
    (Lang::Srp, "sr"),
    (Lang::Ell, "el"),
    (Lang::Ara, "ar"),
    (Lang::Pes, "fa"),
    (Lang::Heb, "he"),
    (Lang::Hin, "hi"),
    (Lang::Ben, "bn"),
    (Lang::Tam, "ta"),
    (Lang::Tha, "th"),
    (Lang::Kat, "ka"),
    (Lang::Hye, "hy"),
    (Lang::Cmn, "zh"),
    (Lang::Jpn, "ja"),
    (Lang::Kor, "ko"),
];

/// The code of a candidate.
pub fn of(language: Lang) -> Option<&'static str> {
    CANDIDATES.iter().find(|(candidate, _)| *candidate == language).map(|(_, code)| *code)
}

/// The two-letter language of a BCP 47 tag; `None` where it has none.
pub fn primary(tag: &str) -> Option<String> {
    let language = tag.split(['-', '_']).next()?;
    let fits = language.len() == 2 && language.bytes().all(|b| b.is_ascii_alphabetic());
    fits.then(|| language.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_cut_to_their_language() {
        assert_eq!(primary("de-AT").as_deref(), Some("de"));
        assert_eq!(primary("EN_us").as_deref(), Some("en"));
        assert_eq!((primary("x-klingon"), primary("")), (None, None));
    }
}
