//! Plugins are compiled in a child process that ends when it takes too much.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::support::SMARTRAG;

fn compile(limits: &[&str], component: &str) -> Output {
    let mut child = Command::new(SMARTRAG)
        .arg("compile-component")
        .args(limits)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let component = wat::parse_str(component).unwrap();
    // A child that gave up does not read on.
    drop(child.stdin.take().unwrap().write_all(&component));
    child.wait_with_output().unwrap()
}

/// Functions of long straight code, which cost the register allocator much.
fn heavy(functions: usize) -> String {
    let body = "local.get 0 i64.const 7 i64.mul local.get 1 i64.xor local.set 1 ".repeat(2000);
    let function = format!("(func (param i64 i64) {body})");
    format!("(component (core module {}))", function.repeat(functions))
}

#[test]
fn code_comes_out() {
    let output = compile(&[], "(component (core module (func)))");
    assert!(output.status.success() && !output.stdout.is_empty());
}

#[test]
fn time_and_memory_are_limited() {
    let output = compile(&["--cpu-seconds", "1"], &heavy(300));
    assert!(!output.status.success() && output.stdout.is_empty(), "{:?}", output.status);
    let output = compile(&["--memory-bytes", "40000000"], &heavy(300));
    assert!(!output.status.success() && output.stdout.is_empty(), "{:?}", output.status);
}
