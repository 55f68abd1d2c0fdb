//! Joins of segments into one, beside searches and changes: tantivy does the work on a thread of its own.

use std::time::Duration;

use futures_util::FutureExt;
use tantivy::index::{SegmentId, SegmentMeta};
use tantivy::{FutureResult, TantivyError};

use super::KeywordIndex;
use crate::search::{Error, Result};

/// A join that goes on.
pub struct Joining {
    future: FutureResult<Option<SegmentMeta>>,
    /// Whether somebody asked for it, who also ends it.
    asked: bool,
}

impl KeywordIndex {
    /// Begins to join all segments into one and to give back the space of deleted rows; false if there is nothing to do.
    /// [`Self::end_join`] says when it is done.
    pub fn begin_join(&mut self) -> Result<bool> {
        // The writer ends a join that goes on; its future was polled, so that nothing may wait for it.
        self.joining = None;
        self.let_writer_go()?;
        let searcher = self.reader.searcher();
        let segments = searcher.segment_readers();
        let clean = segments.len() <= 1 && segments.iter().all(|segment| segment.num_deleted_docs() == 0);
        if !clean {
            let ids = segments.iter().map(|segment| segment.segment_id()).collect();
            self.join(ids, true)?;
        }
        Ok(!clean)
    }

    /// Whether the join that was begun has ended; searches see the new segment then.
    pub fn end_join(&mut self) -> Result<bool> {
        let joining = self.joining.as_mut();
        let joining =
            joining.ok_or_else(|| Error::Index("a change that failed called the join off".into()))?;
        let Some(done) = (&mut joining.future).now_or_never() else { return Ok(false) };
        let asked = joining.asked;
        self.joining = None;
        if !came_about(done)? && asked {
            return Ok(!self.begin_join()?);
        }
        self.reader.reload()?;
        let collected = self.writer()?.garbage_collect_files();
        collected.wait()?;
        Ok(true)
    }

    /// For an index that nobody changed for a while: begins and ends joins that are worth it, then lets the writer and its
    /// memory go. True if searches should see the index anew.
    pub fn rest(&mut self, idle: Duration) -> Result<bool> {
        match &self.joining {
            Some(joining) if joining.asked => return Ok(false),
            Some(_) => return self.end_join(),
            None if self.last_used.elapsed() < idle => return Ok(false),
            None => {}
        }
        let was_in_use = self.let_writer_go()?;
        let ids = worth_joining(self.sizes());
        if !ids.is_empty() {
            self.join(ids, false)?;
        }
        Ok(was_in_use)
    }

    /// Rows of each segment.
    fn sizes(&self) -> Vec<(SegmentId, u32)> {
        let searcher = self.reader.searcher();
        searcher.segment_readers().iter().map(|segment| (segment.segment_id(), segment.num_docs())).collect()
    }

    /// True if there was one. Merges that went on by themselves have ended then: they would keep their segments from
    /// another one.
    fn let_writer_go(&mut self) -> Result<bool> {
        let Some(writer) = self.writer.take() else { return Ok(false) };
        writer.wait_merging_threads()?;
        self.reader.reload()?;
        Ok(true)
    }

    fn join(&mut self, segments: Vec<SegmentId>, asked: bool) -> Result<()> {
        let future = self.writer()?.merge(&segments);
        self.joining = Some(Joining { future, asked });
        Ok(())
    }
}

/// False for a join that tantivy gave up because one of its segments lost its last row meanwhile, and with it its place
/// in the index.
fn came_about(done: tantivy::Result<Option<SegmentMeta>>) -> Result<bool> {
    match done {
        Err(TantivyError::InvalidArgument(_)) => Ok(false),
        done => Ok(done.map(|_| true)?),
    }
}

/// The segments that have at most twice the rows of all smaller ones together, and these: so each row is joined again
/// only when its segment grows by half, and there are few segments, each much larger than the next.
fn worth_joining(mut sizes: Vec<(SegmentId, u32)>) -> Vec<SegmentId> {
    sizes.sort_by_key(|(_, rows)| *rows);
    let (mut smaller, mut count) = (0, 0);
    for (at, (_, rows)) in sizes.iter().enumerate() {
        let rows = u64::from(*rows);
        if at > 0 && rows <= 2 * smaller {
            count = at + 1;
        }
        smaller += rows;
    }
    sizes.truncate(count);
    sizes.into_iter().map(|(id, _)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::tests::{document_id, put, query};
    use crate::types::Change;

    fn joined(sizes: &[u32]) -> Vec<u32> {
        let sizes: Vec<_> = sizes.iter().map(|rows| (SegmentId::generate_random(), *rows)).collect();
        let rows = |id: SegmentId| sizes.iter().find(|(other, _)| *other == id).expect("one of them").1;
        worth_joining(sizes.clone()).into_iter().map(rows).collect()
    }

    #[test]
    fn what_is_much_larger_than_all_the_rest_stays_as_it_is() {
        for apart in [&[][..], &[5], &[1000, 1], &[2000, 400, 100, 30, 9]] {
            assert!(joined(apart).is_empty(), "{apart:?}");
        }
        assert_eq!(joined(&[1000, 1, 1]), [1, 1]);
        assert_eq!(joined(&[1000, 100, 30, 1, 1]), [1, 1]);
        assert_eq!(joined(&[300, 100, 30, 20, 1]), [1, 20, 30, 100, 300]);
        assert_eq!(joined(&[0, 0, 7]), [0, 0]);
    }

    #[test]
    fn an_idle_index_joins_its_segments_and_keeps_what_happens_meanwhile() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let mut index = KeywordIndex::open(directory.path())?;
        let found = |index: &mut KeywordIndex| -> Result<usize> {
            Ok(index.snapshot()?.search(&query("house"), None, 100)?.len())
        };
        for number in 1..=6 {
            let two = [put(number, "house", Some("en")), put(number + 10, "house", Some("en"))];
            index.apply(&two, number.into())?;
        }
        index.rest(Duration::from_secs(60))?;
        assert_eq!(index.sizes().len(), 6);
        index.rest(Duration::ZERO)?;
        index.apply(&[Change::Delete(document_id(1)), put(7, "house", Some("en"))], 7)?;
        assert_eq!(found(&mut index)?, 12);
        while !index.rest(Duration::ZERO)? {
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut sizes: Vec<u32> = index.sizes().into_iter().map(|(_, rows)| rows).collect();
        sizes.sort_unstable();
        assert_eq!((sizes, found(&mut index)?), (vec![1, 11], 12));
        drop(index);
        let mut index = KeywordIndex::open(directory.path())?;
        assert_eq!((index.cursor(), found(&mut index)?), (7, 12));
        Ok(())
    }

    /// Deletes race the join here, so that some of the rounds empty a segment before it ends and some after.
    #[test]
    fn a_join_outlives_segments_that_become_empty() -> Result<()> {
        for round in 0..20 {
            let directory = tempfile::tempdir()?;
            let mut index = KeywordIndex::open(directory.path())?;
            for number in 1..=4 {
                index.apply(&[put(number, "house", Some("en"))], number.into())?;
            }
            let asked = round % 2 == 0;
            if asked {
                assert!(index.begin_join()?);
            } else {
                index.rest(Duration::ZERO)?;
            }
            index.apply(&[Change::Delete(document_id(1))], 5)?;
            while !index.end_join()? {
                std::thread::sleep(Duration::from_millis(1));
            }
            let found = index.snapshot()?.search(&query("house"), None, 100)?.len();
            assert_eq!(found, 3, "round {round}");
            assert!(!asked || index.sizes().len() == 1, "{:?}", index.sizes());
        }
        Ok(())
    }

    #[test]
    fn a_join_is_asked_for_while_another_one_goes_on() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let mut index = KeywordIndex::open(directory.path())?;
        let mut polled = 0;
        for round in 0..10 {
            for number in 1..=4 {
                index.apply(&[put(4 * round + number, "house", Some("en"))], (4 * round + number).into())?;
            }
            index.rest(Duration::ZERO)?;
            polled += usize::from(!index.rest(Duration::ZERO)?);
            let mut goes_on = index.begin_join()?;
            while goes_on {
                std::thread::sleep(Duration::from_millis(1));
                goes_on = !index.end_join()?;
            }
            assert_eq!(index.sizes().len(), 1, "round {round}");
        }
        assert!(polled > 0, "no join was asked for before another one had ended");
        Ok(())
    }

    #[test]
    fn uploads_one_by_one_leave_few_segments_and_rewrite_little() {
        let mut sizes: Vec<(SegmentId, u32)> = Vec::new();
        let (mut most, mut written) = (0, 0);
        for _ in 0..1000 {
            sizes.push((SegmentId::generate_random(), 1));
            let ids = worth_joining(sizes.clone());
            let rows: u32 = sizes.iter().filter(|(id, _)| ids.contains(id)).map(|(_, rows)| *rows).sum();
            sizes.retain(|(id, _)| !ids.contains(id));
            if rows > 0 {
                sizes.push((SegmentId::generate_random(), rows));
            }
            (most, written) = (most.max(sizes.len()), written + rows);
        }
        assert!(most <= 8, "{most}");
        assert!(written <= 20_000, "{written}");
    }
}
