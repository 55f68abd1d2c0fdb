//! The one plugin of a component, kept between calls.

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

use crate::Result;

thread_local! {
    static LOADED: RefCell<Option<Rc<dyn Any>>> = const { RefCell::new(None) };
}

/// The plugin; made by `load` at the first call. A failure is tried again at the next one.
pub(crate) fn get<T: 'static>(load: impl FnOnce() -> Result<T>) -> Result<Rc<T>> {
    let present = LOADED.with_borrow(|slot| slot.clone());
    if let Some(plugin) = present.and_then(|plugin| plugin.downcast::<T>().ok()) {
        return Ok(plugin);
    }
    let plugin = Rc::new(load()?);
    LOADED.set(Some(plugin.clone()));
    Ok(plugin)
}
