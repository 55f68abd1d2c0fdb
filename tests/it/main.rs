//! Drives the real daemon. Needs the plugins and the embedder's weights in the target directory.

mod api;
mod bad_input;
mod cli;
mod crash;
mod documents;
mod plugin_author;
mod support;
