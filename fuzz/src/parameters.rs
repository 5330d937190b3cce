//! The `parameters` of a ConfigMap: read or refused, and what is read means what it says.

use policies::parameter::{Parameters, text_of_value};
use serde_json::json;

/// Reads the bytes as parameters.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let parameters = match Parameters::parse(text) {
        Ok(parameters) => parameters,
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without a reason");
            return;
        }
    };
    let values = [
        json!(""),
        json!("a"),
        json!("20261120"),
        json!("true"),
        json!("3"),
        json!("03"),
        json!("1.0"),
        json!("500m"),
        json!("90s"),
        json!(text.lines().last().unwrap_or_default()),
        json!(0),
        json!(-1),
        json!(3),
        json!(2.5),
        json!(true),
        json!(null),
        json!([]),
        json!(["a"]),
        json!({}),
        json!({"a": "b"}),
    ];
    for (position, parameter) in parameters.all.iter().enumerate() {
        assert_eq!(parameters.position(&parameter.name), Some(position), "names are sorted and differ");
        let schema = &parameter.schema;
        if let Some(default) = &parameter.default {
            assert!(schema.accepts(default).is_ok(), "{}: its default {default} is refused", parameter.name);
        }
        let _ = schema.describe();
        for value in &values {
            let accepted = schema.accepts(value).is_ok();
            assert!(!accepted || schema.allowed.is_empty() || !value.is_null(), "{}: null is no value", parameter.name);
            // A value that is read out of text is one, and is written as it was read.
            if let Some(text) = value.as_str()
                && let Some(read) = schema.value_of_text(text)
            {
                assert!(schema.accepts(&read).is_ok(), "{}: {text:?} is read as {read}", parameter.name);
                assert_eq!(text_of_value(&read).as_deref(), Some(text), "{}", parameter.name);
            }
        }
    }
}
