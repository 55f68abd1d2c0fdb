//! A conversation at the terminal.

use std::path::PathBuf;

use anyhow::Context;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use super::query::{Shown, show};
use super::remote::Remote;
use super::search::Scope;
use super::{Outcome, Result, models, output};
use crate::client::Client;
use crate::wire::{QueryBody, Source};

const HELP: &str = "\
/new              begin a new conversation
/backend [NAME]   answer with this backend; without a name, list them
/model NAME       ask this model of the backend
/sources          show the passages of the last answer
/help             show this
/quit             leave; so does Ctrl-D. Ctrl-C ends an answer";
/// What stands before each question.
const PROMPT: &str = "> ";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Answer with this backend of the config
    #[arg(long)]
    backend: Option<String>,
    /// A model of the backend, where it has several
    #[arg(long)]
    model: Option<String>,
    /// Go on with this conversation
    #[arg(long, value_name = "ID")]
    conversation: Option<String>,
    /// Language of the answers, such as de; else that of each question
    #[arg(long)]
    language: Option<String>,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    remote: Remote,
}

/// What is remembered from one line to the next.
struct Chat {
    client: Client,
    /// What every question has in common.
    template: QueryBody,
    sources: Vec<Source>,
}

/// Whether to read another line.
#[derive(PartialEq)]
enum Next {
    Line,
    End,
}

pub(super) async fn run(args: Args) -> Result {
    let client = args.remote.client()?;
    // An address where nobody answers is told before the first question is typed.
    client.models().await?;
    let template = QueryBody {
        session_id: client.session_id().map(str::to_owned),
        conversation_id: args.conversation,
        top_k: args.scope.top_k,
        filter: args.scope.filter(),
        collection: args.scope.collection,
        backend: args.backend,
        model: args.model,
        language: args.language,
        ..QueryBody::new("")
    };
    let mut chat = Chat { client, template, sources: Vec::new() };
    let mut editor = DefaultEditor::new().context("the terminal can't be read")?;
    let history = history_file();
    // There is none the first time.
    let _ = history.as_ref().map(|file| editor.load_history(file));
    eprintln!("Ask your documents; /help lists what else there is.");
    loop {
        // Waits for the keyboard: not on a thread of the runtime.
        let (given_back, line) = tokio::task::spawn_blocking(move || {
            let line = editor.readline(PROMPT);
            (editor, line)
        })
        .await?;
        editor = given_back;
        let line = match line {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error).context("the terminal can't be read"),
        };
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        // A line that is not remembered is no reason to stop.
        let _ = editor.add_history_entry(line);
        if chat.take(line).await? == Next::End {
            break;
        }
    }
    if let Some(file) = history {
        let _ = editor.save_history(&file);
    }
    if let Some(id) = chat.template.conversation_id {
        eprintln!("go on with smartrag chat --conversation {id}");
    }
    Ok(Outcome::Done)
}

impl Chat {
    async fn take(&mut self, line: &str) -> anyhow::Result<Next> {
        let Some(command) = line.strip_prefix('/') else {
            self.ask(line).await?;
            return Ok(Next::Line);
        };
        let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
        let rest = rest.trim();
        match name {
            "new" => {
                self.template.conversation_id = None;
                eprintln!("(a new conversation)");
            }
            "backend" if rest.is_empty() => models::table(self.client.models().await?).print()?,
            "backend" => {
                (self.template.backend, self.template.model) = (Some(rest.to_owned()), None);
                eprintln!("(answers come from {rest})");
            }
            "model" if !rest.is_empty() => {
                self.template.model = Some(rest.to_owned());
                eprintln!("(answers come from the model {rest})");
            }
            "sources" => self.show_sources()?,
            "quit" | "exit" => return Ok(Next::End),
            "help" => eprintln!("{HELP}"),
            other => eprintln!("there is no /{other}\n{HELP}"),
        }
        Ok(Next::Line)
    }

    /// A question that fails is told, and the next one can be asked.
    async fn ask(&mut self, question: &str) -> anyhow::Result<()> {
        let body = QueryBody { query: question.to_owned(), ..self.template.clone() };
        let shown = tokio::select! {
            shown = show(&self.client, &body) => shown,
            _ = tokio::signal::ctrl_c() => {
                output::line("\n(ended)")?;
                return Ok(());
            }
        };
        match shown {
            Ok(Shown { conversation, sources }) => {
                self.template.conversation_id = Some(conversation);
                self.sources = sources;
            }
            Err(error) if super::failure::is_broken_pipe(&error) => return Err(error),
            Err(error) => eprintln!("{}", super::failure::describe(&error)),
        }
        Ok(())
    }

    fn show_sources(&self) -> anyhow::Result<()> {
        if self.sources.is_empty() {
            eprintln!("(there is no answer yet)");
        }
        for source in &self.sources {
            let place = super::search::place(&source.hit);
            output::line(&format!(
                "[{}] {place}\n{}\n",
                source.citation,
                output::plain(&source.hit.content)
            ))?;
        }
        Ok(())
    }
}

/// Questions that were typed, where programs keep such things; `None` without a home.
fn history_file() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")))?;
    let directory = state.join("smartrag");
    std::fs::create_dir_all(&directory).ok()?;
    Some(directory.join("chat_history"))
}
