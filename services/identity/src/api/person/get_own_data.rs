//! `GetOwnData`: all that identity keeps of the member who asks, in pages, and what each kind of it is for (Art. 15(1), Art. 20). What
//! he wrote in conversations is the contacts' data, and stands there under his id.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use lethe_ids::{ApiKeyId, AuditId, LogInRecordId, MemberRequestId, SessionId, TeamId};
use lethe_keyring::{KeyError, Purpose, Sealer};
use lethe_proto::{
    access::Permission,
    identity::{GetOwnDataRequest, GetOwnDataResponse, OwnCategory, OwnRecord},
};
use lethe_service::{Limit, PageKey, page, timestamp};
use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};
use tonic::Request;
use uuid::Uuid;

use super::super::{Call, Identity};
use crate::{
    Error,
    domain::{
        client::Client,
        member::word,
        member_request::{Kind, State},
        own_data::{About, Category, Periods, text},
    },
    enrol,
    store::{self, member::MemberRow, own_data::Kept},
};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<GetOwnDataRequest>,
) -> Result<GetOwnDataResponse, Error> {
    let call = Call::of(&request)?;
    let asked = request.get_ref();
    let (limit, after) = (Limit::of(asked.page.as_ref())?, PageKey::of(asked.page.as_ref())?);
    let member = call.member()?;
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    let row = store::member::get(&mut tx, member).await?.ok_or(Error::NotFound("member"))?;
    let mut kept = store::own_data::list(&mut tx, member, after, limit).await?;
    drop(tx);
    let next = page::next(&mut kept, limit, |one| PageKey { at: one.at, id: one.id });

    let own = identity.0.keyring.sealer(call.tenant(), row.subject, row.unit).await?;
    let mut records = Vec::with_capacity(kept.len() + 1);
    if after.is_none() {
        records.push(profile(&row, &own)?);
    }
    for one in kept {
        let sealer = match one.under {
            None => own.clone(),
            Some((subject, unit)) => match identity.0.keyring.sealer(call.tenant(), subject, unit).await {
                Ok(sealer) => sealer,
                // Replaced or swept since it was read: it is not kept any more.
                Err(KeyError::Destroyed) => continue,
                Err(error) => return Err(error.into()),
            },
        };
        records.push(record(one, &sealer)?);
    }
    if after.is_some() {
        return Ok(GetOwnDataResponse { records, categories: Vec::new(), next });
    }
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    identity.record(&mut tx, call.actor(), call.done("GetOwnData", "member", member)).await?;
    tx.commit().await?;
    Ok(GetOwnDataResponse { records, categories: categories(identity), next })
}

fn categories(identity: &Identity) -> Vec<OwnCategory> {
    let config = &identity.0.config;
    let periods = Periods {
        log_in_records_days: config.sweep.log_in_records_days,
        idempotency_hours: config.sweep.idempotency_hours,
        api_keys_days: config.api_keys.requests_days,
    };
    let category = |category: Category| {
        let About { purpose, recipients, kept, source } = category.about(periods);
        OwnCategory {
            category: category.word().to_owned(),
            purpose: purpose.to_owned(),
            recipients: recipients.to_owned(),
            kept,
            source: source.to_owned(),
        }
    };
    Category::ALL.map(category).into()
}

fn profile(row: &MemberRow, sealer: &Sealer) -> Result<OwnRecord, Error> {
    let profile = enrol::open_profile(sealer, row)?;
    let roles: Vec<String> = row.roles.as_slice().iter().map(|role| word(*role)).collect();
    // 0 is never.
    let void_before = (row.void_before_ms > 0)
        .then(|| OffsetDateTime::UNIX_EPOCH + Duration::milliseconds(row.void_before_ms))
        .and_then(|at| at.format(&Rfc3339).ok());
    let fields = json!({
        "name": profile.name(), "email": profile.email(), "phone": profile.phone(), "roles": roles,
        "active": row.active, "must_change_password": row.must_change_password, "version": row.version,
        "principals_void_before": void_before,
    });
    Ok(own_record(Category::Profile, row.id.to_string(), row.created_at, &fields))
}

fn record(mut kept: Kept, sealer: &Sealer) -> Result<OwnRecord, Error> {
    let (id, fields) = (kept.id, &mut kept.clear);
    let mut sealed = kept.sealed.into_iter();
    let mut next = || sealed.next().flatten();
    let bare = || id.simple().to_string();
    let record_id = match kept.category {
        Category::Session => {
            client(fields, Purpose::SessionClient, id, next(), sealer)?;
            SessionId::new(id).to_string()
        }
        Category::LogIn => {
            client(fields, Purpose::LogInRecord, id, next(), sealer)?;
            LogInRecordId::new(id).to_string()
        }
        Category::Photo => {
            let photo = sealer.open(Purpose::MemberPhoto, id, 1, &next().unwrap_or_default())?;
            fields.insert("content".to_owned(), STANDARD.encode(&photo).into());
            bare()
        }
        Category::ApiKey => {
            let name = sealer.open(Purpose::TenantProfile, id, 1, &next().unwrap_or_default())?;
            fields.insert("name".to_owned(), String::from_utf8_lossy(&name).into());
            scopes(fields);
            ApiKeyId::new(id).to_string()
        }
        Category::Request => {
            let (grounds, answer) = (next(), next());
            for (name, version, words) in
                [("grounds", super::GROUNDS, grounds), ("answer", super::ANSWER, answer)]
            {
                let words = super::open_words(sealer, id, version, words.as_deref())?;
                fields.insert(name.to_owned(), words.into());
            }
            request_words(fields);
            MemberRequestId::new(id).to_string()
        }
        Category::AuditEvent => AuditId::new(id).to_string(),
        Category::Team => TeamId::new(id).to_string(),
        Category::IdempotencyKey | Category::Revocation | Category::Profile | Category::Credential => bare(),
    };
    Ok(own_record(kept.category, record_id, kept.at, &Value::Object(kept.clear)))
}

fn client(
    fields: &mut Map<String, Value>,
    purpose: Purpose,
    id: Uuid,
    sealed: Option<Vec<u8>>,
    sealer: &Sealer,
) -> Result<(), Error> {
    let client = Client::from_bytes(&sealer.open(purpose, id, 1, &sealed.unwrap_or_default())?);
    let Client { ip, browser, os, device_type } = client;
    for (name, text) in [("ip", ip), ("browser", browser), ("os", os), ("device_type", device_type)] {
        fields.insert(name.to_owned(), text.into());
    }
    Ok(())
}

/// Numbers of permissions become their words.
fn scopes(fields: &mut Map<String, Value>) {
    let Some(Value::Array(numbers)) = fields.get_mut("scopes") else { return };
    for number in numbers {
        let permission =
            number.as_i64().and_then(|number| Permission::try_from(i32::try_from(number).ok()?).ok());
        if let Some(permission) = permission {
            let word = permission.as_str_name().trim_start_matches("PERMISSION_").to_lowercase();
            *number = word.into();
        }
    }
}

/// Numbers of kind, state and refusal become one word each, the refusal's in the state.
fn request_words(fields: &mut Map<String, Value>) {
    let number = |value: Option<Value>| value.and_then(|value| i16::try_from(value.as_i64()?).ok());
    let (kind, state) = (number(fields.remove("kind")), number(fields.remove("state")));
    let refusal = number(fields.remove("refusal"));
    if let Some(kind) = kind.and_then(|kind| Kind::of(kind.into())) {
        fields.insert("kind".to_owned(), kind.word().into());
    }
    if let Some(state) = state.and_then(|state| State::of(state, refusal)) {
        fields.insert("state".to_owned(), state.word().into());
    }
}

fn own_record(category: Category, record_id: String, at: OffsetDateTime, fields: &Value) -> OwnRecord {
    let fields = fields.as_object().into_iter().flatten();
    let fields: BTreeMap<String, String> =
        fields.filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect();
    OwnRecord { category: category.word().to_owned(), record_id, at: Some(timestamp(at)), fields }
}
