//! Stands for the host in native unit tests. State is kept a thread.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::Result;
use crate::http::{Header, Request};

/// An answer that [`on_http`] gives: its body comes in the given pieces.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// In order.
    pub headers: Vec<Header>,
    /// What each read brings; an error ends the body.
    pub pieces: Vec<Result<Vec<u8>>>,
}

type Exchange = Box<dyn FnMut(&Request) -> Result<Answer>>;

#[derive(Default)]
struct Host {
    config: Option<String>,
    models: HashMap<String, Vec<u8>>,
    http: Option<Exchange>,
}

thread_local! {
    static HOST: RefCell<Host> = RefCell::default();
}

/// Sets what [`crate::config()`] reads.
pub fn set_config(json: impl Into<String>) {
    HOST.with_borrow_mut(|host| host.config = Some(json.into()));
}

/// Sets what [`crate::ModelFile::open`] finds.
pub fn set_model(name: &str, bytes: Vec<u8>) {
    HOST.with_borrow_mut(|host| host.models.insert(name.into(), bytes));
}

/// Sets who answers [`crate::http`].
pub fn on_http(answer: impl FnMut(&Request) -> Result<Answer> + 'static) {
    HOST.with_borrow_mut(|host| host.http = Some(Box::new(answer)));
}

pub(crate) fn config() -> String {
    HOST.with_borrow(|host| host.config.clone()).unwrap_or_else(|| "{}".into())
}

pub(crate) fn model(name: &str) -> Option<Vec<u8>> {
    HOST.with_borrow(|host| host.models.get(name).cloned())
}

pub(crate) fn send(request: &Request) -> Result<Answer> {
    let refused = || crate::Error::denied("http", "call testing::on_http first");
    HOST.with_borrow_mut(|host| host.http.as_mut().ok_or_else(refused)?(request))
}
