//! The table of token vectors: half-precision rows of a safetensors file.

use std::collections::HashMap;
use std::io::Read;

use serde::Deserialize;
use smartrag_sdk::{Error, ModelFile, Result};

const TENSOR: &str = "embedding.weight";
/// Bytes; the real header has 82.
const HEADER_MAX: u64 = 1 << 20;

/// Rows that are kept in memory, 2 MB of them; then all are forgotten, which costs less than knowing which to keep.
const KEPT: usize = 4096;
/// The place of a row that is not kept.
const NOWHERE: u16 = u16::MAX;

/// A vector for each token. They stay in the file, which all instances of the plugin share in the system's cache; a text
/// has few different tokens, and most are among those that were asked for lately.
pub struct Weights {
    file: ModelFile,
    /// Of the first row in the file.
    offset: u64,
    dimension: usize,
    /// Of every row among those that are kept.
    places: Vec<u16>,
    /// IEEE 754 binary16, row by row.
    kept: Vec<u16>,
}

#[derive(Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

impl Weights {
    /// Of a file, of which only the header is read now.
    pub fn open(file: ModelFile) -> Result<Self> {
        let mut reader = file.reader();
        let mut length = [0; 8];
        reader.read_exact(&mut length).map_err(damaged)?;
        let length = u64::from_le_bytes(length);
        if length > HEADER_MAX {
            return Err(damaged("its header is too long"));
        }
        let mut header = vec![0; length as usize];
        reader.read_exact(&mut header).map_err(damaged)?;
        let offset = 8 + length;
        let (rows, dimension) = shape(&header, file.size() - offset)?;
        Ok(Self { file, offset, dimension, places: vec![NOWHERE; rows], kept: Vec::new() })
    }

    /// Length of a vector.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Number of tokens.
    pub fn rows(&self) -> usize {
        self.places.len()
    }

    /// Adds the vector of token `id`; an id beyond the table counts as its last, as in the reference.
    pub fn add_row(&mut self, id: u32, sums: &mut [f32]) -> Result<()> {
        let row = (id as usize).min(self.rows() - 1);
        if self.places[row] == NOWHERE {
            self.read(row)?;
        }
        let start = usize::from(self.places[row]) * self.dimension;
        add_halves(&self.kept[start..start + self.dimension], sums);
        Ok(())
    }

    fn read(&mut self, row: usize) -> Result<()> {
        let size = 2 * self.dimension;
        let bytes = self.file.read_at(self.offset + (row * size) as u64, size as u32);
        if bytes.len() != size {
            return Err(damaged("it became shorter"));
        }
        if self.kept.len() == KEPT * self.dimension {
            self.kept.clear();
            self.places.fill(NOWHERE);
        }
        self.places[row] = (self.kept.len() / self.dimension) as u16;
        self.kept.extend(bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])));
        Ok(())
    }
}

/// Rows and columns of the one tensor, which fills the `size` bytes behind the header.
fn shape(header: &[u8], size: u64) -> Result<(usize, usize)> {
    let tensors: HashMap<String, serde_json::Value> = serde_json::from_slice(header).map_err(damaged)?;
    let tensor = tensors.get(TENSOR).ok_or_else(|| damaged(format!("it has no tensor {TENSOR}")))?;
    let tensor = Tensor::deserialize(tensor).map_err(damaged)?;
    match tensor.shape[..] {
        [rows @ (1..), columns @ (1..)]
            if tensor.dtype == "F16"
                && tensor.data_offsets == (0, size)
                && rows.checked_mul(columns).is_some_and(|values| values as u64 * 2 == size) =>
        {
            Ok((rows, columns))
        }
        _ => Err(damaged(format!("{TENSOR} is not one F16 table that fills the file"))),
    }
}

fn damaged(reason: impl ToString) -> Error {
    let reason = reason.to_string();
    Error::missing_model(
        "weights",
        format!("the weights file can't be read: {reason}; run `smartrag models fetch`"),
    )
}

/// Values that are added in one turn of the loop. The host looks at its clock in every turn, for which all vectors leave
/// their registers: with four values a turn that took as long as the adding.
const TURN: usize = 32;

// The compiler turns the additions of a turn into SIMD where it may; every host of ours has wasm's.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
fn add_halves(halves: &[u16], sums: &mut [f32]) {
    let (turns, rest) = halves.as_chunks::<TURN>();
    let (sum_turns, sum_rest) = sums.as_chunks_mut::<TURN>();
    for (sums, halves) in sum_turns.iter_mut().zip(turns) {
        add_turn(halves, sums);
    }
    for (sum, &half) in sum_rest.iter_mut().zip(rest) {
        *sum += to_f32(half);
    }
}

#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
#[inline]
fn add_turn(halves: &[u16; TURN], sums: &mut [f32; TURN]) {
    for at in 0..TURN {
        sums[at] += to_f32(halves[at]);
    }
}

/// Exact for every finite half: moves exponent and mantissa into place, then corrects the bias (127 - 15) by a
/// multiplication, which gets the subnormals right as well.
#[inline(always)]
fn to_f32(half: u16) -> f32 {
    const BIAS: f32 = f32::from_bits((127 + 127 - 15) << 23);
    let sign = u32::from(half & 0x8000) << 16;
    let magnitude = f32::from_bits(u32::from(half & 0x7fff) << 13) * BIAS;
    f32::from_bits(magnitude.to_bits() | sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u16]) -> ModelFile {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend(data.iter().flat_map(|half| half.to_le_bytes()));
        ModelFile::from_bytes(bytes)
    }

    const HEADER: &str =
        r#"{"__metadata__":{"a":"b"},"embedding.weight":{"dtype":"F16","shape":[2,2],"data_offsets":[0,8]}}"#;

    #[test]
    fn halves_are_exact() {
        let cases = [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_5e-8),
            (0x83ff, -6.097_555e-5),
        ];
        for (half, value) in cases {
            assert_eq!(to_f32(half), value, "{half:#06x}");
        }
    }

    #[test]
    fn rows_are_added() -> Result<()> {
        let mut weights = Weights::open(file(HEADER, &[0x3c00, 0, 0x4000, 0xbc00]))?;
        let mut sums = [0.0; 2];
        weights.add_row(0, &mut sums)?;
        weights.add_row(1, &mut sums)?;
        assert_eq!((sums, weights.rows()), ([3.0, -1.0], 2));
        weights.add_row(99, &mut sums)?;
        assert_eq!(sums, [5.0, -2.0]);
        Ok(())
    }

    #[test]
    fn rows_are_the_same_however_many_were_asked_for_in_between() -> Result<()> {
        let rows = 2 * KEPT + 100;
        let header =
            HEADER.replace("[2,2]", &format!("[{rows},1]")).replace("[0,8]", &format!("[0,{}]", 2 * rows));
        let values: Vec<u16> = (0..rows as u16).collect();
        let mut weights = Weights::open(file(&header, &values))?;
        for row in (0..rows).chain((0..rows).rev()).chain([7, 7, rows - 1, 7]) {
            let mut sum = [0.0];
            weights.add_row(row as u32, &mut sum)?;
            assert_eq!(sum, [to_f32(row as u16)], "{row}");
        }
        Ok(())
    }

    #[test]
    fn damaged_files_are_refused() {
        let wrong_type = HEADER.replace("F16", "F32");
        let no_tensor = HEADER.replace("embedding", "other");
        for (header, values) in [(HEADER, 3), (HEADER, 5), (&wrong_type, 4), (&no_tensor, 4), ("{", 4)] {
            let error = Weights::open(file(header, &vec![0; values])).err().map(|e| e.message);
            assert!(error.is_some_and(|message| message.contains("models fetch")), "{header} {values}");
        }
        assert!(Weights::open(ModelFile::from_bytes(vec![255; 20])).is_err());
        assert!(Weights::open(ModelFile::from_bytes(vec![])).is_err());
    }
}
