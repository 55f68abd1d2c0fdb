//! Slots at the processors, one each. Whoever waits gets the next one by rotation of the users, and of each user's in the
//! order they came: one who asks a thousand things at once delays another's by one of them, not by the thousand (fair
//! queueing by round robin, RFC 970).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::oneshot::{Receiver, Sender, channel};

use crate::telemetry::metrics;
use crate::types::UserId;

/// Slots in a row that searches get while an answer waits.
const PASSED_OVER_MAX: u32 = 9;

/// The slots there are. Cheap to clone.
#[derive(Clone)]
pub(super) struct Slots(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    free: usize,
    /// By [`Haste`].
    queues: [Queue; 2],
    /// Slots given to searches since one was given to an answer.
    passed_over: u32,
}

#[derive(Default)]
struct Queue {
    waiting: HashMap<UserId, VecDeque<Sender<Slot>>>,
    /// Users with somebody in `waiting`, each once.
    rotation: VecDeque<UserId>,
}

/// Searches come first: they are shorter, and somebody types meanwhile. An answer takes its time anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Haste {
    Search = 0,
    Answer = 1,
}

/// What a user computes in, until it is dropped.
pub struct Slot {
    slots: Slots,
    user: UserId,
    haste: Haste,
    is_held: bool,
}

impl Slots {
    pub fn new() -> Self {
        Self::of(available_parallelism().map_or(1, usize::from))
    }

    fn of(count: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free: count, ..State::default() })))
    }

    /// Waits for a slot. Whoever stops waiting leaves none behind.
    #[tracing::instrument(name = "wait", level = "debug", skip_all)]
    pub async fn wait(&self, user: &UserId, haste: Haste) -> Slot {
        let since = Instant::now();
        loop {
            let slot = match self.enter(user, haste) {
                Ok(slot) => Some(slot),
                Err(slot) => slot.await.ok(),
            };
            if let Some(slot) = slot {
                metrics().query_stage("wait", since.elapsed().as_secs_f64());
                return slot;
            }
        }
    }

    /// As [`Self::wait`], for a thread. Blocks.
    pub fn wait_blocking(&self, user: &UserId, haste: Haste) -> Slot {
        loop {
            if let Some(slot) = self.enter(user, haste).map_or_else(|slot| slot.blocking_recv().ok(), Some) {
                return slot;
            }
        }
    }

    fn slot_of(&self, user: &UserId, haste: Haste) -> Slot {
        Slot { slots: self.clone(), user: user.clone(), haste, is_held: true }
    }

    fn enter(&self, user: &UserId, haste: Haste) -> Result<Slot, Receiver<Slot>> {
        let mut state = self.0.lock();
        if state.free > 0 {
            state.free -= 1;
            return Ok(self.slot_of(user, haste));
        }
        let (sender, receiver) = channel();
        state.queues[haste as usize].push(user, sender);
        Err(receiver)
    }
}

impl State {
    /// Who is next; else there is a free slot more.
    fn next(&mut self) -> Option<(UserId, Haste, Sender<Slot>)> {
        let order = match self.passed_over < PASSED_OVER_MAX {
            true => [Haste::Search, Haste::Answer],
            false => [Haste::Answer, Haste::Search],
        };
        for haste in order {
            if let Some((user, next)) = self.queues[haste as usize].pop() {
                let waits = !self.queues[Haste::Answer as usize].rotation.is_empty();
                self.passed_over = if haste == Haste::Search && waits { self.passed_over + 1 } else { 0 };
                return Some((user, haste, next));
            }
        }
        self.free += 1;
        None
    }
}

impl Queue {
    fn push(&mut self, user: &UserId, waiting: Sender<Slot>) {
        if let Some(queue) = self.waiting.get_mut(user) {
            queue.push_back(waiting);
        } else {
            self.waiting.insert(user.clone(), VecDeque::from([waiting]));
            self.rotation.push_back(user.clone());
        }
    }

    fn pop(&mut self) -> Option<(UserId, Sender<Slot>)> {
        while let Some(user) = self.rotation.pop_front() {
            let queue = self.waiting.get_mut(&user)?;
            let next = queue.pop_front().filter(|waiting| !waiting.is_closed());
            if queue.is_empty() {
                self.waiting.remove(&user);
            } else {
                self.rotation.push_back(user.clone());
            }
            if let Some(next) = next {
                return Some((user, next));
            }
        }
        None
    }
}

impl Slot {
    /// Lets others compute while this work waits for a server; takes a slot again behind it. Blocks.
    pub(super) fn aside<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.leave();
        let done = work();
        *self = self.slots.wait_blocking(&self.user, self.haste);
        done
    }

    fn leave(&mut self) {
        if std::mem::take(&mut self.is_held) {
            let next = self.slots.0.lock().next();
            if let Some((user, haste, waiting)) = next {
                // Whoever went away this moment drops it, and so gives it on.
                let _ = waiting.send(self.slots.slot_of(&user, haste));
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    #[tokio::test]
    async fn users_take_slots_however_many_wait_for_one() {
        let slots = Slots::of(1);
        let held = slots.wait(&user("ann"), Haste::Search).await;
        let waiting: Vec<_> = ["ann", "ann", "ann", "bob", "bob", "eve"]
            .into_iter()
            .map(|name| (name, slots.enter(&user(name), Haste::Search).err().unwrap()))
            .collect();
        drop(held);
        let (mut order, mut waiting) = (Vec::new(), waiting);
        while !waiting.is_empty() {
            let at = waiting.iter_mut().position(|(_, slot)| slot.try_recv().map(drop).is_ok()).unwrap();
            order.push(waiting.remove(at).0);
        }
        assert_eq!(order, ["ann", "bob", "eve", "ann", "bob", "ann"]);
        assert_eq!(slots.0.lock().free, 1);
        assert!(slots.0.lock().queues.iter().all(|queue| queue.waiting.is_empty()));
    }

    #[test]
    fn searches_come_first_but_not_for_ever() {
        let slots = Slots::of(1);
        let held = slots.enter(&user("ann"), Haste::Search).ok().unwrap();
        let mut answer = slots.enter(&user("bob"), Haste::Answer).err().unwrap();
        let searches: Vec<_> =
            (0..20).map(|_| slots.enter(&user("ann"), Haste::Search).err().unwrap()).collect();
        drop(held);
        let mut before = 0;
        for mut search in searches {
            if answer.try_recv().is_ok() {
                break;
            }
            drop(search.try_recv().unwrap());
            before += 1;
        }
        assert_eq!(before, PASSED_OVER_MAX);
    }

    #[tokio::test]
    async fn whoever_leaves_the_queue_costs_nobody_a_turn() {
        let slots = Slots::of(2);
        let held =
            [slots.wait(&user("ann"), Haste::Search).await, slots.wait(&user("ann"), Haste::Search).await];
        let (left, went, bob) = (
            slots.enter(&user("ann"), Haste::Search),
            slots.enter(&user("eve"), Haste::Search),
            slots.enter(&user("bob"), Haste::Search),
        );
        drop(left);
        let [first, second] = held;
        drop(first);
        // Sent already when its receiver goes.
        drop(went);
        let bob = bob.err().unwrap().await.unwrap();
        assert_eq!(slots.0.lock().free, 0);
        drop((second, bob));
        assert_eq!(slots.0.lock().free, 2);
        assert!(slots.0.lock().queues.iter().all(|queue| queue.waiting.is_empty()));
    }

    #[test]
    fn whoever_steps_aside_lets_the_next_one_in() {
        let slots = Slots::of(1);
        let mut ann = slots.enter(&user("ann"), Haste::Search).ok().unwrap();
        assert!(slots.enter(&user("bob"), Haste::Search).is_err());
        let bob = ann.aside(|| slots.enter(&user("bob"), Haste::Search).is_ok());
        assert!(bob && ann.is_held);
        assert_eq!(slots.0.lock().free, 0);
    }

    #[test]
    fn never_more_at_once_than_there_are() {
        let (slots, inside) = (Slots::of(2), std::sync::atomic::AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for at in 0..8 {
                let (slots, inside) = (&slots, &inside);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let name = user(&format!("user{}", at % 3));
                        let _turn = slots.wait_blocking(&name, Haste::Search);
                        assert!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 2);
                        std::thread::yield_now();
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(slots.0.lock().free, 2);
    }
}
