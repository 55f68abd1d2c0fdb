//! Ten thousand hostile calls in a row against the same daemon, whose memory must come back.

use super::{House, Neighbours};

pub async fn run(_house: &House, _neighbours: &Neighbours) {}
