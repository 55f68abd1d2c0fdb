//! What the context remembers, sequence by sequence: the prompt cache. Answers run on sequences; what is left of one is
//! kept until the next answer begins, which goes on from where both are the same. It is not kept longer: every token that
//! the context holds is passed over for each new one, whoever it belongs to.

use llama_cpp_2::token::LlamaToken;

/// A stretch of the context with one conversation in it.
#[derive(Clone, Debug, Default)]
struct Sequence {
    /// The tokens that llama.cpp has computed, no more and no less.
    tokens: Vec<LlamaToken>,
    /// Tokens that its answer may take in all; 0: no answer runs on it.
    reserved: usize,
}

/// All sequences of a context.
#[derive(Debug)]
pub struct Sequences {
    all: Vec<Sequence>,
    room: usize,
    /// Whether tokens may be shared between sequences.
    can_share: bool,
}

/// Where an answer gets its place.
#[derive(Debug, PartialEq)]
pub struct Place {
    /// The sequence.
    pub sequence: usize,
    /// The one whose first tokens it begins with: itself, or another.
    pub source: usize,
    /// How many tokens those are; fewer than the prompt has.
    pub common: usize,
    /// What no answer runs on any more.
    pub forgotten: Vec<usize>,
}

impl Sequences {
    /// So many that share `room` tokens.
    pub fn new(count: usize, room: usize, can_share: bool) -> Self {
        Self { all: vec![Sequence::default(); count], room, can_share }
    }

    /// Tokens of a sequence.
    pub fn tokens(&self, sequence: usize) -> &[LlamaToken] {
        &self.all[sequence].tokens
    }

    /// A token was computed.
    pub fn push(&mut self, sequence: usize, token: LlamaToken) {
        self.all[sequence].tokens.push(token);
    }

    /// Its answer is over; what it holds is kept.
    pub fn release(&mut self, sequence: usize) {
        self.all[sequence].reserved = 0;
    }

    /// What it holds is gone.
    pub fn forget(&mut self, sequence: usize) {
        self.all[sequence].tokens.clear();
    }

    /// The best place for a prompt whose answer may take `reserved` tokens with it, or none while others have the room.
    pub fn place(&self, prompt: &[LlamaToken], reserved: usize) -> Option<Place> {
        let sequence = self.idle().max_by_key(|at| self.common(*at, prompt))?;
        let mut source = sequence;
        let mut common = self.common(sequence, prompt);
        if self.can_share {
            for other in 0..self.all.len() {
                let longer = self.common(other, prompt);
                if longer > common {
                    (source, common) = (other, longer);
                }
            }
        }
        // Shared tokens count for each that has them: that is more than they take.
        let used: usize = self.all.iter().map(|sequence| sequence.reserved).sum();
        let forgotten =
            self.idle().filter(|at| *at != sequence && !self.all[*at].tokens.is_empty()).collect();
        (used + reserved <= self.room).then_some(Place { sequence, source, common, forgotten })
    }

    /// Carries out what [`Sequences::place`] found, once llama.cpp did: the sequence has its common tokens and no others.
    pub fn take(&mut self, place: &Place, prompt: &[LlamaToken], reserved: usize) {
        for sequence in &place.forgotten {
            self.forget(*sequence);
        }
        let tokens = prompt[..place.common].to_vec();
        self.all[place.sequence] = Sequence { tokens, reserved };
    }

    /// Those that no answer runs on.
    fn idle(&self) -> impl Iterator<Item = usize> {
        (0..self.all.len()).filter(|at| self.all[*at].reserved == 0)
    }

    /// At least the last token of the prompt is computed anew: what follows it is asked.
    fn common(&self, sequence: usize, prompt: &[LlamaToken]) -> usize {
        let there = &self.all[sequence].tokens;
        let same = there.iter().zip(prompt).take_while(|(a, b)| a == b).count();
        same.min(prompt.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<LlamaToken> {
        text.bytes().map(|byte| LlamaToken(byte.into())).collect()
    }

    /// Answers a prompt on its place.
    fn answer(sequences: &mut Sequences, prompt: &str, more: &str) -> Place {
        let place = begin(sequences, prompt, prompt.len() + more.len()).unwrap();
        for token in &tokens(&(prompt[place.common..].to_owned() + more)) {
            sequences.push(place.sequence, *token);
        }
        sequences.release(place.sequence);
        place
    }

    fn begin(sequences: &mut Sequences, prompt: &str, reserved: usize) -> Option<Place> {
        let prompt = tokens(prompt);
        let place = sequences.place(&prompt, reserved)?;
        sequences.take(&place, &prompt, reserved);
        Some(place)
    }

    #[test]
    fn a_conversation_goes_on_where_it_was() {
        let mut sequences = Sequences::new(3, 100, true);
        assert_eq!(answer(&mut sequences, "system: a", "b").common, 0);
        let next = answer(&mut sequences, "system: abc", "d");
        assert_eq!((next.source, next.common), (next.sequence, 10));
        // The same prompt again: its last token is computed anew.
        assert_eq!(answer(&mut sequences, "system: abc", "d").common, 10);
        assert_eq!(sequences.tokens(next.sequence), tokens("system: abcd"));
    }

    #[test]
    fn another_conversation_begins_where_they_differ() {
        let mut sequences = Sequences::new(3, 100, true);
        answer(&mut sequences, "system: a long first question", "!");
        let other = answer(&mut sequences, "system: why?", "!");
        assert_eq!((other.source, other.common), (other.sequence, 8));
        assert_eq!(sequences.tokens(other.sequence), tokens("system: why?!"));
    }

    #[test]
    fn who_comes_beside_another_shares_its_beginning() {
        for (can_share, expected) in [(true, 8), (false, 0)] {
            let mut sequences = Sequences::new(3, 100, can_share);
            let first = begin(&mut sequences, "system: a", 20).unwrap();
            tokens("system: a").iter().for_each(|token| sequences.push(first.sequence, *token));
            let second = begin(&mut sequences, "system: b", 20).unwrap();
            assert_ne!(second.sequence, first.sequence);
            assert_eq!(second.common, expected);
            assert_eq!(second.source == first.sequence, can_share);
        }
    }

    #[test]
    fn what_nobody_runs_on_goes_with_the_next_answer() {
        let mut sequences = Sequences::new(2, 30, true);
        let first = begin(&mut sequences, "aaaa", 10).unwrap();
        tokens("aaaa").iter().for_each(|token| sequences.push(first.sequence, *token));
        let second = answer(&mut sequences, "bbbb", "");
        assert_eq!(begin(&mut sequences, "cccc", 25), None, "the first has the room");
        sequences.release(first.sequence);
        let third = begin(&mut sequences, "aaab", 25).unwrap();
        assert_eq!((third.sequence, third.common), (first.sequence, 3));
        assert_eq!(third.forgotten, [second.sequence]);
    }

    #[test]
    fn who_finds_all_sequences_taken_waits() {
        let mut sequences = Sequences::new(1, 100, true);
        begin(&mut sequences, "a", 5).unwrap();
        assert_eq!(begin(&mut sequences, "b", 5), None);
        sequences.release(0);
        assert!(begin(&mut sequences, "b", 5).is_some());
    }
}
