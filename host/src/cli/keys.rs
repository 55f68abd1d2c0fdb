use anyhow::Context;

use super::output::{self, Table};
use super::upkeep::{At, Keeper};
use super::{Outcome, Result, wait_for};
use crate::types::{KeyId, UserId, UserRole};
use crate::wire::{KeyCreate, KeyRecord, NewKey};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a key; it is shown this once
    Create(CreateArgs),
    /// List keys, never the keys themselves
    List(ListArgs),
    /// Revoke keys: they open nothing from then on
    Revoke(RevokeArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct CreateArgs {
    /// Whom it stands for; created where there is no such user
    #[arg(long = "user", value_name = "NAME")]
    name: String,
    /// What it allows
    #[arg(long, value_enum, default_value_t = Role::User)]
    role: Role,
    /// For people, such as the program that will use it
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

/// What a key allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Role {
    /// Run the service, act for any user
    Admin,
    /// Keep documents, search and ask
    User,
    /// Search and ask
    Reader,
}

impl From<Role> for UserRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Admin => Self::Admin,
            Role::User => Self::User,
            Role::Reader => Self::Reader,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Of this user alone
    #[arg(long = "user", value_name = "NAME")]
    name: Option<String>,
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, clap::Args)]
pub(super) struct RevokeArgs {
    /// Their ids, see `smartrag keys list`
    #[arg(required = true, value_name = "KEY_ID")]
    ids: Vec<String>,
    #[command(flatten)]
    at: At,
}

pub(super) fn run(command: Command) -> Result {
    match command {
        Command::Create(args) => create(args),
        Command::List(args) => list(args),
        Command::Revoke(args) => revoke(args),
    }
}

fn create(args: CreateArgs) -> Result {
    let role = UserRole::from(args.role);
    let made = match args.at.new_keeper()? {
        Keeper::Daemon(client) => {
            let body = KeyCreate { user_id: args.name, role: role.as_str().into(), label: args.label };
            wait_for(async { Ok(client.create_key(&body).await?) })?
        }
        Keeper::Store(store) => {
            let user = UserId::new(args.name)?;
            let now = jiff::Timestamp::now().as_millisecond();
            let (record, key) = store.create_key(&user, role, args.label.as_deref(), now)?;
            NewKey { key, record: record.into() }
        }
    };
    if args.json {
        output::json(&made)?;
    } else {
        output::line(&made.key)?;
        eprintln!(
            "key {} of {} ({}): keep it now, it is shown this once",
            made.record.key_id, made.record.user_id, made.record.role
        );
    }
    Ok(Outcome::Done)
}

fn list(args: ListArgs) -> Result {
    let keys: Vec<KeyRecord> = match args.at.keeper()? {
        Keeper::Daemon(client) => wait_for(async { Ok(client.keys(args.name.as_deref()).await?) })?,
        Keeper::Store(store) => {
            let user = args.name.map(UserId::new).transpose()?;
            let keys = store.keys(user.as_ref(), None, usize::MAX)?.items;
            keys.into_iter().map(Into::into).collect()
        }
    };
    if args.json {
        output::json(&keys)?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(["KEY", "USER", "ROLE", "CREATED", "LABEL"]);
    for key in keys {
        let created_at = format!("{:.0}", key.created_at);
        table.row([key.key_id, key.user_id, key.role, created_at, key.label.unwrap_or_default()]);
    }
    table.print()?;
    Ok(Outcome::Done)
}

fn revoke(args: RevokeArgs) -> Result {
    let keeper = args.at.keeper()?;
    let mut outcome = Outcome::Done;
    for text in &args.ids {
        let known = match &keeper {
            Keeper::Daemon(client) => match wait_for(async { Ok(client.revoke_key(text).await) })? {
                Ok(()) => true,
                Err(error) if error.code() == Some("not_found") => false,
                Err(error) => return Err(error).with_context(|| text.clone()),
            },
            Keeper::Store(store) => match KeyId::parse(text) {
                Some(id) => store.revoke_key(&id)?,
                None => false,
            },
        };
        if known {
            eprintln!("revoked {text}");
        } else {
            eprintln!("error: there is no key {text:?}: see `smartrag keys list`");
            outcome = Outcome::Failed;
        }
    }
    Ok(outcome)
}
