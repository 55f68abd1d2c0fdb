//! The encoding that a page declares, found before it is decoded.

/// Declarations further down are not looked for; browsers stop at 1024 bytes.
const PROBE: usize = 4096;

/// The label in `<meta charset>`, `<meta http-equiv … content>` or the XML declaration.
pub(crate) fn declared(bytes: &[u8]) -> Option<String> {
    let probe = String::from_utf8_lossy(&bytes[..bytes.len().min(PROBE)]).to_ascii_lowercase();
    let xml =
        probe.trim_start().strip_prefix("<?xml").and_then(|rest| label(rest.split("?>").next()?, "encoding"));
    xml.or_else(|| probe.split("<meta").skip(1).find_map(|rest| label(rest.split('>').next()?, "charset")))
}

fn label(tag: &str, name: &str) -> Option<String> {
    let value = tag.split_once(name)?.1.trim_start().strip_prefix('=')?.trim_start();
    let value = value.trim_start_matches(['"', '\'']);
    let end = value.find(['"', '\'', ' ', ';', '/', '>']).unwrap_or(value.len());
    Some(value[..end].to_owned()).filter(|label| !label.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_kind() {
        for (page, label) in [
            ("<?xml version='1.0' encoding='koi8-r'?><html>", Some("koi8-r")),
            ("<head><META charset=\"Windows-1252\">", Some("windows-1252")),
            ("<meta name=a><meta http-equiv=x content='text/html; charset=big5'>", Some("big5")),
            ("<p>charset=utf-7</p>", None),
        ] {
            assert_eq!(declared(page.as_bytes()).as_deref(), label);
        }
    }
}
