//! Reading what the API server answers.

use serde_json::Value;

/// The string at a JSON pointer; empty where there is none, which no API object holds where it matters.
pub(crate) fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}
