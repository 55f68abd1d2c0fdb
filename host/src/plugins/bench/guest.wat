;; A reranker without work. No passage: returns at once. One: never ends. Two: returns 1 MiB of zeros.
(module
  (memory (export "memory") 64)
  (global $top (mut i32) (i32.const 4096))
  (data (i32.const 512) "bench0.1.0{}")
  ;; name, version, description, config-schema, properties
  (data (i32.const 128)
    "\00\02\00\00\05\00\00\00" "\05\02\00\00\05\00\00\00" "\00\00\00\00\00\00\00\00" "\0a\02\00\00\02\00\00\00"
    "\00\00\00\00\00\00\00\00")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
    (global.set $top (i32.add (local.get $at) (local.get 3)))
    (local.get $at))
  (func (export "smartrag:plugin/reranker@0.1.0#describe") (result i32)
    (i32.const 128))
  (func (export "smartrag:plugin/reranker@0.1.0#rerank")
    (param i32 i32 i32) (param $passages i32) (result i32)
    (global.set $top (i32.const 4096))
    (if (i32.eq (local.get $passages) (i32.const 1)) (then (loop $forever (br $forever))))
    (i32.store (i32.const 68) (i32.const 0x200000))
    (i32.store (i32.const 72) (i32.shl (i32.eq (local.get $passages) (i32.const 2)) (i32.const 18)))
    (i32.const 64)))
