//! Formulas as a line of text: `(a)/(b)`, `x^2`, `∑_(i=1)^n`.

use smartrag_sdk::xml::{Element, Node};

/// The text of a formula or of a part of one.
pub(crate) fn text(element: &Element) -> String {
    let part = |name: &str| element.child(name).map(text).unwrap_or_default();
    match element.name.as_str() {
        "m:t" | "w:t" => element.text(),
        "m:f" => format!("{}/{}", group(&part("m:num")), group(&part("m:den"))),
        "m:sSup" => format!("{}^{}", part("m:e"), group(&part("m:sup"))),
        "m:sSub" => format!("{}_{}", part("m:e"), group(&part("m:sub"))),
        "m:sSubSup" => format!("{}_{}^{}", part("m:e"), group(&part("m:sub")), group(&part("m:sup"))),
        "m:sPre" => format!("_{}^{}{}", group(&part("m:sub")), group(&part("m:sup")), part("m:e")),
        "m:rad" => match part("m:deg") {
            degree if degree.is_empty() => format!("√{}", group(&part("m:e"))),
            degree => format!("{degree}√{}", group(&part("m:e"))),
        },
        "m:nary" => nary(element),
        "m:d" => delimited(element),
        "m:func" => format!("{} {}", part("m:fName"), part("m:e")),
        "m:limLow" => format!("{}_{}", part("m:e"), group(&part("m:lim"))),
        "m:limUpp" => format!("{}^{}", part("m:e"), group(&part("m:lim"))),
        "m:acc" => format!("{}{}", part("m:e"), property(element, "m:accPr", "m:chr").unwrap_or("\u{302}")),
        "m:m" => format!("[{}]", list(element, "m:mr", "; ")),
        "m:mr" => list(element, "m:e", ", "),
        "m:eqArr" => list(element, "m:e", "\n"),
        name if name.ends_with("Pr") => String::new(),
        _ => all(element),
    }
}

fn all(element: &Element) -> String {
    let parts = element.children.iter().map(|child| match child {
        Node::Element(element) => text(element),
        Node::Text(_) => String::new(),
    });
    parts.collect()
}

/// More than a single sign gets parentheses.
fn group(text: &str) -> String {
    match text.chars().count() {
        0 | 1 => text.to_owned(),
        _ if text.chars().all(char::is_alphanumeric) => text.to_owned(),
        _ => format!("({text})"),
    }
}

fn list(element: &Element, name: &str, separator: &str) -> String {
    let parts = element.elements().filter(|child| child.name == name).map(all);
    parts.collect::<Vec<_>>().join(separator)
}

fn nary(element: &Element) -> String {
    let sign = property(element, "m:naryPr", "m:chr").unwrap_or("∫");
    let limit = |mark: &str, name: &str| match element.child(name).map(text).unwrap_or_default() {
        limit if limit.is_empty() => String::new(),
        limit => format!("{mark}{}", group(&limit)),
    };
    let body = element.child("m:e").map(text).unwrap_or_default();
    format!("{sign}{}{} {body}", limit("_", "m:sub"), limit("^", "m:sup"))
}

fn delimited(element: &Element) -> String {
    let sign = |name, usual| property(element, "m:dPr", name).unwrap_or(usual);
    let inner = list(element, "m:e", sign("m:sepChr", "|"));
    format!("{}{inner}{}", sign("m:begChr", "("), sign("m:endChr", ")"))
}

fn property<'a>(element: &'a Element, properties: &str, name: &str) -> Option<&'a str> {
    element.find(&[properties, name])?.attribute("m:val")
}

#[cfg(test)]
mod tests {
    use smartrag_sdk::xml;

    use super::*;
    use crate::package::PREFIXES;

    #[test]
    fn fractions_powers_and_sums() {
        let formula = r#"<m:oMath xmlns:m="http://purl.oclc.org/ooxml/officeDocument/math">
            <m:f><m:num><m:r><m:t>a+b</m:t></m:r></m:num><m:den><m:r><m:t>2</m:t></m:r></m:den></m:f>
            <m:r><m:t>=</m:t></m:r>
            <m:nary><m:naryPr><m:chr m:val="∑"/></m:naryPr><m:sub><m:r><m:t>i=1</m:t></m:r></m:sub><m:sup><m:r><m:t>n</m:t></m:r></m:sup>
              <m:e><m:sSup><m:e><m:r><m:t>x</m:t></m:r></m:e><m:sup><m:r><m:t>i</m:t></m:r></m:sup></m:sSup></m:e></m:nary>
          </m:oMath>"#;
        assert_eq!(text(&xml::parse(formula.as_bytes(), PREFIXES).unwrap()), "(a+b)/2=∑_(i=1)^n x^i");
    }
}
