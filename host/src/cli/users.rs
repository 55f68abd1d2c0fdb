use std::io::IsTerminal;

use super::failure::Failure;
use super::output::{self, Table};
use super::upkeep::{At, Keeper};
use super::{Outcome, Result, wait_for};
use crate::client;
use crate::store::Store;
use crate::types::{User, UserId};
use crate::wire::{UserCreate, UserDeleted, UserRecord};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List users with what they have
    List(ListArgs),
    /// Create a user; the first key of a user does so, too
    Create(CreateArgs),
    /// Delete a user; its keys open nothing from then on
    Delete(DeleteArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, clap::Args)]
pub(super) struct CreateArgs {
    /// 1 to 128 characters without slashes
    name: String,
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, clap::Args)]
pub(super) struct DeleteArgs {
    /// Who
    name: String,
    /// Also with documents, sessions and conversations: these go, too
    #[arg(long)]
    purge: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

pub(super) fn run(command: Command) -> Result {
    match command {
        Command::List(args) => list(args),
        Command::Create(args) => create(args),
        Command::Delete(args) => delete(args),
    }
}

fn list(args: ListArgs) -> Result {
    let users: Vec<UserRecord> = match args.at.keeper()? {
        Keeper::Daemon(client) => wait_for(async { Ok(client.users().await?) })?,
        Keeper::Store(store) => store.users(None, usize::MAX)?.items.into_iter().map(Into::into).collect(),
    };
    if args.json {
        output::json(&users)?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(["USER", "KEYS", "SESSIONS", "CONVERSATIONS", "COLLECTIONS", "DOCUMENTS"]);
    for user in users {
        let counts = [user.keys, user.sessions, user.conversations, user.collections, user.documents];
        let [keys, sessions, conversations, collections, documents] = counts.map(|count| count.to_string());
        table.row([user.user_id, keys, sessions, conversations, collections, documents]);
    }
    table.print()?;
    Ok(Outcome::Done)
}

fn create(args: CreateArgs) -> Result {
    let user = match args.at.new_keeper()? {
        Keeper::Daemon(client) => {
            let body = UserCreate { user_id: args.name };
            wait_for(async { Ok(client.create_user(&body).await?) })?
        }
        Keeper::Store(store) => {
            let now = jiff::Timestamp::now().as_millisecond();
            UserRecord::from(store.create_user(&UserId::new(args.name)?, now)?)
        }
    };
    if args.json {
        output::json(&user)?;
    } else {
        eprintln!("created {}; `smartrag keys create --user {}` makes a key", user.user_id, user.user_id);
    }
    Ok(Outcome::Done)
}

fn delete(args: DeleteArgs) -> Result {
    let client = match args.at.keeper()? {
        Keeper::Daemon(client) => client,
        Keeper::Store(store) => return delete_here(&store, &args),
    };
    if !is_agreed(&args)? {
        return Ok(Outcome::Failed);
    }
    let gone = wait_for(async { client.delete_user(&args.name, args.purge).await.map_err(told) })?;
    tell(&gone, args.json)
}

fn is_agreed(args: &DeleteArgs) -> anyhow::Result<bool> {
    let is_agreed = !args.purge || args.yes || confirmed(&args.name)?;
    if !is_agreed {
        eprintln!("nothing was deleted");
    }
    Ok(is_agreed)
}

fn tell(gone: &UserDeleted, json: bool) -> Result {
    if json {
        output::json(gone)?;
    } else {
        eprintln!(
            "deleted {}: {} keys, {} sessions, {} conversations, {} documents in {} collections",
            gone.user_id, gone.keys, gone.sessions, gone.conversations, gone.documents, gone.collections
        );
    }
    Ok(Outcome::Done)
}

/// Without a daemon: one who has no collections, since only the daemon keeps their indexes.
fn delete_here(store: &Store, args: &DeleteArgs) -> Result {
    let user = store.user(&UserId::new(args.name.clone())?)?;
    let Some(user) = user else {
        return Err(Failure::new(format!("there is no user {:?}", args.name)).into());
    };
    if user.collections > 0 {
        let said = format!("{} has collections, whose indexes the daemon keeps, and none runs", user.id);
        return Err(Failure::new(said).hint("start it with `smartrag serve`, then try again").into());
    }
    if !args.purge && user.has_data() {
        let User { id, sessions, conversations, .. } = &user;
        let said = format!("{id} has {sessions} sessions and {conversations} conversations");
        return Err(Failure::new(said).hint("--purge deletes these, too").into());
    }
    if !is_agreed(args)? {
        return Ok(Outcome::Failed);
    }
    store.delete_user(&user.id)?;
    let User { id, keys, sessions, conversations, .. } = user;
    let gone = UserDeleted { user_id: id.to_string(), keys, sessions, conversations, ..Default::default() };
    tell(&gone, args.json)
}

fn told(error: client::Error) -> anyhow::Error {
    match error.code() {
        Some("conflict") => {
            let hint = "--purge deletes these, too; `smartrag keys revoke` takes the keys alone";
            Failure::new(error.to_string()).hint(hint).into()
        }
        _ => error.into(),
    }
}

fn confirmed(name: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        let said = format!("all that {name} has would be deleted");
        return Err(Failure::new(said).hint("say --yes if that is what you want").into());
    }
    eprint!("delete {name} with all documents, sessions and conversations? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
