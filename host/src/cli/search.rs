use std::io::IsTerminal;

use super::output;
use super::remote::Remote;
use super::{Outcome, Result};
use crate::types::JsonMap;
use crate::wire::{
    CollectionExplanation, FilterBody, FusionMethod, Hit, SearchAnswer, SearchBody, SearchMode, Share,
    VectorPathKind,
};

/// Characters of a hit's text that are shown.
const EXCERPT_CHARS: usize = 160;

/// Where to look; the same for searches and questions.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Scope {
    /// Results at most
    #[arg(long, short = 'k', value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=100))]
    pub top_k: u32,
    /// Look in this collection; `*` is all of yours
    #[arg(long)]
    pub collection: Option<String>,
    /// Only what passes, as JSON: '{"file_type": ["pdf"], "tags": {"any": ["a"]}}'
    #[arg(long, value_name = "JSON", value_parser = json_object)]
    pub filter: Option<JsonMap>,
}

impl Scope {
    pub fn filter(&self) -> Option<FilterBody> {
        self.filter.clone().map(FilterBody)
    }
}

/// A JSON object on the command line.
pub(super) fn json_object(text: &str) -> std::result::Result<JsonMap, String> {
    serde_json::from_str(text).map_err(|error| format!("not a JSON object: {error}"))
}

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to look for
    query: String,
    /// Which indexes to ask
    #[arg(long, value_enum, default_value_t = Mode::Hybrid)]
    mode: Mode,
    /// Rerank, or don't; else as configured
    #[arg(long, value_name = "BOOL")]
    rerank: Option<bool>,
    /// How to join the results of both indexes; else as configured
    #[arg(long, value_enum)]
    fusion: Option<Fusion>,
    /// Weight of the vector index, 0 to 1; else as configured
    #[arg(long, value_name = "WEIGHT")]
    alpha: Option<f32>,
    /// Fold results of nearly the same text into one, or don't; else as configured
    #[arg(long, value_name = "BOOL")]
    fold: Option<bool>,
    /// How much results should differ from each other, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    diversity: f32,
    /// Also tell how the scores came about
    #[arg(long)]
    explain: bool,
    /// Also find words that are spelled almost so
    #[arg(long)]
    typo: bool,
    /// Mark the words of the query; on a terminal always
    #[arg(long)]
    highlight: bool,
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Mode {
    Hybrid,
    Keyword,
    Vector,
}

impl From<Mode> for SearchMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Hybrid => SearchMode::Hybrid,
            Mode::Keyword => SearchMode::Keyword,
            Mode::Vector => SearchMode::Vector,
        }
    }
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Fusion {
    Convex,
    Rrf,
}

impl From<Fusion> for FusionMethod {
    fn from(fusion: Fusion) -> Self {
        match fusion {
            Fusion::Convex => FusionMethod::Convex,
            Fusion::Rrf => FusionMethod::Rrf,
        }
    }
}

pub(super) async fn run(args: Args) -> Result {
    let client = args.remote.client()?;
    let body = SearchBody {
        session_id: client.session_id().map(str::to_owned),
        top_k: args.scope.top_k,
        mode: args.mode.into(),
        filter: args.scope.filter(),
        collection: args.scope.collection,
        rerank: args.rerank,
        fusion: args.fusion.map(Into::into),
        alpha: args.alpha,
        fold: args.fold,
        diversity: args.diversity,
        explain: args.explain,
        typo_tolerance: args.typo,
        highlight: args.highlight || (!args.json && std::io::stdout().is_terminal()),
        ..SearchBody::new(args.query)
    };
    let answer = client.search(&body).await?;
    if args.json {
        output::json(&answer)?;
    } else {
        output::print(&render(&answer, args.explain))?;
    }
    Ok(Outcome::Done)
}

fn render(answer: &SearchAnswer, explain: bool) -> String {
    let mut text = String::new();
    for (rank, hit) in (1..).zip(&answer.results) {
        text.push_str(&format!("{rank:>3}  {:.3}  {}\n", hit.score, place(hit)));
        if explain {
            text.push_str(&format!("            {}\n", scores(hit)));
        }
        if !hit.folded.is_empty() {
            let copies = output::count(hit.folded.len(), "near-duplicate");
            text.push_str(&format!("            and {copies}\n"));
        }
        text.push_str(&format!("            {}\n", excerpt(hit)));
    }
    if answer.results.is_empty() {
        text.push_str("nothing found\n");
    }
    if explain {
        text.push_str(&explanation(answer));
    }
    text
}

/// The words of the query are bold where the daemon marked them.
fn excerpt(hit: &Hit) -> String {
    let marks: Vec<_> = hit.highlights.iter().flatten().map(|mark| mark.start..mark.end).collect();
    output::excerpt_bold(&hit.content, &marks, EXCERPT_CHARS)
}

/// `handbook.pdf, p. 3, Care > Oil`
pub(super) fn place(hit: &Hit) -> String {
    let mut place = output::one_line(&hit.filename);
    if let Some(page) = hit.page_number {
        place.push_str(&format!(", p. {page}"));
    }
    if !hit.heading_path.is_empty() {
        place.push_str(&format!(", {}", output::one_line(&hit.heading_path.join(" > "))));
    }
    place
}

/// `keyword 12.500 (#1, 1.000 × 0.7), vector 0.610 (#3, 0.820 × 0.3), rerank 0.900, was #4`
fn scores(hit: &Hit) -> String {
    let explain = hit.explain.as_ref();
    let sides = [
        ("keyword", hit.scores.keyword, explain.and_then(|explain| explain.keyword)),
        ("vector", hit.scores.vector, explain.and_then(|explain| explain.vector)),
        ("rerank", hit.scores.rerank, None),
    ];
    let known = sides.into_iter().filter_map(|(name, score, share)| {
        Some(format!("{name} {:.3}{}", score?, share.map(worth).unwrap_or_default()))
    });
    let moved = explain.and_then(|explain| explain.moved_from).map(|place| format!("was #{place}"));
    known.chain(moved).collect::<Vec<_>>().join(", ")
}

fn worth(share: Share) -> String {
    let rank = share.rank.map(|rank| format!("#{rank}, ")).unwrap_or_default();
    format!(" ({rank}{:.3} × {:.2})", share.points, share.weight)
}

fn explanation(answer: &SearchAnswer) -> String {
    let mut text = String::from("\n");
    if let Some(how) = &answer.explanation {
        let fusion = match how.fusion {
            FusionMethod::Convex => "convex",
            FusionMethod::Rrf => "rrf",
        };
        let alpha = how.alpha.map(|alpha| format!(", alpha {alpha}")).unwrap_or_default();
        let reranker = how.reranker.as_deref().unwrap_or("none");
        text.push_str(&format!(
            "fusion {fusion}{alpha}, {} candidates a side, embedder {}, reranker {reranker}\n",
            how.candidates, how.embedder
        ));
        text.extend(how.collections.iter().map(searched));
    }
    let timings = answer.timings.iter().map(|(stage, ms)| format!("{stage} {ms:.2} ms"));
    text.push_str(&format!("{}\n", timings.collect::<Vec<_>>().join(", ")));
    text
}

/// `collection default: alpha 0.9, 120 vectors compared (exact), 17 chunks pass the filter`
fn searched(how: &CollectionExplanation) -> String {
    let alpha = how.alpha.map(|alpha| format!("alpha {alpha}, ")).unwrap_or_default();
    let path = match how.vector.path {
        VectorPathKind::None => "no vectors".to_owned(),
        VectorPathKind::Exact => format!("{} vectors compared (exact)", how.vector.compared),
        VectorPathKind::Graph => format!("{} vectors compared (graph)", how.vector.compared),
    };
    let filter = how.filter_matches.map(|count| format!(", {count} chunks pass the filter"));
    format!("collection {}: {alpha}{path}{}\n", how.collection, filter.unwrap_or_default())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::wire::Scores;

    pub fn hit(filename: &str, page: Option<u32>, heading: &[&str]) -> Hit {
        Hit {
            document_id: "d".into(),
            chunk_id: "d:0".into(),
            collection: "default".into(),
            filename: filename.into(),
            file_type: "pdf".into(),
            page_number: page,
            heading_path: heading.iter().map(|part| part.to_string()).collect(),
            chunk_index: 0,
            char_start: 0,
            char_end: 4,
            content: "Some\ntext".into(),
            highlights: None,
            score: 0.875,
            scores: Scores { keyword: Some(12.5), vector: None, rerank: None },
            folded: Vec::new(),
            explain: None,
            metadata: JsonMap::new(),
        }
    }

    #[test]
    fn a_hit_says_where_it_is() {
        let results = vec![hit("a.pdf", Some(3), &["Care", "Oil"]), hit("b.md", None, &[])];
        let answer = SearchAnswer { results, timings: [("total".into(), 1.5)].into(), explanation: None };
        insta::assert_snapshot!(render(&answer, true), @"
          1  0.875  a.pdf, p. 3, Care > Oil
                    keyword 12.500
                    Some text
          2  0.875  b.md
                    keyword 12.500
                    Some text

        total 1.50 ms
        ");
    }
}
