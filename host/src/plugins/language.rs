use std::fmt;
use std::path::Path;

/// A language that plugin projects are written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Language {
    /// With cargo.
    Rust,
    /// With componentize-py.
    Python,
    /// With componentize-js.
    JavaScript,
}

impl Language {
    /// All languages.
    pub const ALL: [Language; 3] = [Language::Rust, Language::Python, Language::JavaScript];

    /// The name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Language::Rust => "rust",
            Language::Python => "python",
            Language::JavaScript => "javascript",
        }
    }

    /// The inverse of [`Self::as_str`].
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.as_str() == name)
    }

    /// The file of a project by which its language is known.
    pub fn mark(self) -> &'static str {
        match self {
            Language::Rust => "Cargo.toml",
            Language::Python => "src/plugin.py",
            Language::JavaScript => "package.json",
        }
    }

    /// The language of a project; the first mark in the order of [`Self::ALL`] decides.
    pub fn of_project(dir: &Path) -> Option<Self> {
        Self::ALL.into_iter().find(|language| dir.join(language.mark()).is_file())
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Language::Rust => "Rust",
            Language::Python => "Python",
            Language::JavaScript => "JavaScript",
        })
    }
}
