//! A file of the user's own questions: JSON lines, or a YAML list, of `{question, documents: [filename or id, …]}`.

use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_saphyr::Spanned;

/// A question with the documents that answer it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// In the file, from 1.
    pub line: usize,
    pub text: String,
    /// File names or ids; at least one.
    pub documents: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    question: String,
    documents: Vec<String>,
}

/// Reads the file; every line that is wrong is told of.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Question>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let is_yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    let read = if is_yaml { yaml(&text) } else { json_lines(&text) };
    let (mut questions, mut problems) = (Vec::new(), Vec::new());
    for (line, raw) in read {
        match raw.and_then(|raw| check(line, raw)) {
            Ok(question) => questions.push(question),
            Err(problem) => problems.push(format!("  line {line}: {problem}")),
        }
    }
    if !problems.is_empty() {
        bail!("{} is no file of questions:\n{}\n{EXPECTED}", path.display(), problems.join("\n"));
    }
    if questions.is_empty() {
        bail!("{} holds no question\n{EXPECTED}", path.display());
    }
    Ok(questions)
}

const EXPECTED: &str =
    r#"expected lines such as {"question": "Who wrote the report?", "documents": ["report.pdf"]}"#;

type Line = (usize, Result<Raw, String>);

fn json_lines(text: &str) -> Vec<Line> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(number, line)| (number, serde_json::from_str(line).map_err(|error| plain(&error)))).collect()
}

/// Without the place in the line that it counts for a file.
fn plain(error: &serde_json::Error) -> String {
    let message = error.to_string();
    message.split(" at line ").next().unwrap_or(&message).to_owned()
}

fn yaml(text: &str) -> Vec<Line> {
    match serde_saphyr::from_str::<Vec<Spanned<Raw>>>(text) {
        Ok(list) => list.into_iter().map(|raw| (raw.referenced.line() as usize, Ok(raw.value))).collect(),
        Err(error) => {
            let line = error.location().map_or(1, |at| at.line() as usize);
            let message = error.to_string();
            vec![(line, Err(message.lines().next().unwrap_or_default().to_owned()))]
        }
    }
}

fn check(line: usize, raw: Raw) -> Result<Question, String> {
    if raw.question.trim().is_empty() {
        return Err("the question is empty".into());
    }
    if raw.documents.is_empty() {
        return Err("documents is empty: name at least one that answers the question".into());
    }
    Ok(Question { line, text: raw.question, documents: raw.documents })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(name: &str, text: &str) -> Result<Vec<Question>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        read(&path).map_err(|error| format!("{error:#}"))
    }

    fn question(line: usize, text: &str, documents: &[&str]) -> Question {
        let documents = documents.iter().map(|name| (*name).to_owned()).collect();
        Question { line, text: text.into(), documents }
    }

    #[test]
    fn json_lines_and_yaml_say_the_same() {
        let json = "{\"question\": \"Who?\", \"documents\": [\"a.pdf\"]}\n\n{\"question\":\"Was?\",\"documents\":[\"b\",\"c\"]}\n";
        let wanted = |second| vec![question(1, "Who?", &["a.pdf"]), question(second, "Was?", &["b", "c"])];
        assert_eq!(read_text("q.jsonl", json).unwrap(), wanted(3));
        let yaml = "- {question: \"Who?\", documents: [a.pdf]}\n- question: Was?\n  documents: [b, c]\n";
        assert_eq!(read_text("q.yaml", yaml).unwrap(), wanted(2));
    }

    #[test]
    fn every_wrong_line_is_named_with_what_is_missing() {
        let text = "{\"question\": \"x\"}\n{\"question\": \"x\", \"documents\": [\"a\"]}\n\
            {\"question\": \" \", \"documents\": [\"a\"]}\n{\"question\": \"x\", \"documents\": []}\nnonsense\n\
            {\"question\": \"x\", \"documents\": [\"a\"], \"answer\": 1}\n";
        let error = read_text("q.jsonl", text).unwrap_err();
        for part in [
            "line 1: missing field `documents`",
            "line 3: the question is empty",
            "line 4: documents is empty",
            "line 5: expected",
            "line 6: unknown field `answer`",
            "expected lines such as",
        ] {
            assert!(error.contains(part), "{part}\n{error}");
        }
        assert!(!error.contains("line 2"), "{error}");
        assert!(read_text("q.jsonl", "\n").unwrap_err().contains("holds no question"));
        let error = read_text("q.yaml", "- {question: a, documents: [b]}\n- {question: c}\n").unwrap_err();
        assert!(error.contains("line 2: ") && error.contains("documents"), "{error}");
    }
}
