//! What happens to documents, for whoever listens.
//!
//! Events are numbered upwards, also over restarts, and the newest are kept in memory. What is older can be told from the
//! store: the number of an event also says how far the journal was, `number = seq << SHIFT | count since`.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::broadcast;

use crate::types::*;

/// Events of one journal entry that can be told apart; more share numbers with the entries that follow. Numbers stay within
/// the integers of JSON (2^53) up to 2^33 changes.
const SHIFT: u32 = 20;
/// Events that are kept.
const KEPT_MAX: usize = 16_384;
/// Events that a slow listener may fall behind before it has to look for them among those that are kept.
const BACKLOG: usize = 4096;
/// Entries of the journal that may be told later than younger ones: those of two commits and of deletions between them.
const LATE_MAX: u64 = 1024;

/// What happened to a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It came to a stage, or ended: ready, or failed.
    Came(Stage),
    /// It is gone: deleted, or replaced by a newer version.
    Deleted,
}

/// Something that happened to a document.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct DocumentEvent {
    /// Of all events in order.
    pub number: u64,
    pub collection: CollectionKey,
    pub document: DocumentId,
    /// Not known of one that is gone.
    pub filename: Option<String>,
    pub happened: Happened,
    pub error: Option<DocumentError>,
    pub at: TimestampMs,
}

/// Tells and keeps them.
pub(super) struct EventLog {
    told: broadcast::Sender<Arc<DocumentEvent>>,
    kept: Mutex<Kept>,
}

struct Kept {
    events: VecDeque<Arc<DocumentEvent>>,
    /// All events above this number are kept.
    complete_from: u64,
    last: u64,
}

/// The entry of the journal whose successors bring everything that may have been told after this event.
pub(super) fn journal_before(number: u64) -> u64 {
    (number >> SHIFT).saturating_sub(LATE_MAX)
}

/// The number of an event that is told from the journal.
pub(super) fn number_of(seq: u64) -> u64 {
    seq << SHIFT
}

impl EventLog {
    /// Events come behind all of former processes: `seq` is above those of the journal.
    pub(super) fn new(seq: u64) -> Self {
        let last = number_of(seq);
        let kept = Kept { events: VecDeque::new(), complete_from: last, last };
        Self { told: broadcast::Sender::new(BACKLOG), kept: Mutex::new(kept) }
    }

    /// Tells an event; `seq` is that of its change of the store, if it is one.
    pub(super) fn tell(&self, mut event: DocumentEvent, seq: Option<u64>) {
        let mut kept = self.kept.lock();
        kept.last = (kept.last + 1).max(seq.map_or(0, number_of));
        event.number = kept.last;
        let event = Arc::new(event);
        if kept.events.len() == KEPT_MAX
            && let Some(oldest) = kept.events.pop_front()
        {
            kept.complete_from = oldest.number;
        }
        kept.events.push_back(event.clone());
        // Under the lock, so that all hear them in order. Nobody listening is no fault.
        let _ = self.told.send(event);
    }

    /// Everything from now on.
    pub(super) fn listen(&self) -> broadcast::Receiver<Arc<DocumentEvent>> {
        self.told.subscribe()
    }

    /// The number of the last event.
    pub(super) fn last(&self) -> u64 {
        self.kept.lock().last
    }

    /// The events of an owner behind a number; `None` where some of them are not kept any more.
    pub(super) fn after(&self, owner: &UserId, number: u64) -> Option<Vec<Arc<DocumentEvent>>> {
        let kept = self.kept.lock();
        if number < kept.complete_from {
            return None;
        }
        let from = kept.events.partition_point(|event| event.number <= number);
        let theirs = kept.events.range(from..).filter(|event| event.collection.owner == *owner);
        Some(theirs.cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    fn event(owner: &str, stage: Stage) -> DocumentEvent {
        DocumentEvent {
            number: 0,
            collection: CollectionKey { owner: user(owner), name: CollectionName::default() },
            document: DocumentId::new(),
            filename: None,
            happened: Happened::Came(stage),
            error: None,
            at: 0,
        }
    }

    #[test]
    fn numbers_go_up_and_say_how_far_the_journal_was() {
        let log = EventLog::new(7);
        let mut listener = log.listen();
        log.tell(event("ann", Stage::Queued), None);
        log.tell(event("ann", Stage::Ready), Some(9));
        log.tell(event("ann", Stage::Ready), Some(8));
        let numbers: Vec<u64> = (0..3).map(|_| listener.try_recv().unwrap().number).collect();
        assert_eq!(numbers, [number_of(7) + 1, number_of(9), number_of(9) + 1]);
        assert_eq!(log.last(), numbers[2]);
        // What came late is among what is told again.
        assert!(journal_before(numbers[2]) < 8);
        assert!(number_of(1 << 33) <= 1 << 53);
    }

    #[test]
    fn each_owner_finds_its_own_again_as_long_as_they_are_kept() {
        let log = EventLog::new(1);
        for nth in 0..KEPT_MAX {
            log.tell(event(if nth % 2 == 0 { "ann" } else { "bob" }, Stage::Queued), None);
        }
        let first = number_of(1) + 1;
        assert_eq!(log.after(&user("ann"), first - 1).unwrap().len(), KEPT_MAX / 2);
        assert_eq!(log.after(&user("bob"), first).unwrap().len(), KEPT_MAX / 2);
        assert_eq!(log.after(&user("eve"), first).unwrap().len(), 0);
        assert!(log.after(&user("ann"), first - 2).is_none(), "of a former process");
        log.tell(event("ann", Stage::Queued), None);
        assert!(log.after(&user("ann"), first - 1).is_none());
        assert_eq!(log.after(&user("ann"), first).unwrap().len(), KEPT_MAX / 2);
    }
}
