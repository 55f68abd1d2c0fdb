use super::output::{self, Table};
use super::remote::Remote;
use super::search::json_object;
use super::{Outcome, Result};
use crate::client::{self, Client, DocumentFilter};
use crate::types::JsonMap;
use crate::wire::{BulkDelete, BulkDeleted, ChunkRecord, DocumentDeleted, DocumentRecord, FilterBody};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List documents by time of upload
    List(ListArgs),
    /// Show a document
    Show(ShowArgs),
    /// Delete documents and all that was derived from them
    Delete(DeleteArgs),
    /// Stop the work on documents
    Cancel(IdsArgs),
    /// Queue documents anew
    Reprocess(IdsArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Only these: queued, parsing, …, ready or failed
    #[arg(long)]
    status: Option<String>,
    /// Only this file type, such as pdf
    #[arg(long = "type", value_name = "TYPE")]
    file_type: Option<String>,
    /// Only those with this tag
    #[arg(long)]
    tag: Option<String>,
    /// Only this collection
    #[arg(long)]
    collection: Option<String>,
    /// Only this filename
    #[arg(long)]
    filename: Option<String>,
    /// At most this many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// Its id
    id: String,
    /// Also its chunks
    #[arg(long)]
    chunks: bool,
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(super) struct IdsArgs {
    /// Their ids
    #[arg(required = true)]
    ids: Vec<String>,
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(super) struct DeleteArgs {
    /// Their ids
    #[arg(required_unless_present = "filter", conflicts_with = "filter")]
    ids: Vec<String>,
    /// All that pass this filter: '{"tags": ["draft"]}'
    #[arg(long, value_name = "JSON", value_parser = json_object)]
    filter: Option<JsonMap>,
    /// Of this collection
    #[arg(long, requires = "filter", conflicts_with = "ids")]
    collection: Option<String>,
    /// Only tell what would be deleted
    #[arg(long)]
    dry_run: bool,
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn run(command: Command) -> Result {
    match command {
        Command::List(args) => list(args).await,
        Command::Show(args) => show(args).await,
        Command::Delete(args) => delete(args).await,
        Command::Cancel(args) => cancel(args).await,
        Command::Reprocess(args) => reprocess(args).await,
    }
}

async fn list(args: ListArgs) -> Result {
    let filter = DocumentFilter {
        status: args.status,
        file_type: args.file_type,
        tag: args.tag,
        collection: args.collection,
        filename: args.filename,
        path: None,
        limit: args.limit,
    };
    let documents = args.remote.client()?.documents(&filter).await?;
    if args.json {
        output::json(&documents)?;
    } else {
        table(&documents).print()?;
    }
    Ok(Outcome::Done)
}

fn table(documents: &[DocumentRecord]) -> Table {
    let mut table = Table::new(["DOCUMENT", "STATUS", "TYPE", "SIZE", "CHUNKS", "NAME"]);
    for document in documents {
        table.row([
            document.document_id.clone(),
            document.status.clone(),
            document.file_type.clone(),
            output::size(document.file_size),
            document.chunk_count.to_string(),
            document.filename.clone(),
        ]);
    }
    table
}

async fn show(args: ShowArgs) -> Result {
    let client = args.remote.client()?;
    let document = client.document(&args.id).await?;
    let chunks = if args.chunks { client.chunks(&args.id, None).await? } else { Vec::new() };
    if args.json {
        let mut value = serde_json::to_value(&document)?;
        if args.chunks {
            value["chunks"] = serde_json::to_value(&chunks)?;
        }
        output::json(&value)?;
    } else {
        output::print(&details(&document))?;
        chunks.iter().try_for_each(|chunk| output::print(&chunk_text(chunk)))?;
    }
    Ok(Outcome::Done)
}

fn details(document: &DocumentRecord) -> String {
    let mut text = String::new();
    let mut add = |name: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!("{name:<12}{}\n", output::one_line(value)));
        }
    };
    add("document", &document.document_id);
    add("name", &document.filename);
    add("title", document.title.as_deref().unwrap_or_default());
    add("type", &document.file_type);
    add("size", &output::size(document.file_size));
    add("collection", &document.collection);
    add("tags", &document.tags.join(", "));
    add("uploaded", &format!("{:.0}", document.upload_time));
    add("status", &status(document));
    add("chunks", &document.chunk_count.to_string());
    for (key, value) in &document.metadata {
        add("metadata", &format!("{key}: {value}"));
    }
    for warning in &document.warnings {
        let page = warning.page_number.map(|page| format!(" (page {page})")).unwrap_or_default();
        add("warning", &format!("{}{page}: {}", warning.code, warning.detail));
    }
    for made_by in [&document.provenance.parser, &document.provenance.embedder].into_iter().flatten() {
        add("made by", &format!("{} {}", made_by.name, made_by.version));
    }
    text
}

fn status(document: &DocumentRecord) -> String {
    match &document.error {
        Some(error) => format!("failed while {} ({}): {}", error.stage, error.code, error.detail),
        None => document.status.clone(),
    }
}

fn chunk_text(chunk: &ChunkRecord) -> String {
    let page = chunk.page_number.map(|page| format!(", p. {page}")).unwrap_or_default();
    let path = output::one_line(&chunk.heading_path.join(" > "));
    format!("\n--- {}{page}  {path}\n{}\n", chunk.chunk_index, output::plain(&chunk.text))
}

async fn delete(args: DeleteArgs) -> Result {
    let client = args.remote.client()?;
    if let Some(filter) = args.filter {
        let body = BulkDelete {
            filter: FilterBody(filter),
            collection: args.collection,
            session_id: args.remote.session,
            dry_run: args.dry_run,
        };
        let deleted = client.delete_documents(&body).await?;
        if args.json {
            output::json(&deleted)?;
        } else {
            let documents = output::count(usize::try_from(deleted.documents)?, "document");
            let verb = if deleted.dry_run { "would delete" } else { "deleted" };
            output::line(&format!("{verb} {documents}, {}", output::size(deleted.bytes)))?;
        }
        return Ok(Outcome::Done);
    }
    let mut told = BulkDeleted { dry_run: args.dry_run, ..BulkDeleted::default() };
    let done = delete_each(&client, &args, &mut told).await;
    // Also where one of them fails: those before it are gone.
    if args.json {
        output::json(&told)?;
    }
    done.map(|()| Outcome::Done)
}

async fn delete_each(client: &Client, args: &DeleteArgs, told: &mut BulkDeleted) -> anyhow::Result<()> {
    for id in &args.ids {
        let document = client.document(id).await?;
        let line = match args.dry_run {
            true => would_delete(&document),
            false => deleted(&client.delete_document(id).await?),
        };
        if !args.json {
            output::line(&line)?;
        }
        told.documents += 1;
        told.bytes += document.file_size;
        told.document_ids.push(document.document_id);
    }
    Ok(())
}

fn would_delete(document: &DocumentRecord) -> String {
    let (name, size) = (output::one_line(&document.filename), output::size(document.file_size));
    let chunks = output::count(document.chunk_count as usize, "chunk");
    format!("would delete {}: {name}, {chunks}, {size}", document.document_id)
}

fn deleted(gone: &DocumentDeleted) -> String {
    let purged = &gone.purged;
    let freed = if purged.blob { output::size(purged.bytes) } else { "no bytes".to_owned() };
    let chunks = output::count(purged.chunks as usize, "chunk");
    format!("deleted {}: {chunks}, {freed} freed", gone.document_id)
}

async fn cancel(args: IdsArgs) -> Result {
    let client = args.remote.client()?;
    each(&args, "cancelled", async |id| client.cancel_document(id).await).await
}

async fn reprocess(args: IdsArgs) -> Result {
    let client = args.remote.client()?;
    each(&args, "queued", async |id| client.reprocess_document(id).await).await
}

/// Does it with one after the other, and tells of each how it stands then.
async fn each(
    args: &IdsArgs,
    verb: &str,
    work: impl AsyncFn(&str) -> client::Result<DocumentRecord>,
) -> Result {
    let mut documents = Vec::new();
    let mut failure = None;
    for id in &args.ids {
        match work(id).await {
            Ok(document) if args.json => documents.push(document),
            Ok(_) => output::line(&format!("{verb} {id}"))?,
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    if args.json {
        output::json(&documents)?;
    }
    failure.map_or(Ok(Outcome::Done), |error| Err(error.into()))
}
