//! Holds answers against `openapi.json`: the part of JSON Schema that the description uses.

use serde_json::Value;

use super::super::openapi::OPENAPI;
use super::Answer;

/// The answer is what the description says for its status, with nothing more and nothing less.
pub(super) fn assert_fits(path: &str, method: &str, answer: &Answer) {
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let responses = &document["paths"][path][method]["responses"];
    assert!(responses.is_object(), "{method} {path} is not described");
    let described = responses.get(answer.status.to_string()).unwrap_or(&responses["default"]);
    let schema = &described["content"][answer.media.as_str()]["schema"];
    assert!(schema.is_object(), "{method} {path} {}: {} is not described", answer.status, answer.media);
    if let Err(reason) = check(&document, schema, &answer.json(), "answer") {
        panic!("{method} {path} {}: {reason}: {}", answer.status, answer.text);
    }
}

fn check(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(name) = schema["$ref"].as_str() {
        return check(document, document.pointer(name.trim_start_matches('#')).unwrap(), value, at);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let failures: Vec<String> = any.iter().filter_map(|one| check(document, one, value, at).err()).collect();
        return if failures.len() < any.len() { Ok(()) } else { Err(failures.join(" and ")) };
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => return Err(format!("{at} has no type in the description")),
    };
    if !types.contains(&type_of(value)) {
        return Err(format!("{at} is {} instead of {types:?}", type_of(value)));
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        return Err(format!("{at} is {value}, which is not in the enum"));
    }
    if let (Some(items), Some(_)) = (value.as_array(), schema.get("items")) {
        for (place, item) in items.iter().enumerate() {
            check(document, &schema["items"], item, &format!("{at}[{place}]"))?;
        }
    }
    match (value.as_object(), schema["properties"].as_object()) {
        (Some(object), Some(properties)) => {
            for (key, inner) in object {
                let known = properties.get(key).ok_or_else(|| format!("{at}.{key} is not described"))?;
                check(document, known, inner, &format!("{at}.{key}"))?;
            }
            let mut required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            match required.find(|key| !object.contains_key(*key)) {
                Some(missing) => Err(format!("{at}.{missing} is missing")),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
