"""What plugins of every role need: settings, errors, metadata, log lines, the descriptor.

`wit_world` is made from the interface (WIT) while the plugin is built. `componentize-py bindings` writes it down for
editors; the README of a project shows how.
"""

import json
from typing import Any, Optional

from componentize_py_types import Err
from wit_world.imports import config as _config, log as _log, types
from wit_world.imports.types import Annotation, Descriptor, Error, Warning

__all__ = [
    "Annotation", "Descriptor", "Err", "Error", "Warning", "annotation", "debug", "describe", "error", "info",
    "settings", "warn",
]

NO_SETTINGS = {"type": "object", "additionalProperties": False}

_KINDS = {
    "invalid_input": types.ErrorKind_InvalidInput,
    "invalid_config": types.ErrorKind_InvalidConfig,
    "encrypted": types.ErrorKind_Encrypted,
    "corrupt": types.ErrorKind_Corrupt,
    "unsupported": types.ErrorKind_Unsupported,
    "empty": types.ErrorKind_Empty,
    "unavailable": types.ErrorKind_Unavailable,
    "upstream": types.ErrorKind_Upstream,
    "timeout": types.ErrorKind_Timeout,
    "internal": types.ErrorKind_Internal,
}


def describe(name: str, version: str, description: str, schema: dict = NO_SETTINGS) -> Descriptor:
    """Name and version are those of plugin.toml; `schema` is the JSON Schema of the settings."""
    return Descriptor(name, version, description, json.dumps(schema), [])


def settings(**defaults: Any) -> dict:
    """What the operator set, over these defaults. The host has checked it with the schema of `describe`."""
    return {**defaults, **json.loads(_config.get())}


def annotation(key: str, value: Any) -> Annotation:
    """A piece of metadata; the value is anything that JSON can hold."""
    return Annotation(key, json.dumps(value))


def error(kind: str, message: str, retry_after_ms: Optional[int] = None) -> Err:
    """To be raised: `raise error("corrupt", "what is wrong and what to do")`.

    Kinds are those of the interface (`limit:NAME`, `denied:NAME`, `missing_model:NAME` name what they are about); any
    other word becomes the code of the error. `retry_after_ms` says that the same call can succeed later.
    """
    name, _, about = kind.partition(":")
    if name in _KINDS:
        made = _KINDS[name]()
    elif name == "limit":
        made = types.ErrorKind_Limit(about)
    elif name == "denied":
        made = types.ErrorKind_Denied(about)
    elif name == "missing_model":
        made = types.ErrorKind_MissingModel(about)
    else:
        made = types.ErrorKind_Other(kind)
    retryable = retry_after_ms is not None or name in ("unavailable", "timeout")
    return Err(Error(made, message, retryable, retry_after_ms))


def debug(message: str) -> None:
    """A line for the daemon's log."""
    _log.write(_log.Level.DEBUG, message)


def info(message: str) -> None:
    """A line for the daemon's log."""
    _log.write(_log.Level.INFO, message)


def warn(message: str) -> None:
    """A line for the daemon's log."""
    _log.write(_log.Level.WARN, message)
