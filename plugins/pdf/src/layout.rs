//! A page as read to blocks in reading order.

use crate::columns::{self, Item};
use crate::furniture::Edge;
use crate::geometry::Rect;
use crate::lines::Segment;
use crate::page::{Direction, PageText};
use crate::paragraphs::{Paragraph, lines, paragraphs};
use crate::rules::grids;
use crate::styles::Body;
use crate::tables::{self, Found};
use crate::text::{Words, append_line};
use smartrag_sdk::parser::{BlockKind, Table};
use std::collections::HashMap;

/// A block of a page.
#[derive(Debug)]
pub struct Block {
    /// What it is.
    pub kind: BlockKind,
    /// Nesting of list items.
    pub level: u8,
    /// Text; of a table, none.
    pub text: String,
    /// Tables only.
    pub table: Option<Table>,
    /// Its place on the page.
    pub rect: Rect,
    /// Em.
    pub size: f32,
}

/// The blocks of a page. `furniture` are segments of its main direction.
pub fn blocks(page: PageText, body: &Body, furniture: &HashMap<usize, Edge>) -> Vec<Block> {
    let mut words = Words::default();
    for segment in page.directions.iter().flat_map(|d| &d.segments) {
        words.learn(&segment.text);
    }
    let (mut headers, mut footers, mut out) = (Vec::new(), Vec::new(), Vec::new());
    for (index, mut direction) in page.directions.into_iter().enumerate() {
        if index == 0 {
            let (top, bottom) = take_furniture(&mut direction, furniture);
            headers = furniture_blocks(&top, &direction, BlockKind::PageHeader);
            footers = furniture_blocks(&bottom, &direction, BlockKind::PageFooter);
        }
        out.extend(direction_blocks(direction, body, &words));
    }
    join_across_columns(&mut out, &words);
    headers.into_iter().chain(out).chain(footers).collect()
}

fn take_furniture(
    direction: &mut Direction,
    furniture: &HashMap<usize, Edge>,
) -> (Vec<Segment>, Vec<Segment>) {
    let (mut top, mut bottom, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    for (index, segment) in std::mem::take(&mut direction.segments).into_iter().enumerate() {
        match furniture.get(&index) {
            Some(Edge::Top) => top.push(segment),
            Some(Edge::Bottom) => bottom.push(segment),
            None => rest.push(segment),
        }
    }
    direction.segments = rest;
    (top, bottom)
}

fn furniture_blocks(segments: &[Segment], direction: &Direction, kind: BlockKind) -> Vec<Block> {
    let all = lines(segments, (0..segments.len()).collect());
    all.into_iter()
        .map(|line| Block {
            kind,
            level: 0,
            rect: direction.turn.rect_back(&line.rect),
            size: line.size,
            text: line.text,
            table: None,
        })
        .collect()
}

fn direction_blocks(direction: Direction, body: &Body, words: &Words) -> Vec<Block> {
    let Direction { turn, mut segments, rules } = direction;
    let mut tables = ruled_tables(&mut segments, &rules, words);
    let rtl = segments.iter().filter(|s| s.rtl).count() * 2 > segments.len();
    let items: Vec<Item> = segments
        .iter()
        .map(|s| Item { rect: s.rect, baseline: s.baseline, size: s.size, chars: s.chars() })
        .chain(tables.iter().flatten().map(|t| Item {
            rect: t.rect,
            baseline: t.rect.center().1,
            size: body.size.max(1.0),
            chars: t.chars,
        }))
        .collect();
    let mut out = Vec::new();
    for region in columns::regions(&items, rtl) {
        let mut run = Vec::new();
        for index in region {
            match index.checked_sub(segments.len()) {
                None => run.push(index),
                Some(table) => {
                    region_blocks(&segments, std::mem::take(&mut run), body, words, &mut out);
                    out.extend(tables.get_mut(table).and_then(Option::take).map(table_block));
                }
            }
        }
        region_blocks(&segments, run, body, words, &mut out);
    }
    for block in &mut out {
        block.rect = turn.rect_back(&block.rect);
    }
    out
}

fn ruled_tables(segments: &mut Vec<Segment>, rules: &[Rect], words: &Words) -> Vec<Option<Found>> {
    let mut tables = Vec::new();
    for grid in grids(rules) {
        let Some((found, used)) = tables::ruled(grid, segments, words) else { continue };
        let mut index = 0;
        segments.retain(|_| {
            index += 1;
            used.binary_search(&(index - 1)).is_err()
        });
        tables.push(Some(found));
    }
    tables
}

fn region_blocks(segments: &[Segment], region: Vec<usize>, body: &Body, words: &Words, out: &mut Vec<Block>) {
    if region.is_empty() {
        return;
    }
    let lines = lines(segments, region);
    let mut start = 0;
    for (range, found) in tables::aligned(&lines, words) {
        out.extend(paragraphs(&lines[start..range.start], body, words).into_iter().map(text_block));
        out.push(table_block(found));
        start = range.end;
    }
    out.extend(paragraphs(&lines[start..], body, words).into_iter().map(text_block));
}

fn text_block(paragraph: Paragraph) -> Block {
    let Paragraph { kind, level, text, rect, size } = paragraph;
    Block { kind, level, text, table: None, rect, size }
}

fn table_block(found: Found) -> Block {
    Block {
        kind: BlockKind::Table,
        level: 0,
        text: String::new(),
        table: Some(found.table),
        rect: found.rect,
        size: 0.0,
    }
}

/// A paragraph that goes on in the next column is one paragraph.
fn join_across_columns(blocks: &mut Vec<Block>, words: &Words) {
    let mut joined: Vec<Block> = Vec::with_capacity(blocks.len());
    for block in blocks.drain(..) {
        match joined.last_mut() {
            Some(last) if goes_on(last, &block) => {
                append_line(&mut last.text, &block.text, words);
                last.rect = last.rect.union(&block.rect);
            }
            _ => joined.push(block),
        }
    }
    *blocks = joined;
}

fn goes_on(last: &Block, next: &Block) -> bool {
    matches!(last.kind, BlockKind::Paragraph | BlockKind::ListItem)
        && next.kind == BlockKind::Paragraph
        && next.rect.y0 < last.rect.y0
        && next.rect.x0 > last.rect.x1
        && (last.size - next.size).abs() < 0.5
        && last.text.ends_with(|c: char| c.is_lowercase() || matches!(c, ',' | '-' | '\u{AD}'))
        && next.text.starts_with(char::is_lowercase)
}
