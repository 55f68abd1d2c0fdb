//! What kind of thing a question asks for, and whether a sentence holds one.

use smartrag_words::{Word, words};

/// What an answer would be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// How many, how much, how old.
    Number,
    /// When, in which year.
    Date,
    /// Who, where, what is it called.
    Name,
    /// Why.
    Reason,
    /// Anything else.
    Open,
}

impl Kind {
    /// By the first question word that tells.
    pub fn of(question: &str) -> Self {
        let lower: Vec<String> = words(question).map(|word| word.text.to_lowercase()).collect();
        let pairs = lower.iter().zip(lower.iter().skip(1).map(String::as_str).chain([""]));
        pairs.map(|(word, next)| kind_of(word, next)).find(|kind| *kind != Kind::Open).unwrap_or(Kind::Open)
    }

    /// Whether a sentence holds such a thing that the question does not name itself.
    pub fn is_in(self, sentence: &str, question: &str) -> bool {
        let new = |word: &Word| !question.contains(word.text);
        match self {
            Kind::Number => words(sentence).any(|word| new(&word) && is_quantity(&word)),
            Kind::Date => words(sentence).any(|word| new(&word) && is_date(&word)),
            Kind::Name => words(sentence).skip(1).any(|word| new(&word) && word.is_capitalised()),
            Kind::Reason => words(sentence).any(|word| REASONS.contains(&&*word.text.to_lowercase())),
            Kind::Open => false,
        }
    }
}

fn kind_of(word: &str, next: &str) -> Kind {
    let which = matches!(word, "what" | "which" | "welche" | "welcher" | "welches" | "welchem" | "welchen");
    match word {
        "when" | "wann" => Kind::Date,
        "who" | "whom" | "whose" | "where" | "wer" | "wen" | "wem" | "wessen" | "wo" | "woher" | "wohin" => {
            Kind::Name
        }
        "why" | "warum" | "wieso" | "weshalb" => Kind::Reason,
        "wieviel" | "wieviele" => Kind::Number,
        "how" | "wie" if QUANTITIES.contains(&next) => Kind::Number,
        "wie" if matches!(next, "heißt" | "hieß" | "heißen" | "hießen") => Kind::Name,
        _ if which && TIMES.contains(&next) => Kind::Date,
        _ if which && AMOUNTS.contains(&next) => Kind::Number,
        _ => Kind::Open,
    }
}

fn is_quantity(word: &Word) -> bool {
    word.is_number() || NUMBER_WORDS.contains(&&*word.text.to_lowercase())
}

fn is_date(word: &Word) -> bool {
    let year = word.text.len() == 4 && word.text.bytes().all(|byte| byte.is_ascii_digit());
    year || word.text.starts_with(|c: char| c.is_ascii_digit())
        || MONTHS.contains(&&*word.text.to_lowercase())
}

const QUANTITIES: &[&str] = &[
    "many", "much", "old", "long", "far", "often", "high", "tall", "large", "big", "deep", "fast", "wide",
    "heavy", "viele", "viel", "vielen", "alt", "lange", "lang", "weit", "oft", "hoch", "groß", "tief",
    "schnell", "breit", "schwer", "teuer",
];
const TIMES: &[&str] = &[
    "year",
    "years",
    "date",
    "day",
    "month",
    "century",
    "decade",
    "time",
    "jahr",
    "jahre",
    "jahren",
    "datum",
    "tag",
    "monat",
    "jahrhundert",
    "jahrzehnt",
    "zeitraum",
];
const AMOUNTS: &[&str] = &[
    "percent",
    "percentage",
    "number",
    "amount",
    "share",
    "population",
    "prozentsatz",
    "anteil",
    "anzahl",
    "zahl",
    "menge",
    "höhe",
];
const NUMBER_WORDS: &[&str] = &[
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "dozen",
    "hundred",
    "thousand",
    "million",
    "billion",
    "half",
    "third",
    "quarter",
    "twice",
    "zwei",
    "drei",
    "vier",
    "fünf",
    "sechs",
    "sieben",
    "acht",
    "neun",
    "zehn",
    "elf",
    "zwölf",
    "hundert",
    "tausend",
    "millionen",
    "milliarden",
    "hälfte",
    "drittel",
    "viertel",
    "zweimal",
    "dutzend",
];
const MONTHS: &[&str] = &[
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
    "januar",
    "februar",
    "märz",
    "mai",
    "juni",
    "juli",
    "oktober",
    "dezember",
    "century",
    "jahrhundert",
    "yesterday",
    "today",
    "spring",
    "summer",
    "autumn",
    "winter",
    "frühling",
    "sommer",
    "herbst",
];
const REASONS: &[&str] = &[
    "because",
    "due",
    "since",
    "therefore",
    "reason",
    "cause",
    "caused",
    "so",
    "weil",
    "da",
    "denn",
    "wegen",
    "aufgrund",
    "grund",
    "deshalb",
    "daher",
    "um",
    "damit",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_have_a_kind() {
        let cases = [
            ("Wie viele Punkte gab es?", Kind::Number),
            ("In welchem Jahr starb Tesla?", Kind::Date),
            ("Wie heißt der Fluss?", Kind::Name),
            ("What percentage voted?", Kind::Number),
            ("To whom did it belong?", Kind::Name),
            ("Warum ist das so?", Kind::Reason),
            ("What is a prime number?", Kind::Open),
        ];
        for (question, kind) in cases {
            assert_eq!(Kind::of(question), kind, "{question}");
        }
    }

    #[test]
    fn what_the_question_names_is_no_answer() {
        assert!(Kind::Date.is_in("He died in 1943.", "When did he die?"));
        assert!(!Kind::Date.is_in("In 1943 he lived.", "When, if not 1943, did he die?"));
        assert!(Kind::Name.is_in("It was won by Denver.", "Who won?"));
        assert!(Kind::Number.is_in("Er hatte drei Hunde.", "Wie viele Hunde?"));
    }
}
