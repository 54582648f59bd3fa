//! Links (OpenAPI 3.1, 4.8.20): what was created leads to every operation that takes its id, so that a client, and a tool
//! that tries the interface out, finds the way.

use std::collections::BTreeMap;

use utoipa::openapi::{
    OpenApi, Ref, RefOr, Schema,
    link::{Link, LinkBuilder},
    path::{Operation, ParameterIn},
};

use super::{operations, schema_of};

type Schemas = BTreeMap<String, RefOr<Schema>>;

/// Adds them to each answer of 201.
pub(super) fn add(document: &mut OpenApi) {
    let mut takers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            if let (Some(id), Some(name)) = (only_path_parameter(operation), &operation.operation_id) {
                takers.entry(id).or_default().push(name.clone());
            }
        }
    }
    let schemas = document.components.as_ref().map(|components| &components.schemas);
    let Some(schemas) = schemas else { return };
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            let Some(RefOr::T(created)) = operation.responses.responses.get_mut("201") else { continue };
            let Some(name) = schema_of(created) else { continue };
            for (id, pointer) in ids(schemas, &name) {
                for taker in takers.get(&id).into_iter().flatten() {
                    created.links.insert(taker.clone(), RefOr::T(link(taker, &id, &pointer)));
                }
            }
        }
    }
}

fn link(operation: &str, id: &str, pointer: &str) -> Link {
    LinkBuilder::new().operation_id(operation).parameter(id, format!("$response.body#{pointer}")).build()
}

fn only_path_parameter(operation: &Operation) -> Option<String> {
    let mut names = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Path => Some(parameter.name.clone()),
        _ => None,
    });
    let first = names.next();
    if names.next().is_some() { None } else { first }
}

/// Each id in an answer, with its JSON pointer (RFC 6901): its own ones, or those of the thing it wraps.
fn ids(schemas: &Schemas, name: &str) -> Vec<(String, String)> {
    let Some(RefOr::T(Schema::Object(object))) = schemas.get(name) else { return Vec::new() };
    let own = object.properties.keys().map(|field| (field.clone(), format!("/{field}")));
    let wrapped = object.properties.iter().filter_map(|(field, schema)| match schema {
        RefOr::Ref(reference) => Some((field, referred(reference))),
        RefOr::T(_) => None,
    });
    let inner = wrapped.flat_map(|(field, wrapped)| match schemas.get(wrapped) {
        Some(RefOr::T(Schema::Object(object))) => {
            object.properties.keys().map(|inner| (inner.clone(), format!("/{field}/{inner}"))).collect()
        }
        _ => Vec::new(),
    });
    own.chain(inner).filter(|(field, _)| field.ends_with("_id")).collect()
}

/// The name of the schema that a reference leads to.
fn referred(reference: &Ref) -> &str {
    reference.ref_location.rsplit('/').next().unwrap_or_default()
}
