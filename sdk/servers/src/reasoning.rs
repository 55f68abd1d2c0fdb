use smartrag_sdk::generator::Event;

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Tells reasoning from the answer where a model writes it into the text, between `<think>` and `</think>` at the very
/// beginning. Pieces may be cut anywhere.
#[derive(Debug, Default)]
pub struct Reasoning {
    state: State,
    /// Text that may be the beginning of a tag.
    held: String,
}

#[derive(Debug, Default, PartialEq)]
enum State {
    #[default]
    Beginning,
    Reasoning,
    /// Behind the reasoning: white space belongs to nothing.
    Gap,
    Answer,
}

impl Reasoning {
    /// What a piece of text brings.
    pub fn push(&mut self, piece: &str) -> Vec<Event> {
        let mut events = Vec::new();
        self.held.push_str(piece);
        while self.step(&mut events) {}
        events
    }

    /// What was held back when the answer ended.
    pub fn end(&mut self) -> Option<Event> {
        let held = std::mem::take(&mut self.held);
        match self.state {
            _ if held.is_empty() => None,
            State::Reasoning => Some(Event::Reasoning(held)),
            State::Beginning | State::Answer => Some(Event::Text(held)),
            State::Gap => None,
        }
    }

    /// True if there is more to do.
    fn step(&mut self, events: &mut Vec<Event>) -> bool {
        match self.state {
            State::Beginning => {
                let text = self.held.trim_start();
                if let Some(rest) = text.strip_prefix(OPEN) {
                    self.held = rest.to_owned();
                    self.state = State::Reasoning;
                    return true;
                }
                if OPEN.starts_with(text) {
                    return false;
                }
                self.state = State::Answer;
                true
            }
            State::Reasoning => {
                let (end, found) = match self.held.find(CLOSE) {
                    Some(at) => (at, true),
                    None => (self.held.len() - tail(&self.held), false),
                };
                let text: String = self.held.drain(..end).collect();
                if !text.is_empty() {
                    events.push(Event::Reasoning(text));
                }
                if found {
                    self.held.drain(..CLOSE.len());
                    self.state = State::Gap;
                }
                found
            }
            State::Gap => {
                self.held = self.held.trim_start().to_owned();
                if self.held.is_empty() {
                    return false;
                }
                self.state = State::Answer;
                true
            }
            State::Answer => {
                if !self.held.is_empty() {
                    events.push(Event::Text(std::mem::take(&mut self.held)));
                }
                false
            }
        }
    }
}

/// Bytes at the end of a text that may begin the closing tag.
fn tail(text: &str) -> usize {
    (1..CLOSE.len()).rev().find(|length| text.ends_with(&CLOSE[..*length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pieces: &[&str]) -> (String, String) {
        let mut reasoning = Reasoning::default();
        let mut events: Vec<Event> = pieces.iter().flat_map(|piece| reasoning.push(piece)).collect();
        events.extend(reasoning.end());
        let (mut thought, mut answer) = (String::new(), String::new());
        for event in events {
            match event {
                Event::Text(text) => answer.push_str(&text),
                Event::Reasoning(text) => thought.push_str(&text),
                other => panic!("{other:?}"),
            }
        }
        (thought, answer)
    }

    #[test]
    fn reasoning_is_told_apart_wherever_it_is_cut() {
        let text = "\n<think>a < b, so\n</think>\n\nIt is **b** <think>.";
        let expected = ("a < b, so\n".to_owned(), "It is **b** <think>.".to_owned());
        for cut in 1..text.len() {
            assert_eq!(told(&[&text[..cut], &text[cut..]]), expected, "{cut}");
        }
        let letters: Vec<String> = text.chars().map(String::from).collect();
        assert_eq!(told(&letters.iter().map(String::as_str).collect::<Vec<_>>()), expected);
    }

    #[test]
    fn plain_answers_are_left_as_they_are() {
        assert_eq!(told(&[" <thin", "g> is"]), (String::new(), " <thing> is".into()));
        assert_eq!(told(&["<th"]), (String::new(), "<th".into()));
        assert_eq!(told(&["<think>never ends</th"]), ("never ends</th".into(), String::new()));
        assert_eq!(told(&[]), Default::default());
    }
}
