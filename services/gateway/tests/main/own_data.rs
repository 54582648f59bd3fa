//! The copy of one's own data: whole in both forms, page by page, and never half a copy that looks whole.

use http::{HeaderValue, Method, header};
use http_body_util::BodyExt;
use lethe_proto::identity::{GetOwnDataRequest, GetOwnDataResponse, OwnCategory, OwnRecord};
use lethe_service::Failure;
use prost::Message;
use serde_json::json;
use tower::ServiceExt;

use crate::support::{Edge, MEMBER, edge, request, who};

/// A name that a spreadsheet would run, and a CSV must not break at.
const NAME: &str = "=HYPERLINK(\"http://evil.example\"),\r\n-2;+3";

fn record(category: &str, id: &str, fields: &[(&str, &str)]) -> OwnRecord {
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let at = Some(prost_types::Timestamp { seconds: 1_795_348_800, nanos: 0 });
    OwnRecord { category: category.to_owned(), record_id: id.to_owned(), at, fields: fields.collect() }
}

/// Three pages: two records, two more, nothing.
fn pages(edge: &Edge) {
    edge.behind.on("GetOwnData", |asked| {
        let asked = GetOwnDataRequest::decode(asked).expect("a request").page.unwrap_or_default();
        assert_eq!(asked.limit, 200);
        let page = match &asked.after[..] {
            b"" => GetOwnDataResponse {
                records: vec![
                    record("profile", MEMBER, &[("name", NAME), ("phone", "+4930901820")]),
                    record("session", "ses_1", &[("os", "Linux")]),
                ],
                categories: vec![OwnCategory {
                    category: "profile".to_owned(),
                    purpose: "to log in".to_owned(),
                    recipients: "colleagues".to_owned(),
                    kept: "90 days".to_owned(),
                    source: "the tenant".to_owned(),
                }],
                next: "1".into(),
            },
            b"1" => {
                let records =
                    vec![record("team", "tem_1", &[("name", "Support")]), record("photo", "x", &[])];
                GetOwnDataResponse { records, categories: Vec::new(), next: "2".into() }
            }
            _ => GetOwnDataResponse::default(),
        };
        Ok(page.encode_to_vec())
    });
}

#[tokio::test]
async fn own_data_in_json_is_one_object_of_all_pages() {
    let edge = edge().await;
    pages(&edge);
    let answer = edge.ask(Method::GET, "/v1/self/data", "").await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"own-data.json\""));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let at = "2026-11-22T12:00:00Z";
    let expected = json!({
        "member_id": who().1.to_string(),
        "categories": [{"category": "profile", "purpose": "to log in", "recipients": "colleagues", "kept": "90 days", "source": "the tenant"}],
        "records": [
            {"category": "profile", "record_id": MEMBER, "at": at, "fields": {"name": NAME, "phone": "+4930901820"}},
            {"category": "session", "record_id": "ses_1", "at": at, "fields": {"os": "Linux"}},
            {"category": "team", "record_id": "tem_1", "at": at, "fields": {"name": "Support"}},
            {"category": "photo", "record_id": "x", "at": at, "fields": {}},
        ],
    });
    assert_eq!(answer.json(), expected);
    assert_eq!(edge.behind.count("GetOwnData"), 3);
    assert_eq!(edge.ask(Method::GET, "/v1/self/data?format=json", "").await.json(), expected);
}

#[tokio::test]
async fn own_data_in_csv_is_read_by_others_and_runs_nowhere() {
    let edge = edge().await;
    pages(&edge);
    let mut asked = request(Method::GET, "/v1/self/data?format=csv", "");
    asked.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("text/csv"));
    let answer = edge.send(asked).await;
    assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
    assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"own-data.csv\""));
    let mut reader = csv::Reader::from_reader(&answer.body[..]);
    assert_eq!(reader.headers().unwrap(), vec!["category", "record_id", "at", "field", "value"]);
    let lines: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
    let at = "2026-11-22T12:00:00Z";
    let expected = [
        ["profile", "", "", "purpose", "to log in"],
        ["profile", "", "", "recipients", "colleagues"],
        ["profile", "", "", "kept", "90 days"],
        ["profile", "", "", "source", "the tenant"],
        ["profile", MEMBER, at, "name", "'=HYPERLINK(\"http://evil.example\"),\r\n'-2;'+3"],
        ["profile", MEMBER, at, "phone", "'+4930901820"],
        ["session", "ses_1", at, "os", "Linux"],
        ["team", "tem_1", at, "name", "Support"],
        ["photo", "x", at, "", ""],
    ];
    assert_eq!(lines, expected.map(|line| csv::StringRecord::from(line.to_vec())));
}

#[tokio::test]
async fn own_data_that_fails_says_so_or_breaks_off() {
    let edge = edge().await;
    for (form, code) in [("xml", "FIELD_INVALID"), ("", "FIELD_INVALID"), ("CSV", "FIELD_INVALID")] {
        let problem = edge.ask(Method::GET, &format!("/v1/self/data?format={form}"), "").await.problem();
        assert_eq!(problem, (400, code.to_owned(), Some("format".to_owned())));
    }
    edge.behind.fails("GetOwnData", Failure::permission("PASSWORD_CHANGE_REQUIRED", "change it"));
    let problem = edge.ask(Method::GET, "/v1/self/data", "").await.problem();
    assert_eq!((problem.0, problem.1.as_str()), (403, "PASSWORD_CHANGE_REQUIRED"));

    // Behind the first page it is too late for a problem: the connection ends without the body's end.
    edge.behind.on("GetOwnData", |asked| {
        let asked = GetOwnDataRequest::decode(asked).expect("a request").page.unwrap_or_default();
        if asked.after.is_empty() {
            let first = GetOwnDataResponse { next: "1".into(), ..GetOwnDataResponse::default() };
            return Ok(first.encode_to_vec());
        }
        Err(Failure::unavailable("KEYSTORE_UNAVAILABLE", "away").into())
    });
    for form in ["json", "csv"] {
        let asked = request(Method::GET, &format!("/v1/self/data?format={form}"), "");
        let answer = edge.router.clone().oneshot(asked).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.into_body().collect().await.is_err(), "{form}");
    }
}
