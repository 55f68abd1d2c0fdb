//! BM25 (Robertson & Zaragoza, 2009), term by term: each adds to a sum for every row that has it, the weightiest first.
//! Once the rest cannot lift a new row among the best, only rows that have a sum already are looked at (Turtle & Flood,
//! 1995).
//!
//! Sums are whole numbers, so that they do not depend on their order: the same rows score the same however they are
//! spread over segments.

use std::sync::Arc;

use parking_lot::Mutex;
use roaring::RoaringBitmap;
use tantivy::fieldnorm::FieldNormReader;
use tantivy::postings::{BlockSegmentPostings, TermInfo};
use tantivy::query::{EnableScoring, Query, Weight};
use tantivy::schema::IndexRecordOption;
use tantivy::{DocAddress, SegmentReader, TERMINATED};

use super::dictionary::{Dictionary, Entry};
use super::query::Statistics;
use super::rows::{Rows, ScoredRows};
use crate::search::best::Best;

const K1: f32 = 1.2;
const B: f32 = 0.75;
/// What the number of times that a row has a word can multiply its inverse document frequency by.
const OFTEN: f32 = K1 + 1.0;
/// What all terms of a query can add up to, in steps.
const FULL: f32 = (1u32 << 31) as f32;
/// A filter that lets through fewer rows than one in so many leads the search; any other is asked about each row found.
const FEW_ROWS: u64 = 20;
/// A term with that many times more rows than have a sum is asked for these rows one by one.
const SPARSE: usize = 8;
/// How many times as many rows as are wanted are looked at to see what the best have reached.
const FIRST: usize = 16;
/// Rows from which a table of what a word counts once is worth making.
const TABLED: u32 = 256;
/// A term with fewer rows is added without asking whether it needs to be. Tests have few rows.
const CHEAP: usize = if cfg!(test) { 2 } else { 128 };

/// What a query looks for.
#[derive(Default)]
pub struct Asked {
    /// Each with its inverse document frequency, times what it counts.
    pub words: Vec<(Arc<Entry>, f32)>,
    /// Rows of words that begin so.
    pub prefixes: Vec<ScoredRows>,
    /// A row must have all of them. Each with at least the inverse document frequencies of its words together.
    pub phrases: Vec<(Box<dyn Query>, f32)>,
}

/// Sums that were used and are clean again, for the next search.
#[derive(Clone, Default)]
pub struct Pool(Arc<Mutex<Vec<Sums>>>);

/// A sum a row of a segment, 0 for one that was not touched.
#[derive(Default)]
struct Sums {
    sums: Vec<u32>,
    touched: Vec<u32>,
}

/// The inverse document frequency of what so many of the rows have.
pub fn idf(frequency: u64, rows: u64) -> f32 {
    let (rows, frequency) = (rows as f32, frequency.min(rows) as f32);
    (1.0 + (rows - frequency + 0.5) / (frequency + 0.5)).ln()
}

/// The best rows, best first; of equals the first in the index.
pub fn run(
    (statistics, dictionary, pool): (&Statistics<'_>, &Dictionary<'_>, &Pool),
    asked: &Asked,
    allowed: Option<&Rows>,
    limit: usize,
) -> tantivy::Result<Vec<(f32, DocAddress)>> {
    let searcher = statistics.searcher;
    let scoring = || EnableScoring::enabled_from_statistics_provider(statistics, searcher);
    let phrases = asked.phrases.iter().map(|(phrase, _)| phrase.weight(scoring()));
    let steps = FULL / asked.most().max(f32::MIN_POSITIVE);
    let mut pass = Pass {
        dictionary,
        asked,
        phrases: phrases.collect::<tantivy::Result<_>>()?,
        norms: norms(statistics.mean_length()),
        steps,
        limit,
        best: Best::new(limit),
        sums: pool.0.lock().pop().unwrap_or_default(),
        postings: None,
    };
    // What the largest segment has found lets the others be skipped through: one bar for all.
    let mut segments: Vec<_> = (0u32..).zip(searcher.segment_readers()).collect();
    segments.sort_by_key(|(_, segment)| std::cmp::Reverse(segment.num_docs()));
    for (position, segment) in segments {
        match allowed.map(|rows| rows.0.get(&segment.segment_id())) {
            // None of the rows of this segment may be found.
            Some(None) => {}
            Some(rows) => pass.look_through(position, segment, rows)?,
            None => pass.look_through(position, segment, None)?,
        }
    }
    pool.0.lock().push(pass.sums);
    let found = pass.best.into_sorted();
    Ok(found.map(|(sum, address)| ((sum - 1) as f32 / steps, address)).collect())
}

/// What a length, as the index keeps it, does to the frequency of a term.
fn norms(mean_length: f32) -> [f32; 256] {
    std::array::from_fn(|id| {
        let length = FieldNormReader::id_to_fieldnorm(id as u8) as f32;
        K1 * (1.0 - B + B * length / mean_length)
    })
}

impl Asked {
    /// A score that no row reaches.
    fn most(&self) -> f32 {
        let words = self.words.iter().map(|(_, weight)| *weight);
        let phrases = self.phrases.iter().map(|(_, weight)| *weight);
        let prefixes = self.prefixes.iter().map(|rows| rows.score);
        // One step a row for being touched, and what rounding adds.
        (words.chain(phrases).sum::<f32>() * OFTEN + prefixes.sum::<f32>()) * 1.001
    }
}

/// Something that adds to sums.
enum Source<'a> {
    Word { info: &'a TermInfo, language: usize },
    Rows(&'a RoaringBitmap),
}

struct Weighted<'a> {
    /// Steps that it adds at most.
    most: f32,
    rows: usize,
    source: Source<'a>,
}

/// What the sources that are left can add to a row: those of one language, since a row has no other, and prefixes.
struct Rest {
    of_languages: Vec<f32>,
    of_all: f32,
}

impl Rest {
    fn of(sources: &[Weighted<'_>]) -> Self {
        let mut rest = Self { of_languages: Vec::new(), of_all: 0.0 };
        sources.iter().for_each(|source| *rest.share(source) += source.most);
        rest
    }

    fn share(&mut self, source: &Weighted<'_>) -> &mut f32 {
        let Source::Word { language, .. } = source.source else { return &mut self.of_all };
        if self.of_languages.len() <= language {
            self.of_languages.resize(language + 1, 0.0);
        }
        &mut self.of_languages[language]
    }

    /// More than that it is not, whatever rounding did.
    fn most(&self) -> f32 {
        (self.of_languages.iter().copied().fold(0.0, f32::max) + self.of_all) * 1.001 + 1024.0
    }
}

struct Pass<'a> {
    dictionary: &'a Dictionary<'a>,
    asked: &'a Asked,
    phrases: Vec<Box<dyn Weight>>,
    norms: [f32; 256],
    /// In a score of 1.
    steps: f32,
    limit: usize,
    best: Best<u32, DocAddress>,
    sums: Sums,
    postings: Option<BlockSegmentPostings>,
}

impl Pass<'_> {
    fn look_through(
        &mut self,
        position: u32,
        segment: &SegmentReader,
        allowed: Option<&RoaringBitmap>,
    ) -> tantivy::Result<()> {
        let alive = segment.alive_bitset();
        let counts = |row: u32| {
            alive.is_none_or(|alive| alive.is_alive(row))
                && allowed.is_none_or(|allowed| allowed.contains(row))
        };
        self.sums.begin(segment.max_doc());
        let few = allowed.filter(|rows| rows.len() * FEW_ROWS < u64::from(segment.max_doc()));
        // Whether rows without a sum are of no interest any more.
        let mut closed = true;
        if !self.phrases.is_empty() {
            let found = self.with_all_phrases(segment, counts)?;
            found.into_iter().for_each(|(row, sum)| self.sums.add_new(row, sum));
        } else if let Some(rows) = few {
            rows.iter().for_each(|row| self.sums.add_new(row, 0));
        } else {
            closed = false;
        }
        let asked = self.asked;
        let sources = sources(asked, (position, segment), self.steps);
        let mut rest = Rest::of(&sources);
        let lengths = segment.get_fieldnorms_reader(self.dictionary.field())?;
        for source in &sources {
            closed = closed || (source.rows > CHEAP && self.is_settled(rest.most()));
            let begins = |row: u32| !closed && counts(row);
            *rest.share(source) -= source.most;
            match &source.source {
                Source::Word { info, .. } => {
                    let points = Points::new((source.most, info.doc_freq), &self.norms, &lengths);
                    let Some(index) = self.dictionary.segment(position) else { continue };
                    let postings = match &mut self.postings {
                        Some(postings) => {
                            index.reset_block_postings_from_terminfo(info, postings)?;
                            postings
                        }
                        None => {
                            let option = IndexRecordOption::WithFreqs;
                            self.postings.insert(index.read_block_postings_from_terminfo(info, option)?)
                        }
                    };
                    if closed && self.sums.are_few_beside(postings) {
                        self.sums.add_to_touched(postings, &points);
                    } else {
                        self.sums.add_word(postings, &points, begins);
                    }
                }
                Source::Rows(rows) => {
                    rows.iter().for_each(|row| self.sums.add(row, source.most as u32, begins));
                }
            }
        }
        self.sums.end(|row, sum| self.best.offer(sum, DocAddress::new(position, row)));
        Ok(())
    }

    /// Whether a row that only the rest of the sources knows is not among the best.
    fn is_settled(&self, rest: f32) -> bool {
        let is_below = |bar: Option<u32>| bar.is_some_and(|bar| rest < bar as f32);
        is_below(self.best.bar()) || is_below(self.sums.bar(self.limit))
    }

    /// The rows that have all phrases, with what they count, in order.
    fn with_all_phrases(
        &self,
        segment: &SegmentReader,
        counts: impl Fn(u32) -> bool,
    ) -> tantivy::Result<Vec<(u32, u32)>> {
        let mut found: Option<Vec<(u32, u32)>> = None;
        for phrase in &self.phrases {
            let mut scorer = phrase.scorer(segment, 1.0)?;
            let mut rows = Vec::new();
            while scorer.doc() != TERMINATED {
                if counts(scorer.doc()) {
                    rows.push((scorer.doc(), (scorer.score() * self.steps) as u32));
                }
                scorer.advance();
            }
            found = Some(match found {
                None => rows,
                Some(before) => both(&before, &rows),
            });
        }
        Ok(found.unwrap_or_default())
    }
}

/// Rows of both with their sums together.
fn both(left: &[(u32, u32)], right: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let other = |row: &u32| right.binary_search_by_key(row, |(row, _)| *row).map(|at| right[at].1);
    left.iter().filter_map(|(row, sum)| Some((*row, sum.saturating_add(other(row).ok()?)))).collect()
}

/// What adds to the rows of a segment, the weightiest first.
fn sources<'a>(
    asked: &'a Asked,
    (position, segment): (u32, &SegmentReader),
    steps: f32,
) -> Vec<Weighted<'a>> {
    let words = asked.words.iter().filter_map(|(entry, weight)| {
        let at = entry.segments.binary_search_by_key(&position, |(position, _)| *position).ok()?;
        let (info, language) = (&entry.segments[at].1, entry.language);
        let source = Source::Word { info, language };
        Some(Weighted { most: weight * OFTEN * steps, rows: info.doc_freq as usize, source })
    });
    let prefixes = asked.prefixes.iter().filter_map(|scored| {
        let rows = scored.rows.0.get(&segment.segment_id())?;
        let source = Source::Rows(rows);
        Some(Weighted { most: scored.score * steps, rows: rows.len() as usize, source })
    });
    let mut sources: Vec<_> = words.chain(prefixes).collect();
    sources.sort_by(|a, b| b.most.total_cmp(&a.most));
    sources
}

/// What a word adds to a row.
struct Points<'a> {
    most: f32,
    norms: &'a [f32; 256],
    lengths: &'a FieldNormReader,
    /// For most rows, which have it once: by length.
    once: Option<[u32; 256]>,
}

impl<'a> Points<'a> {
    fn new((most, rows): (f32, u32), norms: &'a [f32; 256], lengths: &'a FieldNormReader) -> Self {
        let once = (rows >= TABLED).then(|| norms.map(|norm| points(most, 1.0, norm)));
        Self { most, norms, lengths, once }
    }

    #[inline]
    fn of(&self, row: u32, frequency: u32) -> u32 {
        let length = usize::from(self.lengths.fieldnorm_id(row));
        match &self.once {
            Some(once) if frequency == 1 => once[length],
            _ => points(self.most, frequency as f32, self.norms[length]),
        }
    }
}

fn points(most: f32, frequency: f32, norm: f32) -> u32 {
    (most * (frequency / (frequency + norm))) as u32
}

impl Sums {
    fn begin(&mut self, rows: u32) {
        if self.sums.len() < rows as usize {
            self.sums.resize(rows as usize, 0);
        }
    }

    /// Gives out the sums of rows that have more than been touched, and forgets everything.
    fn end(&mut self, mut each: impl FnMut(u32, u32)) {
        for row in self.touched.drain(..) {
            let sum = std::mem::take(&mut self.sums[row as usize]);
            if sum > 1 {
                each(row, sum);
            }
        }
    }

    /// A touched row has one step more than it was given.
    fn add_new(&mut self, row: u32, points: u32) {
        self.touched.push(row);
        self.sums[row as usize] = points.saturating_add(1);
    }

    /// Adds to a row; to one without a sum only where it may begin one.
    #[inline]
    fn add(&mut self, row: u32, points: u32, begins: impl Fn(u32) -> bool) {
        match &mut self.sums[row as usize] {
            0 if begins(row) => self.add_new(row, points),
            0 => {}
            sum => *sum = sum.saturating_add(points),
        }
    }

    fn add_word(
        &mut self,
        postings: &mut BlockSegmentPostings,
        points: &Points<'_>,
        begins: impl Fn(u32) -> bool,
    ) {
        while !postings.docs().is_empty() {
            for (row, frequency) in postings.docs().iter().zip(postings.freqs()) {
                self.add(*row, points.of(*row, *frequency), &begins);
            }
            postings.advance();
        }
    }

    /// Whether it is cheaper to look for each touched row than to walk through all that have the word.
    fn are_few_beside(&self, postings: &BlockSegmentPostings) -> bool {
        self.touched.len() * SPARSE < postings.doc_freq() as usize
    }

    fn add_to_touched(&mut self, postings: &mut BlockSegmentPostings, points: &Points<'_>) {
        // Sorted after the first time.
        self.touched.sort_unstable();
        for row in &self.touched {
            let at = postings.seek(*row);
            if postings.doc(at) == *row {
                let sum = &mut self.sums[*row as usize];
                *sum = sum.saturating_add(points.of(*row, postings.freq(at)));
            }
        }
    }

    /// A sum that so many rows have reached so far. Looks only at the rows that were touched first, by the weightiest
    /// words: the best are mostly among them.
    fn bar(&self, count: usize) -> Option<u32> {
        let first = &self.touched[..self.touched.len().min(count.saturating_mul(FIRST))];
        let place = count.checked_sub(1).filter(|place| *place < first.len())?;
        let mut sums: Vec<u32> = first.iter().map(|row| self.sums[*row as usize]).collect();
        let (_, bar, _) = sums.select_nth_unstable_by(place, |a, b| b.cmp(a));
        Some(*bar)
    }
}
