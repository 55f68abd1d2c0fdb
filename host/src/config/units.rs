//! Sizes and durations as people write them: `256MiB`, `60s`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

const SIZES: [(&str, u64); 8] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

const DURATIONS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Bytes: a whole number, or a number with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size(pub u64);

/// Milliseconds, written with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(pub u64);

/// `NUMBER UNIT`, the number may have a fraction; the unit is compared without regard to case.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(split);
    let unit = unit.trim_start();
    let (_, factor) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(*factor);
    }
    let value = number.parse::<f64>().ok()? * *factor as f64;
    (value <= u64::MAX as f64).then_some(value.round() as u64)
}

/// The largest unit that divides the value.
fn shown(value: u64, units: &[(&'static str, u64)]) -> String {
    let mut fitting = units.iter().filter(|(_, factor)| value >= *factor && value.is_multiple_of(*factor));
    match fitting.next() {
        Some((unit, factor)) => format!("{}{unit}", value / factor),
        None => format!("0{}", units.last().map_or("", |(unit, _)| unit)),
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(self.0, &SIZES))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let descending: Vec<_> = DURATIONS.iter().rev().copied().collect();
        f.write_str(&shown(self.0, &descending))
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = Size;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as 256MiB")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Size, E> {
        Ok(Size(value))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
        let wrong = || E::invalid_value(de::Unexpected::Str(text), &self);
        scaled(text, &SIZES).or_else(|| text.trim().parse().ok()).map(Size).ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

struct SpanVisitor;

impl Visitor<'_> for SpanVisitor {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration with its unit such as 60s or 500ms")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
        scaled(text, &DURATIONS).map(Span).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpanVisitor)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Bytes, or a number with a unit such as 256MiB",
            "type": ["integer", "string"],
            "minimum": 0,
            "pattern": "^[0-9]+(\\.[0-9]+)? *([KMGTkmgt]i?)?[Bb]?$"
        })
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number with a unit: ms, s, m, h or d",
            "type": "string",
            "pattern": "^[0-9]+(\\.[0-9]+)? *(ms|s|m|h|d)$"
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn size(text: &str) -> Option<u64> {
        serde_json::from_value::<Size>(text.into()).ok().map(|size| size.0)
    }

    fn span(text: &str) -> Option<u64> {
        serde_json::from_value::<Span>(text.into()).ok().map(|span| span.0)
    }

    #[test]
    fn reads_what_people_write() {
        assert_eq!(size("256MiB"), Some(256 << 20));
        assert_eq!(size("1.5 GiB"), Some(3 << 29));
        assert_eq!(size("10mb"), Some(10_000_000));
        assert_eq!(size("17"), Some(17));
        assert_eq!(span("60s"), Some(60_000));
        assert_eq!(span("2m"), Some(120_000));
        assert_eq!(span("250 ms"), Some(250));
    }

    #[test]
    fn refuses_what_has_no_meaning() {
        for bad in ["", "MiB", "-1MiB", "1..5MiB", "5 parsecs", "99999999999999999999GiB"] {
            assert_eq!(size(bad), None, "{bad:?}");
        }
        for bad in ["60", "s", "1y", "1e3s"] {
            assert_eq!(span(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(value in any::<u64>()) {
            prop_assert_eq!(size(&Size(value).to_string()), Some(value));
            prop_assert_eq!(span(&Span(value).to_string()), Some(value));
        }
    }
}
