use futures_util::StreamExt;

use super::failure::Failure;
use super::output;
use super::remote::Remote;
use super::search::{Scope, place};
use super::{Outcome, Result};
use crate::client::Client;
use crate::wire::{QueryAnswer, QueryBody, QueryEvent, QueryOptions, Source};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The question
    question: String,
    /// Answer with this backend of the config
    #[arg(long)]
    backend: Option<String>,
    /// A model of the backend, where it has several
    #[arg(long)]
    model: Option<String>,
    /// Go on with this conversation
    #[arg(long, value_name = "ID")]
    conversation: Option<String>,
    /// Language of the answer, such as de; else that of the question
    #[arg(long)]
    language: Option<String>,
    /// Tokens of the answer at most
    #[arg(long, value_name = "N")]
    max_tokens: Option<u32>,
    /// Sampling temperature
    #[arg(long, value_name = "T")]
    temperature: Option<f32>,
    /// For machines: the whole answer at once
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn run(args: Args) -> Result {
    let client = args.remote.client()?;
    let json = args.json;
    let body = body(args, &client);
    if json {
        output::json(&client.query(&body).await?)?;
        return Ok(Outcome::Done);
    }
    let shown = show(&client, &body).await?;
    eprintln!("\ngo on with --conversation {}", shown.conversation);
    Ok(Outcome::Done)
}

fn body(args: Args, client: &Client) -> QueryBody {
    let options = (args.max_tokens.is_some() || args.temperature.is_some()).then(|| QueryOptions {
        max_tokens: args.max_tokens,
        temperature: args.temperature,
        ..QueryOptions::default()
    });
    QueryBody {
        session_id: client.session_id().map(str::to_owned),
        conversation_id: args.conversation,
        top_k: args.scope.top_k,
        filter: args.scope.filter(),
        collection: args.scope.collection,
        backend: args.backend,
        model: args.model,
        options,
        language: args.language,
        ..QueryBody::new(args.question)
    }
}

/// An answer that was shown.
pub(super) struct Shown {
    /// The conversation that it belongs to.
    pub conversation: String,
    pub sources: Vec<Source>,
}

/// Shows the words as they come, then the sources. Dropped before its end, it ends the answer.
pub(super) async fn show(client: &Client, body: &QueryBody) -> anyhow::Result<Shown> {
    let mut events = client.query_stream(body).await?;
    while let Some(event) = events.next().await {
        match event? {
            QueryEvent::Sources { .. } => {}
            QueryEvent::Chunk { chunk } => output::print(&output::plain(&chunk))?,
            QueryEvent::Done { answer, .. } => {
                output::print(&after(&answer))?;
                return Ok(Shown { conversation: answer.conversation_id, sources: answer.sources });
            }
            QueryEvent::Error { code, detail, .. } => {
                output::line("")?;
                return Err(Failure::new(format!("{detail} ({code})")).into());
            }
        }
    }
    Err(Failure::new("the answer ended without an end").into())
}

/// What follows the words: where they come from, and what is to be known of them.
fn after(answer: &QueryAnswer) -> String {
    let mut text = String::from("\n");
    if answer.finish_reason == "length" {
        text.push_str("\n(cut off: the limit of tokens was reached)\n");
    }
    if answer.truncated {
        text.push_str("\n(some sources were left out: the model's window is too small)\n");
    }
    if answer.finish_reason != "abstained" && !answer.sources.is_empty() {
        text.push_str("\nSources:\n");
        answer.sources.iter().for_each(|source| text.push_str(&source_line(source)));
    }
    text
}

fn source_line(source: &Source) -> String {
    format!("  [{}] {}\n", source.citation, place(&source.hit))
}

#[cfg(test)]
mod tests {
    use super::super::search::tests::hit;
    use super::*;

    fn answer(finish_reason: &str, truncated: bool) -> QueryAnswer {
        let sources = (1..)
            .zip([hit("a.pdf", Some(3), &["Care", "Oil"]), hit("b\u{1b}[2J.md", None, &[])])
            .map(|(citation, hit)| Source { citation, hit })
            .collect();
        QueryAnswer {
            citations: vec![],
            invented_citations: vec![],
            rewritten_query: None,
            weak_evidence: false,
            query_id: "q".into(),
            answer: "x [1]".into(),
            sources,
            conversation_id: "c".into(),
            message_id: "m".into(),
            backend: "b".into(),
            model: "m".into(),
            usage: Default::default(),
            timings: Default::default(),
            truncated,
            finish_reason: finish_reason.into(),
        }
    }

    #[test]
    fn sources_follow_the_answer_by_number() {
        assert_eq!(
            after(&answer("stop", false)),
            "\n\nSources:\n  [1] a.pdf, p. 3, Care > Oil\n  [2] b\u{FFFD}[2J.md\n"
        );
    }

    #[test]
    fn an_abstention_names_no_sources() {
        assert_eq!(after(&answer("abstained", false)), "\n");
    }

    #[test]
    fn losses_are_told() {
        assert!(after(&answer("length", true)).contains("cut off"));
        assert!(after(&answer("length", true)).contains("left out"));
    }
}
