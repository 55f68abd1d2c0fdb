//! What an author does with one plugin: run it, check it, test it. All of it goes through the same host as the daemon.

mod call;
pub mod check;
mod diff;
mod input;
mod probes;
pub mod run;
mod subject;
pub mod test;
mod told;
