//! What was asked, and how the machine was: a log and samples, both with an end. Nobody waits for their fsync.

use std::time::Instant;

use super::records::{QueryRecord, StoredSample, pack, unpack};
use super::tables::{QUERIES, QUERIES_BY_USER, SAMPLES};
use super::{Error, Result, Slice, Store};
use crate::types::*;

/// Rows that are forgotten in one transaction.
const FORGOTTEN_AT_ONCE: usize = 10_000;

/// The least number of an id that was made at this time or later: ids begin with 48 bits of milliseconds (UUIDv7).
fn first_number(at: TimestampMs) -> u128 {
    u128::from(at.max(0).unsigned_abs() & ((1 << 48) - 1)) << 80
}

fn query_id(number: u128) -> QueryId {
    QueryId::from_bytes(number.to_be_bytes())
}

impl Store {
    /// Adds queries to the log, but for those of users that were deleted meanwhile.
    pub fn log_queries(&self, queries: &[(LoggedQuery, Instant)]) -> Result<()> {
        self.engine().write_soft(|txn| {
            let (mut table, mut by_user) = (txn.open_table(QUERIES)?, txn.open_table(QUERIES_BY_USER)?);
            for (query, _) in queries.iter().filter(|(query, since)| !self.is_gone_since(&query.user, *since))
            {
                let number = query.id.0.as_u128();
                table.insert(number, pack(&QueryRecord::of(query))?.as_slice())?;
                by_user.insert((query.user.as_str(), number), ())?;
            }
            Ok(())
        })
    }

    /// Logged queries of a user, or of everybody, newest first, behind `after`.
    pub fn queries(
        &self,
        user: Option<&UserId>,
        after: Option<QueryId>,
        limit: usize,
    ) -> Result<Slice<LoggedQuery>> {
        let end = after.map_or(u128::MAX, |id| id.0.as_u128());
        self.engine().read(|txn| {
            let table = txn.open_table(QUERIES)?;
            let read = |number: u128| {
                let row = table.get(number)?.ok_or_else(|| Error::Corrupt("a query is missing".into()))?;
                unpack::<QueryRecord>(row.value())?.query(query_id(number))
            };
            match user {
                Some(user) => {
                    let by_user = txn.open_table(QUERIES_BY_USER)?;
                    let rows = by_user.range((user.as_str(), 0)..(user.as_str(), end))?.rev();
                    Slice::take(rows.map(|row| read(row?.0.value().1)), limit)
                }
                None => {
                    let rows = table.range(..end)?.rev().map(|row| {
                        let (key, value) = row?;
                        unpack::<QueryRecord>(value.value())?.query(query_id(key.value()))
                    });
                    Slice::take(rows, limit)
                }
            }
        })
    }

    /// Shows the logged queries of a time, `from` included and `to` not, of a user or of everybody, oldest first.
    pub fn each_query(
        &self,
        user: Option<&UserId>,
        (from, to): (TimestampMs, TimestampMs),
        each: &mut dyn FnMut(LoggedQuery),
    ) -> Result<()> {
        let (first, end) = (first_number(from), first_number(to));
        self.engine().read(|txn| {
            let table = txn.open_table(QUERIES)?;
            if let Some(user) = user {
                let by_user = txn.open_table(QUERIES_BY_USER)?;
                for row in by_user.range((user.as_str(), first)..(user.as_str(), end))? {
                    let number = row?.0.value().1;
                    if let Some(row) = table.get(number)? {
                        each(unpack::<QueryRecord>(row.value())?.query(query_id(number))?);
                    }
                }
                return Ok(());
            }
            for row in table.range(first..end)? {
                let (key, value) = row?;
                each(unpack::<QueryRecord>(value.value())?.query(query_id(key.value()))?);
            }
            Ok(())
        })
    }

    /// Forgets logged queries and samples from before this time, some of them; whether there may be more.
    pub fn forget_usage(&self, before: TimestampMs) -> Result<bool> {
        self.engine().write_soft(|txn| {
            let (mut table, mut by_user) = (txn.open_table(QUERIES)?, txn.open_table(QUERIES_BY_USER)?);
            let mut gone = 0;
            for row in table.extract_from_if(..first_number(before), |_, _| true)?.take(FORGOTTEN_AT_ONCE) {
                let (key, value) = row?;
                let record: QueryRecord = unpack(value.value())?;
                by_user.remove((record.user.as_str(), key.value()))?;
                gone += 1;
            }
            txn.open_table(SAMPLES)?.retain_in(..before, |_, _| false)?;
            Ok(gone == FORGOTTEN_AT_ONCE)
        })
    }

    /// Forgets what a user asked.
    pub(super) fn forget_queries_of(&self, user: &UserId) -> Result<()> {
        self.engine().write(|txn| {
            let (mut table, mut by_user) = (txn.open_table(QUERIES)?, txn.open_table(QUERIES_BY_USER)?);
            let range = (user.as_str(), 0)..=(user.as_str(), u128::MAX);
            for row in by_user.extract_from_if(range, |_, _| true)? {
                table.remove(row?.0.value().1)?;
            }
            Ok(())
        })
    }

    /// Keeps a sample.
    pub fn add_sample(&self, sample: Sample) -> Result<()> {
        self.engine().write_soft(|txn| {
            let packed = pack(&StoredSample(sample))?;
            txn.open_table(SAMPLES)?.insert(sample.at, packed.as_slice())?;
            Ok(())
        })
    }

    /// The last samples since a time, oldest first.
    pub fn samples(&self, since: TimestampMs, limit: usize) -> Result<Vec<Sample>> {
        self.engine().read(|txn| {
            let rows = txn.open_table(SAMPLES)?.range(since..)?.rev().take(limit);
            let read = rows.map(|row| Ok(unpack::<StoredSample>(row?.1.value())?.0));
            let mut samples = read.collect::<Result<Vec<_>>>()?;
            samples.reverse();
            Ok(samples)
        })
    }
}
