//! The routes. One file a resource; each route names the RPC that it stands for (`x-lethe-rpc`), and a test fails on an
//! RPC that has neither a route nor the mark `internal`. A handler reads strictly, calls its service, and renders.

#![allow(unused_qualifications, reason = "in what utoipa's macros write")]

mod account;
mod api_keys;
mod api_requests;
mod audit_events;
mod certificate;
mod consents;
mod contact_pictures;
mod contacts;
mod conversations;
mod erasures;
mod health;
mod holds;
mod imports;
mod labels;
mod log_in_records;
mod member_erasure;
mod member_requests;
mod members;
mod merge;
mod messages;
mod operator_access;
mod opt_out;
mod own_data;
mod page;
mod photo;
mod ratings;
mod receipts;
mod restriction;
mod roles;
mod search;
mod sessions;
mod spam;
mod teams;
mod tenant;
mod webhook_deliveries;
mod webhook_endpoints;

pub(crate) use imports::ImportRow;

use axum::{Router, extract::FromRequestParts, middleware::from_fn_with_state};
use http::{StatusCode, request::Parts};
use lethe_service::CallContext;
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    App, docs,
    edge::{
        self,
        address::{Client, Peer},
    },
    problem::Problem,
    session,
};

/// What members do: behind the authentication.
fn members_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(sessions::list_sessions))
        .routes(routes!(sessions::log_out))
        .routes(routes!(sessions::revoke_session))
        .routes(routes!(account::get_self, account::update_self))
        .routes(routes!(own_data::get_own_data))
        .routes(routes!(member_requests::make_own_request, member_requests::list_own_requests))
        .routes(routes!(account::change_password))
        .routes(routes!(log_in_records::list_log_in_records))
        .routes(routes!(tenant::get_tenant, tenant::update_tenant))
        .routes(routes!(tenant::set_plan))
        .routes(routes!(members::list_members, members::create_member))
        .routes(routes!(members::get_member, members::update_member))
        .routes(routes!(members::deactivate_member))
        .routes(routes!(members::reset_password))
        .routes(routes!(roles::grant_role, roles::revoke_role))
        .routes(routes!(member_erasure::erase_member))
        .routes(routes!(member_erasure::get_member_erasure))
        .routes(routes!(member_requests::list_member_requests))
        .routes(routes!(member_requests::close_member_request))
        .routes(routes!(photo::set_photo, photo::get_photo, photo::delete_photo))
        .routes(routes!(teams::list_teams, teams::create_team))
        .routes(routes!(teams::get_team, teams::update_team, teams::delete_team))
        .routes(routes!(teams::add_team_member, teams::remove_team_member))
        .routes(routes!(operator_access::list_operator_access, operator_access::grant_operator_access))
        .routes(routes!(operator_access::approve_operator_access))
        .routes(routes!(operator_access::deny_operator_access))
        .routes(routes!(operator_access::revoke_operator_access))
        .routes(routes!(audit_events::list_audit_events))
        .routes(routes!(api_keys::list_api_keys, api_keys::create_api_key))
        .routes(routes!(api_keys::revoke_api_key))
        .routes(routes!(api_requests::list_api_requests))
        .routes(routes!(contacts::create_contact, contacts::list_contacts))
        .routes(routes!(contacts::get_contact, contacts::update_contact))
        .routes(routes!(contacts::look_up_contacts))
        .routes(routes!(
            contact_pictures::put_contact_picture,
            contact_pictures::get_contact_picture,
            contact_pictures::delete_contact_picture
        ))
        .routes(routes!(spam::ban_contact, spam::unban_contact))
        .routes(routes!(spam::mark_spam, spam::unmark_spam))
        .routes(routes!(spam::get_spam_settings, spam::update_spam_settings))
        .routes(routes!(receipts::mark_read))
        .routes(routes!(receipts::record_read_receipt))
        .routes(routes!(receipts::record_delivery))
        .routes(routes!(ratings::rate_conversation, ratings::list_ratings))
        .routes(routes!(ratings::get_satisfaction))
        .routes(routes!(labels::create_label, labels::list_labels))
        .routes(routes!(labels::update_label, labels::delete_label))
        .routes(routes!(merge::merge_contacts))
        .routes(routes!(imports::create_import, imports::list_imports))
        .routes(routes!(imports::get_import))
        .routes(routes!(imports::put_import_chunk))
        .routes(routes!(imports::list_refused_rows))
        .routes(routes!(imports::finish_import))
        .routes(routes!(restriction::restrict_contact, restriction::lift_restriction))
        .routes(routes!(opt_out::opt_out_contact, opt_out::opt_in_contact))
        .routes(routes!(consents::list_consents, consents::record_consent))
        .routes(routes!(conversations::open_conversation, conversations::list_conversations))
        .routes(routes!(conversations::get_conversation, conversations::update_conversation))
        .routes(routes!(messages::list_messages, messages::send_message))
        .routes(routes!(messages::receive_message))
        .routes(routes!(messages::get_message, messages::edit_message, messages::delete_message))
        .routes(routes!(
            webhook_endpoints::create_webhook_endpoint,
            webhook_endpoints::list_webhook_endpoints
        ))
        .routes(routes!(
            webhook_endpoints::get_webhook_endpoint,
            webhook_endpoints::update_webhook_endpoint,
            webhook_endpoints::delete_webhook_endpoint
        ))
        .routes(routes!(webhook_endpoints::rotate_webhook_secret))
        .routes(routes!(webhook_endpoints::test_webhook_endpoint))
        .routes(routes!(webhook_deliveries::list_webhook_deliveries))
        .routes(routes!(webhook_deliveries::replay_webhook_delivery))
        .routes(routes!(search::search_messages))
        .routes(routes!(erasures::request_erasure, erasures::list_erasures))
        .routes(routes!(erasures::get_erasure))
        .routes(routes!(erasures::confirm_erasure))
        .routes(routes!(erasures::cancel_erasure))
        .routes(routes!(certificate::get_certificate))
        .routes(routes!(holds::place_hold, holds::list_holds))
        .routes(routes!(holds::release_hold))
}

/// What anyone may ask.
fn public_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(sessions::log_in))
        .routes(routes!(certificate::list_certificate_keys))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
}

/// The document of all routes, completed.
pub(crate) fn document() -> OpenApi {
    let (_, members) = members_routes().split_for_parts();
    let (_, public) = public_routes().split_for_parts();
    docs::complete(members, public)
}

/// All routes behind the edge.
pub(crate) fn router(app: App) -> Router {
    let (members, of_members) = members_routes().split_for_parts();
    let (public, of_public) = public_routes().split_for_parts();
    let document = docs::complete(of_members, of_public);
    members
        .route_layer(from_fn_with_state(app.clone(), session::authenticate))
        .merge(public)
        .merge(docs::pages(&document))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(app.clone(), edge::edge))
        .with_state(app)
}

async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "ROUTE_NOT_FOUND", "there is no such path; see /docs")
}

async fn method_not_allowed() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "METHOD_NOT_ALLOWED",
        "the path has other methods; see Allow",
    )
}

/// What a handler of anyone's request has at hand.
struct Anyone {
    app: App,
    context: CallContext,
    client: Client,
    peer: Option<Peer>,
}

impl FromRequestParts<App> for Anyone {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let context = parts.extensions.get::<CallContext>().cloned();
        let client = parts.extensions.get::<Client>().copied();
        match (context, client) {
            (Some(context), Some(client)) => {
                Ok(Self { app: app.clone(), context, client, peer: parts.extensions.get().copied() })
            }
            _ => Err(Problem::internal("the edge is missing")),
        }
    }
}
