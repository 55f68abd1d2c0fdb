//! What wit-bindgen makes of `wit/0.1.0`: one module of shared types and imports, and one a role.
//!
//! Invariant: nothing else in this crate or in a plugin touches the canonical ABI.
#![allow(missing_docs, unsafe_code)]

/// Types and imports of all roles. A component imports only those that its code calls.
pub mod shared {
    wit_bindgen::generate!({
        inline: "
            package smartrag:sdk;
            world shared {
                import smartrag:plugin/types@0.1.0;
                import smartrag:plugin/log@0.1.0;
                import smartrag:plugin/config@0.1.0;
                import smartrag:plugin/sources@0.1.0;
                import smartrag:plugin/model-files@0.1.0;
                import smartrag:plugin/http@0.1.0;
            }
        ",
        path: "../wit/0.1.0",
        generate_all,
        generate_unused_types: true,
        additional_derives: [Clone, PartialEq],
    });
    pub use smartrag::plugin::{config, http, log, model_files, sources, types};
}

/// The bindings of one role over the shared ones.
macro_rules! role {
    ($module:ident, $world:literal, $export:literal, $default:literal, $($with:tt)*) => {
        pub mod $module {
            wit_bindgen::generate!({
                path: "../wit/0.1.0",
                world: $world,
                generate_all,
                pub_export_macro: true,
                export_macro_name: $export,
                default_bindings_module: $default,
                additional_derives: [PartialEq],
                with: {
                    "smartrag:plugin/types@0.1.0": crate::bindings::shared::types,
                    "smartrag:plugin/log@0.1.0": crate::bindings::shared::log,
                    "smartrag:plugin/config@0.1.0": crate::bindings::shared::config,
                    $($with)*
                },
            });
            pub use exports::smartrag::plugin::$module::*;
        }
    };
}

role!(parser, "smartrag:plugin/parser-plugin", "export_parser", "smartrag_sdk::bindings::parser",
    "smartrag:plugin/sources@0.1.0": crate::bindings::shared::sources,
);
role!(enricher, "smartrag:plugin/enricher-plugin", "export_enricher", "smartrag_sdk::bindings::enricher",);
role!(embedder, "smartrag:plugin/embedder-plugin", "export_embedder", "smartrag_sdk::bindings::embedder",
    "smartrag:plugin/model-files@0.1.0": crate::bindings::shared::model_files,
    "smartrag:plugin/http@0.1.0": crate::bindings::shared::http,
);
role!(reranker, "smartrag:plugin/reranker-plugin", "export_reranker", "smartrag_sdk::bindings::reranker",
    "smartrag:plugin/model-files@0.1.0": crate::bindings::shared::model_files,
);
role!(generator, "smartrag:plugin/generator-plugin", "export_generator", "smartrag_sdk::bindings::generator",
    "smartrag:plugin/model-files@0.1.0": crate::bindings::shared::model_files,
    "smartrag:plugin/http@0.1.0": crate::bindings::shared::http,
);
