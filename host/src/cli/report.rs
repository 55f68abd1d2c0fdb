use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};

use super::output;
use super::remote::Remote;
use super::upkeep::owners;
use super::{Outcome, Result};
use crate::client::{Caller, Client};
use crate::config::{self, Options};
use crate::wire::{Analytics, HealthAnswer};

const MARKDOWN: &str = include_str!("report/report.md.j2");
const HTML: &str = include_str!("report/report.html.j2");

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The last seven days [default]
    #[arg(long, conflicts_with_all = ["last_day", "last_month", "from"])]
    last_week: bool,
    /// The last 24 hours
    #[arg(long, conflicts_with_all = ["last_month", "from"])]
    last_day: bool,
    /// The last 30 days
    #[arg(long, conflicts_with = "from")]
    last_month: bool,
    /// From this time or day on, such as 2026-01-31
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// To this time or day
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Of this user alone [default: of everybody for administrators, of the caller for others]
    #[arg(long, value_name = "NAME")]
    of: Option<String>,
    /// What it becomes
    #[arg(long, value_enum, default_value_t = Format::Markdown)]
    format: Format,
    /// Write it to this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// For machines: the figures alone
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
enum Format {
    Markdown,
    Html,
}

pub(super) async fn run(args: Args) -> Result {
    let client = client(&args.remote)?;
    let from = args.from.clone().unwrap_or_else(|| since(&args).to_string());
    let figures = figures(&client, &args, &from).await?;
    if args.json {
        output::json(&figures)?;
        return Ok(Outcome::Done);
    }
    let text = render(&figures, &client.health().await?, args.format)?;
    match &args.out {
        Some(file) => {
            std::fs::write(file, &text).map_err(|error| {
                anyhow::anyhow!("{}: {error}: name another file with --out", file.display())
            })?;
            eprintln!("wrote {}", file.display());
        }
        None => output::print(&text)?,
    }
    Ok(Outcome::Done)
}

/// Of everybody, where the caller may see that.
async fn figures(client: &Client, args: &Args, from: &str) -> anyhow::Result<Analytics> {
    let (from, to) = (Some(from), args.to.as_deref());
    match client.analytics(args.of.as_deref().or(Some("*")), from, to).await {
        Err(error) if args.of.is_none() && error.code() == Some("forbidden") => {
            let own = client.analytics(None, from, to).await?;
            let name = own.user_id.as_deref().unwrap_or_default();
            eprintln!("these are the queries of {name}: those of everybody are for administrators");
            Ok(own)
        }
        told => Ok(told?),
    }
}

/// Through the daemon's own socket where nobody names another way: the figures are of everybody.
fn client(remote: &Remote) -> anyhow::Result<Client> {
    if !remote.is_named()
        && let Ok(loaded) = config::load(&Options::default())
        && let Some(client) = owners(&loaded.config, Caller::default())?
    {
        return Ok(client);
    }
    remote.client()
}

fn since(args: &Args) -> Timestamp {
    let days = match (args.last_day, args.last_month) {
        (true, _) => 1,
        (_, true) => 30,
        _ => 7,
    };
    Timestamp::now() - SignedDuration::from_hours(24 * days)
}

fn render(figures: &Analytics, health: &HealthAnswer, format: Format) -> anyhow::Result<String> {
    let (name, template) = match format {
        Format::Markdown => ("report.md", MARKDOWN),
        Format::Html => ("report.html", HTML),
    };
    let mut templates = Environment::new();
    templates.add_filter("row", |text: String| output::one_line(&text).replace('|', "\\|"));
    templates.add_filter("bytes", |bytes: u64| output::size(bytes));
    templates.add_filter("ms", |ms: f64| format!("{ms:.1}"));
    templates.add_template(name, template)?;
    let busiest = figures.days.iter().map(|day| day.searches + day.questions).max().unwrap_or(1);
    let health = match health {
        HealthAnswer::Whole(health) => Some(Value::from(Serde(health))),
        HealthAnswer::Bare(_) => None,
    };
    let (from, to) = (format!("{:.0}", figures.from), format!("{:.0}", figures.to));
    let figures = Value::from(Serde(figures));
    Ok(templates.get_template(name)?.render(context! { figures, health, busiest, from, to })?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{AnalyticsDay, LatencyQuantiles, QueryWithoutHit, UsedDocument};

    fn figures() -> Analytics {
        Analytics {
            from: Timestamp::UNIX_EPOCH,
            to: Timestamp::UNIX_EPOCH,
            user_id: None,
            queries: 3,
            days: vec![AnalyticsDay {
                day: "1970-01-01".into(),
                searches: 3,
                no_hit: 1,
                ..Default::default()
            }],
            latency_ms: [("search".into(), LatencyQuantiles { count: 3, p50: 1.25, ..Default::default() })]
                .into(),
            top_documents: vec![UsedDocument {
                document_id: "0190".into(),
                filename: "a<b>|c.md".into(),
                collection: "default".into(),
                uses: 2,
            }],
            without_hit: vec![QueryWithoutHit { query: "<script>\nx".into(), count: 1 }],
            backends: Default::default(),
        }
    }

    #[test]
    fn names_and_queries_do_not_become_markup() {
        let health =
            HealthAnswer::Bare(crate::wire::BareHealth { status: crate::wire::HealthStatus::Healthy });
        let html = render(&figures(), &health, Format::Html).unwrap();
        assert!(html.contains("a&lt;b&gt;|c.md") && !html.contains("<script>"), "{html}");
        let markdown = render(&figures(), &health, Format::Markdown).unwrap();
        assert!(markdown.contains("| a<b>\\|c.md |"), "{markdown}");
        assert!(markdown.contains("| 1970-01-01 | 3 | 0 | 1 | 0 | 0 |"), "{markdown}");
        assert!(markdown.contains("<script> x"), "{markdown}");
    }
}
