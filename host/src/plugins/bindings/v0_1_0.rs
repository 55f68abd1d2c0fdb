//! Bindings of `wit/0.1.0`.
#![allow(missing_docs, dead_code)]

/// The interfaces that worlds import; generated once, shared by all roles.
pub mod imports {
    wasmtime::component::bindgen!({
        path: "wit/0.1.0",
        inline: "
            package smartrag:host@0.1.0;
            world imports {
                import smartrag:plugin/types@0.1.0;
                import smartrag:plugin/log@0.1.0;
                import smartrag:plugin/config@0.1.0;
                import smartrag:plugin/sources@0.1.0;
                import smartrag:plugin/model-files@0.1.0;
                import smartrag:plugin/http@0.1.0;
            }
        ",
        world: "smartrag:host/imports",
        imports: { default: trappable },
        with: {
            "smartrag:plugin/sources.source": crate::plugins::wasm::host::OpenSource,
            "smartrag:plugin/model-files.model-file": crate::plugins::wasm::host::OpenModel,
            "smartrag:plugin/http.response": crate::plugins::egress::Response,
        },
    });
    pub use self::smartrag::plugin::*;
}

macro_rules! role {
    ($module:ident, $world:literal, { $($with:tt)* }) => {
        pub mod $module {
            wasmtime::component::bindgen!({
                path: "wit/0.1.0",
                world: $world,
                with: {
                    "smartrag:plugin/types": super::imports::types,
                    "smartrag:plugin/log": super::imports::log,
                    "smartrag:plugin/config": super::imports::config,
                    $($with)*
                },
            });
        }
    };
}

role!(parser, "parser-plugin", { "smartrag:plugin/sources": super::imports::sources });
role!(enricher, "enricher-plugin", {});
role!(embedder, "embedder-plugin", {
    "smartrag:plugin/model-files": super::imports::model_files,
    "smartrag:plugin/http": super::imports::http,
});
role!(reranker, "reranker-plugin", { "smartrag:plugin/model-files": super::imports::model_files });
role!(generator, "generator-plugin", {
    "smartrag:plugin/model-files": super::imports::model_files,
    "smartrag:plugin/http": super::imports::http,
});
