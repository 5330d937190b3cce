//! What the arguments of a container say.

use serde_json::Value;

/// The value of an option, written apart or after `=`; empty where none follows. None: it is not there.
pub(super) fn option<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    let args: Vec<&str> = container["args"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let apart = args.iter().position(|arg| *arg == name).map(|at| args.get(at + 1).copied().unwrap_or_default());
    apart.or_else(|| args.iter().find_map(|arg| arg.strip_prefix(name)?.strip_prefix('=')))
}
