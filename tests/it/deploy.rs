//! What operators install: the default config, the units, the image and the dashboard fit the daemon.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{SMARTRAG, TestDaemon, data_dir};

/// Words of queries that are no metrics.
const PROMQL: &[&str] = &[
    "and",
    "by",
    "count",
    "histogram_quantile",
    "increase",
    "max",
    "min",
    "on",
    "or",
    "rate",
    "sum",
    "vector",
];
/// What Prometheus adds to the name of a histogram.
const OF_HISTOGRAMS: &[&str] = &["_bucket", "_sum", "_count"];

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)
}

fn text(path: &str) -> String {
    std::fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("deploy/{path}: {error}"))
}

fn smartrag(arguments: &[&str], data: Option<&Path>) -> Output {
    let mut command = Command::new(SMARTRAG);
    command.args(arguments).env_remove("SMARTRAG_CONFIG");
    if let Some(data) = data {
        command.env("SMARTRAG_DATA_DIR", data);
    }
    command.output().unwrap()
}

/// What it prints if it succeeds.
fn says(arguments: &[&str], data: Option<&Path>) -> String {
    let output = smartrag(arguments, data);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {out}{err}");
    out.into_owned()
}

#[test]
fn the_default_config_is_valid() {
    let data = data_dir();
    let path = file("config.yaml");
    says(&["config", "check", "--config", path.to_str().unwrap()], Some(data.path()));
}

/// Settings are told from text by a key that follows the `#`.
fn is_setting(line: &str) -> bool {
    let key = line.trim_start_matches(' ').split_once(':').map_or("", |(key, _)| key);
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn uncommented(config: &str) -> String {
    let uncomment = |line: &str| match line.strip_prefix('#') {
        Some(setting) if is_setting(setting) => format!("{setting}\n"),
        _ => format!("{line}\n"),
    };
    config.lines().map(uncomment).collect()
}

#[test]
fn so_is_every_setting_that_is_commented_out_there() {
    let data = data_dir();
    let path = data.path().join("all.yaml");
    let all = uncommented(&text("config.yaml"));
    assert!(all.contains("\nsearch:\n  fusion: convex\n"), "{all}");
    std::fs::write(&path, &all).unwrap();
    // It fails all the same, since the servers of its examples are not there.
    let checked = smartrag(&["config", "check", "--config", path.to_str().unwrap()], Some(data.path()));
    let said =
        String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    assert!(said.contains("all.yaml is valid"), "{said}");

    let schema: Value = serde_json::from_str(&says(&["config", "schema"], None)).unwrap();
    for section in schema["properties"].as_object().unwrap().keys() {
        let named = all.lines().any(|line| line.starts_with(&format!("{section}:")));
        assert!(named, "deploy/config.yaml does not name `{section}`");
    }
}

/// Every word of the command is known: the subcommand, and the flags by its help.
fn assert_runs(place: &str, words: &[String]) {
    let subcommand: Vec<&str> =
        words.iter().map(String::as_str).take_while(|word| !word.starts_with('-')).collect();
    let help = says(&[&subcommand[..], &["--help"]].concat(), None);
    for flag in words.iter().filter(|word| word.starts_with('-')) {
        assert!(help.contains(&format!("{flag} ")), "{place}: {subcommand:?} has no {flag}:\n{help}");
    }
}

#[test]
fn units_call_commands_that_exist() {
    let mut seen = 0;
    for entry in std::fs::read_dir(file("systemd")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "service") {
            continue;
        }
        let unit = std::fs::read_to_string(&path).unwrap();
        let commands =
            unit.lines().filter(|line| line.starts_with("Exec")).filter_map(|line| line.split_once('='));
        for (_, command) in commands.filter(|(_, command)| command.starts_with("/usr/bin/smartrag ")) {
            let words: Vec<String> = command.split_whitespace().skip(1).map(str::to_owned).collect();
            assert_runs(&path.display().to_string(), &words);
            seen += 1;
        }
    }
    assert!(seen >= 3, "only {seen} commands in the units");
}

#[test]
fn the_image_calls_a_command_that_exists() {
    let dockerfile = text("docker/Dockerfile");
    // What is copied as a whole needs a directory to stand in.
    let words: Vec<&str> = dockerfile.split_whitespace().collect();
    for copied in words.windows(4).filter(|words| words[..2] == ["cp", "-r"]).map(|words| words[3]) {
        let parent = Path::new(copied).parent().unwrap().to_str().unwrap();
        assert!(words.contains(&parent), "nothing makes {parent} in the image");
    }
    let command = dockerfile.lines().find_map(|line| line.strip_prefix("CMD ")).unwrap();
    assert_runs("deploy/docker/Dockerfile", &serde_json::from_str::<Vec<String>>(command).unwrap());
    let probe =
        dockerfile.lines().find_map(|line| line.strip_prefix("HEALTHCHECK ")?.split_once(" CMD ")).unwrap().1;
    let probe: Vec<String> = serde_json::from_str(probe).unwrap();
    assert_eq!(probe[0], "/usr/bin/smartrag");
    assert_runs("deploy/docker/Dockerfile", &probe[1..]);
    let of_compose = text("docker/compose.yaml");
    let asked = format!(
        "test: [\"CMD\", {}]",
        probe.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ")
    );
    assert!(of_compose.contains(&asked), "compose.yaml asks otherwise than the image: {asked}");
    assert!(dockerfile.contains("ENTRYPOINT [\"/usr/bin/smartrag\"]"));
}

/// Queries of all panels, by the panel's title.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().unwrap();
    let of_panel = |panel: &Value| {
        let title = panel["title"].as_str().unwrap().to_owned();
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        targets
            .into_iter()
            .map(move |target| (title.clone(), target["expr"].as_str().unwrap().to_owned()))
            .collect::<Vec<_>>()
    };
    panels.iter().flat_map(of_panel).collect()
}

/// The query without texts, selectors, ranges and lists of labels.
fn bare(query: &str) -> String {
    let mut bare = String::new();
    let mut rest = query;
    while let Some(at) = rest.find(['"', '{', '[', '(']) {
        let (before, from) = rest.split_at(at);
        bare.push_str(before);
        let is_labels = ["by", "on"].contains(&before.trim_end().rsplit(' ').next().unwrap_or(""));
        let end = match &from[..1] {
            "\"" => from[1..].find('"').map(|end| end + 1),
            "{" => from.find('}'),
            "[" => from.find(']'),
            _ if is_labels => from.find(')'),
            _ => Some(0),
        };
        bare.push(' ');
        rest = &from[end.unwrap_or_else(|| panic!("not closed: {query}")) + 1..];
    }
    bare + rest
}

fn metrics_of(query: &str) -> BTreeSet<String> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let bare = bare(query);
    let words = bare
        .split(|c: char| !is_of_name(c))
        .filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()));
    words.filter(|word| !PROMQL.contains(word)).map(str::to_owned).collect()
}

#[test]
fn metrics_are_found_in_queries() {
    let query =
        "sum by (le, stage) (rate(a_bucket{x=~\"$y\", z=\"b\"}[$__rate_interval])) / .95 and on (i) d";
    assert_eq!(metrics_of(query), ["a_bucket", "d"].map(str::to_owned).into());
    assert_eq!(metrics_of("histogram_quantile(0.9, rate(smartrg_x[5m]))"), ["smartrg_x".to_owned()].into());
}

/// Names in the source: series with labels are exposed once they have a value.
fn registered() -> BTreeSet<&'static str> {
    let source = include_str!("../../host/src/telemetry/metrics.rs");
    let source = source.split("#[cfg(test)]").next().unwrap();
    let is_metric = |text: &&str| text.starts_with("smartrag_") || text.starts_with("process_");
    source.split('"').filter(is_metric).collect()
}

#[tokio::test]
async fn every_query_of_the_dashboard_names_a_metric_that_exists() {
    let daemon = TestDaemon::start();
    daemon.add("heron.md", "The heron stands in the pond.").await;
    daemon.search(&serde_json::json!({"query": "heron"})).await;
    let exposed = daemon.get("/metrics").await.body;
    let typed = exposed.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let (mut names, mut histograms) = (BTreeSet::new(), BTreeSet::new());
    for (name, kind) in typed {
        let of_kind = if kind == "histogram" { &mut histograms } else { &mut names };
        of_kind.insert(name);
    }
    assert!(names.contains("smartrag_build_info") && histograms.contains("smartrag_query_duration_seconds"));
    names.extend(registered().into_iter().filter(|name| !histograms.contains(name)));

    let dashboard: Value = serde_json::from_str(&text("grafana/smartrag.json")).unwrap();
    let queries = queries(&dashboard);
    assert!(queries.len() > 20, "{queries:?}");
    for (title, query) in queries {
        let metrics = metrics_of(&query);
        assert!(!metrics.is_empty(), "{title}: {query}");
        for metric in metrics {
            let of_histogram = OF_HISTOGRAMS.iter().find_map(|suffix| metric.strip_suffix(suffix));
            let exists =
                names.contains(metric.as_str()) || of_histogram.is_some_and(|name| histograms.contains(name));
            assert!(exists, "{title}: no metric {metric} in\n{exposed}");
        }
    }
}
