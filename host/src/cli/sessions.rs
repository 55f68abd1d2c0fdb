use super::output::{self, Table};
use super::remote::Remote;
use super::{Outcome, Result};
use crate::client::Client;
use crate::wire::Session;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List sessions, newest first
    List(ListArgs),
    /// Show a session with its latest conversation
    Show(ShowArgs),
    /// Delete sessions with their conversations; documents stay
    Delete(DeleteArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// At most this many
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// For machines
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// Its id
    id: String,
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(super) struct DeleteArgs {
    /// Their ids
    #[arg(required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn run(command: Command) -> Result {
    match command {
        Command::List(args) => list(args).await,
        Command::Show(args) => show(args).await,
        Command::Delete(args) => delete(args).await,
    }
}

async fn list(args: ListArgs) -> Result {
    let sessions = args.remote.client()?.sessions(args.limit).await?;
    if args.json {
        output::json(&sessions)?;
    } else {
        table(&sessions).print()?;
    }
    Ok(Outcome::Done)
}

fn table(sessions: &[Session]) -> Table {
    let mut table = Table::new(["SESSION", "USER", "LAST ACTIVE", "TITLE"]);
    for session in sessions {
        table.row([
            session.session_id.clone(),
            session.user_id.clone(),
            format!("{:.0}", session.last_active),
            session.title.clone().unwrap_or_default(),
        ]);
    }
    table
}

async fn show(args: ShowArgs) -> Result {
    let client = args.remote.client()?;
    let session = client.session(&args.id).await?;
    let context = client.session_context(&args.id).await?;
    if args.json {
        output::json(&serde_json::json!({"session": session, "context": context}))?;
        return Ok(Outcome::Done);
    }
    table(std::slice::from_ref(&session)).print()?;
    if let Some(conversation) = &context.conversation_id {
        output::line(&format!("\nconversation {conversation}"))?;
    }
    for message in &context.messages {
        output::line(&format!("\n{}:\n{}", message.role, output::plain(&message.content)))?;
    }
    Ok(Outcome::Done)
}

async fn delete(args: DeleteArgs) -> Result {
    let client = args.remote.client()?;
    for id in &args.ids {
        delete_one(&client, id).await?;
    }
    Ok(Outcome::Done)
}

async fn delete_one(client: &Client, id: &str) -> anyhow::Result<()> {
    client.delete_session(id).await?;
    output::line(&format!("deleted {id}"))
}
