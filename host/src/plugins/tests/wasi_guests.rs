//! Guests that use WASI, in WebAssembly text.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::guests::{COMMON, fragment, manifest, parser, resolve_own};
use crate::types::Role;

/// Where `$hex` and `$text` write, one after the other.
const OUT: u32 = 8192;

/// A parser that runs the statements, and returns so many bytes of what they wrote by `$hex`: 16 digits a number.
pub fn machine(statements: &str, len: u32) -> String {
    let pages = format!("{statements} {}", fragment(OUT, len));
    let imports = r#"(module
        (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
        (import "wasi:io/poll@0.2.0" "[method]pollable.ready" (func $ready (param i32) (result i32)))
        (import "wasi:io/poll@0.2.0" "poll" (func $poll (param i32 i32 i32)))
        (import "wasi:io/poll@0.2.0" "[resource-drop]pollable" (func $forget (param i32)))
        (import "wasi:io/streams@0.2.0" "[method]input-stream.blocking-read" (func $read (param i32 i64 i32)))
        (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush"
            (func $write (param i32 i32 i32 i32)))
        (import "wasi:clocks/monotonic-clock@0.2.0" "now" (func $now (result i64)))
        (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $timer (param i64) (result i32)))
        (import "wasi:clocks/wall-clock@0.2.0" "now" (func $wall (param i32)))
        (import "wasi:random/random@0.2.0" "get-random-u64" (func $random (result i64)))
        (import "wasi:random/random@0.2.0" "get-random-bytes" (func $bytes (param i64 i32)))
        (import "wasi:cli/environment@0.2.0" "get-environment" (func $environment (param i32)))
        (import "wasi:cli/environment@0.2.0" "get-arguments" (func $arguments (param i32)))
        (import "wasi:cli/exit@0.2.0" "exit" (func $exit (param i32)))
        (import "wasi:cli/stdin@0.2.0" "get-stdin" (func $stdin (result i32)))
        (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
        (import "wasi:filesystem/preopens@0.2.0" "get-directories" (func $directories (param i32)))
        (import "wasi:sockets/tcp-create-socket@0.2.0" "create-tcp-socket" (func $tcp (param i32 i32)))"#;
    let hex = format!(
        r#"(global $out (mut i32) (i32.const {OUT}))
        (func $hex (param $number i64)
            (local $shift i64) (local $digit i32)
            (local.set $shift (i64.const 60))
            (loop $digits
                (local.set $digit (i32.wrap_i64 (i64.and (i64.shr_u (local.get $number) (local.get $shift)) (i64.const 15))))
                (i32.store8 (global.get $out)
                    (i32.add (local.get $digit)
                        (select (i32.const 48) (i32.const 87) (i32.lt_u (local.get $digit) (i32.const 10)))))
                (global.set $out (i32.add (global.get $out) (i32.const 1)))
                (local.set $shift (i64.sub (local.get $shift) (i64.const 4)))
                (br_if $digits (i64.ge_s (local.get $shift) (i64.const 0)))))
        (func $byte (param $at i32) (call $hex (i64.load8_u (local.get $at))))
        (func $int (param $at i32) (call $hex (i64.load32_u (local.get $at))))
        (func (export "smartrag:plugin/parser@0.1.0#describe")"#
    );
    // Imports come first in a module.
    let module = parser(1, false, &pages);
    module.replacen("(module", imports, 1).replacen(
        "(func (export \"smartrag:plugin/parser@0.1.0#describe\")",
        &hex,
        1,
    )
}

/// Like `web_generator`, but through `wasi:http`; errors are `timeout`, `denied` or `upstream`.
pub fn wasi_web_generator(authority: &str) -> String {
    let data = |at: u32, text: &str| format!("(data (i32.const {at}) \"{text}\")");
    let (name, value) = ("authorization", "Bearer {{secret:key}}");
    format!(
        r#"(module
        (import "[export]smartrag:plugin/generator@0.1.0" "[resource-new]generation"
            (func $new (param i32) (result i32)))
        (import "wasi:http/types@0.2.0" "[constructor]fields" (func $fields (result i32)))
        (import "wasi:http/types@0.2.0" "[method]fields.append"
            (func $append (param i32 i32 i32 i32 i32 i32)))
        (import "wasi:http/types@0.2.0" "[constructor]outgoing-request" (func $request (param i32) (result i32)))
        (import "wasi:http/types@0.2.0" "[method]outgoing-request.set-method"
            (func $method (param i32 i32 i32 i32) (result i32)))
        (import "wasi:http/types@0.2.0" "[method]outgoing-request.set-scheme"
            (func $scheme (param i32 i32 i32 i32 i32) (result i32)))
        (import "wasi:http/types@0.2.0" "[method]outgoing-request.set-authority"
            (func $authority (param i32 i32 i32 i32) (result i32)))
        (import "wasi:http/types@0.2.0" "[method]outgoing-request.set-path-with-query"
            (func $path (param i32 i32 i32 i32) (result i32)))
        (import "wasi:http/types@0.2.0" "[method]outgoing-request.body" (func $body (param i32 i32)))
        (import "wasi:http/types@0.2.0" "[method]outgoing-body.write" (func $stream (param i32 i32)))
        (import "wasi:http/types@0.2.0" "[static]outgoing-body.finish" (func $finish (param i32 i32 i32 i32)))
        (import "wasi:http/outgoing-handler@0.2.0" "handle" (func $handle (param i32 i32 i32 i32)))
        (import "wasi:http/types@0.2.0" "[method]future-incoming-response.subscribe"
            (func $subscribe (param i32) (result i32)))
        (import "wasi:http/types@0.2.0" "[method]future-incoming-response.get" (func $get (param i32 i32)))
        (import "wasi:http/types@0.2.0" "[method]incoming-response.consume" (func $consume (param i32 i32)))
        (import "wasi:http/types@0.2.0" "[method]incoming-body.stream" (func $input (param i32 i32)))
        (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $timer (param i64) (result i32)))
        (import "wasi:io/poll@0.2.0" "poll" (func $poll (param i32 i32 i32)))
        (import "wasi:io/poll@0.2.0" "[resource-drop]pollable" (func $forget (param i32)))
        (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush"
            (func $write (param i32 i32 i32 i32)))
        (import "wasi:io/streams@0.2.0" "[resource-drop]output-stream" (func $close (param i32)))
        (import "wasi:io/streams@0.2.0" "[method]input-stream.blocking-read" (func $read (param i32 i64 i32)))
        {COMMON}
        {} {} {} {} {} {}
        (func $refuse (param $code i32) (result i32)
            (memory.fill (i32.const 64) (i32.const 0) (i32.const 64))
            (call $put (i32.const 64) (i32.const 1))
            (call $put (i32.const 68) (i32.const 10))
            (if (i32.eq (local.get $code) (i32.const 33)) (then (call $put (i32.const 68) (i32.const 11))))
            (if (i32.eq (local.get $code) (i32.const 15)) (then (call $put (i32.const 68) (i32.const 7))))
            (i32.const 64))
        (func (export "smartrag:plugin/generator@0.1.0#describe") (result i32) (i32.const 3200))
        (func (export "smartrag:plugin/generator@0.1.0#info") (result i32)
            (memory.fill (i32.const 64) (i32.const 0) (i32.const 64))
            (i32.const 64))
        (func (export "smartrag:plugin/generator@0.1.0#generate") (param i32) (result i32)
            (local $headers i32) (local $it i32) (local $sending i32) (local $future i32) (local $to i32)
            (local.set $headers (call $fields))
            (call $append (local.get $headers)
                (i32.const 1700) (i32.const {name_len}) (i32.const 1800) (i32.const {value_len}) (i32.const 128))
            (call $append (local.get $headers)
                (i32.const 1900) (i32.const 14) (i32.const 1914) (i32.const 1) (i32.const 128))
            (local.set $it (call $request (local.get $headers)))
            (drop (call $method (local.get $it) (i32.const 2) (i32.const 0) (i32.const 0)))
            (drop (call $scheme (local.get $it) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)))
            (drop (call $authority (local.get $it) (i32.const 1) (i32.const 1200) (i32.const {authority_len})))
            (drop (call $path (local.get $it) (i32.const 1) (i32.const 1600) (i32.const 3)))
            (call $body (local.get $it) (i32.const 128))
            (local.set $sending (i32.load (i32.const 132)))
            (call $stream (local.get $sending) (i32.const 128))
            (local.set $to (i32.load (i32.const 132)))
            (call $handle (local.get $it) (i32.const 0) (i32.const 0) (i32.const 128))
            (if (i32.load8_u (i32.const 128)) (then (return (call $refuse (i32.load8_u (i32.const 136))))))
            (local.set $future (i32.load (i32.const 136)))
            ;; Even where the request was refused.
            (call $write (local.get $to) (i32.const 1024) (i32.const 3) (i32.const 128))
            (if (i32.load8_u (i32.const 128)) (then unreachable))
            (call $close (local.get $to))
            (call $finish (local.get $sending) (i32.const 0) (i32.const 0) (i32.const 128))
            ;; A day's timeout of the guest's own must not end the wait.
            (call $put (i32.const 2048) (call $subscribe (local.get $future)))
            (call $put (i32.const 2052) (call $timer (i64.const 86400000000000)))
            (call $poll (i32.const 2048) (i32.const 2) (i32.const 128))
            (if (i32.load (i32.load (i32.const 128))) (then unreachable))
            (call $forget (i32.load (i32.const 2048)))
            (call $forget (i32.load (i32.const 2052)))
            (call $get (local.get $future) (i32.const 128))
            (if (i32.load8_u (i32.const 144)) (then (return (call $refuse (i32.load8_u (i32.const 152))))))
            (call $consume (i32.load (i32.const 152)) (i32.const 128))
            (call $input (i32.load (i32.const 132)) (i32.const 128))
            (memory.fill (i32.const 64) (i32.const 0) (i32.const 64))
            (call $put (i32.const 68) (call $new (i32.load (i32.const 132))))
            (i32.const 64))
        (func (export "smartrag:plugin/generator@0.1.0#[method]generation.next")
            (param $answer i32) (param i32) (result i32)
            (global.set $top (i32.const 4096))
            (call $read (local.get $answer) (i64.const 64) (i32.const 128))
            (memory.fill (i32.const 64) (i32.const 0) (i32.const 64))
            (if (i32.load8_u (i32.const 128)) (then
                (if (i32.load8_u (i32.const 132)) (then (return (i32.const 64))))
                (return (call $refuse (i32.const 0)))))
            (call $put (i32.const 68) (i32.const 2048))
            (call $put (i32.const 72) (i32.const 1))
            (call $put (i32.const 2048) (i32.const 0))
            (call $put (i32.const 2052) (i32.load (i32.const 132)))
            (call $put (i32.const 2056) (i32.load (i32.const 136)))
            (i32.const 64))
        (func (export "smartrag:plugin/generator@0.1.0#count-tokens") (param i32 i32) (result i32) unreachable))"#,
        data(1200, authority),
        data(1600, "/v1"),
        data(1700, name),
        data(1800, value),
        data(1900, "content-length"),
        data(1914, "3"),
        name_len = name.len(),
        value_len = value.len(),
        authority_len = authority.len(),
    )
}

/// The component of a core module in text that may import WASI.
pub fn wasi_component(role: Role, module: &str) -> Vec<u8> {
    let mut bytes = wat::parse_str(module).unwrap();
    let mut resolve = Resolve::default();
    resolve_own(&mut resolve);
    let package = resolve.push_str("wasi.wit", include_str!("wasi.wit")).unwrap();
    let world = resolve.select_world(&[package], Some(&format!("{role}-plugin"))).unwrap();
    embed_component_metadata(&mut bytes, &resolve, world, StringEncoding::UTF8, false).unwrap();
    ComponentEncoder::default().validate(true).module(&bytes).unwrap().encode().unwrap()
}

/// The least manifest of a plugin that uses WASI.
pub fn wasi_manifest(role: Role) -> String {
    manifest("guest", role).replacen("wit = ", "wasi = true\nwit = ", 1)
}
