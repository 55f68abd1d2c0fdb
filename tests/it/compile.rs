//! Plugins are compiled in a child process that ends when it takes too much.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::support::SMARTRAG;

fn compile(limits: &[&str], component: &[u8]) -> Output {
    let mut child = Command::new(SMARTRAG)
        .arg("compile-component")
        .args(limits)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A child that gave up does not read on.
    drop(child.stdin.take().unwrap().write_all(component));
    child.wait_with_output().unwrap()
}

/// Some 20 MB of straight code in which every value depends on the one before: more than any machine compiles within a
/// second of CPU time. As text it would be ten times as long.
fn heavy() -> Vec<u8> {
    // local 1 = local 1 * 7 ^ local 0
    let step = [0x20, 1, 0x42, 7, 0x7e, 0x20, 0, 0x85, 0x21, 1];
    let body = [&[0], step.repeat(20_000).as_slice(), &[0x20, 1, 0x0b]].concat();
    let function = [leb(body.len()), body].concat();
    let functions = 100;
    let sections = [
        section(1, &[1, 0x60, 2, 0x7e, 0x7e, 1, 0x7e]),
        section(3, &[leb(functions), vec![0; functions]].concat()),
        section(10, &[leb(functions), function.repeat(functions)].concat()),
    ];
    let module = [b"\0asm\x01\0\0\0".to_vec(), sections.concat()].concat();
    [b"\0asm\x0d\0\x01\0".to_vec(), section(1, &module)].concat()
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [vec![id], leb(content.len()), content.to_vec()].concat()
}

fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        bytes.push(if number > 0 { low | 0x80 } else { low });
        if number == 0 {
            return bytes;
        }
    }
}

#[test]
fn code_comes_out() {
    let output = compile(&[], &wat::parse_str("(component (core module (func)))").unwrap());
    assert!(output.status.success() && !output.stdout.is_empty());
}

#[test]
fn time_and_memory_are_limited() {
    let output = compile(&["--cpu-seconds", "1"], &heavy());
    assert!(!output.status.success() && output.stdout.is_empty(), "{:?}", output.status);
    let output = compile(&["--memory-bytes", "40000000"], &heavy());
    assert!(!output.status.success() && output.stdout.is_empty(), "{:?}", output.status);
}
