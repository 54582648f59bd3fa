//! What is on the bus, byte for byte: each kind of event as it is published, beside a file that changes only when a
//! person means it to. Kinds are enumerated from `lethe.event.v1`, so a new one without a file fails.

use std::{collections::BTreeSet, fmt::Write, fs, path::PathBuf};

use async_nats::jetstream::message::StreamMessage;
use lethe_ids::{AuditId, ContactId, ConversationId, ErasureId, MessageId};
use lethe_outbox::{KINDS, relay, stream_name};
use lethe_proto::event::{
    AuditRecorded, ContactChanged, ConversationChanged, ErasureAdvanced, MessageChanged,
};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, Kind as FieldKind, Value};
use uuid::Uuid;

use crate::rig::Rig;

const TENANT: Uuid = Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0001);
const CONTACT: ContactId = ContactId::new(Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0002));
const CONVERSATION: ConversationId =
    ConversationId::new(Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0003));
const MESSAGE: MessageId = MessageId::new(Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0004));
const ERASURE: ErasureId = ErasureId::new(Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0005));
const AUDIT: AuditId = AuditId::new(Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0006));

/// Every field set, as a service would put it.
fn payload(message: &str) -> Vec<u8> {
    match message {
        "ContactChanged" => {
            ContactChanged { contact_id: CONTACT.to_string(), version: None, imported: false }.encode_to_vec()
        }
        "ConversationChanged" => ConversationChanged {
            conversation_id: CONVERSATION.to_string(),
            contact_id: CONTACT.to_string(),
            version: None,
            imported: false,
        }
        .encode_to_vec(),
        "MessageChanged" => MessageChanged {
            message_id: MESSAGE.to_string(),
            conversation_id: CONVERSATION.to_string(),
            contact_id: CONTACT.to_string(),
            version: None,
            imported: false,
        }
        .encode_to_vec(),
        "ErasureAdvanced" => {
            ErasureAdvanced { erasure_id: ERASURE.to_string(), state: "FENCED".to_owned(), version: None }
                .encode_to_vec()
        }
        "AuditRecorded" => AuditRecorded {
            audit_id: AUDIT.to_string(),
            at_ms: 1_795_000_000_000,
            actor_kind: "member".to_owned(),
            actor_id: "mem_01990000000070008000000000000007".to_owned(),
            action: "DeleteMessage".to_owned(),
            target_kind: "message".to_owned(),
            target_id: MESSAGE.to_string(),
            contact_id: CONTACT.to_string(),
            request_id: "req_01990000000070008000000000000008".to_owned(),
        }
        .encode_to_vec(),
        other => panic!("lethe.event.v1.{other} has no payload in this test"),
    }
}

fn events() -> DescriptorPool {
    DescriptorPool::decode(lethe_proto::DESCRIPTORS).unwrap()
}

#[test]
fn every_message_of_the_event_package_has_a_kind() {
    let messages: BTreeSet<String> = events()
        .all_messages()
        .filter(|message| message.package_name() == "lethe.event.v1" && message.name() != "Version")
        .map(|message| message.name().to_owned())
        .collect();
    let kinds: BTreeSet<String> = KINDS.iter().map(|kind| kind.message.to_owned()).collect();
    assert_eq!(messages, kinds);
    for kind in KINDS {
        let message = events().get_message_by_name(&format!("lethe.event.v1.{}", kind.message)).unwrap();
        assert_eq!(
            message.get_field_by_name("version").map(|field| field.number()),
            kind.version_field,
            "{}",
            kind.name
        );
    }
}

/// A notification holds ids, codes, flags, times and versions. Whoever adds a text to an event stops here.
#[test]
fn nothing_but_ids_and_codes_fits_into_an_event() {
    let codes = ["actor_kind", "action", "target_kind", "state"];
    for kind in KINDS {
        let message = events().get_message_by_name(&format!("lethe.event.v1.{}", kind.message)).unwrap();
        for field in message.fields() {
            let allowed = match field.kind() {
                FieldKind::String => field.name().ends_with("_id") || codes.contains(&field.name()),
                FieldKind::Int64 => field.name().ends_with("_ms"),
                FieldKind::Bool => true,
                FieldKind::Message(of) => of.full_name() == "lethe.event.v1.Version",
                _ => false,
            };
            assert!(allowed && !field.is_list() && !field.is_map(), "{}", field.full_name());
        }
    }
}

#[tokio::test]
async fn each_kind_is_published_as_its_file_says() {
    let areas: BTreeSet<&str> = KINDS.iter().map(|kind| area_of(kind.name)).collect();
    let mut unlike = String::new();
    for area in areas {
        let rig = Rig::new().await;
        let kinds: Vec<_> = KINDS.iter().filter(|kind| area_of(kind.name) == area).collect();
        for (kind, number) in kinds.iter().zip(1_u128..) {
            let mut superuser = rig.superuser().await;
            sqlx::query(
                "insert into outbox (tenant_id, event_id, created_at, slot, seq, kind, payload, trace_parent)
                 values ($1, $2, '2026-11-22 12:00:00.123456+00', 0, 41, $3, $4,
                         '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01')",
            )
            .bind(TENANT)
            .bind(Uuid::from_u128(0x0199_0000_0000_7000_9000_0000_0000_0000 + number))
            .bind(kind.name)
            .bind(payload(kind.message))
            .execute(&mut superuser)
            .await
            .unwrap();
        }
        rig.run(relay(&rig.bus, area, Rig::relay_config(), &rig.outbox));
        rig.all_published().await;
        let stream = rig.bus.nats.jetstream().get_stream(stream_name(area)).await.unwrap();
        for (kind, sequence) in kinds.iter().zip(1..) {
            let message = stream.get_raw_message(sequence).await.unwrap();
            let found = render(kind.message, &message);
            let file =
                PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{}.txt", kind.name));
            if fs::read_to_string(&file).unwrap_or_default() != found {
                writeln!(unlike, "--- {} should say:\n{found}", file.display()).unwrap();
            }
        }
        rig.stop().await;
    }
    assert!(unlike.is_empty(), "{unlike}");
}

fn area_of(kind: &'static str) -> &'static str {
    kind.split('.').next().unwrap()
}

/// Subject, headers by name, the payload in hex, and what it says.
fn render(message: &str, published: &StreamMessage) -> String {
    let mut text = format!("{}\n\n", published.subject);
    let mut headers: Vec<String> = published
        .headers
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| format!("{name}: {value}")))
        .collect();
    headers.sort();
    writeln!(text, "{}\n", headers.join("\n")).unwrap();
    for line in published.payload.chunks(32) {
        let hex: String = line.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(text, "{hex}").unwrap();
    }
    let descriptor = events().get_message_by_name(&format!("lethe.event.v1.{message}")).unwrap();
    let said = DynamicMessage::decode(descriptor, published.payload.clone()).unwrap();
    text.push('\n');
    write_fields(&mut text, "", &said);
    text
}

fn write_fields(text: &mut String, within: &str, message: &DynamicMessage) {
    for (field, value) in message.fields() {
        match value {
            Value::Message(inner) => write_fields(text, &format!("{within}{}.", field.name()), inner),
            Value::String(value) => writeln!(text, "{within}{}: {value}", field.name()).unwrap(),
            value => writeln!(text, "{within}{}: {value}", field.name()).unwrap(),
        }
    }
}
