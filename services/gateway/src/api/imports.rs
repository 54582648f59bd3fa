//! Imports: contacts and conversations from elsewhere, in chunks of JSON Lines. A row is what a request of its own would be,
//! with the client's own key.

use std::{fmt, str::FromStr};

use axum::extract::FromRequestParts;
use http::request::Parts;
use lethe_ids::{ContactId, ImportId, MemberId};
use lethe_proto::messaging::{
    self as proto, CreateImportRequest, FinishImportRequest, GetImportRequest, ImportRow as Row,
    ImportedConsent, ImportedContact, ImportedConversation, ImportedMessage, ListImportsRequest,
    ListRefusedRowsRequest, PutImportChunkRequest, UnreadableRow, import_row,
};
use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};

use super::{
    consents::{ConsentAct, ConsentPurpose},
    contacts::NewContact,
    conversations::{Channel, ConversationStatus},
    messages::Direction,
    page::Page,
};
use crate::{
    App,
    body::{NoBody, Reply},
    json::{At, Object, Text, instant, wire_enum},
    lines::Lines,
    path::{Id, Params},
    precondition::IdempotencyKey,
    problem::Problem,
    query::Query,
    session::Acting,
    unfit::Unfit,
};

wire_enum! {
    /// Where an import stands.
    ImportState is proto::ImportState {
        /// It takes chunks.
        Open = "open",
        /// It was finished.
        Finished = "finished",
        /// No chunk came for too long.
        Expired = "expired",
    }
}

/// An import.
#[derive(Serialize, ToSchema)]
pub(crate) struct Import {
    #[schema(example = "imp_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    import_id: String,
    #[schema(value_type = ImportState)]
    state: &'static str,
    /// The chunk to go on with, from 1.
    next_chunk: u32,
    /// Lines in all chunks that were taken, blank ones too: the chunk to go on with begins behind them.
    lines: u64,
    imported: u64,
    /// Rows whose key had come before. Nothing was changed.
    already_there: u64,
    /// At `/v1/imports/{import_id}/refused-rows`.
    refused: u64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Option<String>,
    /// When it last took a chunk.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Option<String>,
    /// When it was finished, or expired.
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<String>,
}

impl From<proto::Import> for Import {
    fn from(import: proto::Import) -> Self {
        Self {
            import_id: import.import_id,
            state: ImportState::word(import.state),
            next_chunk: import.next_chunk,
            lines: import.lines,
            imported: import.imported,
            already_there: import.already_there,
            refused: import.refused,
            created_at: instant(import.created_at),
            updated_at: instant(import.updated_at),
            finished_at: instant(import.finished_at),
        }
    }
}

/// Begins an import.
#[utoipa::path(post, path = "/v1/imports", tag = "imports", params(IdempotencyKey),
    responses((status = 201, body = Import)),
    extensions(("x-lethe-rpc" = json!("CreateImport"))))]
pub(crate) async fn create_import(
    acting: Acting,
    key: IdempotencyKey,
    _body: NoBody,
) -> Result<Reply<Import>, Problem> {
    let request = CreateImportRequest { idempotency: key.idempotency() };
    let import = acting.imports().create_import(request).await?.into_inner();
    let location = format!("/v1/imports/{}", import.import_id);
    Ok(Reply::created(import.into(), location))
}

/// A page of imports.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImportPage {
    imports: Vec<Import>,
    /// For `after`; `null` on the last page.
    next: Option<String>,
}

/// Lists imports, the newest first. They are kept 30 days after their end.
#[utoipa::path(get, path = "/v1/imports", tag = "imports", params(Page),
    responses((status = 200, body = ImportPage)),
    extensions(("x-lethe-rpc" = json!("ListImports"))))]
pub(crate) async fn list_imports(
    acting: Acting,
    Query(page): Query<Page>,
) -> Result<Reply<ImportPage>, Problem> {
    let list = acting.list("ListImports", "");
    let request = ListImportsRequest { page: list.page(page.limit, page.after())? };
    let answer = acting.imports().list_imports(request).await?.into_inner();
    let next = list.next(&answer.next);
    Ok(Reply::ok(ImportPage { imports: answer.imports.into_iter().map(Import::from).collect(), next }))
}

/// Shows where an import stands. Whoever lost his place goes on with `next_chunk`, behind `lines` lines of the file.
#[utoipa::path(get, path = "/v1/imports/{import_id}", tag = "imports",
    params(("import_id" = String, Path, description = "The import's id.", example = "imp_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = Import)),
    extensions(("x-lethe-rpc" = json!("GetImport"))))]
pub(crate) async fn get_import(acting: Acting, Id(import): Id<ImportId>) -> Result<Reply<Import>, Problem> {
    let request = GetImportRequest { import_id: import.to_string() };
    Ok(Reply::ok(acting.imports().get_import(request).await?.into_inner().into()))
}

/// A line of a chunk: a contact or a conversation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"contact": {
    "key": "crm-1906", "profile": {"name": "Grace Hopper", "email": "grace@example.org"},
    "consents": [{"act": "given", "purpose": "marketing", "source": "web_form", "at": "2024-05-01T12:00:00Z"}]
}}))]
pub(crate) struct ImportRow {
    #[serde(default)]
    #[schema(value_type = Option<ContactRow>, nullable = false)]
    contact: Option<Object<ContactRow>>,
    #[serde(default)]
    #[schema(value_type = Option<ConversationRow>, nullable = false)]
    conversation: Option<Object<ConversationRow>>,
}

/// A contact. One whose key came before is left as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ContactRow {
    /// What the client calls the contact. Kept as a MAC, for 90 days.
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    key: Text,
    #[schema(value_type = NewContact)]
    profile: Object<NewContact>,
    /// It had opted out elsewhere: so it has here, with its addresses.
    #[serde(default)]
    opted_out: bool,
    #[serde(default)]
    #[schema(value_type = Option<Vec<ConsentRow>>, nullable = false, max_items = 20)]
    consents: Vec<Object<ConsentRow>>,
}

/// A consent of it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConsentRow {
    act: ConsentAct,
    purpose: ConsentPurpose,
    /// Where it was given: 1 to 64 characters of a-z, 0-9, _ and -.
    #[schema(value_type = String, min_length = 1, max_length = 64)]
    source: Text,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: At,
}

/// A conversation with messages. One that is longer goes on in another row with the same key and further messages; messages
/// whose keys came before are left as they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConversationRow {
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    key: Text,
    /// The key of a contact in this chunk or before, in this import or another; or `contact_id`.
    #[serde(default)]
    #[schema(value_type = Option<String>, nullable = false, min_length = 1, max_length = 200)]
    contact_key: Option<Text>,
    #[serde(default)]
    #[schema(value_type = Option<String>, nullable = false)]
    contact_id: Option<ContactId>,
    channel: Channel,
    /// Of a new conversation; `open` when it is absent.
    #[serde(default)]
    #[schema(nullable = false)]
    status: Option<ConversationStatus>,
    /// The oldest first.
    #[schema(value_type = Vec<MessageRow>, min_items = 1, max_items = 500)]
    messages: Vec<Object<MessageRow>>,
}

/// A message of it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageRow {
    /// Unlike those of the conversation's other messages.
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    key: Text,
    direction: Direction,
    /// 1 to 16,384 characters, at most 64 KiB.
    #[schema(value_type = String, min_length = 1, max_length = 16_384)]
    text: Text,
    /// When it was said.
    #[schema(value_type = String, format = DateTime)]
    sent_at: At,
    /// Who wrote an outbound one.
    #[serde(default)]
    #[schema(value_type = Option<String>, nullable = false)]
    member_id: Option<MemberId>,
}

impl ContactRow {
    fn proto(self) -> ImportedContact {
        let consent = |Object(consent): Object<ConsentRow>| ImportedConsent {
            purpose: consent.purpose.proto().into(),
            act: consent.act.proto().into(),
            source: consent.source.0,
            at: Some(consent.at.timestamp()),
        };
        ImportedContact {
            key: self.key.0,
            profile: Some(self.profile.0.profile()),
            opted_out: self.opted_out,
            consents: self.consents.into_iter().map(consent).collect(),
        }
    }
}

impl ConversationRow {
    fn proto(self) -> ImportedConversation {
        let message = |Object(message): Object<MessageRow>| ImportedMessage {
            key: message.key.0,
            direction: message.direction.proto().into(),
            text: message.text.0,
            sent_at: Some(message.sent_at.timestamp()),
            member_id: message.member_id.map(|member| member.to_string()).unwrap_or_default(),
        };
        ImportedConversation {
            key: self.key.0,
            contact_key: self.contact_key.unwrap_or_default().0,
            contact_id: self.contact_id.map(|contact| contact.to_string()).unwrap_or_default(),
            channel: self.channel.proto().into(),
            status: self.status.map(|status| status.proto().into()).unwrap_or_default(),
            messages: self.messages.into_iter().map(message).collect(),
        }
    }
}

fn row((line, read): (u32, Result<ImportRow, Unfit>)) -> Row {
    let row = match read {
        Ok(ImportRow { contact: Some(Object(row)), conversation: None }) => {
            Some(import_row::Row::Contact(row.proto()))
        }
        Ok(ImportRow { contact: None, conversation: Some(Object(row)) }) => {
            Some(import_row::Row::Conversation(row.proto()))
        }
        // Messaging says that it is neither.
        Ok(_) => None,
        Err(unfit) => Some(import_row::Row::Unreadable(UnreadableRow {
            field: unfit.field.unwrap_or_default(),
            code: unfit.code.to_owned(),
            reason: unfit.detail,
        })),
    };
    Row { line, row }
}

/// How a chunk stands in the document.
pub(crate) struct JsonLines;

impl PartialSchema for JsonLines {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(
                "An object a line, each an `ImportRow`; at most 500, and as long as any body may be.",
            ))
            .into()
    }
}
impl ToSchema for JsonLines {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((ImportRow::name().into(), ImportRow::schema()));
        ImportRow::schemas(schemas);
    }
}

/// Which chunk of which import.
pub(crate) struct ChunkPath {
    import: ImportId,
    number: ChunkNumber,
}

impl FromRequestParts<App> for ChunkPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let params = Params::of(parts, app).await?;
        Ok(Self { import: params.get(0)?, number: params.get(1)? })
    }
}

/// From 1.
struct ChunkNumber(u32);

/// A text that is no chunk's number.
struct NotANumber;

impl fmt::Display for NotANumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be a whole number from 1")
    }
}

impl FromStr for ChunkNumber {
    type Err = NotANumber;
    fn from_str(text: &str) -> Result<Self, NotANumber> {
        // One number has one text.
        text.parse()
            .ok()
            .filter(|number: &u32| *number > 0 && number.to_string() == text)
            .map(Self)
            .ok_or(NotANumber)
    }
}

/// What a chunk came to.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImportChunk {
    number: u32,
    imported: u32,
    already_there: u32,
    refused: u32,
    /// The import after it.
    import: Import,
}

/// Takes the next chunk of an import.
///
/// Its rows are stored when this answers; those that do not fit are in the report. The last chunk may be sent again, unchanged,
/// and so must be one that got no answer: each row is taken once. Imported messages keep their times and are told to no webhook.
#[utoipa::path(put, path = "/v1/imports/{import_id}/chunks/{number}", tag = "imports",
    params(
        ("import_id" = String, Path, description = "The import's id.", example = "imp_01998f2ac3e47b0f8a5d2f60b1c9e7aa"),
        ("number" = u32, Path, description = "`next_chunk` of the import.", minimum = 1, example = 1),
    ),
    request_body(description = "Rows.", content((JsonLines = "application/jsonl"), (JsonLines = "application/x-ndjson"))),
    responses((status = 200, body = ImportChunk)),
    extensions(("x-lethe-rpc" = json!("PutImportChunk"))))]
pub(crate) async fn put_import_chunk(
    acting: Acting,
    path: ChunkPath,
    Lines { count, lines }: Lines<ImportRow>,
) -> Result<Reply<ImportChunk>, Problem> {
    let request = PutImportChunkRequest {
        import_id: path.import.to_string(),
        number: path.number.0,
        lines: count,
        rows: lines.into_iter().map(row).collect(),
    };
    let chunk = acting.imports().put_import_chunk(request).await?.into_inner();
    let import = chunk.import.ok_or_else(|| Problem::internal("messaging answered no import"))?;
    Ok(Reply::ok(ImportChunk {
        number: chunk.number,
        imported: chunk.imported,
        already_there: chunk.already_there,
        refused: chunk.refused,
        import: import.into(),
    }))
}

/// A row that was refused. What stood in it is not kept.
#[derive(Serialize, ToSchema)]
pub(crate) struct RefusedRow {
    /// In all chunks together, from 1.
    #[schema(example = 17)]
    line: u64,
    /// `null` for the row as a whole.
    #[schema(example = "contact.profile.phone")]
    field: Option<String>,
    #[schema(example = "FIELD_INVALID")]
    code: String,
    #[schema(example = "has too few digits")]
    reason: String,
}

/// A page of refused rows.
#[derive(Serialize, ToSchema)]
pub(crate) struct RefusedRowPage {
    rows: Vec<RefusedRow>,
    /// For `after`; `null` on the last page.
    next: Option<String>,
}

/// Lists the rows that were refused, by line, with the field and the reason.
#[utoipa::path(get, path = "/v1/imports/{import_id}/refused-rows", tag = "imports",
    params(("import_id" = String, Path, description = "The import's id.", example = "imp_01998f2ac3e47b0f8a5d2f60b1c9e7aa"), Page),
    responses((status = 200, body = RefusedRowPage)),
    extensions(("x-lethe-rpc" = json!("ListRefusedRows"))))]
pub(crate) async fn list_refused_rows(
    acting: Acting,
    Id(import): Id<ImportId>,
    Query(page): Query<Page>,
) -> Result<Reply<RefusedRowPage>, Problem> {
    let import_id = import.to_string();
    let list = acting.list("ListRefusedRows", &import_id);
    let page = list.page(page.limit, page.after())?;
    let request = ListRefusedRowsRequest { import_id: import_id.clone(), page };
    let answer = acting.imports().list_refused_rows(request).await?.into_inner();
    let next = list.next(&answer.next);
    let row = |row: proto::RefusedRow| RefusedRow {
        line: row.line,
        field: crate::json::present(row.field),
        code: row.code,
        reason: row.reason,
    };
    Ok(Reply::ok(RefusedRowPage { rows: answer.rows.into_iter().map(row).collect(), next }))
}

/// Finishes an import: it takes no more chunks.
#[utoipa::path(post, path = "/v1/imports/{import_id}/finish", tag = "imports",
    params(("import_id" = String, Path, description = "The import's id.", example = "imp_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = Import)),
    extensions(("x-lethe-rpc" = json!("FinishImport"))))]
pub(crate) async fn finish_import(
    acting: Acting,
    Id(import): Id<ImportId>,
    _body: NoBody,
) -> Result<Reply<Import>, Problem> {
    let request = FinishImportRequest { import_id: import.to_string() };
    Ok(Reply::ok(acting.imports().finish_import(request).await?.into_inner().into()))
}
