//! The text of HTML that stands in Markdown.

/// Elements that begin a line of their own.
const BLOCKS: [&str; 18] = [
    "br", "p", "div", "tr", "li", "ul", "ol", "table", "h1", "h2", "h3", "h4", "h5", "h6", "summary",
    "details", "dt", "dd",
];

/// Leaves out tags, comments, scripts and styles; decodes the common entities. Table cells are parted by ` | `.
pub(crate) fn text(html: &str) -> String {
    let mut out = String::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        out.push_str(&decode(&rest[..at]));
        rest = &rest[at..];
        let name = tag_name(rest);
        match name.as_str() {
            "" if !rest.starts_with("<!") && !rest.starts_with("<?") => {
                out.push('<');
                rest = &rest[1..];
                continue;
            }
            "script" | "style" => rest = after(rest, &format!("</{name}")),
            "td" | "th" if !out.is_empty() && !out.ends_with('\n') => out.push_str(" | "),
            "img" => out.push_str(&attribute(rest, "alt")),
            _ if BLOCKS.contains(&name.trim_start_matches('/')) => out.push('\n'),
            _ => {}
        }
        rest = if rest.starts_with("<!--") { after(rest, "-->") } else { after(rest, ">") };
    }
    out.push_str(&decode(rest));
    let lines = out.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

/// `p` for `<p class="x">`, `/p` for `</p>`, nothing for what is no tag.
fn tag_name(tag: &str) -> String {
    let name = &tag[1..];
    let body = name.strip_prefix('/').unwrap_or(name);
    let length = body.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(body.len());
    match body.starts_with(|c: char| c.is_ascii_alphabetic()) {
        true => name[..name.len() - body.len() + length].to_ascii_lowercase(),
        false => String::new(),
    }
}

fn attribute(tag: &str, name: &str) -> String {
    let tag = &tag[..tag.find('>').unwrap_or(tag.len())];
    let value = tag.split_once(&format!("{name}=")).map_or("", |(_, value)| value);
    let quote = value.chars().next().filter(|quote| "\"'".contains(*quote));
    decode(quote.and_then(|quote| value[1..].split(quote).next()).unwrap_or_default())
}

/// What follows `end`, whatever its case; nothing where it is missing.
fn after<'a>(text: &'a str, end: &str) -> &'a str {
    let found = text.as_bytes().windows(end.len()).position(|at| at.eq_ignore_ascii_case(end.as_bytes()));
    found.map_or("", |at| &text[at + end.len()..])
}

fn decode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let entity = rest[at + 1..].split_once(';').map(|(name, _)| name).unwrap_or_default();
        match character(entity) {
            Some(c) => {
                out.push(c);
                rest = &rest[at + entity.len() + 2..];
            }
            None => {
                out.push('&');
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn character(entity: &str) -> Option<char> {
    Some(match entity {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        _ => {
            let number = entity.strip_prefix('#')?;
            let hex = number.strip_prefix(['x', 'X']);
            let code = hex.map_or_else(|| number.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok());
            return char::from_u32(code?).filter(|c| !c.is_control());
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_text_alone() {
        let html =
            "<!-- no --><div align=center>A &amp; B<br/>1 < 2</div><script>x > 1</SCRIPT><b>&#228;&x;</b>";
        assert_eq!(text(html), "A & B\n1 < 2\nä&x;");
        assert_eq!(text("<table><tr><td>a</td><td>b</td></tr></table><img alt='pic' src=x>"), "a | b\npic");
        assert_eq!(text("<a href=\"x"), "");
    }
}
