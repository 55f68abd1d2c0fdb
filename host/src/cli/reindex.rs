use std::time::Instant;

use super::failure::Failure;
use super::output::{self, Table};
use super::upkeep::{Target, Via, spinner};
use super::{Outcome, Result};
use crate::api::reindexed;
use crate::ingest;
use crate::types::{CollectionKey, CollectionName, UserId};
use crate::wire::ReindexReport;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// This one alone, of the user; else all of all users
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(args: Args) -> Result {
    let only = args.collection.as_deref();
    let report = match args.target.find()? {
        Via::Daemon(client) => {
            let spinner = spinner("the daemon builds the indexes anew");
            let report = super::wait_for(async { Ok(client.reindex(only).await?) });
            spinner.finish_and_clear();
            report?
        }
        Via::Directory { store, search } => {
            let key = only.map(|name| key(&args.target, name)).transpose()?;
            if let Some(key) = &key
                && store.collection(key)?.is_none()
            {
                return Err(Failure::new(format!("there is no collection {:?}", key.name.as_str())).into());
            }
            let (begun, spinner) = (Instant::now(), spinner("building the indexes anew"));
            let done = ingest::reindex(&store, &search, key.as_ref(), &mut |collection| {
                spinner.set_message(format!("{} stands", collection.key.name));
            });
            spinner.finish_and_clear();
            reindexed(&done?, begun)
        }
    };
    if args.json {
        output::json(&report)?
    } else {
        table(&report).print()?
    }
    Ok(Outcome::Done)
}

fn key(target: &Target, name: &str) -> anyhow::Result<CollectionKey> {
    let owner = match target.remote_user() {
        Some(user) => UserId::new(user)?,
        None => UserId::anonymous(),
    };
    Ok(CollectionKey { owner, name: CollectionName::new(name)? })
}

fn table(report: &ReindexReport) -> Table {
    let mut table = Table::new(["COLLECTION", "OWNER", "DOCUMENTS", "CHUNKS"]);
    for one in &report.collections {
        let (documents, chunks) = (one.documents.to_string(), one.chunks.to_string());
        table.row([one.collection.clone(), one.owner.clone(), documents, chunks]);
    }
    table
}
