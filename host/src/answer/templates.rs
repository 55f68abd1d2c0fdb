//! Prompts as templates: shipped ones in German and English, and an operator's own in their place.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use minijinja::{Environment, UndefinedBehavior, Value, context};

/// Where nothing else fits.
const ENGLISH: &str = "en";
const ENDING: &str = "j2";
/// Steps of one template at most, so that an endless one is told.
const FUEL: u64 = 1_000_000;

/// What a template is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// What the model is told once; the same for all questions, so that a server keeps it.
    System,
    /// The question with its passages.
    Question,
    /// To make a follow-up question stand alone.
    Condense,
    /// One text for somebody else's model.
    Enrich,
    /// What an answer begins with when the documents hardly support it.
    Weak,
}

const USES: [Use; 5] = [Use::System, Use::Question, Use::Condense, Use::Enrich, Use::Weak];

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("prompts/", $name, ".j2")))),*]
    };
}

/// Language and use of each template, and its text.
pub const SHIPPED: [(&str, &str); 10] = shipped![
    "de/condense",
    "de/enrich",
    "de/question",
    "de/system",
    "de/weak",
    "en/condense",
    "en/enrich",
    "en/question",
    "en/system",
    "en/weak",
];

impl Use {
    fn name(self) -> &'static str {
        match self {
            Use::System => "system",
            Use::Question => "question",
            Use::Condense => "condense",
            Use::Enrich => "enrich",
            Use::Weak => "weak",
        }
    }

    /// Values without which it makes no sense.
    fn needs(self) -> &'static [&'static str] {
        match self {
            Use::System | Use::Weak => &[],
            Use::Question | Use::Enrich => &["question", "context"],
            Use::Condense => &["question", "history"],
        }
    }
}

/// What is wrong with the templates of a directory, one line each.
#[derive(Debug)]
pub struct PromptProblems(Vec<String>);

impl fmt::Display for PromptProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for PromptProblems {}

/// The templates in use.
#[derive(Debug)]
pub struct Prompts {
    environment: Environment<'static>,
    languages: BTreeSet<String>,
}

impl Prompts {
    /// The shipped ones, and in their place those that stand below `dir` as `LANGUAGE/USE.j2`.
    ///
    /// # Errors
    /// A directory that can't be read, files of other names, templates that can't be read or used, each with file and
    /// line.
    pub fn load(dir: Option<&Path>) -> Result<Self, PromptProblems> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        environment.set_fuel(Some(FUEL));
        let (mut problems, mut languages) = (Vec::new(), BTreeSet::new());
        let shipped = SHIPPED.map(|(name, text)| (name.to_owned(), None, text.to_owned()));
        let own = dir.map(|dir| files(dir, &mut problems)).unwrap_or_default();
        let own = own.into_iter().map(|(name, path, text)| (name, Some(path), text));
        for (name, path, text) in shipped.into_iter().chain(own) {
            languages.extend(name.split_once('/').map(|(language, _)| language.to_owned()));
            if let Err(error) = environment.add_template_owned(name.clone(), text) {
                problems.push(told(&error, path.as_deref(), &name));
            }
        }
        let prompts = Self { environment, languages };
        if problems.is_empty() {
            problems = prompts.check(dir);
        }
        if problems.is_empty() { Ok(prompts) } else { Err(PromptProblems(problems)) }
    }

    /// A finished text in a language, else in English.
    pub(super) fn render(
        &self,
        kind: Use,
        language: &str,
        values: Value,
    ) -> Result<String, minijinja::Error> {
        let language = language.split('-').next().unwrap_or_default().to_ascii_lowercase();
        let language = self.languages.get(&language).map_or(ENGLISH, String::as_str);
        let template = self
            .environment
            .get_template(&format!("{language}/{}", kind.name()))
            .or_else(|_| self.environment.get_template(&format!("{ENGLISH}/{}", kind.name())))?;
        Ok(template.render(values)?.trim_end().to_owned())
    }

    /// Tries each with examples and looks for what must not be left out.
    fn check(&self, dir: Option<&Path>) -> Vec<String> {
        let mut problems = Vec::new();
        for (language, kind) in self.languages.iter().flat_map(|language| USES.map(|kind| (language, kind))) {
            let name = format!("{language}/{}", kind.name());
            let path = dir.map(|dir| dir.join(&name).with_extension(ENDING)).filter(|path| path.exists());
            match self.render(kind, language, example()) {
                Err(error) => problems.push(told(&error, path.as_deref(), &name)),
                Ok(text) => {
                    let missing = kind.needs().iter().filter(|value| !text.contains(&mark(value)));
                    problems.extend(missing.map(|value| {
                        format!("{}: does not use {{{{ {value} }}}}", at(path.as_deref(), &name, None))
                    }));
                }
            }
        }
        problems
    }
}

/// Values that can be found again.
fn example() -> Value {
    let source = context! {
        number => 1, text => "", filename => "a.txt", title => "", page => 1, headings => ["a"], score => 0.5,
    };
    let said = context! { role => "user", content => mark("history") };
    context! {
        language => ENGLISH, question => mark("question"), context => mark("context"), sources => [source],
        history => [said], weak => true,
    }
}

fn mark(value: &str) -> String {
    format!("\u{1}{value}\u{1}")
}

/// Name, path and text of every template below a directory.
fn files(dir: &Path, problems: &mut Vec<String>) -> Vec<(String, PathBuf, String)> {
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(dir).follow_links(true).sort_by_file_name() {
        let entry = match entry {
            Ok(entry) if entry.file_type().is_dir() => continue,
            Ok(entry) => entry,
            Err(error) => {
                problems.push(format!("prompts can't be read: {error}"));
                continue;
            }
        };
        let path = entry.path();
        // What editors leave behind, and notes beside the templates.
        if path.extension().is_none_or(|ending| ending != ENDING) {
            continue;
        }
        let shown = path.display();
        let Some(name) = path.strip_prefix(dir).ok().and_then(name_of) else {
            let uses = USES.map(Use::name).join(", ");
            problems.push(format!(
                "{shown}: is no template that is used: expected LANGUAGE/USE.j2, such as de/question.j2; there are the uses {uses}"
            ));
            continue;
        };
        match std::fs::read_to_string(path) {
            Ok(text) => found.push((name, path.to_owned(), text)),
            Err(error) => problems.push(format!("{shown}: can't be read: {error}")),
        }
    }
    found
}

/// `de/question` of `de/question.j2`.
fn name_of(path: &Path) -> Option<String> {
    let (language, file) = path.to_str()?.split_once('/')?;
    let kind = file.strip_suffix(".j2")?;
    let is_language =
        (2..=3).contains(&language.len()) && language.bytes().all(|byte| byte.is_ascii_lowercase());
    (is_language && USES.iter().any(|known| known.name() == kind)).then(|| format!("{language}/{kind}"))
}

fn told(error: &minijinja::Error, path: Option<&Path>, name: &str) -> String {
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    format!("{}: {}{detail}", at(path, name, error.line()), error.kind())
}

fn at(path: Option<&Path>, name: &str, line: Option<usize>) -> String {
    let place = path.map_or_else(|| format!("prompt {name}"), |path| path.display().to_string());
    line.map_or(place.clone(), |line| format!("{place}:{line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Prompts, PromptProblems>) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let prompts = Prompts::load(Some(dir.path()));
        (dir, prompts)
    }

    #[test]
    fn shipped_templates_can_be_used_in_each_language() {
        let prompts = Prompts::load(None).unwrap();
        let asked = |language: &str| prompts.render(Use::Question, language, example()).unwrap();
        assert!(asked("de-AT").contains("Frage:"));
        assert!(asked("en").contains("Question:"));
        assert!(asked("fr").contains("Question:"), "English where there is no other");
        let weak = |sources: &[u8]| prompts.render(Use::Weak, "de", context! { sources }).unwrap();
        assert!(weak(&[1]).contains("wenig") && weak(&[]).contains("nichts"));
    }

    #[test]
    fn own_templates_take_the_place_of_shipped_ones_and_bring_languages() {
        let (_dir, prompts) = with(&[
            ("en/system.j2", "Be brief."),
            ("fr/question.j2", "{{ context }} Question : {{ question }}"),
            ("README.md", "{{"),
        ]);
        let prompts = prompts.unwrap();
        assert_eq!(prompts.render(Use::System, "en", example()).unwrap(), "Be brief.");
        assert!(prompts.render(Use::Question, "fr", example()).unwrap().contains("Question :"));
        assert_eq!(prompts.render(Use::System, "fr", example()).unwrap(), "Be brief.");
    }

    #[test]
    fn what_is_wrong_is_told_with_file_and_line() {
        let cases = [
            ("en/question.j2", "{{ context }}\n{{ question", "en/question.j2:2: syntax error"),
            ("en/question.j2", "{{ context }} {{ qestion }}", "en/question.j2:1: undefined value"),
            ("en/question.j2", "{{ question }}", "en/question.j2: does not use {{ context }}"),
            ("en/condense.j2", "{{ question }}", "en/condense.j2: does not use {{ history }}"),
            ("en/answer.j2", "x", "is no template that is used"),
            ("system.j2", "x", "is no template that is used"),
            (
                "en/system.j2",
                "{% for a in range(10000) %}{% for b in range(10000) %}x{% endfor %}{% endfor %}",
                "fuel",
            ),
        ];
        for (name, text, expected) in cases {
            let (_dir, prompts) = with(&[(name, text)]);
            let problems = prompts.unwrap_err().to_string();
            assert!(problems.contains(expected), "{name}: {problems}");
            assert_eq!(problems.lines().count(), 1, "{problems}");
        }
        assert!(Prompts::load(Some(Path::new("/nowhere/at/all"))).is_err());
    }
}
