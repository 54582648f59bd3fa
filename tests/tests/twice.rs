//! Every RPC is handed its input twice. What the second comes to stands in `twice.tsv`, written by hand; that nothing is
//! there twice is read from the tables themselves.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Duration,
};

use lethe_ids::TenantId;
use lethe_proto::METHODS;
use lethe_tests::{Answer, Api, PASSWORD, Platform, Tenant, platform, within};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

const TABLE: &str = include_str!("twice.tsv");
/// Tables that grow by themselves while nothing is asked: events on their way, and the saga's own steps.
const MOVING: [&str; 11] = [
    "outbox",
    "inbox",
    "tries",
    "audit_events",
    "log_in_records",
    "erasure_steps",
    "erasure_participants",
    "certificates",
    "fences",
    "revocations",
    // What a purge leaves of idempotency keys.
    "gone_keys",
];

fn table() -> BTreeMap<&'static str, &'static str> {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#')).skip(1);
    lines.map(|line| line.split_once('\t').unwrap_or_else(|| panic!("two columns: {line}"))).collect()
}

/// A tenant whose calls are all made twice.
struct Twice<'a> {
    platform: &'a Platform,
    tenant: Tenant,
    table: BTreeMap<&'static str, &'static str>,
    left: BTreeSet<&'static str>,
    wrong: Vec<String>,
}

/// One call: its RPC, its route, its headers and its body.
type Call<'a> = (&'static str, Method, &'a str, &'a [(&'a str, &'a str)], Option<Value>);

impl Twice<'_> {
    /// Makes the call twice as the owner, and answers what the first one said.
    async fn call(&mut self, call: Call<'_>) -> Value {
        let owner = self.tenant.owner.clone();
        self.call_as(&owner, call).await
    }

    async fn call_as(&mut self, api: &Api, (rpc, method, path, headers, body): Call<'_>) -> Value {
        let ask = async || api.send(method.clone(), path, headers, body.clone()).await;
        self.twice(rpc, ask).await
    }

    /// Asks twice, and compares.
    async fn twice(&mut self, rpc: &'static str, ask: impl AsyncFn() -> Answer) -> Value {
        let first = ask().await;
        assert!(first.status.is_success(), "{rpc}: {} {}", first.status, first.body);
        let rows = self.rows().await;
        let second = ask().await;
        let wanted = self.table[rpc];
        let grown = self.rows().await.iter().any(|(table, count)| *count > rows[table]);
        let as_wanted = match wanted {
            "same" => second.status == first.status && second.body == first.body && !grown,
            "ok" => second.status.is_success() && !grown,
            "new" => second.status.is_success() && grown,
            code => second.problem().1 == code && !grown,
        };
        if !as_wanted {
            let (was, now) = (said(&first), said(&second));
            let grown = if grown { ", and tables have grown" } else { "" };
            self.wrong.push(format!("{rpc}: first {was}, then {now}, not {wanted:?}{grown}"));
        }
        self.left.remove(rpc);
        first.body
    }

    /// Sets a photo twice: what is sent is no JSON.
    async fn photo(&mut self, path: &str) {
        let png = b"\x89PNG\r\n\x1a\nphoto";
        let mut counts = Vec::new();
        for _ in 0..2 {
            let headers = [("content-type", "image/png")];
            let (status, ..) =
                self.tenant.owner.exchange(Method::PUT, path, &headers, Some(png.to_vec())).await;
            assert_eq!(status, 204, "SetPhoto");
            counts.push(self.rows().await);
        }
        if counts[0] != counts[1] || self.table["SetPhoto"] != "same" {
            self.wrong.push("SetPhoto: tables have grown".to_owned());
        }
        self.left.remove("SetPhoto");
    }

    /// How many rows the tenant has in each table.
    async fn rows(&self) -> BTreeMap<String, i64> {
        let tenant: TenantId = self.tenant.id.parse().expect("an id");
        let mut rows = BTreeMap::new();
        for service in ["identity", "messaging", "retention"] {
            let url = format!("{}/{service}", self.platform.run.admin_url);
            let mut superuser = PgConnection::connect(&url).await.expect("a database");
            let tables = sqlx::query(
                "select c.relname::text from pg_class c join pg_attribute a on a.attrelid = c.oid
                  where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace and a.attname = 'tenant_id'",
            )
            .fetch_all(&mut superuser)
            .await
            .expect("the catalogue");
            for table in tables {
                let table: String = table.get(0);
                if MOVING.iter().any(|moving| table.starts_with(moving)) {
                    continue;
                }
                let count = format!("select count(*) from {table} where tenant_id = $1");
                let count = sqlx::query_scalar(AssertSqlSafe(count)).bind(tenant.uuid());
                rows.insert(
                    format!("{service}.{table}"),
                    count.fetch_one(&mut superuser).await.expect("a count"),
                );
            }
        }
        assert!(rows.len() > 15, "{rows:?}");
        rows
    }
}

fn said(answer: &Answer) -> String {
    format!("{} {}", answer.status.as_u16(), answer.body)
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("{field} in {value}")).to_owned()
}

#[tokio::test]
async fn every_rpc_with_a_route_bears_its_input_twice() {
    let platform = platform();
    let table = table();
    let routed: BTreeSet<_> = METHODS.iter().filter(|method| !method.internal).map(|m| m.rpc).collect();
    let mut twice =
        Twice { tenant: platform.tenant().await, left: routed.clone(), wrong: Vec::new(), platform, table };
    let lines: BTreeSet<_> =
        twice.table.iter().filter(|(_, second)| !second.starts_with("fn ")).map(|(rpc, _)| *rpc).collect();
    assert_eq!(lines, routed, "the lines of twice.tsv, and the RPCs that have a route");

    let contact = contacts(&mut twice).await;
    labels(&mut twice).await;
    conversations(&mut twice, &contact).await;
    imports(&mut twice).await;
    webhooks(&mut twice).await;
    members(&mut twice).await;
    teams(&mut twice).await;
    holds(&mut twice, &contact).await;
    operators(&mut twice).await;
    erasures(&mut twice, &contact).await;
    sessions(&mut twice).await;
    assert!(twice.wrong.is_empty(), "{}", twice.wrong.join("\n"));
    assert_eq!(twice.left, BTreeSet::new(), "RPCs that nobody called");
}

const KEY: [(&str, &str); 1] = [("idempotency-key", "twice")];
const FIRST: [(&str, &str); 1] = [("if-match", "\"1\"")];

async fn contacts(twice: &mut Twice<'_>) -> String {
    let profile = json!({"name": "Grace Hopper", "email": "grace@example.org"});
    let made = twice.call(("CreateContact", Method::POST, "/v1/contacts", &KEY, Some(profile))).await;
    let contact = text(&made, "contact_id");
    let path = format!("/v1/contacts/{contact}");
    let at = |end: &str| format!("{path}/{end}");
    let change = json!({"company": "Navy"});
    twice.call(("UpdateContact", Method::PATCH, &path, &FIRST, Some(change))).await;
    let same = json!({"name": "Grace B. Hopper", "email": "hopper@example.org"});
    let same = twice.tenant.owner.create("/v1/contacts", "same", same).await.ok();
    let merge = json!({"merged_contact_id": same["contact_id"]});
    twice.call(("MergeContacts", Method::POST, &at("merge"), &[], Some(merge))).await;
    let consent = json!({"act": "given", "purpose": "marketing", "source": "widget"});
    twice.call(("RecordConsent", Method::POST, &at("consents"), &KEY, Some(consent))).await;
    twice.call(("ListConsents", Method::GET, &at("consents"), &[], None)).await;
    twice.call(("OptOutContact", Method::PUT, &at("opt-out"), &[], None)).await;
    twice.call(("OptInContact", Method::DELETE, &at("opt-out"), &[], None)).await;
    let ground = json!({"ground": "accuracy"});
    twice.call(("RestrictContact", Method::PUT, &at("restriction"), &[], Some(ground))).await;
    twice.call(("LiftRestriction", Method::DELETE, &at("restriction"), &[], None)).await;
    twice.call(("BanContact", Method::PUT, &at("ban"), &[], None)).await;
    twice.call(("UnbanContact", Method::DELETE, &at("ban"), &[], None)).await;
    let (owner, picture) = (twice.tenant.owner.clone(), at("picture"));
    let put = async || owner.put_bytes(&picture, "image/png", b"\x89PNG\r\n\x1a\n").await;
    twice.twice("PutContactPicture", put).await;
    twice.call(("GetContactPicture", Method::GET, &picture, &[], None)).await;
    twice.call(("DeleteContactPicture", Method::DELETE, &picture, &[], None)).await;
    twice.call(("GetContact", Method::GET, &path, &[], None)).await;
    twice.call(("ListContacts", Method::GET, "/v1/contacts", &[], None)).await;
    let by = json!({"email": "grace@example.org"});
    twice.call(("LookUpContacts", Method::POST, "/v1/contacts/look-up", &[], Some(by))).await;
    contact
}

async fn labels(twice: &mut Twice<'_>) {
    let label = json!({"name": "Returns", "colour": "#a0b1c2"});
    let made = twice.call(("CreateLabel", Method::POST, "/v1/labels", &KEY, Some(label))).await;
    let path = format!("/v1/labels/{}", text(&made, "label_id"));
    let change = json!({"colour": "#000000"});
    twice.call(("UpdateLabel", Method::PATCH, &path, &FIRST, Some(change))).await;
    twice.call(("ListLabels", Method::GET, "/v1/labels", &[], None)).await;
    twice.call(("DeleteLabel", Method::DELETE, &path, &[], None)).await;
}

async fn conversations(twice: &mut Twice<'_>, contact: &str) {
    let open = json!({"contact_id": contact, "channel": "live_chat"});
    let made = twice.call(("OpenConversation", Method::POST, "/v1/conversations", &KEY, Some(open))).await;
    let path = format!("/v1/conversations/{}", text(&made, "conversation_id"));
    let (inbound, messages) = (format!("{path}/inbound-messages"), format!("{path}/messages"));
    let hello = json!({"text": "Is it about privacy?"});
    twice.call(("ReceiveMessage", Method::POST, &inbound, &KEY, Some(hello.clone()))).await;
    let key = [("idempotency-key", "twice-out")];
    let sent = twice.call(("SendMessage", Method::POST, &messages, &key, Some(hello.clone()))).await;
    let message = format!("/v1/messages/{}", text(&sent, "message_id"));
    let delivery = format!("{message}/delivery");
    let arrived = json!({"state": "delivered"});
    twice.call(("RecordDelivery", Method::PUT, &delivery, &[], Some(arrived))).await;
    let edited = twice.call(("EditMessage", Method::PATCH, &message, &FIRST, Some(hello))).await;
    twice.call(("GetMessage", Method::GET, &message, &[], None)).await;
    twice.call(("ListMessages", Method::GET, &messages, &[], None)).await;
    let indexed = json!({"contact_id": contact, "seq": edited["seq"]});
    let search = json!({"query": "privacy", "wait_for": indexed});
    twice.call(("SearchMessages", Method::POST, "/v1/search/messages", &[], Some(search))).await;
    twice.call(("DeleteMessage", Method::DELETE, &message, &[], None)).await;
    let resolved = json!({"status": "resolved"});
    twice.call(("UpdateConversation", Method::PATCH, &path, &FIRST, Some(resolved))).await;
    let (receipt, ratings) = (format!("{path}/read-receipt"), format!("{path}/ratings"));
    let key = [("idempotency-key", "twice-stars")];
    let stars = json!({"stars": 4, "comment": "Quick"});
    twice.call(("RateConversation", Method::POST, &ratings, &key, Some(stars))).await;
    twice.call(("ListRatings", Method::GET, &ratings, &[], None)).await;
    let window = "/v1/satisfaction?from=2020-01-01T00:00:00Z&until=2021-01-01T00:00:00Z";
    twice.call(("GetSatisfaction", Method::GET, window, &[], None)).await;
    let upto = json!({"message_id": sent["message_id"]});
    twice.call(("MarkRead", Method::PUT, &format!("{path}/read"), &[], Some(upto.clone()))).await;
    twice.call(("RecordReadReceipt", Method::PUT, &receipt, &[], Some(upto))).await;
    let spam = format!("{path}/spam");
    twice.call(("MarkSpam", Method::PUT, &spam, &[], None)).await;
    twice.call(("UnmarkSpam", Method::DELETE, &spam, &[], None)).await;
    let settings = "/v1/spam-settings";
    let detect = json!({"detect": true});
    twice.call(("UpdateSpamSettings", Method::PATCH, settings, &FIRST, Some(detect))).await;
    twice.call(("GetSpamSettings", Method::GET, settings, &[], None)).await;
    twice.call(("GetConversation", Method::GET, &path, &[], None)).await;
    twice.call(("ListConversations", Method::GET, "/v1/conversations", &[], None)).await;
}

async fn imports(twice: &mut Twice<'_>) {
    let made = twice.call(("CreateImport", Method::POST, "/v1/imports", &KEY, None)).await;
    let path = format!("/v1/imports/{}", text(&made, "import_id"));
    let rows = concat!(
        r#"{"contact": {"key": "1", "profile": {"email": "eve@example.org"}}}"#,
        "\n",
        r#"{"contact": {"key": "", "profile": {}}}"#,
        "\n",
        r#"{"conversation": {"key": "1", "contact_key": "1", "channel": "sms", "messages": [{"key": "1","#,
        r#" "direction": "inbound", "text": "Hello", "sent_at": "2020-01-01T00:00:00Z"}]}}"#,
    );
    let (owner, chunk) = (twice.tenant.owner.clone(), format!("{path}/chunks/1"));
    let put = async || owner.put_bytes(&chunk, "application/jsonl", rows.as_bytes()).await;
    let taken = twice.twice("PutImportChunk", put).await;
    assert_eq!((&taken["imported"], &taken["refused"]), (&json!(2), &json!(1)), "{taken}");
    let refused = format!("{path}/refused-rows");
    twice.call(("ListRefusedRows", Method::GET, &refused, &[], None)).await;
    twice.call(("FinishImport", Method::POST, &format!("{path}/finish"), &[], None)).await;
    twice.call(("GetImport", Method::GET, &path, &[], None)).await;
    twice.call(("ListImports", Method::GET, "/v1/imports", &[], None)).await;
}

/// To a receiver that nobody is: the deliveries stay.
async fn webhooks(twice: &mut Twice<'_>) {
    let endpoints = "/v1/webhook-endpoints";
    let new =
        json!({"url": "http://127.0.0.2:9/", "event_types": ["erasure.advanced"], "description": "CRM"});
    let made = twice.call(("CreateWebhookEndpoint", Method::POST, endpoints, &KEY, Some(new))).await;
    let path = format!("{endpoints}/{}", text(&made["endpoint"], "endpoint_id"));
    let off = json!({"enabled": false});
    twice.call(("UpdateWebhookEndpoint", Method::PATCH, &path, &FIRST, Some(off))).await;
    let second = [("if-match", "\"2\"")];
    twice.call(("RotateWebhookSecret", Method::POST, &format!("{path}/secret"), &second, None)).await;
    twice.call(("GetWebhookEndpoint", Method::GET, &path, &[], None)).await;
    twice.call(("ListWebhookEndpoints", Method::GET, endpoints, &[], None)).await;
    let key = [("idempotency-key", "twice-test")];
    let queued = twice.call(("TestWebhookEndpoint", Method::POST, &format!("{path}/test"), &key, None)).await;
    let deliveries = "/v1/webhook-deliveries";
    twice.call(("ListWebhookDeliveries", Method::GET, deliveries, &[], None)).await;
    let replay = format!("{deliveries}/{}/replay", text(&queued, "delivery_id"));
    twice.call(("ReplayWebhookDelivery", Method::POST, &replay, &[], None)).await;
    let third = [("if-match", "\"3\"")];
    twice.call(("DeleteWebhookEndpoint", Method::DELETE, &path, &third, None)).await;
}

async fn members(twice: &mut Twice<'_>) {
    let ada = json!({"email": "ada@acme.example", "name": "Ada Lovelace", "roles": ["agent"]});
    let made = twice.call(("CreateMember", Method::POST, "/v1/members", &KEY, Some(ada))).await;
    let member = made["member"]["member_id"].as_str().expect("an id");
    let path = format!("/v1/members/{member}");
    let name = json!({"name": "Ada King"});
    twice.call(("UpdateMember", Method::PATCH, &path, &FIRST, Some(name))).await;
    let role = format!("{path}/roles/auditor");
    twice.call(("GrantRole", Method::PUT, &role, &[], None)).await;
    twice.call(("RevokeRole", Method::DELETE, &role, &[], None)).await;
    twice.call(("GetMember", Method::GET, &path, &[], None)).await;
    twice.call(("ResetPassword", Method::POST, &format!("{path}/reset-password"), &[], None)).await;
    twice.call(("DeactivateMember", Method::POST, &format!("{path}/deactivate"), &[], None)).await;
    let all = json!({"mode": "all", "confirmation": member});
    twice.call(("EraseMember", Method::POST, &format!("{path}/erase"), &[], Some(all))).await;
    twice.call(("GetMemberErasure", Method::GET, &format!("{path}/erasure"), &[], None)).await;
    twice.call(("ListMembers", Method::GET, "/v1/members", &[], None)).await;
    let key = json!({"name": "Import", "scopes": ["read_inbox"]});
    let made = twice.call(("CreateApiKey", Method::POST, "/v1/api-keys", &KEY, Some(key))).await;
    twice.call(("ListApiKeys", Method::GET, "/v1/api-keys", &[], None)).await;
    let key = format!("/v1/api-keys/{}", made["api_key"]["api_key_id"].as_str().expect("an id"));
    twice.call(("RevokeApiKey", Method::DELETE, &key, &[], None)).await;
    twice.call(("ListApiRequests", Method::GET, "/v1/api-requests", &[], None)).await;
    let tenant = twice.call(("GetTenant", Method::GET, "/v1/tenant", &[], None)).await;
    let version = format!("\"{}\"", tenant["version"]);
    let name = json!({"name": "Acme Limited"});
    let changed = ("UpdateTenant", Method::PATCH, "/v1/tenant", &[("if-match", &*version)][..], Some(name));
    let version = format!("\"{}\"", twice.call(changed).await["version"]);
    let plan = json!({"plan": "business"});
    twice.call(("SetPlan", Method::PUT, "/v1/tenant/plan", &[("if-match", &version)], Some(plan))).await;
}

async fn teams(twice: &mut Twice<'_>) {
    let support = json!({"name": "Support"});
    let made = twice.call(("CreateTeam", Method::POST, "/v1/teams", &KEY, Some(support))).await;
    let path = format!("/v1/teams/{}", text(&made, "team_id"));
    let orders = json!({"name": "Orders"});
    twice.call(("UpdateTeam", Method::PATCH, &path, &FIRST, Some(orders))).await;
    let me = text(&twice.tenant.owner.get("/v1/self").await.ok(), "member_id");
    let member = format!("{path}/members/{me}");
    twice.call(("AddTeamMember", Method::PUT, &member, &[], None)).await;
    twice.call(("GetTeam", Method::GET, &path, &[], None)).await;
    twice.call(("ListTeams", Method::GET, "/v1/teams", &[], None)).await;
    twice.call(("RemoveTeamMember", Method::DELETE, &member, &[], None)).await;
    twice.call(("DeleteTeam", Method::DELETE, &path, &[], None)).await;

    let photo = format!("/v1/members/{me}/photo");
    twice.photo(&photo).await;
    twice.call(("GetPhoto", Method::GET, &photo, &[], None)).await;
    twice.call(("DeletePhoto", Method::DELETE, &photo, &[], None)).await;
}

async fn holds(twice: &mut Twice<'_>, contact: &str) {
    let hold = json!({"contact_id": contact, "reason": "litigation", "case_reference": "2-O-17/26",
                      "ends_at": "2199-01-01T00:00:00Z"});
    let placed = twice.call(("PlaceHold", Method::POST, "/v1/holds", &KEY, Some(hold))).await;
    let path = format!("/v1/holds/{}/release", placed["hold_id"].as_str().expect("an id"));
    twice.call(("ReleaseHold", Method::POST, &path, &[], None)).await;
    twice.call(("ListHolds", Method::GET, "/v1/holds", &[], None)).await;
}

async fn operators(twice: &mut Twice<'_>) {
    let leave = json!({"operator": "j.doe", "reason": "support", "ticket": "T-1", "hours": 1});
    let granted =
        twice.call(("GrantOperatorAccess", Method::POST, "/v1/operator-access", &KEY, Some(leave))).await;
    let path = format!("/v1/operator-access/{}", text(&granted, "operator_access_id"));
    twice.call(("RevokeOperatorAccess", Method::POST, &format!("{path}/revoke"), &[], None)).await;
    let file = twice.platform.file();
    for (rpc, end, body) in
        [("ApproveOperatorAccess", "approve", Some(json!({}))), ("DenyOperatorAccess", "deny", None)]
    {
        let asked = lethe_tests::request_operator_access(&file, &twice.tenant.slug).await;
        let path = format!("/v1/operator-access/{asked}/{end}");
        twice.call((rpc, Method::POST, &path, &[], body)).await;
    }
    twice.call(("ListOperatorAccess", Method::GET, "/v1/operator-access", &[], None)).await;
}

async fn erasures(twice: &mut Twice<'_>, contact: &str) {
    let of = json!({"contact_id": contact});
    let asked = twice.call(("RequestErasure", Method::POST, "/v1/erasures", &KEY, Some(of.clone()))).await;
    let path = format!("/v1/erasures/{}", asked["erasure"]["erasure_id"].as_str().expect("an id"));
    twice.call(("GetErasure", Method::GET, &path, &[], None)).await;
    twice.call(("CancelErasure", Method::POST, &format!("{path}/cancel"), &[], None)).await;

    let asked = twice.tenant.owner.create("/v1/erasures", "another", of).await.ok();
    let path = format!("/v1/erasures/{}", asked["erasure"]["erasure_id"].as_str().expect("an id"));
    let confirm = json!({"confirmation_token": asked["confirmation_token"]});
    twice.call(("ConfirmErasure", Method::POST, &format!("{path}/confirm"), &[], Some(confirm))).await;
    let owner = twice.tenant.owner.clone();
    within(Duration::from_secs(60), "the erasure is certified", async || {
        owner.get(&path).await.ok()["state"] == json!("certified")
    })
    .await;
    twice.call(("GetCertificate", Method::GET, &format!("{path}/certificate"), &[], None)).await;
    twice.call(("ListErasures", Method::GET, "/v1/erasures", &[], None)).await;
    twice.call(("ListCertificateKeys", Method::GET, "/.well-known/lethe-keys.json", &[], None)).await;
}

async fn sessions(twice: &mut Twice<'_>) {
    let email = format!("owner@{}.example", twice.tenant.slug);
    let credentials = json!({"tenant": twice.tenant.slug, "email": email, "password": PASSWORD});
    let opened = twice.call(("LogIn", Method::POST, "/v1/sessions", &[], Some(credentials))).await;
    let session = format!("/v1/sessions/{}", opened["session"]["session_id"].as_str().expect("an id"));
    twice.call(("ListSessions", Method::GET, "/v1/sessions", &[], None)).await;
    twice.call(("GetSelf", Method::GET, "/v1/self", &[], None)).await;
    own_data(twice).await;
    twice.call(("RevokeSession", Method::DELETE, &session, &[], None)).await;
    twice.call(("ListLogInRecords", Method::GET, "/v1/log-in-records", &[], None)).await;
    twice.call(("ListAuditEvents", Method::GET, "/v1/audit-events", &[], None)).await;
    let doomed = Api::log_in(&twice.platform.run.url, &twice.tenant.slug, &email, PASSWORD).await;
    twice.call_as(&doomed, ("LogOut", Method::DELETE, "/v1/sessions/current", &[], None)).await;
    let change = json!({"current_password": PASSWORD, "new_password": format!("{PASSWORD} and more")});
    let own = twice.tenant.owner.clone();
    twice.call_as(&own, ("ChangePassword", Method::PUT, "/v1/self/password", &[], Some(change))).await;
}

async fn own_data(twice: &mut Twice<'_>) {
    let version = format!("\"{}\"", twice.tenant.owner.get("/v1/self").await.ok()["version"]);
    let phone = json!({"phone": "+442071838750"});
    let changed = ("UpdateSelf", Method::PATCH, "/v1/self", &[("if-match", &*version)][..], Some(phone));
    twice.call(changed).await;
    twice.call(("GetOwnData", Method::GET, "/v1/self/data", &[], None)).await;
    let (requests, asked) = ("/v1/self/requests", json!({"kind": "objection", "grounds": "Mine."}));
    let made = twice.call(("MakeOwnRequest", Method::POST, requests, &KEY, Some(asked))).await;
    twice.call(("ListMemberRequests", Method::GET, "/v1/member-requests", &[], None)).await;
    let close = format!("/v1/member-requests/{}/close", text(&made, "member_request_id"));
    let answer = json!({"state": "granted", "answer": "It is done."});
    twice.call(("CloseMemberRequest", Method::POST, &close, &[], Some(answer))).await;
    twice.call(("ListOwnRequests", Method::GET, requests, &[], None)).await;
}

/// Internal RPCs and jobs, and the tests that hand them their input twice.
#[test]
fn every_internal_rpc_and_job_names_the_test_that_hands_it_its_input_twice() {
    let table = table();
    let (mut tests, mut code) = (String::new(), String::new());
    for folder in ["../services", "../libs"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        read(&folder, "tests", &mut tests);
        read(&folder, "src", &mut code);
    }
    read(Path::new(env!("CARGO_MANIFEST_DIR")), "tests", &mut tests);
    let mut known: BTreeSet<&str> = METHODS.iter().filter(|method| method.internal).map(|m| m.rpc).collect();
    for made in ["Job::every(", "Job::every_within(", "Job::new("] {
        let names = code.split(made).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
        known.extend(names.filter_map(|rest| rest.split('"').next()));
    }
    assert!(known.len() > 20, "{known:?}");
    let lines: BTreeMap<_, _> =
        table.iter().filter_map(|(what, second)| Some((*what, second.strip_prefix("fn ")?))).collect();
    assert_eq!(lines.keys().copied().collect::<BTreeSet<_>>(), known);
    for (what, test) in lines {
        assert!(tests.contains(&format!("fn {test}(")), "{what}: there is no test {test}");
    }
}

fn read(folder: &Path, part: &str, into: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read(&path, part, into);
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && path.components().any(|component| component.as_os_str() == part)
        {
            let source = fs::read_to_string(&path).expect("a source");
            // A job's name may be a constant of its file.
            let name = source.split_once("const NAME: &str = ").and_then(|(_, rest)| rest.split(';').next());
            let name = name.map(|name| source.replace("Job::every(NAME", &format!("Job::every({name}")));
            into.push_str(&name.unwrap_or(source));
        }
    }
}
