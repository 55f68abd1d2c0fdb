//! The ledger of jobs. Which documents have one, and whether they are committed, is in the database; who works on
//! what is known in memory; how far the work has come, in memory and in `scratch`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound::{Excluded, Unbounded};

use redb::{ReadOnlyTable, ReadTransaction, ReadableTableMetadata};

use super::records::{StepRecord, pack};
use super::scratch::Scratch;
use super::tables::*;
use super::{Artefact, BlobHandle, Error, Job, Result, Store, blobs, collections, documents};
use crate::types::*;

/// Who works on what.
pub(super) struct Ledger {
    scratch: Scratch,
    claimed: HashMap<DocumentId, Claim>,
    /// Jobs that nobody works on, by the owner of their documents, oldest first; some were ended meanwhile. No list is
    /// empty.
    waiting: BTreeMap<UserId, BTreeMap<u64, DocumentId>>,
    /// Whose job was taken last.
    served: Option<UserId>,
    /// Every job below is waiting, claimed or ended; new ones always come above.
    next: u64,
    /// Of the database; see `Engine::generation`.
    generation: u64,
}

struct Claim {
    job: u64,
    owner: UserId,
}

/// A job that could be claimed.
struct Offer {
    job: u64,
    document: DocumentId,
    owner: UserId,
}

impl Ledger {
    pub(super) fn new(scratch: Scratch) -> Self {
        Self {
            scratch,
            claimed: HashMap::new(),
            waiting: BTreeMap::new(),
            served: None,
            next: 0,
            generation: 0,
        }
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
            self.waiting.clear();
        }
    }

    /// Sorts in the jobs that came since the last look.
    fn see(&mut self, txn: &ReadTransaction) -> Result<()> {
        let locators = txn.open_table(LOCATORS)?;
        let mut owners = HashMap::new();
        for row in txn.open_table(JOBS)?.range(self.next..)? {
            let (job, document) = row?;
            let (job, number) = (job.value(), document.value());
            self.next = job + 1;
            let Some(collection) = locators.get(number)?.map(|row| row.value()) else { continue };
            let document = document_id(number);
            if self.claimed.get(&document).is_some_and(|claim| claim.job == job) {
                continue;
            }
            let owner = match owners.get(&collection) {
                Some(owner) => owner,
                None => owners.entry(collection).or_insert(collections::key_of(txn, collection)?.owner),
            };
            self.put(owner, job, document);
        }
        Ok(())
    }

    fn put(&mut self, owner: &UserId, job: u64, document: DocumentId) {
        match self.waiting.get_mut(owner) {
            Some(jobs) => drop(jobs.insert(job, document)),
            None => drop(self.waiting.insert(owner.clone(), BTreeMap::from([(job, document)]))),
        }
    }

    fn remove(&mut self, owner: &UserId, job: u64) {
        if let Some(jobs) = self.waiting.get_mut(owner) {
            jobs.remove(&job);
            if jobs.is_empty() {
                self.waiting.remove(owner);
            }
        }
    }

    /// The oldest job of the owner whose turn it is: a pile of one holds up nobody else.
    fn offer(&mut self, jobs: &ReadOnlyTable<u64, u128>) -> Result<Option<Offer>> {
        loop {
            let behind = self.served.clone().map_or(Unbounded, Excluded);
            let turn = self.waiting.range((behind, Unbounded)).next().or_else(|| self.waiting.iter().next());
            let oldest = turn.and_then(|(owner, jobs)| Some((owner, jobs.first_key_value()?)));
            let Some((owner, (job, document))) = oldest else { return Ok(None) };
            let offer = Offer { job: *job, document: *document, owner: owner.clone() };
            if jobs.get(offer.job)?.is_some() {
                return Ok(Some(offer));
            }
            self.remove(&offer.owner, offer.job);
        }
    }

    /// Takes a job; how often that was done before, and how far it has come.
    fn take(&mut self, Offer { job, document, owner }: Offer) -> Result<(u32, Stage)> {
        let attempts = self.scratch.claimed(document, job)?;
        self.remove(&owner, job);
        self.served = Some(owner.clone());
        self.claimed.insert(document, Claim { job, owner });
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

/// What [`Store::claim`] reads of the database; whether the document is committed comes with the offer.
fn look(txn: &ReadTransaction, ledger: &mut Ledger) -> Result<Option<(Offer, bool)>> {
    ledger.see(txn)?;
    let Some(offer) = ledger.offer(&txn.open_table(JOBS)?)? else { return Ok(None) };
    let committed = documents::job(txn, offer.document)?.is_some_and(|(_, committed)| committed);
    Ok(Some((offer, committed)))
}

impl Store {
    /// The oldest job that nobody works on, of each owner in turn; it is taken until it is final or the process ends.
    /// `None` if there is none.
    pub fn claim(&self) -> Result<Option<Job>> {
        loop {
            let mut ledger = self.ledger();
            ledger.follow(self.engine().generation());
            let found = self.engine().read(|txn| look(txn, &mut ledger))?;
            let Some((offer, committed)) = found else { return Ok(None) };
            let id = offer.document;
            let (attempts, begun) = ledger.take(offer)?;
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

    /// How many documents of this owner wait, without those that were worked on already.
    pub(super) fn waiting(&self, owner: &UserId) -> Result<usize> {
        let mut ledger = self.ledger();
        ledger.follow(self.engine().generation());
        self.engine().read(|txn| ledger.see(txn))?;
        Ok(ledger.waiting.get(owner).map_or(0, BTreeMap::len))
    }

    /// Jobs that are not final.
    pub(super) fn open_jobs(&self) -> Result<usize> {
        self.engine().read(|txn| Ok(txn.open_table(JOBS)?.len()? as usize))
    }

    /// Whether a job is still the claimer's: it is not once the document was deleted, or its job cancelled.
    pub fn is_claimed(&self, id: DocumentId) -> bool {
        self.ledger().claimed.contains_key(&id)
    }

    /// Gives a claimed job back untouched (shutdown).
    pub fn release(&self, id: DocumentId) {
        let mut ledger = self.ledger();
        let Some(Claim { job, owner }) = ledger.claimed.remove(&id) else { return };
        ledger.put(&owner, job, id);
        // If the note can't be written, the next claim counts one attempt too many: no harm.
        let _ = ledger.scratch.released(id);
    }

    /// The bytes for a claimed job.
    pub fn job_content(&self, id: DocumentId) -> Result<BlobHandle> {
        self.engine().read(|txn| {
            let place = documents::locate(txn, id)?.ok_or(Error::NotFound)?;
            let hash = ContentHash(documents::record(txn, place.key)?.hash);
            blobs::read(txn, self.files(), id, &hash)
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
        let job = ledger.claimed.get(&id).ok_or(Error::NotFound)?.job;
        ledger.scratch.step(id, job, to, &step)?;
        self.set_begun_stage(id, to);
        Ok(())
    }

    /// The kept outputs of a job, as far as it got.
    pub fn artefacts(&self, id: DocumentId) -> Result<Vec<Artefact>> {
        let outputs = self.ledger().scratch.outputs(id);
        outputs.read()
    }

    /// Jobs have ended: nobody works on them, and what they kept goes. Those that were opened and claimed anew meanwhile
    /// stay.
    pub(super) fn forget_jobs(&self, ids: &[DocumentId]) {
        let mut ledger = self.ledger();
        let open = self.engine().read(|txn| {
            let jobs = txn.open_table(JOB_OF)?;
            let mut open = HashSet::new();
            for (id, claim) in ids.iter().filter_map(|id| Some((*id, ledger.claimed.get(id)?))) {
                if jobs.get(number(id))?.is_some_and(|row| row.value().0 == claim.job) {
                    open.insert(id);
                }
            }
            Ok(open)
        });
        // If it can't be read, none is open.
        let open = open.unwrap_or_default();
        for id in ids.iter().filter(|id| !open.contains(id)) {
            ledger.claimed.remove(id);
            ledger.scratch.forget(*id);
            self.clear_begun_stage(*id);
        }
    }
}
