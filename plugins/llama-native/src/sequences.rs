//! What the context remembers, sequence by sequence: the prompt cache. Answers run on sequences; what is left of one is
//! kept for the next that begins the same way, as long as there is room.

use llama_cpp_2::token::LlamaToken;

/// A stretch of the context with one conversation in it.
#[derive(Clone, Debug, Default)]
struct Sequence {
    /// The tokens that llama.cpp has computed, no more and no less.
    tokens: Vec<LlamaToken>,
    /// Tokens that its answer may take in all; 0: no answer runs on it.
    reserved: usize,
    /// When it was last used; 0: never.
    used_at: u64,
}

/// All sequences of a context.
#[derive(Debug)]
pub struct Sequences {
    all: Vec<Sequence>,
    room: usize,
    /// Whether tokens may be shared between sequences.
    can_share: bool,
    clock: u64,
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
    /// Sequences to be forgotten first, for their room.
    pub forgotten: Vec<usize>,
}

impl Sequences {
    /// So many that share `room` tokens.
    pub fn new(count: usize, room: usize, can_share: bool) -> Self {
        Self { all: vec![Sequence::default(); count], room, can_share, clock: 0 }
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
        let sequence = self.free_one(prompt)?;
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
        let forgotten = self.make_room(sequence, source, reserved)?;
        Some(Place { sequence, source, common, forgotten })
    }

    /// Carries out what [`Sequences::place`] found, once llama.cpp did: the sequence has its common tokens and no others.
    pub fn take(&mut self, place: &Place, prompt: &[LlamaToken], reserved: usize) {
        self.clock += 1;
        for sequence in &place.forgotten {
            self.forget(*sequence);
        }
        let tokens = prompt[..place.common].to_vec();
        self.all[place.sequence] = Sequence { tokens, reserved, used_at: self.clock };
    }

    /// One that no answer runs on: the one that is mostly this prompt, else the one unused for longest.
    fn free_one(&self, prompt: &[LlamaToken]) -> Option<usize> {
        let free = || (0..self.all.len()).filter(|at| self.all[*at].reserved == 0);
        let is_continued = |at: &usize| {
            let common = self.common(*at, prompt);
            common > 0 && (2 * common >= self.all[*at].tokens.len() || !self.can_share)
        };
        let continued = free().filter(is_continued).max_by_key(|at| self.common(*at, prompt));
        continued.or_else(|| free().min_by_key(|at| self.all[*at].used_at))
    }

    /// At least the last token of the prompt is computed anew: what follows it is asked.
    fn common(&self, sequence: usize, prompt: &[LlamaToken]) -> usize {
        let there = &self.all[sequence].tokens;
        let same = there.iter().zip(prompt).take_while(|(a, b)| a == b).count();
        same.min(prompt.len().saturating_sub(1))
    }

    /// Which sequences have to go; `None` if that would not be enough. Shared tokens count for each that has them.
    fn make_room(&self, sequence: usize, source: usize, reserved: usize) -> Option<Vec<usize>> {
        let size = |at: usize| self.all[at].tokens.len().max(self.all[at].reserved);
        let others = || (0..self.all.len()).filter(|at| *at != sequence);
        let mut used: usize = reserved + others().map(size).sum::<usize>();
        let mut idle: Vec<usize> =
            others().filter(|at| self.all[*at].reserved == 0 && size(*at) > 0).collect();
        // The source goes last; its tokens were shared before.
        idle.sort_by_key(|at| (*at == source, self.all[*at].used_at));
        let mut forgotten = Vec::new();
        for at in idle {
            if used <= self.room {
                break;
            }
            used -= size(at);
            forgotten.push(at);
        }
        (used <= self.room).then_some(forgotten)
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
        assert_eq!((next.sequence, next.source, next.common), (0, 0, 10));
        // The same prompt again: its last token is computed anew.
        assert_eq!(answer(&mut sequences, "system: abc", "d").common, 10);
        assert_eq!(sequences.tokens(0), tokens("system: abcd"));
    }

    #[test]
    fn another_conversation_shares_the_beginning_only() {
        let mut sequences = Sequences::new(3, 100, true);
        answer(&mut sequences, "system: a long first question", "!");
        let other = answer(&mut sequences, "system: why?", "!");
        assert_eq!((other.sequence, other.source, other.common), (1, 0, 8));
        assert_eq!(sequences.tokens(0).len(), 30, "the first one stays");
        assert_eq!(sequences.tokens(1), tokens("system: why?!"));
        let mut alone = Sequences::new(3, 100, false);
        answer(&mut alone, "system: a long first question", "!");
        let other = answer(&mut alone, "system: why?", "!");
        assert_eq!((other.sequence, other.source, other.common), (0, 0, 8), "what can't share cuts");
    }

    #[test]
    fn room_is_made_by_forgetting_what_was_unused_for_longest() {
        let mut sequences = Sequences::new(3, 30, true);
        answer(&mut sequences, "aaaaaaaa", "");
        answer(&mut sequences, "bbbbbbbb", "");
        let third = begin(&mut sequences, "cccc", 20).unwrap();
        assert_eq!((third.sequence, third.forgotten), (2, vec![0]));
        assert_eq!(begin(&mut sequences, "dddd", 20), None, "the third has the room");
        let fourth = begin(&mut sequences, "dddd", 10).unwrap();
        assert_eq!((fourth.sequence, fourth.forgotten), (0, vec![1]));
        sequences.release(2);
        assert!(begin(&mut sequences, "eeee", 20).is_some());
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
