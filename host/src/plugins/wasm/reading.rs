//! Reads one document page range by page range, so that a bad page costs one page.

use std::ops::Range;
use std::time::{Duration, Instant};

use wasmtime::component::{Resource, ResourceAny};

use super::check::{self, Fragment};
use super::guest::{Failure, Guest, Instance};
use super::host::OpenSource;
use super::parser::ParserWorld;
use crate::plugins::bindings::v0_1_0::imports::sources;
use crate::plugins::bindings::v0_1_0::parser::exports::smartrag::plugin::parser as guest;
use crate::plugins::fault::fault;
use crate::plugins::roles::{ParseOptions, Source};
use crate::types::{FaultKind, Limit, Page, PageStatus, Parsed, PluginError, Warning};

const PAGES_A_CALL: u32 = 16;
const PAGES_MAX: u32 = 20_000;
const PAGE_BUDGET: Duration = Duration::from_millis(50);
/// A document may spend this many times the plugin's deadline on pages that fail, beside its pages' own budget.
const DEADLINES_A_DOCUMENT: u32 = 3;
/// Instances that may be lost to one document before the rest of its pages is given up.
const TRAPS_MAX: u32 = 32;
/// Blocks and cells of a document: empty ones cost the guest nothing and the host memory.
const PARTS_MAX: usize = 2_000_000;
const WARNINGS_MAX: usize = 1000;
const FAILED_PAGES_NAMED: usize = 50;
const BLANK_LINE: &str = "\n\n";

/// An open document in an instance of its own.
struct Session {
    instance: Instance<ParserWorld>,
    document: ResourceAny,
}

/// A document on its way from source to text.
pub struct Reading<'a> {
    guest: &'a Guest<ParserWorld>,
    source: &'a Source,
    options: &'a ParseOptions,
    session: Option<Session>,
    page_count: u32,
    parsed: Parsed,
    until: Instant,
    traps: u32,
    /// Bytes of text, of the blocks' and of the pages', so far.
    bytes: usize,
    /// Blocks and cells so far.
    parts: usize,
    first_error: Option<PluginError>,
    failed_pages: usize,
}

impl<'a> Reading<'a> {
    /// Opens the document.
    pub fn begin(
        guest: &'a Guest<ParserWorld>,
        source: &'a Source,
        options: &'a ParseOptions,
    ) -> Result<Self, PluginError> {
        let mut session = Session::open(guest, source, options)?;
        let summary = session.summary(guest)?;
        let page_count = summary.page_count;
        check_count(guest, page_count)?;
        let budget = guest.limits().deadline * DEADLINES_A_DOCUMENT + PAGE_BUDGET * page_count;
        Ok(Self {
            guest,
            source,
            options,
            session: Some(session),
            page_count,
            parsed: described(summary),
            until: Instant::now() + budget,
            traps: 0,
            bytes: 0,
            parts: 0,
            first_error: None,
            failed_pages: 0,
        })
    }

    /// Reads all pages.
    pub fn finish(mut self) -> Result<Parsed, PluginError> {
        for start in (0..self.page_count).step_by(PAGES_A_CALL as usize) {
            self.take(start..self.page_count.min(start + PAGES_A_CALL))?;
        }
        self.close();
        match self.first_error {
            Some(error) if self.failed_pages as u64 >= u64::from(self.page_count) => Err(error),
            _ => Ok(self.parsed),
        }
    }

    /// Takes in a range; if it fails, page by page, so that the good ones of it are kept.
    fn take(&mut self, pages: Range<u32>) -> Result<(), PluginError> {
        match self.read(pages.clone())? {
            Ok(fragment) => self.append(fragment),
            Err(error) if pages.len() == 1 => {
                self.give_up(pages.start, error);
                Ok(())
            }
            Err(error) if self.exhausted() => {
                pages.for_each(|page| self.give_up(page, error.clone()));
                Ok(())
            }
            Err(_) => pages.into_iter().try_for_each(|page| self.take(page..page + 1)),
        }
    }

    /// The outer error ends the document, the inner one concerns these pages.
    fn read(&mut self, pages: Range<u32>) -> Result<Result<Fragment, PluginError>, PluginError> {
        let name = &self.guest.id().name;
        if self.options.cancel.is_cancelled() {
            let message = "reading was cancelled; upload the file again to read it";
            return Err(fault(name, FaultKind::Other("cancelled".into()), message));
        }
        if self.exhausted() {
            let error = self.first_error.clone();
            return Ok(Err(error.unwrap_or_else(|| out_of_time(self.guest))));
        }
        let session = match &mut self.session {
            Some(session) => session,
            empty => match Session::open(self.guest, self.source, self.options) {
                Ok(session) => empty.insert(session),
                Err(error) => {
                    self.traps += 1;
                    return Ok(Err(error));
                }
            },
        };
        let paged = self.parsed.paged;
        Ok(match session.pages(self.guest, pages.clone(), paged) {
            Ok(fragment) => Ok(fragment),
            Err(Failure::Refused(error)) => Err(error),
            Err(Failure::Trapped(error)) => {
                self.session = None;
                self.traps += 1;
                Err(error)
            }
        })
    }

    fn exhausted(&self) -> bool {
        self.traps >= TRAPS_MAX || Instant::now() >= self.until
    }

    /// Joins fragments by a blank line and moves their spans.
    fn append(&mut self, fragment: Fragment) -> Result<(), PluginError> {
        let parsed = &mut self.parsed;
        if !parsed.text.is_empty() && !fragment.text.is_empty() {
            parsed.text.push_str(BLANK_LINE);
        }
        let base = parsed.text.len();
        self.bytes += fragment.bytes();
        if self.bytes > self.guest.limits().output_max {
            return Err(too_long(self.guest));
        }
        self.parts += fragment.blocks.iter().map(|block| 1 + block.cells.len()).sum::<usize>();
        if self.parts > PARTS_MAX {
            return Err(too_many_parts(self.guest));
        }
        let parsed = &mut self.parsed;
        parsed.text.push_str(&fragment.text);
        let moved = |span: &Range<usize>| span.start + base..span.end + base;
        parsed.blocks.extend(fragment.blocks.into_iter().map(|mut block| {
            block.span = moved(&block.span);
            block.cells.iter_mut().for_each(|cell| cell.span = moved(&cell.span));
            block
        }));
        parsed.pages.extend(fragment.pages);
        let room = WARNINGS_MAX.saturating_sub(parsed.warnings.len());
        parsed.warnings.extend(fragment.warnings.into_iter().take(room));
        Ok(())
    }

    /// The page is lost, the document is not.
    fn give_up(&mut self, number: u32, error: PluginError) {
        self.failed_pages += 1;
        if self.parsed.paged {
            let status = PageStatus::Failed;
            self.parsed.pages.push(Page { number, label: None, width: 0.0, height: 0.0, status });
        }
        if self.failed_pages <= FAILED_PAGES_NAMED {
            self.parsed.warnings.push(Warning {
                code: "page_failed".into(),
                detail: format!(
                    "page {} could not be read ({}): {}",
                    number + 1,
                    error.kind.code(),
                    error.message
                ),
                page: Some(number),
            });
        }
        self.first_error.get_or_insert(error);
    }

    /// A destructor that traps does no harm any more.
    fn close(&mut self) {
        if let Some(mut session) = self.session.take()
            && let Err(failure) = self.guest.release(&mut session.instance, session.document)
        {
            tracing::debug!(error = %PluginError::from(failure), "document was not closed cleanly");
        }
        if self.failed_pages > FAILED_PAGES_NAMED {
            let detail = format!("{} pages could not be read; the first ones are named", self.failed_pages);
            self.parsed.warnings.push(Warning { code: "pages_failed".into(), detail, page: None });
        }
    }
}

impl Session {
    fn open(
        guest: &Guest<ParserWorld>,
        source: &Source,
        options: &ParseOptions,
    ) -> Result<Self, PluginError> {
        let mut instance = guest.instantiate()?;
        Guest::state(&mut instance).set_cancel(options.cancel.clone());
        let options = guest::Options {
            file_type: options.file_type.clone(),
            filename: options.filename.clone(),
            passwords: options.passwords.clone(),
        };
        let document = guest.call(&mut instance, guest.limits().deadline, |store, exports| {
            let source: Resource<sources::Source> =
                store.data_mut().table.push(OpenSource(source.clone()))?;
            exports.smartrag_plugin_parser().call_open(store, source, &options)
        })?;
        Ok(Self { instance, document })
    }

    fn summary(&mut self, guest: &Guest<ParserWorld>) -> Result<guest::Summary, PluginError> {
        let document = self.document;
        let budget = guest.limits().deadline;
        Ok(guest.call(&mut self.instance, budget, |store, exports| {
            exports.smartrag_plugin_parser().document().call_summary(store, document).map(Ok)
        })?)
    }

    fn pages(
        &mut self,
        guest: &Guest<ParserWorld>,
        pages: Range<u32>,
        paged: bool,
    ) -> Result<Fragment, Failure> {
        let document = self.document;
        let budget = guest.limits().deadline + PAGE_BUDGET * pages.len() as u32;
        let raw = guest.call(&mut self.instance, budget, |store, exports| {
            exports.smartrag_plugin_parser().document().call_pages(store, document, pages.start, pages.end)
        })?;
        check::fragment(raw, &pages, paged)
            .map_err(|what| Failure::Refused(guest.broken(format!("pages {pages:?}: {what}"))))
    }
}

fn check_count(guest: &Guest<ParserWorld>, page_count: u32) -> Result<(), PluginError> {
    let name = &guest.id().name;
    match page_count {
        0 => Err(fault(name, FaultKind::Empty, "the file has no pages: upload one that holds text")),
        1..=PAGES_MAX => Ok(()),
        _ => Err(guest.breached(fault(
            name,
            FaultKind::Limit(Limit::Named("pages".into())),
            format!("the file has {page_count} pages, the limit is {PAGES_MAX}: split it"),
        ))),
    }
}

/// What the summary says, without text.
fn described(summary: guest::Summary) -> Parsed {
    let mut warnings: Vec<Warning> =
        summary.warnings.into_iter().take(WARNINGS_MAX).map(check::warning).collect();
    let metadata = check::annotations(summary.metadata).unwrap_or_else(|what| {
        warnings.push(Warning { code: "metadata_invalid".into(), detail: what, page: None });
        Default::default()
    });
    Parsed {
        paged: summary.paged,
        title: summary.title.and_then(check::line),
        language: summary.language.and_then(check::language),
        metadata,
        warnings,
        ..Parsed::default()
    }
}

fn too_long(guest: &Guest<ParserWorld>) -> PluginError {
    let (name, max) = (&guest.id().name, guest.limits().output_max);
    let message = format!(
        "its text is longer than {} MiB: split the file, or raise plugins.grants.{name}.output_max",
        max >> 20
    );
    guest.breached(fault(name, FaultKind::Limit(Limit::Output), message))
}

fn too_many_parts(guest: &Guest<ParserWorld>) -> PluginError {
    let message = format!("the file has more than {PARTS_MAX} blocks and cells: split it");
    guest.breached(fault(&guest.id().name, FaultKind::Limit(Limit::Output), message))
}

fn out_of_time(guest: &Guest<ParserWorld>) -> PluginError {
    let name = &guest.id().name;
    let message = format!(
        "the document took longer than its pages' budget: split it, or raise plugins.grants.{name}.deadline"
    );
    guest.breached(fault(name, FaultKind::Limit(Limit::Time), message))
}
