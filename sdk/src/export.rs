/// Makes a type the plugin of this crate: `export!(parser, MyType)`; likewise `paged_parser`, `enricher`,
/// `embedder`, `reranker`, `generator`. Natively it only checks that the type fits.
#[macro_export]
macro_rules! export {
    (parser, $type:ty) => {
        $crate::export!(@ parser, export_parser, $crate::parser::Guest<$crate::parser::Simple<$type>>);
    };
    (paged_parser, $type:ty) => {
        $crate::export!(@ parser, export_parser, $crate::parser::Guest<$type>);
    };
    (enricher, $type:ty) => {
        $crate::export!(@ enricher, export_enricher, $crate::enricher::Guest<$type>);
    };
    (embedder, $type:ty) => {
        $crate::export!(@ embedder, export_embedder, $crate::embedder::Guest<$type>);
    };
    (reranker, $type:ty) => {
        $crate::export!(@ reranker, export_reranker, $crate::reranker::Guest<$type>);
    };
    (generator, $type:ty) => {
        $crate::export!(@ generator, export_generator, $crate::generator::Guest<$type>);
    };
    (@ $role:ident, $macro:ident, $guest:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code)]
        const _: () = {
            type SmartragGuest = $guest;
            $crate::bindings::$role::$macro!(SmartragGuest with_types_in $crate::bindings::$role);
        };
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() -> $crate::Descriptor = <$guest as $crate::bindings::$role::Guest>::describe;
    };
}
