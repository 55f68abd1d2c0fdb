//! The program `smartrag`.

use std::process::ExitCode;

fn main() -> ExitCode {
    smartrag::cli::main()
}
