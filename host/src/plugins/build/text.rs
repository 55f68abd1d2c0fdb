use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, SourceMap};

use super::component::encode;
use crate::plugins::carried;
use crate::types::Role;

/// The component of a role that a core module in WebAssembly text makes; the error is a sentence.
pub fn from_text(role: Role, module: &str) -> Result<Vec<u8>, String> {
    let mut core = wat::parse_str(module).map_err(|error| error.to_string())?;
    let mut resolve = Resolve::default();
    let mut sources = SourceMap::new();
    carried::interface().for_each(|(path, text)| sources.push_str(path, text));
    let package = sources.parse().map_err(|(_, error)| error.to_string())?;
    let package = resolve.push_group(package).map_err(|error| format!("{error:#}"))?;
    let world = resolve.select_world(&[package], Some(&format!("{role}-plugin")));
    let world = world.map_err(|error| format!("{error:#}"))?;
    embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8, false)
        .map_err(|error| format!("{error:#}"))?;
    encode(&core)
}
