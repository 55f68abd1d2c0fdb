//! Moments at which a crash would leave the files in a state of its own. Tests look at each of them; else nothing happens.

/// Marks such a moment.
#[cfg(not(test))]
#[inline(always)]
pub fn boundary(_name: &'static str) {}

#[cfg(test)]
pub use watched::{boundary, watch};

#[cfg(test)]
mod watched {
    use std::cell::RefCell;

    type Watcher = Box<dyn FnMut(&'static str)>;

    thread_local! {
        static WATCHER: RefCell<Option<Watcher>> = const { RefCell::new(None) };
    }

    /// Calls `watcher` at every boundary that this thread comes to, while `work` runs.
    pub fn watch(watcher: impl FnMut(&'static str) + 'static, work: impl FnOnce()) {
        WATCHER.set(Some(Box::new(watcher)));
        work();
        WATCHER.set(None);
    }

    /// Marks such a moment.
    pub fn boundary(name: &'static str) {
        if let Some(mut watcher) = WATCHER.take() {
            watcher(name);
            WATCHER.set(Some(watcher));
        }
    }
}
