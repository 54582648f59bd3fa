//! The copy of what is kept of the member who asks, as one file that is fetched page by page while it is read: its size is nobody's
//! memory. What fails behind the first page breaks the answer off, so that half a copy is not taken for a whole one.

use std::collections::BTreeMap;

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderValue, header};
use lethe_proto::{
    identity::{self as proto, GetOwnDataRequest, GetOwnDataResponse},
    request::Page,
};
use lethe_service::{CallContext, Failure};
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use utoipa::{IntoParams, ToSchema};

use crate::{
    csv,
    json::{Text, instant},
    problem::Problem,
    query::Query,
    session::Acting,
};

/// Records of one page: the most that there may be.
const PAGE: u32 = 200;

/// In which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// One object, exact.
    #[default]
    Json,
    /// A line a field (RFC 4180).
    Csv,
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(word) = Text::deserialize(deserializer)?;
        match word.as_str() {
            "json" => Ok(Self::Json),
            "csv" => Ok(Self::Csv),
            _ => Err(D::Error::custom("must be one of: json csv")),
        }
    }
}

/// Which form.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhichForm {
    /// In CSV each line is a field of a record, and an apostrophe stands before whatever a spreadsheet could take for a formula. The
    /// exact values are JSON's.
    #[serde(default)]
    #[param(inline, value_type = Option<Format>, default = "json")]
    format: Format,
}

/// What a category of records is for, who gets it, how long it is kept and where it came from (Art. 15(1)).
#[derive(Serialize, ToSchema)]
pub(crate) struct OwnCategory {
    #[schema(example = "log_in")]
    category: String,
    purpose: String,
    recipients: String,
    #[schema(example = "90 days")]
    kept: String,
    source: String,
}

/// One thing that is kept of the member.
#[derive(Serialize, ToSchema)]
pub(crate) struct OwnRecord {
    #[schema(example = "log_in")]
    category: String,
    #[schema(example = "lgn_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    record_id: String,
    #[schema(value_type = String, format = DateTime)]
    at: Option<String>,
    /// Texts by name: instants as in RFC 3339, `true` and `false`, several codes with commas between, a photo in base64. What is not
    /// set is not there.
    #[schema(example = json!({"method": "password", "succeeded": "true", "ip": "203.0.113.7"}))]
    fields: BTreeMap<String, String>,
}

/// What is kept of the member who asks: the profile first, everything else newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct OwnData {
    #[schema(example = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    member_id: String,
    categories: Vec<OwnCategory>,
    records: Vec<OwnRecord>,
}

impl From<proto::OwnCategory> for OwnCategory {
    fn from(of: proto::OwnCategory) -> Self {
        let proto::OwnCategory { category, purpose, recipients, kept, source } = of;
        Self { category, purpose, recipients, kept, source }
    }
}

impl From<proto::OwnRecord> for OwnRecord {
    fn from(of: proto::OwnRecord) -> Self {
        Self {
            category: of.category,
            record_id: of.record_id,
            at: instant(of.at),
            fields: of.fields.into_iter().collect(),
        }
    }
}

/// Gets a copy of everything that is kept of the member who asks, as a file.
///
/// What the member wrote in conversations is the contacts' data and not in it.
#[utoipa::path(get, path = "/v1/self/data", tag = "account", params(WhichForm),
    responses((status = 200, description = "The copy.", content((OwnData = "application/json"), (String = "text/csv")),
        headers(("Content-Disposition" = String, description = "The file's name.")))),
    extensions(("x-lethe-rpc" = json!("GetOwnData"))))]
pub(crate) async fn get_own_data(acting: Acting, Query(form): Query<WhichForm>) -> Result<Response, Problem> {
    let format = form.format;
    let first = page(&acting, Bytes::new()).await?;
    let next = first.next.clone();
    let begun = format.begin(&acting, first)?;
    let rest = stream::try_unfold((acting, Some(next)), move |(mut acting, next)| async move {
        let Some(next) = next else { return Ok(None) };
        if next.is_empty() {
            return Ok(Some((format.end(), (acting, None))));
        }
        // Each page has the time of a request; whoever reads slowly is bound by his principal's.
        let context = CallContext { deadline: None, ..acting.context.clone() };
        acting.context = context.within(acting.app.config().request_timeout());
        let page = page(&acting, next)
            .await
            .inspect_err(|failure| tracing::warn!(error = %failure, "a copy of one's own data breaks off"))?;
        let next = page.next.clone();
        Ok(Some((format.go_on(page)?, (acting, Some(next)))))
    });
    let body = Body::from_stream(stream::iter([Ok::<_, Failure>(begun)]).chain(rest));
    let mut response = Response::new(body);
    let (media_type, file) = match format {
        Format::Json => ("application/json", "attachment; filename=\"own-data.json\""),
        Format::Csv => (csv::MEDIA_TYPE, "attachment; filename=\"own-data.csv\""),
    };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(file));
    Ok(response)
}

async fn page(acting: &Acting, after: Bytes) -> Result<GetOwnDataResponse, Failure> {
    let request = GetOwnDataRequest { page: Some(Page { limit: PAGE, after }) };
    let answer = acting.persons().get_own_data(request).await;
    answer.map(tonic::Response::into_inner).map_err(|status| Failure::from_status(&status))
}

impl Format {
    /// What stands before the first page, and that page.
    fn begin(self, acting: &Acting, first: GetOwnDataResponse) -> Result<Bytes, Failure> {
        let categories = first.categories.into_iter().map(OwnCategory::from);
        let mut bytes = Vec::new();
        match self {
            Self::Json => {
                let member_id = acting.session.principal.actor().to_string();
                let categories: Vec<OwnCategory> = categories.collect();
                bytes.extend_from_slice(b"{\"member_id\":");
                json(&member_id, &mut bytes)?;
                bytes.extend_from_slice(b",\"categories\":");
                json(&categories, &mut bytes)?;
                bytes.extend_from_slice(b",\"records\":[");
                for (number, record) in first.records.into_iter().enumerate() {
                    if number > 0 {
                        bytes.push(b',');
                    }
                    json(&OwnRecord::from(record), &mut bytes)?;
                }
            }
            Self::Csv => {
                csv::line(&["category", "record_id", "at", "field", "value"], &mut bytes);
                for OwnCategory { category, purpose, recipients, kept, source } in categories {
                    for (field, value) in
                        [("purpose", purpose), ("recipients", recipients), ("kept", kept), ("source", source)]
                    {
                        csv::line(&[&category, "", "", field, &value], &mut bytes);
                    }
                }
                first.records.into_iter().for_each(|record| lines(record, &mut bytes));
            }
        }
        Ok(bytes.into())
    }

    /// A further page.
    fn go_on(self, page: GetOwnDataResponse) -> Result<Bytes, Failure> {
        let mut bytes = Vec::new();
        for record in page.records {
            match self {
                Self::Json => {
                    bytes.push(b',');
                    json(&OwnRecord::from(record), &mut bytes)?;
                }
                Self::Csv => lines(record, &mut bytes),
            }
        }
        Ok(bytes.into())
    }

    /// What stands behind the last page.
    fn end(self) -> Bytes {
        match self {
            Self::Json => Bytes::from_static(b"]}"),
            Self::Csv => Bytes::new(),
        }
    }
}

fn json(value: &impl Serialize, into: &mut Vec<u8>) -> Result<(), Failure> {
    serde_json::to_writer(into, value).map_err(Failure::internal)
}

/// A record in CSV: a line a field, or one without a field.
fn lines(record: proto::OwnRecord, into: &mut Vec<u8>) {
    let OwnRecord { category, record_id, at, fields } = record.into();
    let at = at.unwrap_or_default();
    if fields.is_empty() {
        csv::line(&[&category, &record_id, &at, "", ""], into);
    }
    for (field, value) in fields {
        csv::line(&[&category, &record_id, &at, &field, &value], into);
    }
}
