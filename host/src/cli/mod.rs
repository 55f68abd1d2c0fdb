//! The command line: one file a subcommand.
//!
//! Invariants: nothing but data on stdout; exit code 0 done, 1 failed, 2 wrong usage; no backtraces.

mod backends;
mod backup;
mod bench;
mod chat;
mod collection;
mod completions;
mod config;
mod conversations;
mod doctor;
mod documents;
mod eval;
mod failure;
mod health;
mod keys;
mod man;
mod mcp;
#[cfg(target_env = "gnu")]
mod memory;
mod models;
mod optimize;
mod output;
mod plugin;
mod query;
mod reindex;
mod remote;
mod report;
mod restore;
mod search;
mod serve;
mod sessions;
mod upkeep;
mod upload;
mod users;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::plugins::{COMPILE_SUBCOMMAND, CompileLimits, compile_component};

/// An offline knowledge engine: documents in, cited answers out.
#[derive(Debug, Parser)]
#[command(version, disable_help_subcommand = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    Serve(serve::Args),
    /// Upload files, folders and globs
    Upload(upload::Args),
    /// Keep a collection in step with folders
    Watch(watch::Args),
    /// Ask a question of the documents
    Query(query::Args),
    /// Talk with the documents at the terminal
    Chat(chat::Args),
    /// Search the documents
    Search(search::Args),
    /// List, show, delete and reprocess documents
    #[command(subcommand)]
    Documents(documents::Command),
    /// List, show and delete sessions
    #[command(subcommand)]
    Sessions(sessions::Command),
    /// List and export conversations
    #[command(subcommand)]
    Conversations(conversations::Command),
    /// Serve the documents to a model's host over MCP on standard input and output
    Mcp(mcp::Args),
    /// List the backends and the embedder
    #[command(subcommand)]
    Models(models::Command),
    /// List, inspect, write and test plugins
    #[command(subcommand)]
    Plugin(plugin::Command),
    /// Tell what was asked, and what came of it
    Report(report::Args),
    /// Make, list and revoke keys
    #[command(subcommand)]
    Keys(keys::Command),
    /// List, create and delete users
    #[command(subcommand)]
    Users(users::Command),
    /// Show and check the configuration
    #[command(subcommand)]
    Config(config::Command),
    /// Make, list and verify backups
    #[command(subcommand)]
    Backup(backup::Command),
    /// Bring a backup back
    Restore(restore::Args),
    /// Remove what nothing needs any more and give room back
    Optimize(optimize::Args),
    /// Build search indexes anew from the store
    Reindex(reindex::Args),
    /// Check that everything the daemon needs is there
    Doctor(doctor::Args),
    /// Ask the running daemon how it is
    Health(health::Args),
    /// Measure retrieval on sets with ground truth
    Eval(eval::Args),
    /// Measure speed and memory
    Bench(bench::Args),
    /// Print the manual page, or write all of them to a directory
    Man(man::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// Compile a plugin from standard input: what the daemon starts for itself
    #[command(hide = true, name = COMPILE_SUBCOMMAND)]
    CompileComponent {
        /// CPU time it may take
        #[arg(long, default_value_t = CompileLimits::default().cpu_seconds)]
        cpu_seconds: u64,
        /// Address space it may have
        #[arg(long, default_value_t = CompileLimits::default().memory_bytes)]
        memory_bytes: u64,
    },
}

/// How a command ended, if it did not break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    /// Told already: a document that failed, a check that did not pass.
    Failed,
}

impl Outcome {
    fn of(succeeded: bool) -> Self {
        if succeeded { Self::Done } else { Self::Failed }
    }
}

type Result = anyhow::Result<Outcome>;

/// Runs the program: reads the command line, does what it says, gives the exit code.
pub fn main() -> ExitCode {
    #[cfg(target_env = "gnu")]
    memory::tune();
    match run(Cli::parse().command) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        // The reader of our output went away: `smartrag documents list | head`.
        Err(error) if failure::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", failure::describe(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result {
    match command {
        Command::Serve(args) => serve::run(args),
        Command::Upload(args) => wait_for(upload::run(args)),
        Command::Watch(args) => wait_for(watch::run(args)),
        Command::Query(args) => wait_for(query::run(args)),
        Command::Chat(args) => wait_for(chat::run(args)),
        Command::Search(args) => wait_for(search::run(args)),
        Command::Documents(command) => wait_for(documents::run(command)),
        Command::Sessions(command) => wait_for(sessions::run(command)),
        Command::Conversations(command) => wait_for(conversations::run(command)),
        Command::Mcp(args) => mcp::run(&args),
        Command::Models(command) => wait_for(models::run(command)),
        Command::Plugin(command) => plugin::run(command),
        Command::Report(args) => wait_for(report::run(args)),
        Command::Keys(command) => keys::run(command),
        Command::Users(command) => users::run(command),
        Command::Config(command) => config::run(command),
        Command::Backup(command) => backup::run(command),
        Command::Restore(args) => restore::run(args),
        Command::Optimize(args) => optimize::run(args),
        Command::Reindex(args) => reindex::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Health(args) => wait_for(health::run(args)),
        Command::Eval(args) => eval::run(args),
        Command::Bench(args) => wait_for(bench::run(args)),
        Command::Man(args) => man::run(args),
        Command::Completions(args) => completions::run(args),
        Command::CompileComponent { cpu_seconds, memory_bytes } => {
            compile_component(CompileLimits { cpu_seconds, memory_bytes }).map_err(anyhow::Error::msg)?;
            Ok(Outcome::Done)
        }
    }
}

/// Runs a command that talks to the daemon; one thread is enough for it.
fn wait_for<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> std::result::Result<Command, clap::Error> {
        let words = std::iter::once("smartrag").chain(line.split_whitespace());
        Cli::try_parse_from(words).map(|cli| cli.command)
    }

    #[test]
    fn the_definitions_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn wrong_usage_is_exit_code_two() {
        for line in [
            "nonsense",
            "upload",
            "query --top-k 0 x",
            "query --top-k 101 x",
            "search --mode fuzzy x",
            "search --filter [1] x",
            "upload --metadata no-json a",
            "upload --wait --no-wait a",
            "documents delete",
            "completions klingon",
            "eval",
            "eval --alphas 0,2 dir",
            "eval answers",
            "eval answers a --vary support_min",
            "eval --questions q.jsonl dir",
            "eval dir --collection c",
            "eval dir --data-dir /d",
            "search --fusion magic x",
            "bench search",
            "backup",
            "restore",
            "watch",
            "documents delete 1 --filter {}",
            "documents delete 1 --collection c",
            "report --last-week --last-day",
            "keys create",
            "keys list --url http://127.0.0.1:9 --data-dir /d",
            "keys create --user a --role king",
            "doctor --pre-start --deep",
        ] {
            assert_eq!(parse(line).expect_err(line).exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn usual_lines_are_understood() {
        for line in [
            "serve --config a.yaml --data-dir /d --bind 127.0.0.1:0",
            "upload a b/*.pdf --tag x --tag y --collection c --no-wait --json",
            "query x --backend llama --top-k 3 --session s --conversation c --json",
            "search x --mode keyword --explain --top-k 10",
            "search x --fusion rrf --fold false --diversity 0.3",
            "eval a b --alphas 0,0.5,1 --json",
            "eval --questions q.jsonl --collection notes --url http://127.0.0.1:9",
            "eval --questions q.yaml --data-dir /d",
            "eval answers a b --backend server --vary support_min=0,0.1 --questions 100 --details d.jsonl",
            "bench answer --documents 10 --streams 2 --json",
            "bench search --corpus c.ndjson --documents 10 --clients 2 --svg a.svg --json",
            "documents list --status failed --limit 5",
            "documents show 1 --chunks --json",
            "documents delete 1 2 3",
            "sessions list",
            "conversations list --limit 3 --json",
            "conversations export 1 --format json",
            "config prompts --write /tmp/prompts",
            "mcp --user ann",
            "watch docs notes --delete --collection c --interval 10",
            "watch docs --once",
            "upload docs --watch",
            "documents cancel 1",
            "documents cancel 1 2 --json",
            "documents reprocess 1 --json",
            "documents delete --filter {} --dry-run",
            "documents delete 1 2 --dry-run --json",
            "man --out /tmp/man",
            "models check --json",
            "models check --config a.yaml",
            "models fetch",
            "models fetch a b --from a.whl --from dir --to models --json",
            "report --last-week",
            "report --from 2026-01-01 --to 2026-02-01 --of ann --format html --out r.html",
            "keys create --user ann --role admin --label laptop --json",
            "keys list --user ann",
            "keys revoke 000102abcdef",
            "users list --json",
            "users delete ann --purge --yes",
            "models list --url http://127.0.0.1:9",
            "plugin list --json",
            "plugin inspect ./a/plugin.wasm --json",
            "plugin build plugins --out target/plugins",
            "plugin new --role parser notes --dir /tmp/notes",
            "plugin run notes a.notes --json",
            "plugin run --name text a.txt",
            "plugin check",
            "plugin test notes --bless",
            "config check --config a.yaml",
            "config show",
            "config schema",
            "backup create --json --url http://127.0.0.1:9",
            "backup list --dir /b --data-dir /d --json",
            "backup verify",
            "backup verify 20261126T030000Z --dir /b --json",
            "restore latest --data-dir /d --replace --json",
            "restore /b/20261126T030000Z --config a.yaml",
            "optimize --data-dir /d --json",
            "reindex --collection c --url http://127.0.0.1:9",
            "doctor --offline --json",
            "doctor --offline --pre-start --config a.yaml",
            "doctor --deep",
            "health",
            "health --ready --json --url http://127.0.0.1:9",
            "completions bash",
        ] {
            assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
        }
    }
}
