//! `/api/openapi.json`: [`ROUTES`] with the shapes of shapes.txt, as OpenAPI 3.1.

use super::{ROUTES, Route, Takes};
use crate::config::keys::KEYS;
use crate::http::auth::access::Access;
use serde_json::{Map, Value, json};

const SHAPES: &str = include_str!("shapes.txt");
/// The content type of text for users.
pub const TEXT: &str = "text/plain";

/// The document. `cookie` is the name of the session cookie.
pub fn document(cookie: &str) -> Value {
    let mut paths = json!({});
    for route in ROUTES {
        // The path / is the page, the stream or the snapshot, depending on its action.
        let is_same = |other: &&Route| (other.path, other.method) == (route.path, route.method);
        let same: Vec<&Route> = ROUTES.iter().filter(is_same).collect();
        paths[route.path][route.method.as_str().to_lowercase()] = operation(&same);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "namecam",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
            "description": "docs/API.md says what each field means, and what may change. Fields may be added. Without a password file, \
                            nobody needs a credential. GET stands for HEAD too.",
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": shapes(),
            "securitySchemes": {
                "session": { "type": "apiKey", "in": "cookie", "name": cookie },
                "token": { "type": "http", "scheme": "bearer" },
                "password": { "type": "http", "scheme": "basic" },
                "token_in_address": { "type": "apiKey", "in": "query", "name": "token", "description": "a viewer's alone" },
            },
        },
    })
}

/// The operation of the routes with the same path and method.
fn operation(routes: &[&Route]) -> Value {
    let first = routes[0];
    let words = first.path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let id = [&*first.method.as_str().to_lowercase()].into_iter().chain(words).collect::<Vec<_>>().join("_");
    let help: Vec<&str> = routes.iter().map(|route| route.help).collect();
    let mut responses = json!({});
    for (status, what) in routes.iter().flat_map(|route| route.gives.iter().copied().chain(refusals(route))) {
        let response = &mut responses[status.to_string()];
        response["description"] = meaning(status).into();
        match what {
            "" => {}
            TEXT => response["content"][TEXT] = json!({ "schema": { "type": "string" } }),
            kind if kind.contains('/') => response["content"][kind] = json!({}),
            shape => response["content"]["application/json"] = json!({ "schema": schema(shape) }),
        }
    }
    let mut operation = json!({
        "operationId": id,
        "summary": help.join("; or "),
        "parameters": parameters(routes),
        "responses": responses,
        "security": security(first.access),
    });
    match first.takes {
        Takes::Nothing => {}
        Takes::Picture => {
            let binary = json!({ "image/jpeg": {}, "image/png": {} });
            operation["requestBody"] = json!({ "required": true, "content": binary });
        }
        Takes::Json(shape) | Takes::Form(shape) => {
            let kind = first.takes.content_type().unwrap_or_default();
            operation["requestBody"] = json!({ "required": true, "content": { kind: { "schema": schema(shape) } } });
        }
    }
    operation
}

/// The parameters in the path and the query.
fn parameters(routes: &[&Route]) -> Vec<Value> {
    let mut parameters: Vec<Value> = Vec::new();
    if let Some((_, rest)) = routes[0].path.split_once('{') {
        let name = rest.trim_end_matches('}');
        let kind = if name == "track" { "integer 0..18446744073709551615" } else { "string" };
        parameters.push(json!({ "name": name, "in": "path", "required": true, "schema": schema(kind) }));
    }
    let actions: Vec<&str> = routes.iter().filter_map(|route| route.action).collect();
    if !actions.is_empty() {
        let schema = json!({ "enum": actions });
        parameters.push(json!({ "name": "action", "in": "query", "required": false, "schema": schema }));
    }
    for field in routes.iter().flat_map(|route| route.query) {
        let (name, is_required, schema) = parsed(field);
        if !parameters.iter().any(|known| known["name"] == name) {
            parameters.push(json!({ "name": name, "in": "query", "required": is_required, "schema": schema }));
        }
    }
    parameters
}

/// The refusals that every such route may give.
fn refusals(route: &Route) -> Vec<(u16, &'static str)> {
    let mut all = vec![(421, TEXT)];
    if route.access != Access::Open {
        all.extend([(401, TEXT), (403, TEXT), (429, TEXT), (503, TEXT)]);
    }
    match (route.method.changes(), route.access == Access::Open) {
        (true, _) => all.push((403, TEXT)),
        (false, false) => all.push((303, TEXT)),
        (false, true) => {}
    }
    if route.takes != Takes::Nothing {
        all.extend([400, 408, 411, 413, 415].map(|status| (status, TEXT)));
    }
    all
}

fn meaning(status: u16) -> &'static str {
    match status {
        200 => "done",
        303 => "a browser is sent to another page, mostly to log in",
        400 => "a value or the body is not what is taken here",
        401 => "a credential is needed, or is wrong",
        403 => "this is for an admin, or a change comes from a page elsewhere",
        404 => "there is no such thing",
        408 => "the body was late",
        409 => "it cannot be done as things are",
        411 => "the body has no length",
        413 => "the body is too large",
        415 => "the body is of another type",
        421 => "the Host header names another machine",
        422 => "the picture or the mode is no good",
        429 => "too many wrong passwords from this address, or too many of its passwords wait for a check",
        500 => "the file system refuses",
        503 => "no place is free, or what is asked is not there; Retry-After where waiting helps",
        504 => "the camera has not answered in time",
        _ => "docs/API.md says when",
    }
}

/// The credentials, of which one is needed, with the role.
fn security(access: Access) -> Value {
    let role = if access == Access::Admin { "admin" } else { "viewer" };
    match access {
        Access::Open => json!([]),
        Access::Picture => {
            json!([{ "session": [role] }, { "token": [role] }, { "password": [role] }, { "token_in_address": [role] }])
        }
        Access::Viewer | Access::Admin => json!([{ "session": [role] }, { "token": [role] }, { "password": [role] }]),
    }
}

/// The schemas of shapes.txt by name.
fn shapes() -> Map<String, Value> {
    let (mut shapes, mut shape) = (Map::new(), "");
    for line in SHAPES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let Some(field) = line.strip_prefix("  ") else {
            if let Some((name, kind)) = line.split_once(" = ") {
                shapes.insert(name.to_owned(), schema(kind));
                continue;
            }
            let mut object = json!({ "type": "object", "properties": {}, "required": [] });
            shape = line.trim_end_matches('!');
            if line.ends_with('!') {
                object["additionalProperties"] = false.into();
            }
            shapes.insert(shape.to_owned(), object);
            continue;
        };
        if let Some(base) = field.strip_prefix("...") {
            let base = shapes.get(base).cloned().unwrap_or_default();
            shapes.insert(shape.to_owned(), base);
            continue;
        }
        let (name, is_required, schema) = parsed(field);
        if let Some(shape) = shapes.get_mut(shape) {
            shape["properties"][name] = schema;
            if let Some(required) = shape["required"].as_array_mut().filter(|_| is_required) {
                required.push(name.into());
            }
        }
    }
    shapes.insert("SettingsChange".to_owned(), settings_change());
    shapes
}

/// The body of POST `/api/settings`: the keys that the settings file may hold.
fn settings_change() -> Value {
    let keys = || KEYS.iter().filter(|key| key.in_settings);
    let value = |key: &crate::config::keys::Key| {
        let what = format!("{} ({})", key.help, key.kind.allowed());
        (key.path(), json!({ "type": "string", "description": what }))
    };
    json!({
        "type": "object",
        "properties": {
            "set": { "type": "object", "properties": keys().map(value).collect::<Map<_, _>>(), "additionalProperties": false },
            "unset": { "type": "array", "items": { "enum": keys().map(|key| key.path()).collect::<Vec<_>>() } },
        },
        "additionalProperties": false,
        "anyOf": [
            { "properties": { "set": { "minProperties": 1 } }, "required": ["set"] },
            { "properties": { "unset": { "minItems": 1 } }, "required": ["unset"] },
        ],
    })
}

/// A field, `name: type` or `name?: type`: its name, whether it is required, its schema.
fn parsed(field: &str) -> (&str, bool, Value) {
    let (name, kind) = field.split_once(": ").unwrap_or((field, "string"));
    (name.trim_end_matches('?'), !name.ends_with('?'), schema(kind))
}

/// The schema of a type in the notation of shapes.txt.
fn schema(kind: &str) -> Value {
    let mut all: Vec<Value> = kind.split(" | ").map(schema_of_one).collect();
    let is_value = |one: &Value| one.get("const").is_some() || one["type"] == "null";
    let is_plain = |one: &Value| one.get("type").is_some() && one.as_object().is_some_and(|one| one.len() == 1);
    if all.len() == 1 {
        all.remove(0)
    } else if all.iter().all(is_value) {
        json!({ "enum": all.iter().map(|one| &one["const"]).collect::<Vec<_>>() })
    } else if all.iter().all(is_plain) {
        json!({ "type": all.iter().map(|one| &one["type"]).collect::<Vec<_>>() })
    } else {
        json!({ "anyOf": all })
    }
}

fn schema_of_one(kind: &str) -> Value {
    if let Some((item, count)) = kind.strip_suffix(']').and_then(|kind| kind.rsplit_once('[')) {
        let list = json!({ "type": "array", "items": schema_of_one(item) });
        return match count.parse::<u64>() {
            Ok(count) => json!({ "type": "array", "items": list["items"], "minItems": count, "maxItems": count }),
            Err(_) => list,
        };
    }
    if let Some(of) = kind.strip_prefix('{').and_then(|kind| kind.strip_suffix('}')) {
        return json!({ "type": "object", "additionalProperties": schema_of_one(of) });
    }
    if kind.starts_with('"') {
        return json!({ "const": kind.trim_matches('"') });
    }
    if let Ok(number) = kind.parse::<u64>() {
        return json!({ "const": number });
    }
    if kind.starts_with(|c: char| c.is_ascii_uppercase()) {
        return json!({ "$ref": format!("#/components/schemas/{kind}") });
    }
    let Some((name, range)) = kind.split_once(' ') else { return json!({ "type": kind }) };
    let (least, most) = range.split_once("..").unwrap_or_default();
    let [least, most] = [least, most].map(|bound| bound.parse::<u64>().unwrap_or_default());
    let [from, to] = if name == "string" { ["minLength", "maxLength"] } else { ["minimum", "maximum"] };
    json!({ "type": name, from: least, to: most })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_route_is_in_the_document_with_its_parameters_body_and_responses() {
        let document = document("namecam_5000");
        for route in ROUTES {
            let operation = &document["paths"][route.path][route.method.as_str().to_lowercase()];
            let told = format!("{} {}: {operation}", route.method.as_str(), route.path);
            assert!(!route.gives.is_empty() && operation["summary"].as_str().unwrap().contains(route.help), "{told}");
            for (status, _) in route.gives {
                assert!(operation["responses"][status.to_string()]["description"].is_string(), "{status}: {told}");
            }
            let parameters = operation["parameters"].as_array().unwrap();
            let named = |name: &str| parameters.iter().any(|parameter| parameter["name"] == name);
            assert_eq!(
                parameters.iter().any(|parameter| parameter["in"] == "path"),
                route.path.contains('{'),
                "{told}"
            );
            assert!(route.action.is_none() || named("action"), "{told}");
            // The parameters in the help of the route are in the document.
            let in_help = route.help.split(['?', '&']).skip(1).filter_map(|part| part.split_once('='));
            for (name, _) in in_help.filter(|(name, _)| name.bytes().all(|byte| byte.is_ascii_lowercase())) {
                assert!(named(name), "{name} of {told}");
            }
            let body = &operation["requestBody"]["content"];
            assert_eq!(body.as_object().is_some(), route.takes != Takes::Nothing, "{told}");
            assert!(route.takes.content_type().is_none_or(|kind| body.get(kind).is_some()), "{told}");
            let roles: BTreeSet<&str> = operation["security"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["token"][0].as_str().unwrap_or(""))
                .collect();
            let role = match route.access {
                Access::Open => None,
                Access::Admin => Some("admin"),
                Access::Viewer | Access::Picture => Some("viewer"),
            };
            assert_eq!(roles.iter().copied().find(|role| !role.is_empty()), role, "{told}");
        }
        let ids: Vec<&Value> = document["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|path| path.as_object().unwrap().values())
            .map(|operation| &operation["operationId"])
            .collect();
        assert_eq!(ids.iter().map(|id| id.as_str().unwrap()).collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    }

    #[test]
    fn every_referenced_shape_exists_and_every_shape_is_used() {
        let document = document("namecam_5000").to_string();
        let named: BTreeSet<&str> =
            document.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        // No schema refers to the shapes of events, because a schema cannot state which event occurs when.
        let all = shapes();
        let all: BTreeSet<&str> = all.keys().map(String::as_str).filter(|name| !name.starts_with("Event")).collect();
        assert_eq!(named, all);
    }

    #[test]
    fn a_type_is_written_in_few_words() {
        for (kind, expected) in [
            ("string", json!({ "type": "string" })),
            ("string | null", json!({ "type": ["string", "null"] })),
            ("\"a\" | \"b\" | null", json!({ "enum": ["a", "b", null] })),
            ("0 | 1", json!({ "enum": [0, 1] })),
            ("Face | null", json!({ "anyOf": [{ "$ref": "#/components/schemas/Face" }, { "type": "null" }] })),
            ("{integer}", json!({ "type": "object", "additionalProperties": { "type": "integer" } })),
            ("integer 64..8192", json!({ "type": "integer", "minimum": 64, "maximum": 8192 })),
            ("string 1..32", json!({ "type": "string", "minLength": 1, "maxLength": 32 })),
            (
                "number[4][]",
                json!({ "type": "array", "items": { "type": "array", "items": { "type": "number" }, "minItems": 4, "maxItems": 4 } }),
            ),
        ] {
            assert_eq!(schema(kind), expected, "{kind}");
        }
        assert_eq!(parsed("width?: integer"), ("width", false, json!({ "type": "integer" })));
    }
}
