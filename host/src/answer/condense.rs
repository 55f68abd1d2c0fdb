//! A follow-up question as one that stands alone, without a model: the words that it leaves out are carried over.

use unicode_segmentation::UnicodeSegmentation;

use crate::types::{Message, MessageRole};

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
    fn whole_questions_stand_alone() {
        let history = [asked("Who built the Eiffel Tower?")];
        let question = "Which battery powers the spectrometer module?";
        assert_eq!(standalone(question, &history), question);
        assert_eq!(standalone("And it?", &[]), "And it?");
    }
}
