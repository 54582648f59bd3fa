//! The RPCs: one file each. Decode, domain, store, outbox, encode; no SQL. Who may call was decided before, by the one
//! layer of libs/access.

mod ban_contact;
mod count;
mod create_contact;
mod create_import;
mod create_label;
mod create_webhook_endpoint;
mod cursor;
mod delete_contact_picture;
mod delete_label;
mod delete_message;
mod delete_webhook_endpoint;
mod edit_message;
mod fence;
mod finish_import;
mod get_contact;
mod get_contact_picture;
mod get_conversation;
mod get_import;
mod get_message;
mod get_satisfaction;
mod get_spam_settings;
mod get_webhook_endpoint;
mod hold;
mod hydrate_messages;
mod lift_restriction;
mod list_consents;
mod list_contacts;
mod list_conversations;
mod list_imports;
mod list_labels;
mod list_messages;
mod list_ratings;
mod list_refused_rows;
mod list_webhook_deliveries;
mod list_webhook_endpoints;
mod look_up_contacts;
mod mark_read;
mod mark_spam;
mod merge_contacts;
mod open_conversation;
mod opt_in_contact;
mod opt_out_contact;
mod purge;
mod put_contact_picture;
mod put_import_chunk;
mod rate_conversation;
mod read_for_index;
mod receive_message;
mod record_consent;
mod record_delivery;
mod record_read_receipt;
mod release;
mod replay_webhook_delivery;
mod restrict_contact;
mod rotate_webhook_secret;
mod send_message;
mod test_webhook_endpoint;
mod unban_contact;
mod unmark_spam;
mod update_contact;
mod update_conversation;
mod update_label;
mod update_spam_settings;
mod update_webhook_endpoint;
mod verify_absent;

use std::sync::Arc;

use lethe_proto::{
    erasure::{self, hold_service_server::HoldService, participant_service_server::ParticipantService},
    messaging::{
        self as proto, contact_service_server::ContactService,
        conversation_service_server::ConversationService, import_service_server::ImportService,
        label_service_server::LabelService, message_service_server::MessageService,
        webhook_service_server::WebhookService,
    },
};
use tonic::{Request, Response, Status};

use crate::state::State;

pub(crate) use mark_spam::set as mark_detected;
pub(crate) use open_conversation::changed_by as conversation_changed;

/// All services of messaging.
#[derive(Clone)]
pub(crate) struct Api(pub(crate) Arc<State>);

/// A generated trait, each method by the function of its file.
macro_rules! serve {
    ($service:ident { $($name:ident($request:ty) -> $response:ty;)* }) => {
        #[tonic::async_trait]
        impl $service for Api {
            $(async fn $name(&self, request: Request<$request>) -> Result<Response<$response>, Status> {
                Ok(Response::new($name::$name(&self.0, request).await?))
            })*
        }
    };
}

serve!(ContactService {
    create_contact(proto::CreateContactRequest) -> proto::Contact;
    get_contact(proto::GetContactRequest) -> proto::Contact;
    look_up_contacts(proto::LookUpContactsRequest) -> proto::LookUpContactsResponse;
    list_contacts(proto::ListContactsRequest) -> proto::ListContactsResponse;
    update_contact(proto::UpdateContactRequest) -> proto::Contact;
    merge_contacts(proto::MergeContactsRequest) -> proto::Contact;
    restrict_contact(proto::RestrictContactRequest) -> proto::Contact;
    lift_restriction(proto::LiftRestrictionRequest) -> proto::Contact;
    record_consent(proto::RecordConsentRequest) -> proto::Consent;
    list_consents(proto::ListConsentsRequest) -> proto::ListConsentsResponse;
    opt_out_contact(proto::OptOutContactRequest) -> proto::Contact;
    opt_in_contact(proto::OptInContactRequest) -> proto::Contact;
    ban_contact(proto::BanContactRequest) -> proto::Contact;
    unban_contact(proto::UnbanContactRequest) -> proto::Contact;
    put_contact_picture(proto::PutContactPictureRequest) -> proto::Contact;
    get_contact_picture(proto::GetContactPictureRequest) -> proto::ContactPicture;
    delete_contact_picture(proto::DeleteContactPictureRequest) -> proto::Contact;
});

serve!(LabelService {
    create_label(proto::CreateLabelRequest) -> proto::Label;
    list_labels(proto::ListLabelsRequest) -> proto::ListLabelsResponse;
    update_label(proto::UpdateLabelRequest) -> proto::Label;
    delete_label(proto::DeleteLabelRequest) -> proto::DeleteLabelResponse;
});

serve!(ConversationService {
    open_conversation(proto::OpenConversationRequest) -> proto::Conversation;
    get_conversation(proto::GetConversationRequest) -> proto::Conversation;
    list_conversations(proto::ListConversationsRequest) -> proto::ListConversationsResponse;
    update_conversation(proto::UpdateConversationRequest) -> proto::Conversation;
    mark_spam(proto::MarkSpamRequest) -> proto::Conversation;
    unmark_spam(proto::UnmarkSpamRequest) -> proto::Conversation;
    get_spam_settings(proto::GetSpamSettingsRequest) -> proto::SpamSettings;
    update_spam_settings(proto::UpdateSpamSettingsRequest) -> proto::SpamSettings;
    mark_read(proto::MarkReadRequest) -> proto::Conversation;
    record_read_receipt(proto::RecordReadReceiptRequest) -> proto::Conversation;
    rate_conversation(proto::RateConversationRequest) -> proto::Rating;
    list_ratings(proto::ListRatingsRequest) -> proto::ListRatingsResponse;
    get_satisfaction(proto::GetSatisfactionRequest) -> proto::Satisfaction;
});

serve!(MessageService {
    send_message(proto::SendMessageRequest) -> proto::AcceptedMessage;
    receive_message(proto::ReceiveMessageRequest) -> proto::AcceptedMessage;
    get_message(proto::GetMessageRequest) -> proto::Message;
    list_messages(proto::ListMessagesRequest) -> proto::ListMessagesResponse;
    edit_message(proto::EditMessageRequest) -> proto::Message;
    delete_message(proto::DeleteMessageRequest) -> proto::Message;
    record_delivery(proto::RecordDeliveryRequest) -> proto::Message;
    hydrate_messages(proto::HydrateMessagesRequest) -> proto::HydrateMessagesResponse;
    read_for_index(proto::ReadForIndexRequest) -> proto::ReadForIndexResponse;
});

serve!(HoldService {
    hold(erasure::HoldRequest) -> erasure::HoldResponse;
    release(erasure::ReleaseRequest) -> erasure::ReleaseResponse;
});

serve!(WebhookService {
    create_webhook_endpoint(proto::CreateWebhookEndpointRequest) -> proto::WebhookEndpointWithSecret;
    get_webhook_endpoint(proto::GetWebhookEndpointRequest) -> proto::WebhookEndpoint;
    list_webhook_endpoints(proto::ListWebhookEndpointsRequest) -> proto::ListWebhookEndpointsResponse;
    update_webhook_endpoint(proto::UpdateWebhookEndpointRequest) -> proto::WebhookEndpoint;
    delete_webhook_endpoint(proto::DeleteWebhookEndpointRequest) -> proto::DeleteWebhookEndpointResponse;
    rotate_webhook_secret(proto::RotateWebhookSecretRequest) -> proto::WebhookEndpointWithSecret;
    test_webhook_endpoint(proto::TestWebhookEndpointRequest) -> proto::WebhookDelivery;
    list_webhook_deliveries(proto::ListWebhookDeliveriesRequest) -> proto::ListWebhookDeliveriesResponse;
    replay_webhook_delivery(proto::ReplayWebhookDeliveryRequest) -> proto::WebhookDelivery;
});

serve!(ImportService {
    create_import(proto::CreateImportRequest) -> proto::Import;
    get_import(proto::GetImportRequest) -> proto::Import;
    list_imports(proto::ListImportsRequest) -> proto::ListImportsResponse;
    put_import_chunk(proto::PutImportChunkRequest) -> proto::ImportChunk;
    list_refused_rows(proto::ListRefusedRowsRequest) -> proto::ListRefusedRowsResponse;
    finish_import(proto::FinishImportRequest) -> proto::Import;
});

serve!(ParticipantService {
    count(erasure::CountRequest) -> erasure::CountResponse;
    fence(erasure::FenceRequest) -> erasure::FenceResponse;
    purge(erasure::PurgeRequest) -> erasure::PurgeResponse;
    verify_absent(erasure::VerifyAbsentRequest) -> erasure::VerifyAbsentResponse;
});
