use std::fs;

use redb::{ReadableTable, ReadableTableMetadata};

use super::error::at;
use super::tables::*;
use super::{Result, Store, Totals, blobs};
use crate::types::ContentHash;

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

    /// Reads the whole database and compares checksums; slow.
    pub fn verify(&self) -> Result<()> {
        let _alone = self.upkeep();
        self.engine().verify()?;
        let large = self.engine().read(|txn| {
            let mut hashes = Vec::new();
            for row in txn.open_table(BLOBS)?.iter()? {
                let (hash, value) = row?;
                if blobs::is_file(value.value().0) {
                    hashes.push(ContentHash(*hash.value()));
                }
            }
            Ok(hashes)
        })?;
        large.iter().try_for_each(|hash| self.files().verify(hash))
    }
}
