//! What came out of a call, for people.

use serde_json::Value;

use super::call::texts;
use super::input::Input;
use crate::cli::output::{excerpt, one_line, plain};

const LINE: usize = 100;
const NUMBERS: usize = 8;

/// A few lines, ending with a line break.
pub fn readable(input: &Input, output: &Value) -> String {
    let lines = match input {
        Input::Parser(_) => parsed(output),
        Input::Enricher(_, chunks) => enriched(&texts(chunks), output),
        Input::Embedder(texts, _) => embedded(texts, output),
        Input::Reranker(_, passages) => reranked(passages, output),
        Input::Generator(_) => generated(output),
    };
    lines.into_iter().map(|line| line + "\n").collect()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

fn parsed(output: &Value) -> Vec<String> {
    let whole = text(output, "text");
    let given = |key: &'static str| output[key].as_str().map(|value| format!("{key:<14}{}", one_line(value)));
    let mut lines: Vec<String> = ["title", "language"].into_iter().filter_map(given).collect();
    let metadata = output["metadata"].as_object().into_iter().flatten();
    lines.extend(
        metadata.map(|(key, value)| format!("{:<14}{}", one_line(key), one_line(&value.to_string()))),
    );
    lines.extend(list(output, "warnings").map(|warning| {
        format!("{:<14}{}: {}", "warning", text(warning, "code"), one_line(text(warning, "detail")))
    }));
    lines.extend(list(output, "blocks").map(|block| {
        let kind = match block["level"].as_u64() {
            Some(level) => format!("{} {level}", text(block, "kind")),
            None => text(block, "kind").to_owned(),
        };
        format!("{kind:<14}{}", excerpt(span(whole, block), LINE))
    }));
    lines
}

fn span<'a>(whole: &'a str, block: &Value) -> &'a str {
    let at = |index: usize| block["span"][index].as_u64().unwrap_or(0) as usize;
    whole.get(at(0)..at(1)).unwrap_or_default()
}

fn enriched(chunks: &[&str], output: &Value) -> Vec<String> {
    let mut lines = vec![format!("document  {}", output["document"])];
    let found = list(output, "chunks").zip(chunks);
    lines.extend(found.map(|(found, chunk)| format!("chunk     {found}  {}", excerpt(chunk, LINE / 2))));
    lines
}

fn embedded(texts: &[String], output: &Value) -> Vec<String> {
    let mut lines = vec![format!("model {}, dimension {}", text(output, "model"), output["dimension"])];
    let rows = list(output, "vectors").zip(list(output, "tokens")).zip(texts);
    lines.extend(rows.map(|((row, tokens), text)| {
        let numbers: Vec<String> = row.as_array().into_iter().flatten().map(Value::to_string).collect();
        let more = if numbers.len() > NUMBERS { ", …" } else { "" };
        let first = numbers[..numbers.len().min(NUMBERS)].join(", ");
        format!("[{first}{more}]  {tokens} tokens  {}", excerpt(text, LINE / 2))
    }));
    lines
}

fn reranked(passages: &[String], output: &Value) -> Vec<String> {
    let mut scored: Vec<(f64, &String)> =
        list(output, "scores").filter_map(Value::as_f64).zip(passages).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.into_iter().map(|(score, passage)| format!("{score:.3}  {}", excerpt(passage, LINE))).collect()
}

fn generated(output: &Value) -> Vec<String> {
    let mut lines = vec![plain(text(output, "text"))];
    if !text(output, "reasoning").is_empty() {
        lines.push(format!("reasoning: {}", plain(text(output, "reasoning"))));
    }
    let finish: Vec<&str> = list(output, "finish").filter_map(Value::as_str).collect();
    lines.push(format!("({}{})", finish.join(", "), usage(&output["usage"])));
    lines
}

fn usage(usage: &Value) -> String {
    match (usage["prompt_tokens"].as_u64(), usage["completion_tokens"].as_u64()) {
        (Some(prompt), Some(completion)) => format!("; {prompt} tokens in, {completion} out"),
        _ => String::new(),
    }
}
