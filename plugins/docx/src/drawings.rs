//! Charts and diagrams, which are parts of their own.

use std::collections::HashMap;

use smartrag_sdk::parser::{FragmentBuilder, Table};
use smartrag_sdk::xml::Element;

use crate::package::Package;

/// What a drawing says.
pub(crate) enum Drawing {
    /// Title, and the series as rows under the categories.
    Chart(String, Table),
    /// The texts of its shapes.
    Diagram(Vec<String>),
}

/// All drawings by the id that the text refers to them with. One that can't be read is left out.
pub(crate) fn read(package: &mut Package) -> HashMap<String, Drawing> {
    let mut drawings = HashMap::new();
    for (kind, make) in [("chart", chart as fn(&Element) -> Drawing), ("diagramData", diagram)] {
        for (id, path) in package.ids_of_kind(kind) {
            if let Ok(Some(part)) = package.tree(&path) {
                drawings.insert(id, make(&part));
            }
        }
    }
    drawings
}

impl Drawing {
    pub(crate) fn append(&self, out: &mut FragmentBuilder) {
        match self {
            Drawing::Chart(title, table) => {
                out.caption(title);
                out.table(table);
            }
            Drawing::Diagram(texts) => texts.iter().for_each(|text| _ = out.paragraph(text)),
        }
    }
}

fn chart(part: &Element) -> Drawing {
    let chart = part.child("c:chart").unwrap_or(part);
    let title = chart.child("c:title").map(|title| texts(title, "a:t").join("")).unwrap_or_default();
    let mut series = Vec::new();
    collect(chart, "c:ser", &mut series);
    let values = |element: &Element, name: &str| {
        element.child(name).map(|found| texts(found, "c:v")).unwrap_or_default()
    };
    let mut table = Table::new();
    let categories = series.first().map(|first| values(first, "c:cat")).unwrap_or_default();
    if !categories.is_empty() {
        table.row().header("");
        categories.iter().for_each(|category| _ = table.header(category));
    }
    for one in series {
        table.row().header(values(one, "c:tx").join(" "));
        ["c:xVal", "c:yVal", "c:val"]
            .into_iter()
            .flat_map(|name| values(one, name))
            .for_each(|value| _ = table.cell(value));
    }
    Drawing::Chart(title, table)
}

fn diagram(part: &Element) -> Drawing {
    let mut points = Vec::new();
    collect(part, "dgm:t", &mut points);
    let lines = points.into_iter().map(|point| texts(point, "a:t").join(""));
    Drawing::Diagram(lines.filter(|line| !line.trim().is_empty()).collect())
}

fn texts(element: &Element, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect(element, name, &mut found);
    found.into_iter().map(Element::text).collect()
}

/// All elements of a name, in order, none inside another.
fn collect<'a>(element: &'a Element, name: &str, found: &mut Vec<&'a Element>) {
    for child in element.elements() {
        match child.name == name {
            true => found.push(child),
            false => collect(child, name, found),
        }
    }
}
