use serde::Serialize;

use super::fragment::span;
use super::{Fragment, FragmentBuilder};
use crate::{Annotation, Span, Warning};

/// What a [`super::Parser`] makes of a file.
#[derive(Debug)]
pub struct Parsed {
    pub(super) fragments: Vec<Fragment>,
    pub(super) paged: bool,
    pub(super) title: Option<String>,
    pub(super) language: Option<String>,
    pub(super) metadata: Vec<Annotation>,
    pub(super) warnings: Vec<Warning>,
}

impl Parsed {
    /// A file without pages.
    pub fn new(text: FragmentBuilder) -> Self {
        Self::from_fragments(vec![text.finish()], false)
    }

    /// A file of pages (slides): one fragment each, whose blocks carry the page's number.
    pub fn paged(pages: impl IntoIterator<Item = FragmentBuilder>) -> Self {
        Self::from_fragments(pages.into_iter().map(FragmentBuilder::finish).collect(), true)
    }

    fn from_fragments(fragments: Vec<Fragment>, paged: bool) -> Self {
        Self { fragments, paged, title: None, language: None, metadata: Vec::new(), warnings: Vec::new() }
    }

    /// Sets the title; a blank one counts as none.
    pub fn title(mut self, title: Option<String>) -> Self {
        self.title = title.filter(|title| !title.trim().is_empty());
        self
    }

    /// Sets the language (BCP 47) that the file declares; a blank one counts as none.
    pub fn language(mut self, language: Option<String>) -> Self {
        self.language = language.filter(|language| !language.trim().is_empty());
        self
    }

    /// Adds a piece of metadata.
    pub fn meta(mut self, key: impl Into<String>, value: impl Serialize) -> Self {
        self.metadata.push(Annotation::new(key, value));
        self
    }

    /// Adds a warning of the whole file.
    pub fn warn(mut self, warning: Warning) -> Self {
        self.warnings.push(warning);
        self
    }

    /// The whole text with its blocks, for tests and for parsers that embed others.
    pub fn fragment(&self) -> Fragment {
        join(&self.fragments)
    }

    /// The title, if any.
    pub fn title_text(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// The language, if any.
    pub fn language_tag(&self) -> Option<&str> {
        self.language.as_deref()
    }

    /// The metadata.
    pub fn metadata(&self) -> &[Annotation] {
        &self.metadata
    }

    /// The warnings of the whole file.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fragments.iter().all(|fragment| fragment.text.trim().is_empty() && fragment.pages.is_empty())
    }
}

/// One fragment of several, joined by a blank line as the host would.
pub(super) fn join(fragments: &[Fragment]) -> Fragment {
    let mut all = Fragment { text: String::new(), blocks: vec![], pages: vec![], warnings: vec![] };
    for fragment in fragments {
        if !all.text.is_empty() && !fragment.text.is_empty() {
            all.text.push_str("\n\n");
        }
        let offset = all.text.len();
        all.text.push_str(&fragment.text);
        all.blocks.extend(fragment.blocks.iter().cloned().map(|mut block| {
            block.span = shift(block.span, offset);
            block.cells.iter_mut().for_each(|cell| cell.span = shift(cell.span, offset));
            block
        }));
        all.pages.extend(fragment.pages.iter().cloned());
        all.warnings.extend(fragment.warnings.iter().cloned());
    }
    all
}

fn shift(at: Span, offset: usize) -> Span {
    span(at.start as usize + offset, at.end as usize + offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_pages_keep_their_spans() {
        let pages = ["eins", "", "drei"].into_iter().enumerate().map(|(number, text)| {
            let mut page = FragmentBuilder::new();
            page.set_page(Some(number as u32));
            page.paragraph(text);
            page
        });
        let fragment = Parsed::paged(pages).fragment();
        assert_eq!(fragment.text, "eins\n\ndrei");
        let last = &fragment.blocks[1];
        assert_eq!(&fragment.text[last.span.start as usize..last.span.end as usize], "drei");
        assert_eq!(last.provenance.page, Some(2));
    }
}
