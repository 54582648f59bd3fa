//! re-07: an erasure is carried out by every service that holds data, acknowledged by each, verified independently, and
//! reported to the recipients (Art. 19): who was sent the person's events is told of the erasure by a signed webhook, and
//! the certificate says how many were told and how many answered.

use std::time::Duration;

use lethe_retention::certificate::{Attestation, Statement, explain, verify};
use lethe_testkit::Receiver;
use lethe_tests::{Talk, erase, platform, within};
use serde_json::{Value, json};

use super::ms_23::is_signed;

const LIMIT: Duration = Duration::from_secs(30);
const SERVICES: [&str; 4] = ["messaging", "identity", "search", "retention"];

/// What the certificate says of recipients: code and number.
fn told(statement: &Statement) -> Vec<(&str, u64)> {
    let lines = statement.participants.iter().flat_map(|participant| &participant.lines);
    lines
        .filter(|line| line.attestation == Attestation::Told)
        .map(|line| (line.code.as_str(), line.looked_for))
        .collect()
}

pub(in super::super) async fn re_07_erasure_is_acknowledged_verified_and_reported_to_the_recipients() {
    let tenant = platform().tenant().await;
    let api = &tenant.owner;
    // Two receivers hear of the person; one refuses the notice of the erasure at first. A third hears of nobody.
    let is_notice = |body: &str| body.contains("contact.erased");
    let refusing =
        Receiver::start(move |one, before| if is_notice(&one.body) && before < 4 { 503 } else { 204 }).await;
    let (willing, idle) = (Receiver::start(|_, _| 200).await, Receiver::start(|_, _| 200).await);
    let mut secrets = Vec::new();
    for (receiver, event_type) in
        [(&refusing, "message.changed"), (&willing, "contact.changed"), (&idle, "erasure.advanced")]
    {
        let new = json!({"url": receiver.url("/"), "event_types": [event_type]});
        let made = api.create("/v1/webhook-endpoints", &platform().nonce(), new).await.ok();
        secrets.push(made["secret"].as_str().expect("a secret").to_owned());
    }
    let talk = Talk::begin(api, "email").await;
    talk.receive("Please forget me.").await.ok();
    within(LIMIT, "both have heard of the person", async || {
        !refusing.received().is_empty() && !willing.received().is_empty()
    })
    .await;

    let path = erase(api, &talk.contact).await;

    // Carried out and acknowledged by every service, verified by each, and signed.
    let envelope = api.get(&format!("{path}/certificate")).await.ok().to_string();
    let keys = api.get("/.well-known/lethe-keys.json").await.ok().to_string();
    let statement = verify(envelope.as_bytes(), keys.as_bytes()).expect("the certificate holds");
    let mut names: Vec<_> = statement.participants.iter().map(|one| one.name.as_str()).collect();
    names.sort_unstable();
    let mut wanted = SERVICES;
    wanted.sort_unstable();
    assert_eq!(names, wanted);
    for participant in &statement.participants {
        assert!(
            participant.fenced_at <= participant.purged_at
                && participant.purged_at <= participant.verified_at
        );
        let re_read: Vec<_> =
            participant.lines.iter().filter(|line| line.attestation == Attestation::ReRead).collect();
        assert!(!re_read.is_empty() && re_read.iter().all(|line| line.found == 0), "{participant:?}");
    }
    // And the recipients: as many as had heard of the person, each counted once.
    let of_recipients = told(&statement);
    assert_eq!(of_recipients.iter().map(|(_, count)| count).sum::<u64>(), 2, "{of_recipients:?}");
    assert!(explain(&statement).contains("Art. 19"), "{}", explain(&statement));

    // Each is told, with the id that it knows and nothing else, signed, until it has answered.
    let notices = |receiver: &Receiver| -> Vec<_> {
        receiver.received().into_iter().filter(|one| is_notice(&one.body)).collect()
    };
    within(LIMIT, "both are told", async || {
        let tried: Vec<_> = notices(&refusing);
        !notices(&willing).is_empty() && tried.len() > 1 && refusing.received().len() > 4
    })
    .await;
    for (receiver, secret) in [(&refusing, &secrets[0]), (&willing, &secrets[1])] {
        let notices = notices(receiver);
        for notice in &notices {
            assert!(is_signed(notice, secret), "{notice:?}");
            assert_eq!(notice.headers["webhook-id"], notices[0].headers["webhook-id"]);
            let body: Value = serde_json::from_str(&notice.body).expect("JSON");
            assert_eq!(body["data"], json!({"contact_id": talk.contact}));
        }
    }
    assert!(idle.received().iter().all(|one| !is_notice(&one.body)), "who heard of nobody is told of nobody");
    let listed = api.get("/v1/webhook-deliveries?event_type=contact.erased").await.ok();
    assert_eq!(listed["deliveries"].as_array().expect("a list").len(), 2);
    within(LIMIT, "both have answered", async || {
        let listed = api.get("/v1/webhook-deliveries?event_type=contact.erased&state=delivered").await.ok();
        listed["deliveries"].as_array().expect("a list").len() == 2
    })
    .await;
    let listed = api.get("/v1/webhook-deliveries?event_type=contact.erased").await.ok().to_string();
    assert!(!listed.contains(&talk.contact), "nothing of ours says any more who it was");
}
