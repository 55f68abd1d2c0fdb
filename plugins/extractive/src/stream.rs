use std::collections::VecDeque;

use smartrag_sdk::Result;
use smartrag_sdk::generator::{Event, FinishReason, Generation, Usage};

use crate::answer::Answer;
use crate::count_tokens;

/// Words in an event.
const GROUP: usize = 4;

/// An answer, a few words at a time.
pub struct Stream(VecDeque<Event>);

impl Stream {
    /// All events of an answer; it ends early at `max_tokens`.
    pub fn new(answer: Answer, max_tokens: Option<u32>) -> Self {
        let (mut used, mut cut) = (0, false);
        let mut events = VecDeque::new();
        for group in groups(&answer.text) {
            let tokens = count_tokens(group);
            cut = max_tokens.is_some_and(|max| used + tokens > max);
            if cut {
                break;
            }
            used += tokens;
            events.push_back(Event::Text(group.into()));
        }
        events
            .push_back(Event::Usage(Usage { prompt_tokens: answer.prompt_tokens, completion_tokens: used }));
        events.push_back(Event::Finish(match (cut, answer.abstained) {
            (true, _) => FinishReason::Length,
            (_, true) => FinishReason::Abstained,
            _ => FinishReason::Stop,
        }));
        Self(events)
    }
}

impl Generation for Stream {
    fn next(&mut self, max: u32) -> Result<Vec<Event>> {
        let count = self.0.len().min(max.max(1) as usize);
        Ok(self.0.drain(..count).collect())
    }
}

/// Pieces of a few words with the blanks behind them.
fn groups(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = rest.match_indices(' ').nth(GROUP - 1).map_or(rest.len(), |(at, _)| at + 1);
        let (group, tail) = rest.split_at(end);
        rest = tail;
        (!group.is_empty()).then_some(group)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(max_tokens: Option<u32>, batch: u32) -> (String, Vec<Event>) {
        let text = "Die Brücke wurde 1877 gebaut [1]. Sie steht noch [2].";
        let answer = Answer { text: text.into(), abstained: false, prompt_tokens: 9 };
        let mut stream = Stream::new(answer, max_tokens);
        let (mut said, mut others) = (String::new(), Vec::new());
        loop {
            let events = stream.next(batch).expect("the stream goes on");
            if events.is_empty() {
                return (said, others);
            }
            assert!(events.len() <= batch.max(1) as usize);
            for event in events {
                match event {
                    Event::Text(text) => said.push_str(&text),
                    other => others.push(other),
                }
            }
        }
    }

    #[test]
    fn the_whole_answer_comes_in_any_batch() {
        for batch in [0, 1, 2, 100] {
            let (said, others) = run(None, batch);
            assert_eq!(said, "Die Brücke wurde 1877 gebaut [1]. Sie steht noch [2].");
            let usage = Usage { prompt_tokens: 9, completion_tokens: 16 };
            assert!(
                matches!(&others[..], [Event::Usage(u), Event::Finish(FinishReason::Stop)]
                    if (u.prompt_tokens, u.completion_tokens) == (usage.prompt_tokens, usage.completion_tokens)),
                "{others:?}"
            );
        }
    }

    #[test]
    fn max_tokens_ends_it_early() {
        let (said, others) = run(Some(5), 9);
        assert_eq!(said, "Die Brücke wurde 1877 ");
        assert!(matches!(others[..], [_, Event::Finish(FinishReason::Length)]));
    }
}
