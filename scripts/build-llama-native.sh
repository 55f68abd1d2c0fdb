#!/usr/bin/env bash
# Builds the native generator `llama-native` into <target>/llama-native and prints the lines that use it. It is not part
# of the default build, as it takes llama.cpp: cmake, a C++ compiler and libclang, and ten minutes or more on two cores.
#
# LLAMA_NATIVE_CPU: the processor it is built for, as gcc names them; `native`, the default, is this machine's, and
# x86-64-v3 any with AVX2. LLAMA_NATIVE_FEATURES: cuda or vulkan, where their development files are installed.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/llama-native.sh

llama_native_tools
need_rust
step "building llama-native with llama.cpp"
llama_native_cargo build
sum=$(sha256sum "$llama_native_lib" | cut -d' ' -f1)
say "built $llama_native_lib"
cat <<END
plugins:
  native:
    llama-native: {role: generator, path: $llama_native_lib, sha256: "$sum"}
backends:
  default: local
  local: {plugin: llama-native, model_path: /path/of/a/model.gguf}
END
