// What plugins of every role need: settings, errors, metadata, log lines, the descriptor.

import { get } from "smartrag:plugin/config@0.1.0";
import { write } from "smartrag:plugin/log@0.1.0";

const NO_SETTINGS = { type: "object", additionalProperties: false };
const ABOUT = ["limit", "denied", "missing-model"];
const KINDS = [
  "invalid-input", "invalid-config", "encrypted", "corrupt", "unsupported", "empty", "unavailable", "upstream",
  "timeout", "internal",
];

/**
 * What a plugin exports, an object named after its role. An exception that is no `error(…)` is a defect: it is logged with
 * its place and becomes the error `internal`.
 */
export function plugin(role) {
  for (const [name, value] of Object.entries(role)) {
    // Classes are those of resources.
    if (/^[A-Z]/.test(name)) guard(value.prototype);
  }
  return guard(role);
}

function guard(object) {
  for (const name of Object.getOwnPropertyNames(object)) {
    const value = object[name];
    if (typeof value === "function" && !/^[A-Z]|^constructor$/.test(name)) object[name] = guarded(value);
  }
  return object;
}

function guarded(method) {
  return function (...values) {
    try {
      const made = method.apply(this, values);
      return made instanceof Promise ? made.catch(told) : made;
    } catch (exception) {
      told(exception);
    }
  };
}

function told(exception) {
  if (exception?.payload) throw exception;
  write("error", `${exception} at ${exception?.stack ?? "an unknown place"}`);
  throw error("internal", String(exception));
}

/** Name and version are those of plugin.toml; `schema` is the JSON Schema of the settings. */
export function describe(name, version, description, schema = NO_SETTINGS) {
  return { name, version, description, configSchema: JSON.stringify(schema), properties: [] };
}

/** What the operator set, over these defaults. The host has checked it with the schema of `describe`. */
export function settings(defaults = {}) {
  return { ...defaults, ...JSON.parse(get()) };
}

/** A piece of metadata; the value is anything that JSON can hold. */
export function annotation(key, value) {
  return { key, value: JSON.stringify(value ?? null) };
}

/**
 * To be thrown: `throw error("corrupt", "what is wrong and what to do")`.
 *
 * Kinds are those of the interface (`limit:NAME`, `denied:NAME`, `missing-model:NAME` name what they are about); any
 * other word becomes the code of the error. `retryAfterMs` says that the same call can succeed later.
 */
export function error(kind, message, retryAfterMs) {
  const [name, about = ""] = kind.split(":");
  const made = KINDS.includes(name)
    ? { tag: name }
    : ABOUT.includes(name)
      ? { tag: name, val: about }
      : { tag: "other", val: kind };
  const retryable = retryAfterMs !== undefined || name === "unavailable" || name === "timeout";
  return Object.assign(new Error(message), { payload: { kind: made, message, retryable, retryAfterMs } });
}

/** Lines for the daemon's log. */
export const debug = (message) => write("debug", message);
export const info = (message) => write("info", message);
export const warn = (message) => write("warn", message);
