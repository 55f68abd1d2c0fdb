//! Retrieval sets on disk: `corpus.jsonl.gz`, `queries.jsonl.gz` and `qrels.tsv.gz`, as BEIR lays them out.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;

/// A document to be found.
#[derive(Debug, Deserialize)]
pub(super) struct CorpusDocument {
    #[serde(rename = "_id")]
    pub id: String,
    #[serde(default)]
    pub title: String,
    pub text: String,
}

impl CorpusDocument {
    /// Title and text as one text.
    pub fn whole_text(&self) -> String {
        if self.title.is_empty() { self.text.clone() } else { format!("{}\n\n{}", self.title, self.text) }
    }

    /// As a file: HTML where there is a title, so that it is known for one; else plain text.
    pub fn file(&self) -> (&'static str, String) {
        if self.title.is_empty() {
            return ("txt", self.text.clone());
        }
        let (title, text) = (escaped(&self.title), escaped(&self.text));
        ("html", format!("<!DOCTYPE html><title>{title}</title><h1>{title}</h1><p>{text}</p>"))
    }
}

/// A question with the grades of the documents that answer it.
#[derive(Debug)]
pub(super) struct JudgedQuery {
    pub text: String,
    pub judgements: HashMap<String, u32>,
}

#[derive(Deserialize)]
struct RawQuery {
    #[serde(rename = "_id")]
    id: String,
    text: String,
}

/// A question with what its answer should hold.
#[derive(Clone, Debug)]
pub(super) struct GoldAnswer {
    pub text: String,
    /// Each is right.
    pub answers: Vec<String>,
    /// The document that holds them.
    pub doc: String,
    /// Whether the article of the document, its id up to the last hyphen, is the first, third, … of the set.
    pub is_even: bool,
}

#[derive(Deserialize)]
struct RawAnswer {
    #[serde(rename = "_id")]
    id: String,
    answers: Vec<String>,
    doc: String,
}

/// All documents of the set in `dir`.
pub(super) fn corpus(dir: &Path) -> anyhow::Result<Vec<CorpusDocument>> {
    json_lines(&dir.join("corpus.jsonl.gz"))
}

/// The questions of the set in `dir` that have a judgement, in the order of the file.
pub(super) fn queries(dir: &Path) -> anyhow::Result<Vec<JudgedQuery>> {
    let mut judged = judgements(&dir.join("qrels.tsv.gz"))?;
    let raw: Vec<RawQuery> = json_lines(&dir.join("queries.jsonl.gz"))?;
    let queries = raw.into_iter().filter_map(|query| {
        let judgements = judged.remove(&query.id)?;
        Some(JudgedQuery { text: query.text, judgements })
    });
    let queries: Vec<_> = queries.collect();
    if queries.is_empty() {
        bail!("{}: no query has a judgement", dir.display());
    }
    Ok(queries)
}

/// The questions of the set in `dir` that have answers, in the order of `answers.jsonl.gz`.
pub(super) fn answers(dir: &Path) -> anyhow::Result<Vec<GoldAnswer>> {
    let queries: Vec<RawQuery> = json_lines(&dir.join("queries.jsonl.gz"))?;
    let texts: HashMap<String, String> = queries.into_iter().map(|query| (query.id, query.text)).collect();
    let raw: Vec<RawAnswer> = json_lines(&dir.join("answers.jsonl.gz"))?;
    let mut articles: Vec<String> = Vec::new();
    let answers = raw.into_iter().filter_map(|RawAnswer { id, answers, doc }| {
        let article = doc.rsplit_once('-').map_or(doc.as_str(), |(article, _)| article);
        let at = articles.iter().position(|known| known == article).unwrap_or_else(|| {
            articles.push(article.to_owned());
            articles.len() - 1
        });
        Some(GoldAnswer { text: texts.get(&id)?.clone(), answers, doc, is_even: at % 2 == 0 })
    });
    let answers: Vec<_> = answers.collect();
    if answers.is_empty() {
        bail!("{}: no question has an answer", dir.display());
    }
    Ok(answers)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn lines(path: &Path) -> anyhow::Result<impl Iterator<Item = std::io::Result<String>>> {
    let file = File::open(path).with_context(|| {
        format!("{}: a retrieval set has corpus.jsonl.gz, queries.jsonl.gz and qrels.tsv.gz", path.display())
    })?;
    Ok(BufReader::new(flate2::read::GzDecoder::new(file)).lines())
}

fn json_lines<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<Vec<T>> {
    let parse = |(number, line): (usize, std::io::Result<String>)| {
        let at = || format!("{}, line {}", path.display(), number + 1);
        serde_json::from_str(&line.with_context(at)?).with_context(at)
    };
    lines(path)?.enumerate().map(parse).collect()
}

/// Grades by query and document. The first line is the header.
fn judgements(path: &Path) -> anyhow::Result<HashMap<String, HashMap<String, u32>>> {
    let mut found: HashMap<String, HashMap<String, u32>> = HashMap::new();
    for (number, line) in lines(path)?.enumerate().skip(1) {
        let at = || format!("{}, line {}", path.display(), number + 1);
        let line = line.with_context(at)?;
        let mut fields = line.split('\t');
        let (Some(query), Some(document), Some(grade)) = (fields.next(), fields.next(), fields.next()) else {
            bail!("{}: expected query, document and grade", at());
        };
        let grade = grade.trim().parse().with_context(at)?;
        found.entry(query.to_owned()).or_default().insert(document.to_owned(), grade);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gz(path: &Path, text: &str) {
        let mut encoder =
            flate2::write::GzEncoder::new(File::create(path).unwrap(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap();
    }

    #[test]
    fn a_set_is_read_and_queries_without_judgement_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        gz(&dir.path().join("corpus.jsonl.gz"), "{\"_id\":\"d\",\"title\":\"T\",\"text\":\"x\"}\n");
        gz(
            &dir.path().join("queries.jsonl.gz"),
            "{\"_id\":\"q\",\"text\":\"a\"}\n{\"_id\":\"p\",\"text\":\"b\"}\n",
        );
        gz(&dir.path().join("qrels.tsv.gz"), "query-id\tcorpus-id\tscore\nq\td\t2\n");
        let document = &corpus(dir.path()).unwrap()[0];
        assert_eq!((document.whole_text().as_str(), document.file().0), ("T\n\nx", "html"));
        let queries = queries(dir.path()).unwrap();
        assert_eq!((queries.len(), queries[0].judgements["d"]), (1, 2));
    }

    #[test]
    fn a_broken_line_is_named() {
        let dir = tempfile::tempdir().unwrap();
        gz(&dir.path().join("corpus.jsonl.gz"), "{\"_id\":\"d\",\"text\":\"x\"}\nnonsense\n");
        assert!(format!("{:#}", corpus(dir.path()).unwrap_err()).contains("corpus.jsonl.gz, line 2"));
    }
}
