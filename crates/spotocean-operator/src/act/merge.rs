//! The JSON merge patch (RFC 7386) that turns one value into another.
//!
//! A status is written as a patch because RBAC grants `patch` alone; a field that is no longer there has to
//! be named with `null`, or it would stay.

use serde_json::{Map, Value};

/// The patch from `from` to `to`. Objects are compared field by field, everything else is replaced whole.
pub fn difference(from: &Value, to: &Value) -> Value {
    match (from, to) {
        (Value::Object(from), Value::Object(to)) => Value::Object(fields(from, to)),
        _ => to.clone(),
    }
}

fn fields(from: &Map<String, Value>, to: &Map<String, Value>) -> Map<String, Value> {
    let removed = from
        .keys()
        .filter(|key| !to.contains_key(*key))
        .map(|key| (key.clone(), Value::Null));
    let set = to.iter().filter_map(|(key, value)| match from.get(key) {
        Some(before) if before == value => None,
        Some(before) => Some((key.clone(), difference(before, value))),
        None => Some((key.clone(), value.clone())),
    });
    removed.chain(set).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_names_what_changed_and_nulls_what_went() {
        let rows = [
            (json!({}), json!({"a": 1}), json!({"a": 1})),
            (json!({"a": 1}), json!({"a": 1}), json!({})),
            (
                json!({"a": 1, "b": 2}),
                json!({"a": 3}),
                json!({"b": null, "a": 3}),
            ),
            (
                json!({"map": {"x": 1, "y": 2}, "list": [1, 2]}),
                json!({"map": {"x": 1}, "list": [2]}),
                json!({"map": {"y": null}, "list": [2]}),
            ),
            (Value::Null, json!({"a": {"b": 1}}), json!({"a": {"b": 1}})),
        ];
        for (from, to, expected) in rows {
            assert_eq!(difference(&from, &to), expected, "{from} to {to}");
        }
    }
}
