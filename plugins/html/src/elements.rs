//! What elements mean.

use scraper::node::Element;

/// What an element does to the text around it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// Nothing.
    Inline,
    /// Ends the block before it and begins one of its own.
    Block,
    Heading(u8),
    /// A list; whether it is numbered.
    List(bool),
    Item,
    Quote,
    Pre,
    Caption,
    Table,
    Break,
    Image,
    /// Kept in the text but marked as page furniture.
    Furniture,
    /// Left out with all that is in it.
    Dropped,
}

pub(crate) fn role(element: &Element) -> Role {
    match element.name() {
        _ if is_hidden(element) => Role::Dropped,
        "h1" => Role::Heading(1),
        "h2" => Role::Heading(2),
        "h3" => Role::Heading(3),
        "h4" => Role::Heading(4),
        "h5" => Role::Heading(5),
        "h6" => Role::Heading(6),
        "ul" | "menu" | "dir" => Role::List(false),
        "ol" => Role::List(true),
        "li" => Role::Item,
        "blockquote" => Role::Quote,
        "pre" | "listing" | "xmp" | "plaintext" => Role::Pre,
        "caption" | "figcaption" => Role::Caption,
        "table" => Role::Table,
        "br" => Role::Break,
        "img" => Role::Image,
        "nav" | "footer" => Role::Furniture,
        "head" | "script" | "style" | "template" | "noscript" | "iframe" | "object" | "svg" | "canvas"
        | "audio" | "video" | "select" | "datalist" | "annotation" | "annotation-xml" => Role::Dropped,
        _ if matches!(element.attr("role"), Some("navigation" | "contentinfo")) => Role::Furniture,
        "address" | "article" | "aside" | "body" | "center" | "dd" | "details" | "dialog" | "div" | "dl"
        | "dt" | "fieldset" | "figure" | "form" | "header" | "hgroup" | "hr" | "html" | "legend" | "main"
        | "p" | "search" | "section" | "summary" | "tr" | "td" | "th" | "tbody" | "thead" | "tfoot"
        | "option" => Role::Block,
        _ => Role::Inline,
    }
}

fn is_hidden(element: &Element) -> bool {
    let style = || element.attr("style").unwrap_or_default().to_ascii_lowercase().replace(' ', "");
    element.attr("hidden").is_some()
        || element.attr("aria-hidden") == Some("true")
        || style().contains("display:none")
        || style().contains("visibility:hidden")
}
