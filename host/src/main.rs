//! SmartRAG.
fn main() {}
