use std::fs;

use redb::{ReadableTable, ReadableTableMetadata};

use super::error::at;
use super::tables::*;
use super::{Result, Store, Totals, blobs};
use crate::types::TimestampMs;

/// Ids begin with 48 bits of Unix time in milliseconds (UUIDv7).
fn time_of(id: u128) -> TimestampMs {
    TimestampMs::try_from(id >> 80).unwrap_or(TimestampMs::MAX)
}

impl Store {
    /// Totals over everything.
    pub fn totals(&self) -> Result<Totals> {
        let path = self.database_path();
        let database_bytes = fs::metadata(path).map_err(at(path))?.len();
        self.engine().read(|txn| {
            let documents = txn.open_table(LOCATORS)?.len()?;
            let failed = txn.open_table(FAILED)?.len()?;
            let queued = txn.open_table(JOBS)?.len()?;
            Ok(Totals {
                documents,
                failed,
                queued,
                ready: documents.saturating_sub(failed + queued),
                chunks: txn.open_table(CHUNKS)?.len()?,
                sessions: txn.open_table(SESSIONS)?.len()?,
                database_bytes,
            })
        })
    }

    /// When the newest thing in here came in: a document, a query, a sample of the machine. `None` while there is none.
    pub fn newest(&self) -> Result<Option<TimestampMs>> {
        self.engine().read(|txn| {
            let document = txn.open_table(LOCATORS)?.last()?.map(|row| time_of(row.0.value()));
            let query = txn.open_table(QUERIES)?.last()?.map(|row| time_of(row.0.value()));
            let sample = txn.open_table(SAMPLES)?.last()?.map(|row| row.0.value());
            Ok([document, query, sample].into_iter().flatten().max())
        })
    }

    /// Reads the whole database and all originals but the missing ones, and compares checksums; slow.
    pub fn verify(&self) -> Result<()> {
        let _alone = self.upkeep();
        self.engine().verify()?;
        let large = self.engine().read(|txn| blobs::large(txn)?.collect::<Result<Vec<_>>>())?;
        let there = large.iter().filter(|(hash, size)| self.files().is_there(hash, *size));
        there.map(|(hash, _)| hash).try_for_each(|hash| self.files().verify(hash))
    }

    /// What was found wrong first in the pages of the database that were read. They are not looked for.
    pub fn damage(&self) -> Option<&str> {
        self.engine().damage()
    }
}
