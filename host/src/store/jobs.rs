//! The ledger of jobs. Which documents have one, and whether they are committed, is in the database; who works on
//! what is known in memory; how far the work has come, in memory and in `scratch`.

use std::collections::{BTreeSet, HashMap};

use redb::{ReadOnlyTable, ReadTransaction};

use super::records::{StepRecord, pack};
use super::scratch::Scratch;
use super::tables::*;
use super::{Artefact, BlobHandle, Error, Job, Result, Store, blobs, documents};
use crate::types::*;

/// Who works on what.
pub(super) struct Ledger {
    scratch: Scratch,
    /// Document to job.
    claimed: HashMap<DocumentId, u64>,
    /// Every job below was claimed; new ones always come above.
    next: u64,
    /// Jobs below `next` that were given back.
    returned: BTreeSet<u64>,
    /// Of the database; see `Engine::generation`.
    generation: u64,
}

impl Ledger {
    pub(super) fn new(scratch: Scratch) -> Self {
        Self { scratch, claimed: HashMap::new(), next: 0, returned: BTreeSet::new(), generation: 0 }
    }

    /// Where the jobs stand that were begun.
    pub(super) fn stages(&self) -> impl Iterator<Item = (DocumentId, Stage)> {
        self.scratch.stages()
    }

    /// After commits were lost, jobs that had ended are open again.
    fn follow(&mut self, generation: u64) {
        if self.generation != generation {
            self.generation = generation;
            self.next = 0;
            self.returned.clear();
        }
    }

    /// The oldest job that nobody works on.
    fn oldest(&mut self, jobs: &ReadOnlyTable<u64, u128>) -> Result<Option<(u64, DocumentId)>> {
        while let Some(job) = self.returned.first().copied() {
            if let Some(row) = jobs.get(job)? {
                return Ok(Some((job, document_id(row.value()))));
            }
            self.returned.remove(&job);
        }
        for row in jobs.range(self.next..)? {
            let (key, value) = row?;
            let (job, document) = (key.value(), document_id(value.value()));
            if self.claimed.get(&document) != Some(&job) {
                return Ok(Some((job, document)));
            }
        }
        Ok(None)
    }

    /// Takes a job; how often that was done before, and how far it has come.
    fn take(&mut self, job: u64, document: DocumentId) -> Result<(u32, Stage)> {
        let attempts = self.scratch.claimed(document, job)?;
        self.returned.remove(&job);
        self.next = self.next.max(job + 1);
        self.claimed.insert(document, job);
        Ok((attempts, self.scratch.stage(document)))
    }
}

/// The stage to go on at: the last whose inputs are stored.
fn resume_at(committed: bool, begun: Stage) -> Stage {
    match begun {
        _ if committed => Stage::Indexing,
        Stage::Queued | Stage::Parsing => Stage::Queued,
        // `Indexing` is said of committed documents only. The vectors, if they are there, are among the artefacts.
        stage => stage.min(Stage::Embedding),
    }
}

/// What [`Store::claim`] reads of the database.
fn look(txn: &ReadTransaction, ledger: &mut Ledger) -> Result<Option<(u64, DocumentId, bool)>> {
    let jobs = txn.open_table(JOBS)?;
    let Some((job, id)) = ledger.oldest(&jobs)? else { return Ok(None) };
    let committed = documents::job(txn, id)?.is_some_and(|(_, committed)| committed);
    Ok(Some((job, id, committed)))
}

impl Store {
    /// The oldest job that nobody works on; it is taken until it is final or the process ends. `None` if there is none.
    pub fn claim(&self) -> Result<Option<Job>> {
        loop {
            let mut ledger = self.ledger();
            ledger.follow(self.engine().generation());
            let found = self.engine().read(|txn| look(txn, &mut ledger))?;
            let Some((job, id, committed)) = found else { return Ok(None) };
            let (attempts, begun) = ledger.take(job, id)?;
            self.set_begun_stage(id, begun);
            drop(ledger);
            match self.document_any(id)? {
                Some(document) => {
                    let stage = resume_at(committed, begun);
                    return Ok(Some(Job { document, stage, attempts }));
                }
                // Deleted this moment.
                None => self.forget_jobs(&[id]),
            }
        }
    }

    /// Whether a job is still the claimer's: it is not once the document was deleted, or its job cancelled.
    pub fn is_claimed(&self, id: DocumentId) -> bool {
        self.ledger().claimed.contains_key(&id)
    }

    /// Gives a claimed job back untouched (shutdown).
    pub fn release(&self, id: DocumentId) {
        let mut ledger = self.ledger();
        let Some(job) = ledger.claimed.remove(&id) else { return };
        ledger.returned.insert(job);
        // If the note can't be written, the next claim counts one attempt too many: no harm.
        let _ = ledger.scratch.released(id);
    }

    /// The bytes for a claimed job.
    pub fn job_content(&self, id: DocumentId) -> Result<BlobHandle> {
        self.engine().read(|txn| {
            let place = documents::locate(txn, id)?.ok_or(Error::NotFound)?;
            let hash = ContentHash(documents::record(txn, place.key)?.hash);
            blobs::read(txn, self.files(), &hash)
        })
    }

    /// Notes that a stage begins, and keeps the output of the one before. Survives a crash of the process; not
    /// fsynced, because the work can be repeated. `NotFound` where the job is not claimed: the document was deleted.
    pub fn advance(&self, id: DocumentId, to: Stage, done: Option<Artefact>) -> Result<()> {
        if to.is_final() {
            return Err(Error::Conflict("a job ends with mark_ready or fail".into()));
        }
        let step = pack(&StepRecord { to, done })?;
        let mut ledger = self.ledger();
        let job = *ledger.claimed.get(&id).ok_or(Error::NotFound)?;
        ledger.scratch.step(id, job, to, &step)?;
        self.set_begun_stage(id, to);
        Ok(())
    }

    /// The kept outputs of a job, as far as it got.
    pub fn artefacts(&self, id: DocumentId) -> Result<Vec<Artefact>> {
        let outputs = self.ledger().scratch.outputs(id);
        outputs.read()
    }

    /// Jobs have ended: nobody works on them, and what they kept goes.
    pub(super) fn forget_jobs(&self, ids: &[DocumentId]) {
        let mut ledger = self.ledger();
        for id in ids {
            ledger.claimed.remove(id);
            ledger.scratch.forget(*id);
            self.clear_begun_stage(*id);
        }
    }
}
