//! Model servers on the usual ports of this machine, and the lines of the config that would use them.

use std::time::Duration;

use serde::Deserialize;

use super::check::Check;
use crate::cli::wait_for;
use crate::config::Config;

/// Nobody waits long for a server that may not be there.
const WAIT: Duration = Duration::from_millis(500);
/// Models that are named.
const NAMED_MAX: usize = 3;

/// What usually listens where.
const USUAL: [(&str, u16); 4] =
    [("llama.cpp or LocalAI", 8080), ("LM Studio", 1234), ("vLLM", 8000), ("Ollama", 11434)];

#[derive(Deserialize)]
struct Listed {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
}

/// The servers that answer; nothing of those that don't.
pub(super) fn checks(config: &Config) -> anyhow::Result<Vec<Check>> {
    wait_for(async {
        let http = reqwest::Client::builder().timeout(WAIT).no_proxy().build()?;
        let mut checks = Vec::new();
        for (kind, port) in USUAL {
            let base = format!("http://127.0.0.1:{port}/v1");
            if let Some(models) = models(&http, &base).await {
                checks.push(found(config, kind, &base, &models));
            }
        }
        Ok(checks)
    })
}

/// The names of a server's models; `None` where no such server answers.
async fn models(http: &reqwest::Client, base: &str) -> Option<Vec<String>> {
    let response = http.get(format!("{base}/models")).send().await.ok()?.error_for_status().ok()?;
    let listed: Listed = response.json().await.ok()?;
    Some(listed.data.into_iter().map(|model| model.id).collect())
}

fn found(config: &Config, kind: &str, base: &str, models: &[String]) -> Check {
    let first: Vec<&str> = models.iter().take(NAMED_MAX).map(String::as_str).collect();
    let said = match first.is_empty() {
        true => format!("{kind} at {base} has no model"),
        false => format!("{kind} at {base} has {}", first.join(", ")),
    };
    let is_used = config.backends.named.values().any(|backend| {
        let url = backend.plugin.settings.get("base_url").and_then(|url| url.as_str());
        url.is_some_and(|url| url.trim_end_matches('/') == base)
    });
    let model = first.first().map(|model| format!(", model: {model:?}")).unwrap_or_default();
    let lines = format!(
        "to answer with it, write into the config:\n  backends:\n    default: local\n    local: {{plugin: openai, base_url: \
         {base:?}{model}, fallback: extractive}}"
    );
    Check { hint: (!is_used && !first.is_empty()).then_some(lines), ..Check::ok("server", said) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_comes_with_the_lines_that_use_it() {
        let config = Config::default();
        let base = "http://127.0.0.1:8080/v1";
        let check = found(&config, "llama.cpp", base, &["smol".into()]);
        assert!(check.detail.ends_with("has smol"));
        let lines = check.hint.unwrap();
        assert!(lines.contains(r#"local: {plugin: openai, base_url: "http://127.0.0.1:8080/v1", model: "smol", fallback: extractive}"#));
        assert_eq!(found(&config, "llama.cpp", base, &[]).hint, None);
    }
}
