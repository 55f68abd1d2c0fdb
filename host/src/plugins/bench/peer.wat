;; The least component, to tell what wasmtime itself costs.
(component
  (core module $module
    (memory (export "memory") 64)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
    (func (export "nothing"))
    (func (export "take") (param i32 i32))
    (func (export "give") (result i32)
      (i32.store (i32.const 64) (i32.const 0x200000))
      (i32.store (i32.const 68) (i32.const 0x100000))
      (i32.const 64)))
  (core instance $guest (instantiate $module))
  (func (export "nothing") (canon lift (core func $guest "nothing")))
  (func (export "take") (param "bytes" (list u8))
    (canon lift (core func $guest "take") (memory (core memory $guest "memory")) (realloc (core func $guest "realloc"))))
  (func (export "give") (result (list u8))
    (canon lift (core func $guest "give") (memory (core memory $guest "memory")))))
