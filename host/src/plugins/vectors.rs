//! What embedders return, checked; texts cut into calls. The same for every kind of plugin.

use super::roles::EmbedderInfo;
use crate::types::PluginError;

const DIMENSION_MAX: usize = 8192;
/// Texts in one call, whatever the embedder says.
const BATCH_MAX: usize = 4096;
/// Text in one call, so that a batch of long texts fits the guest's memory.
const BATCH_BYTES: usize = 1 << 20;
/// Rows this far from length 1 are scaled, rows farther off are a defect.
const LENGTH_TOLERANCE: f32 = 0.01;
const LENGTH_EXACT: f32 = 1e-5;

/// Tokens that a tokenizer may add to those of a text.
const MARKS_MAX: usize = 256;

/// Token counts of any number of texts. `ask` counts those of one call, `broken` is the error for an answer that can't be.
pub fn counts(
    texts: &[&str],
    ask: impl Fn(&[&str]) -> Result<Vec<u32>, PluginError>,
    broken: impl Fn(String) -> PluginError,
) -> Result<Vec<u32>, PluginError> {
    let mut counts = Vec::with_capacity(texts.len());
    for batch in batches(texts, BATCH_MAX) {
        counts.extend(checked_counts(ask(batch)?, batch).map_err(&broken)?);
    }
    Ok(counts)
}

/// Token counts, one for each text and within what its bytes allow: budgets are added up from them.
fn checked_counts(counts: Vec<u32>, texts: &[&str]) -> Result<Vec<u32>, String> {
    if counts.len() != texts.len() {
        return Err(format!(
            "tokens of {} texts were asked for, {} counts came back",
            texts.len(),
            counts.len()
        ));
    }
    let too_many = |(count, text): &(&u32, &&str)| **count as usize > text.len() + MARKS_MAX;
    match counts.iter().zip(texts).find(too_many) {
        None => Ok(counts),
        Some((count, text)) => Err(format!("it counts {count} tokens in a text of {} bytes", text.len())),
    }
}

/// Cuts texts into calls by number and by bytes; a text longer than that goes alone.
pub fn batches<'a, 'b>(texts: &'a [&'b str], max: usize) -> impl Iterator<Item = &'a [&'b str]> {
    let mut rest = texts;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |text: &&&str| {
            bytes += text.len();
            bytes <= BATCH_BYTES
        };
        let len = rest.iter().take(max).take_while(fits).count().max(1);
        let (batch, next) = rest.split_at_checked(len)?;
        rest = next;
        Some(batch)
    })
}

/// What an embedder says of its model, within bounds.
pub fn checked_info(info: EmbedderInfo) -> Result<EmbedderInfo, String> {
    if !(1..=DIMENSION_MAX).contains(&info.dimension) {
        return Err(format!("dimension {} is not within 1 to {DIMENSION_MAX}", info.dimension));
    }
    if !(0.0..=1.0).contains(&info.fusion_weight) {
        return Err(format!("fusion-weight {} is not within 0 to 1", info.fusion_weight));
    }
    if info.window_tokens == 0 || info.batch_max == 0 || info.fingerprint.is_empty() {
        return Err("window-tokens, batch-max and fingerprint must not be empty".into());
    }
    Ok(EmbedderInfo { batch_max: info.batch_max.min(BATCH_MAX), ..info })
}

/// Rows of length 1 or 0, as many as texts.
pub fn checked_rows(mut values: Vec<f32>, texts: usize, dimension: usize) -> Result<Vec<f32>, String> {
    if values.len() != texts * dimension {
        let count = values.len();
        return Err(format!("{count} values came back for {texts} texts of dimension {dimension}"));
    }
    values.chunks_exact_mut(dimension).enumerate().try_for_each(|(index, row)| {
        settle(row).map_err(|length| format!("row {index} has length {length}, not 1 or 0"))
    })?;
    Ok(values)
}

fn settle(row: &mut [f32]) -> Result<(), f32> {
    let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length == 0.0 || (length - 1.0).abs() <= LENGTH_EXACT {
        return Ok(());
    }
    // Not a number compares as false, so it ends here.
    if (length - 1.0).abs() <= LENGTH_TOLERANCE {
        row.iter_mut().for_each(|value| *value /= length);
        return Ok(());
    }
    Err(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_length_one_or_zero() {
        assert_eq!(checked_rows(vec![1.0, 0.0, 0.0, 0.0], 2, 2).unwrap(), [1.0, 0.0, 0.0, 0.0]);
        let scaled = checked_rows(vec![0.0, 1.005], 1, 2).unwrap();
        assert!((scaled[1] - 1.0).abs() < 1e-6);
        for bad in [[0.5, 0.0], [2.0, 0.0], [f32::NAN, 0.0], [f32::INFINITY, 0.0]] {
            assert!(checked_rows(bad.to_vec(), 1, 2).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn counts_must_fit() {
        assert!(checked_rows(vec![1.0, 0.0], 2, 2).is_err());
        assert!(checked_counts(vec![1], &["a", "b"]).is_err());
        assert_eq!(checked_counts(vec![3, 2], &["a", ""]), Ok(vec![3, 2]));
        assert!(checked_counts(vec![u32::MAX], &["a"]).unwrap_err().contains("4294967295 tokens"));
    }

    #[test]
    fn batches_are_cut_by_number_and_bytes() {
        let long = "x".repeat(BATCH_BYTES + 1);
        let texts = ["a", "b", "c", &long, "d"];
        let lens: Vec<usize> = batches(&texts, 2).map(<[_]>::len).collect();
        assert_eq!(lens, [2, 1, 1, 1]);
        assert_eq!(batches(&[], 2).count(), 0);
    }
}
