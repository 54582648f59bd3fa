//! What the gateway knows of each route, taken from the document, where the routes say it themselves: which RPC stands behind it,
//! and what keeps a change that was signed from being done twice.

use std::collections::HashMap;

use http::Method;
use lethe_proto::{METHODS, MethodAccess};
use utoipa::openapi::{
    OpenApi,
    path::{Operation, PathItem},
};

/// What a signature may be sent again for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// It only reads: as often as one likes, inside the signature's minute.
    Reads,
    /// The service answers the same resource, by the row that it keeps of the idempotency key.
    IdempotencyRow,
    /// The version that it names is not the current one any more.
    Version,
    /// Nothing of the kind: identity takes the signature, once.
    Signature,
}

/// A route.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    /// Its RPC.
    pub(crate) rpc: &'static MethodAccess,
    /// What a signature may be sent again for.
    pub(crate) again: Again,
}

/// All routes that stand for an RPC, by method and template.
#[derive(Debug, Default)]
pub(crate) struct Routes(HashMap<String, Vec<(Method, Route)>>);

impl Routes {
    /// Those of the document.
    pub(crate) fn of(document: &OpenApi) -> Self {
        let routes = document.paths.paths.iter().map(|(path, item)| {
            let routes = operations(item).filter_map(|(method, operation)| {
                let rpc = rpc(operation)?;
                Some((method.clone(), Route { rpc, again: again(&method, operation) }))
            });
            (path.clone(), routes.collect())
        });
        Self(routes.collect())
    }

    /// The route of a request. A HEAD is its GET.
    pub(crate) fn get(&self, method: &Method, template: &str) -> Option<Route> {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        self.0.get(template)?.iter().find(|(of, _)| of == method).map(|(_, route)| *route)
    }
}

fn operations(item: &PathItem) -> impl Iterator<Item = (Method, &Operation)> {
    [
        (Method::GET, &item.get),
        (Method::PUT, &item.put),
        (Method::POST, &item.post),
        (Method::PATCH, &item.patch),
        (Method::DELETE, &item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

/// The RPC that an operation stands for.
pub(crate) fn rpc(operation: &Operation) -> Option<&'static MethodAccess> {
    let name = operation.extensions.as_ref()?.get("x-lethe-rpc")?.as_str()?;
    METHODS.iter().find(|method| method.rpc == name)
}

fn again(method: &Method, operation: &Operation) -> Again {
    let says = |name| operation.extensions.as_ref().is_some_and(|of| of.contains_key(name));
    let takes = |name: &str| {
        operation.parameters.iter().flatten().any(|parameter| match parameter {
            utoipa::openapi::RefOr::T(parameter) => parameter.name == name,
            utoipa::openapi::RefOr::Ref(_) => false,
        })
    };
    if method.is_safe() || says("x-lethe-reads") {
        Again::Reads
    } else if takes("Idempotency-Key") {
        Again::IdempotencyRow
    } else if takes("If-Match") {
        Again::Version
    } else {
        Again::Signature
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_change_is_kept_from_being_done_twice() {
        let routes = Routes::of(&crate::api::document());
        let again = |method, path: &str| routes.get(&method, path).expect("a route").again;
        assert_eq!(again(Method::GET, "/v1/contacts"), Again::Reads);
        assert_eq!(again(Method::HEAD, "/v1/contacts/{contact_id}"), Again::Reads);
        assert_eq!(again(Method::POST, "/v1/contacts/look-up"), Again::Reads);
        assert_eq!(again(Method::POST, "/v1/search/messages"), Again::Reads);
        assert_eq!(again(Method::POST, "/v1/contacts"), Again::IdempotencyRow);
        assert_eq!(again(Method::PATCH, "/v1/contacts/{contact_id}"), Again::Version);
        for (method, path) in [
            (Method::PUT, "/v1/contacts/{contact_id}/opt-out"),
            (Method::DELETE, "/v1/contacts/{contact_id}/opt-out"),
            (Method::DELETE, "/v1/members/{member_id}/roles/{role}"),
            (Method::POST, "/v1/erasures/{erasure_id}/cancel"),
            (Method::DELETE, "/v1/messages/{message_id}"),
        ] {
            assert_eq!(again(method, path), Again::Signature, "{path}");
        }
        assert!(routes.get(&Method::GET, "/livez").is_none());
    }

    #[test]
    fn only_what_changes_nothing_says_that_it_reads() {
        let reading = ["LookUpContacts", "SearchMessages"];
        for (path, routes) in &Routes::of(&crate::api::document()).0 {
            for (method, route) in routes {
                if !method.is_safe() && route.again == Again::Reads {
                    assert!(reading.contains(&route.rpc.rpc), "{method} {path}");
                }
            }
        }
    }
}
