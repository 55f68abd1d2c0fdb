//! Sentences to an answer.

use smartrag_sdk::generator::{Passage, Request};
use smartrag_words::Language;

use crate::config::Config;
use crate::count_tokens;
use crate::evidence::{Candidate, gather, worth};
use crate::question::Question;
use crate::select::select;
use crate::shorten::shorten;

/// A finished answer.
#[derive(Debug, PartialEq)]
pub struct Answer {
    /// With its citations.
    pub text: String,
    /// Whether it only says that the documents do not say.
    pub abstained: bool,
    /// Words and marks that were read.
    pub prompt_tokens: u32,
}

impl Answer {
    /// Answers, or abstains in the language of the request.
    pub fn to(request: &Request, config: &Config) -> Self {
        let question = Question::new(&request.question);
        let candidates = gather(&question, &request.passages);
        let chosen = select(&candidates, config);
        let read = request.passages.iter().map(|passage| count_tokens(&passage.text)).sum::<u32>();
        Self {
            text: match chosen[..] {
                [] => abstention(&request.language).into(),
                _ => chosen
                    .iter()
                    .map(|one| say(&question, one, &request.passages, config))
                    .collect::<Vec<_>>()
                    .join(" "),
            },
            abstained: chosen.is_empty(),
            prompt_tokens: read + count_tokens(&request.question),
        }
    }
}

fn abstention(language: &str) -> &'static str {
    match Language::from_tag(language) {
        Some(Language::German) => "Die Dokumente geben darauf keine ausreichend belegte Antwort.",
        _ => "The documents do not give a sufficiently supported answer to this.",
    }
}

/// The sentence on one line, with its citation; a long one is cut around what was asked.
fn say(question: &Question, candidate: &Candidate, passages: &[Passage], config: &Config) -> String {
    let passage = &passages[candidate.passage];
    let sentence = passage.text[candidate.span.clone()].split_whitespace().collect::<Vec<_>>().join(" ");
    let language = Language::of(passage.language.as_deref(), &passage.text);
    let short = shorten(&sentence, config.sentence_chars_max, |part| worth(question, part, language));
    format!("{short} [{}]", passage.citation)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use smartrag_sdk::Span;
    use smartrag_sdk::generator::{Options, Sentence};

    use super::*;

    const BRIDGE: &str = "Die Brücke ist aus Stahl. Sie wurde 1877 gebaut und\nverbindet zwei Stadtteile.";

    fn passage(citation: u32, text: &str) -> Passage {
        let mut start = 0;
        let spans = text.split_inclusive(". ").map(|sentence| {
            start += sentence.len();
            Span { start: (start - sentence.len()) as u32, end: start as u32 }
        });
        Passage {
            citation,
            text: text.into(),
            title: "a.md".into(),
            heading_path: vec![],
            language: None,
            score: 1.0,
            similarity: Some(0.5),
            sentences: spans.map(|span| Sentence { span, similarity: Some(0.5) }).collect(),
        }
    }

    fn request(question: &str, language: &str, passages: Vec<Passage>) -> Request {
        let options = Options {
            temperature: None,
            top_p: None,
            max_tokens: None,
            seed: None,
            stop: vec![],
            extra: vec![],
        };
        Request {
            model: None,
            question: question.into(),
            language: language.into(),
            messages: vec![],
            passages,
            options,
        }
    }

    #[test]
    fn the_best_sentence_is_cited() {
        let passages = vec![passage(1, "Das Wetter war schön. Es regnete nie."), passage(2, BRIDGE)];
        let answer =
            Answer::to(&request("Wann wurde die Brücke gebaut?", "de", passages), &Config::default());
        assert!(
            answer.text.contains("Sie wurde 1877 gebaut und verbindet zwei Stadtteile. [2]"),
            "{answer:?}"
        );
        assert!(!answer.abstained && answer.prompt_tokens > 20);
    }

    #[test]
    fn it_abstains_in_the_language_of_the_request() {
        for (language, word) in [("de-AT", "Dokumente"), ("en", "documents"), ("fr", "documents")] {
            let mut passages = vec![passage(1, BRIDGE)];
            passages[0].similarity = Some(0.1);
            passages[0].sentences.iter_mut().for_each(|sentence| sentence.similarity = Some(0.1));
            let answer =
                Answer::to(&request("Who invented the telephone?", language, passages), &Config::default());
            assert!(answer.abstained && answer.text.contains(word), "{answer:?}");
        }
    }

    #[test]
    fn without_sentences_the_passage_stands_for_them() {
        let mut passages = vec![passage(7, BRIDGE)];
        passages[0].sentences.clear();
        let answer =
            Answer::to(&request("Wann wurde die Brücke gebaut?", "de", passages), &Config::default());
        assert!(answer.text.ends_with("Stadtteile. [7]"), "{answer:?}");
    }

    #[test]
    fn the_scale_of_the_embedder_does_not_matter() {
        let answers = |narrow: bool| {
            let map = |similarity: f32| if narrow { 0.7 + 0.3 * similarity } else { similarity };
            let asked = ["Wann wurde die Brücke gebaut?", "Wer malte das Bild im Rathaus?"];
            asked.map(|question| {
                let mut passages =
                    vec![passage(1, "Das Wetter war schön. Es regnete nie."), passage(2, BRIDGE)];
                for (at, passage) in passages.iter_mut().enumerate() {
                    passage.similarity = Some(map(0.1 + 0.3 * at as f32));
                    for (of, sentence) in passage.sentences.iter_mut().enumerate() {
                        sentence.similarity = Some(map(0.05 + 0.2 * (at + of) as f32));
                    }
                }
                Answer::to(&request(question, "de", passages), &Config::default())
            })
        };
        let [answered, abstained] = answers(false);
        assert!(answered.text.contains("1877") && abstained.abstained, "{answered:?} {abstained:?}");
        assert_eq!(answers(true), [answered, abstained]);
    }

    #[test]
    fn a_long_sentence_keeps_what_was_asked() {
        let text = format!("{}, die Brücke wurde 1877 gebaut, {}", "wort ".repeat(60), "mehr ".repeat(60));
        let brief = Config { sentence_chars_max: 80, ..Default::default() };
        let answer =
            Answer::to(&request("Wann wurde die Brücke gebaut?", "de", vec![passage(1, &text)]), &brief);
        assert!(answer.text.contains("1877") && answer.text.chars().count() < 100, "{answer:?}");
    }

    proptest! {
        #[test]
        fn any_request_is_answered(question in "\\PC{1,30}", text in "\\PC{0,60}", span in (0u32..70, 0u32..70)) {
            let mut passages = vec![passage(1, &text)];
            passages[0].sentences.push(Sentence { span: Span { start: span.0, end: span.1 }, similarity: None });
            passages[0].similarity = None;
            let bold = Config { support_min: 0.0, ..Default::default() };
            prop_assert!(!Answer::to(&request(&question, "en", passages), &bold).text.is_empty());
        }
    }
}
