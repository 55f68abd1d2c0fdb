//! Drives the real daemon. Needs the plugins and the embedder's weights in the target directory.

mod api;
mod backends;
mod backups;
mod bad_input;
mod cli;
mod clients;
mod compile;
mod crash;
mod documents;
mod embedders;
mod hostile;
mod llama;
mod migrate;
mod native;
mod plugin_author;
mod plugin_fetch;
mod plugin_languages;
mod prompts;
mod reload;
mod sockets;
mod support;
mod survive;
mod upkeep;
