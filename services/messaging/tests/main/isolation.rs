//! Tenants never meet: by the RPCs, and by the database itself.

use lethe_proto::messaging::{
    DeleteContactPictureRequest, DeleteLabelRequest, DeleteMessageRequest, EditMessageRequest,
    GetContactPictureRequest, GetContactRequest, GetConversationRequest, GetMessageRequest,
    ListConsentsRequest, ListContactsRequest, ListConversationsRequest, ListMessagesRequest,
    LookUpContactsRequest, OpenConversationRequest, OptOutContactRequest, RestrictContactRequest,
    SendMessageRequest, UpdateContactRequest, UpdateConversationRequest, look_up_contacts_request::By,
};
use lethe_service::Database;
use sqlx::Row;
use tonic::Code;

use crate::{
    details::{self, PNG},
    stage::{Stage, full_profile},
};

#[tokio::test]
async fn a_foreign_tenant_finds_nothing_and_changes_nothing() {
    let stage = Stage::new().await;
    let contact = stage.create(full_profile("a")).await;
    let conversation = stage.open(&contact).await;
    let message = stage.receive(&conversation, "hello").await;
    stage.contacts().put_contact_picture(details::picture(&contact.contact_id, PNG)).await.unwrap();
    let contact = stage.get(&contact.contact_id).await;
    let label = stage.label("VIP").await;
    let them = stage.foreigner();
    let (contact_id, conversation_id, message_id) =
        (contact.contact_id.clone(), conversation.conversation_id.clone(), message.message_id.clone());
    let mut contacts = stage.contacts_as(&them);
    let mut conversations = stage.conversations_as(&them);
    let mut messages = stage.messages_as(&them);

    let get = GetContactRequest { contact_id: contact_id.clone() };
    let update = UpdateContactRequest {
        contact_id: contact_id.clone(),
        name: Some("x".into()),
        ..UpdateContactRequest::default()
    };
    let codes = [
        contacts.get_contact(get).await.map(drop),
        contacts.update_contact(update).await.map(drop),
        contacts
            .restrict_contact(RestrictContactRequest { contact_id: contact_id.clone(), ground: 1 })
            .await
            .map(drop),
        contacts.opt_out_contact(OptOutContactRequest { contact_id: contact_id.clone() }).await.map(drop),
        contacts
            .list_consents(ListConsentsRequest { contact_id: contact_id.clone(), page: None })
            .await
            .map(drop),
        conversations
            .open_conversation(OpenConversationRequest { contact_id, channel: 1, idempotency: None })
            .await
            .map(drop),
        conversations
            .get_conversation(GetConversationRequest { conversation_id: conversation_id.clone() })
            .await
            .map(drop),
        conversations
            .update_conversation(UpdateConversationRequest {
                conversation_id: conversation_id.clone(),
                status: 2,
                ..Default::default()
            })
            .await
            .map(drop),
        messages
            .send_message(SendMessageRequest {
                conversation_id: conversation_id.clone(),
                text: "x".into(),
                idempotency: None,
            })
            .await
            .map(drop),
        messages.list_messages(ListMessagesRequest { conversation_id, page: None }).await.map(drop),
        messages.get_message(GetMessageRequest { message_id: message_id.clone() }).await.map(drop),
        messages
            .edit_message(EditMessageRequest {
                message_id: message_id.clone(),
                text: "x".into(),
                if_version: 0,
            })
            .await
            .map(drop),
        messages.delete_message(DeleteMessageRequest { message_id: message_id.clone() }).await.map(drop),
        contacts.put_contact_picture(details::picture(&contact.contact_id, PNG)).await.map(drop),
        contacts
            .get_contact_picture(GetContactPictureRequest { contact_id: contact.contact_id.clone() })
            .await
            .map(drop),
        contacts
            .delete_contact_picture(DeleteContactPictureRequest { contact_id: contact.contact_id.clone() })
            .await
            .map(drop),
        stage.labels_as(&them).delete_label(DeleteLabelRequest { label_id: label.label_id }).await.map(drop),
    ]
    .map(|answer| answer.unwrap_err().code());
    assert_eq!(codes, [Code::NotFound; 17]);
    let email = LookUpContactsRequest { by: Some(By::Email("maud.a@example.org".into())), page: None };
    assert!(contacts.look_up_contacts(email).await.unwrap().into_inner().contacts.is_empty());
    let listed = contacts.list_contacts(ListContactsRequest { page: None }).await.unwrap().into_inner();
    assert!(listed.contacts.is_empty());
    let all = ListConversationsRequest::default();
    assert!(conversations.list_conversations(all).await.unwrap().into_inner().conversations.is_empty());
    let mine = GetContactRequest { contact_id: contact.contact_id.clone() };
    assert_eq!(stage.contacts().get_contact(mine).await.unwrap().into_inner(), contact);
    let mine = GetMessageRequest { message_id };
    assert_eq!(stage.messages().get_message(mine).await.unwrap().into_inner(), message);
}

#[tokio::test]
async fn every_table_of_tenants_is_under_forced_row_level_security() {
    let stage = Stage::new().await;
    let mut db = stage.superuser().await;
    let tables = sqlx::query(
        "select c.relname::text as name, c.relrowsecurity and c.relforcerowsecurity as forced,
                (select a.attname::text from pg_index i join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
                  where i.indrelid = c.oid and i.indisprimary) as leads
           from pg_class c
          where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace
            and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id')",
    )
    .fetch_all(&mut db)
    .await
    .unwrap();
    assert!(tables.len() >= 12);
    for table in tables {
        let name: String = table.get("name");
        assert!(table.get::<bool, _>("forced"), "{name}");
        let leads: Option<String> = table.get("leads");
        assert!(
            leads.is_none_or(|leads| leads == "tenant_id"),
            "{name}: its key does not begin with the tenant"
        );
    }
}

#[tokio::test]
async fn the_app_role_sees_and_writes_its_tenants_rows_alone() {
    let stage = Stage::new().await;
    let contact = stage.create(full_profile("a")).await;
    stage.receive(&stage.open(&contact).await, "hello").await;
    let db = Database::connect("messaging", &stage.database).await.unwrap();
    let tables =
        ["contacts", "contact_head", "contact_subjects", "conversations", "conversation_units", "messages"];
    let statements = tables.map(|table| format!("select count(*) from {table}"));
    let mut mine = db.tenant(stage.tenant).await.unwrap();
    let mut theirs = db.tenant(stage.world.tenant()).await.unwrap();
    for statement in statements {
        let count = |tx| sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(statement.as_str())).fetch_one(tx);
        assert_eq!(count(&mut *mine).await.unwrap(), 1, "{statement}");
        assert_eq!(count(&mut *theirs).await.unwrap(), 0, "{statement}");
        assert_eq!(
            count(&mut *db.app().acquire().await.unwrap()).await.unwrap(),
            0,
            "{statement} without a tenant"
        );
    }
    let foreign =
        sqlx::query("insert into gone_keys (tenant_id, key_mac, created_at) values ($1, $1, now())")
            .bind(stage.tenant.uuid())
            .execute(&mut *theirs)
            .await;
    assert!(foreign.is_err(), "a row of another tenant is refused");
    // The jobs role reads what is due, and nothing that says anything.
    let jobs = db.jobs();
    assert!(sqlx::query("select tenant_id, created_at from idempotency").execute(jobs).await.is_ok());
    for statement in ["select key_mac from idempotency", "select 1 from messages", "select 1 from contacts"] {
        assert!(sqlx::query(statement).execute(jobs).await.is_err(), "{statement}");
    }
}
