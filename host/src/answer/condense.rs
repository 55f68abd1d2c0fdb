//! A follow-up question as one that stands alone: by a model where the config says that it is able to, else the words that
//! the question leaves out are carried over.

use std::time::{Duration, Instant};

use unicode_segmentation::UnicodeSegmentation;

use super::prompt::Material;
use super::templates::{Prompts, Use};
use crate::plugins::{Cancel, GenerateEvent, GenerateOptions, GenerateRequest, Generator};
use crate::types::{Message, MessageRole};

/// Tokens of a rewritten question at most.
const TOKENS_MAX: u32 = 128;
/// Longer ones are no questions.
const CHARS_MAX: usize = 1000;
/// For how long a model may think about it.
const TIME_MAX: Duration = Duration::from_secs(15);

/// A question with fewer content words than this, or with a reference back, leans on the one before.
const CONTENT_WORDS_MIN: usize = 3;

/// Words that point back to the question before.
const REFERENCES: &[&str] = &[
    "it", "its", "they", "them", "their", "he", "she", "his", "her", "this", "that", "these", "those",
    "there", "er", "sie", "es", "ihr", "ihre", "sein", "seine", "dieser", "diese", "dieses", "diesem",
    "diesen", "dort", "dafür", "davon", "dazu", "damit", "deren", "dessen",
];

/// The text to search for: the question, and in front of it the last question of the conversation when the new one
/// can't be understood alone. Never changes the first question.
pub(super) fn standalone(question: &str, history: &[Message]) -> String {
    let last = history.iter().rev().find(|message| message.role == MessageRole::User);
    match last {
        Some(last) if leans_back(question) => format!("{} {question}", last.content),
        _ => question.to_owned(),
    }
}

/// The question as the model rewrites it; `None` if it does not, in time, with a usable text.
pub(super) fn by_model(
    generator: &dyn Generator,
    model: Option<String>,
    prompts: &Prompts,
    material: &Material<'_>,
    cancel: &Cancel,
) -> Option<String> {
    let (until, asked) = (Instant::now() + TIME_MAX, cancel.clone());
    let request = GenerateRequest {
        model,
        question: material.question.to_owned(),
        language: material.language.to_owned(),
        messages: vec![(MessageRole::User, material.render(prompts, Use::Condense).ok()?)],
        passages: Vec::new(),
        options: GenerateOptions {
            temperature: Some(0.0),
            max_tokens: Some(TOKENS_MAX),
            ..Default::default()
        },
        cancel: Cancel::when(move || asked.is_cancelled() || Instant::now() > until),
    };
    let mut text = String::new();
    for batch in generator.generate(&request).ok()? {
        for event in batch.ok()? {
            if let GenerateEvent::Text(piece) = event {
                text.push_str(&piece);
            }
        }
        if request.cancel.is_cancelled() || text.chars().count() > CHARS_MAX {
            return None;
        }
    }
    bare(&text)
}

/// A line of text without quotation marks around it.
fn bare(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    let bare = line.trim_matches(['"', '“', '”', '„', '»', '«', '`']).trim();
    (!bare.is_empty()).then(|| bare.to_owned())
}

fn leans_back(question: &str) -> bool {
    let words: Vec<String> = question.unicode_words().map(str::to_lowercase).collect();
    let refers = words.iter().any(|word| REFERENCES.contains(&word.as_str()));
    let content = words.iter().filter(|word| word.chars().count() > 3).count();
    refers || content < CONTENT_WORDS_MIN
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{JsonMap, MessageId};

    fn asked(content: &str) -> Message {
        let metadata = JsonMap::new();
        Message {
            id: MessageId::new(),
            role: MessageRole::User,
            content: content.into(),
            metadata,
            created_at: 0,
        }
    }

    #[test]
    fn follow_ups_carry_the_last_question() {
        let history = [asked("Who built the Eiffel Tower?")];
        assert_eq!(
            standalone("When was it finished?", &history),
            "Who built the Eiffel Tower? When was it finished?"
        );
        assert_eq!(standalone("Und wann?", &history), "Who built the Eiffel Tower? Und wann?");
    }

    #[test]
    fn what_a_model_says_becomes_a_bare_question() {
        assert_eq!(bare("\n „Wann wurde er gebaut?“ \nErklärung: …").unwrap(), "Wann wurde er gebaut?");
        assert_eq!(bare(" \n\"\" "), None);
    }

    #[test]
    fn whole_questions_stand_alone() {
        let history = [asked("Who built the Eiffel Tower?")];
        let question = "Which battery powers the spectrometer module?";
        assert_eq!(standalone(question, &history), question);
        assert_eq!(standalone("And it?", &[]), "And it?");
    }
}
