use serde_json::Value;

use super::output::{self, Table};
use super::remote::Remote;
use super::sessions::ListArgs;
use super::{Outcome, Result};
use crate::client::segment;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List conversations, newest first
    List(ListArgs),
    /// Print a whole conversation
    Export(ExportArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// Its id
    id: String,
    /// What it becomes
    #[arg(long, value_enum, default_value_t = Format::Markdown)]
    format: Format,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
enum Format {
    Json,
    Markdown,
}

pub(super) async fn run(command: Command) -> Result {
    match command {
        Command::List(args) => list(args).await,
        Command::Export(args) => export(args).await,
    }
}

async fn list(args: ListArgs) -> Result {
    let conversations = args.remote.client()?.conversations(args.limit).await?;
    if args.json {
        output::json(&conversations)?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(["CONVERSATION", "SESSION", "LAST MESSAGE", "TITLE"]);
    for conversation in &conversations {
        table.row([
            conversation.conversation_id.clone(),
            conversation.session_id.clone().unwrap_or_default(),
            format!("{:.0}", conversation.updated_at),
            output::plain(conversation.title.as_deref().unwrap_or_default()).to_string(),
        ]);
    }
    table.print()?;
    Ok(Outcome::Done)
}

async fn export(args: ExportArgs) -> Result {
    let client = args.remote.client()?;
    let format = if args.format == Format::Json { "json" } else { "markdown" };
    let path = format!("/conversations/{}/export?format={format}", segment(&args.id));
    match client.call(reqwest::Method::GET, &path, None).await? {
        Value::String(text) => output::print(&text)?,
        value => output::json(&value)?,
    }
    Ok(Outcome::Done)
}
