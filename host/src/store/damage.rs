//! redb panics over pages that were damaged behind its back. Here that is an error like others.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, Location};
use std::sync::Once;

use super::{Error, Result};

thread_local! {
    /// What redb said at last; `None` where nobody catches it.
    static SAID: RefCell<Option<Option<String>>> = const { RefCell::new(None) };
}

/// Runs work on a database; a panic of redb is [`Error::Corrupt`], one of ours stays a panic.
pub(super) fn guarded<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<T>
where
    Error: From<E>,
{
    listen();
    let outer = SAID.replace(Some(None));
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    let said = SAID.replace(outer).flatten();
    match (result, said) {
        (Ok(result), _) => Ok(result?),
        (Err(_), Some(said)) => Err(Error::Corrupt(said)),
        (Err(defect), None) => panic::resume_unwind(defect),
    }
}

/// The hook before ours hears of all panics but those that are caught here.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let is_redbs = info.location().is_some_and(is_redbs);
            let is_caught = is_redbs && SAID.with_borrow_mut(|said| note(said, info.payload()));
            if !is_caught {
                before(info);
            }
        }));
    });
}

fn is_redbs(place: &Location) -> bool {
    // In a registry it has its version, in a directory of vendored sources it has not.
    place.file().split(['/', '\\']).any(|part| part == "redb" || part.starts_with("redb-"))
}

/// Whether somebody catches it. What comes after the first one is its consequence.
fn note(said: &mut Option<Option<String>>, payload: &dyn Any) -> bool {
    let Some(first) = said else { return false };
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("its pages are wrong");
    first.get_or_insert_with(|| text.lines().next().unwrap_or_default().to_owned());
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_ours_stays_one() {
        let work = || guarded(|| -> Result<()> { panic!("a defect") });
        let defect = panic::catch_unwind(work).unwrap_err();
        assert_eq!(*defect.downcast_ref::<&str>().unwrap(), "a defect");
        assert!(guarded(|| Ok::<_, Error>(1)).is_ok());
    }
}
