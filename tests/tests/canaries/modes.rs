//! Each mode of erasure, with and without suppression, all at once: of what goes nothing is found in any store and nothing
//! opens but what is dated; what stays is read, found, and stands in the clear in the search index alone.

use std::time::Duration;

use futures::future::join_all;
use lethe::demo::Sought;
use lethe_ids::{ConversationId, UnitId};
use lethe_tests::{Api, Platform, Tenant, alone, erase_as, platform, within};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use super::{
    look,
    person::{Person, Thread, Tokens, listen, open, talk, write},
};

/// An erasure, and whom it is of. The person has a live chat beside the e-mail.
struct Case {
    mode: &'static str,
    suppress: bool,
    person: Person,
    chat: Thread,
}

/// Every mode, with suppression and without it; everything without it is the first test's.
const CASES: [(&str, bool); 7] = [
    ("everything", true),
    ("contact_only", false),
    ("contact_only", true),
    ("conversation", false),
    ("conversation", true),
    ("email", false),
    ("email", true),
];

impl Case {
    async fn begin(platform: &Platform, tenant: &Tenant, (mode, suppress): (&'static str, bool)) -> Self {
        let person = write(platform, tenant).await;
        let conversation = open(platform, &tenant.owner, &person.contact, "live_chat").await;
        let tokens = talk(platform, &tenant.owner, &person.contact, &conversation).await;
        Self { mode, suppress, person, chat: Thread { conversation, tokens } }
    }

    fn takes_profile(&self) -> bool {
        ["everything", "contact_only"].contains(&self.mode)
    }

    /// The threads that go, and those that stay.
    fn threads(&self) -> (Vec<&Thread>, Vec<&Thread>) {
        let Person { mail, imported, .. } = &self.person;
        match self.mode {
            "everything" => (vec![mail, imported, &self.chat], vec![]),
            "contact_only" => (vec![], vec![mail, imported, &self.chat]),
            "conversation" => (vec![mail], vec![imported, &self.chat]),
            "email" => (vec![mail, imported], vec![&self.chat]),
            mode => unreachable!("{mode}"),
        }
    }

    /// Sealed values that open before and not after, at the least: a profile, a picture, two times twelve messages, a rating
    /// and an imported message; or those that go.
    fn sealed(&self) -> u64 {
        match self.mode {
            "conversation" => 13,
            "email" => 14,
            _ => 28,
        }
    }

    /// Every word of the case, each under a name that says whose it is and whether it stays.
    fn tokens(&self) -> Tokens {
        let (gone, kept) = self.threads();
        let ends = [("gone", gone), ("kept", kept)];
        let mut words: Vec<_> = ends
            .into_iter()
            .flat_map(|(end, threads)| threads.into_iter().map(move |thread| (end, thread)))
            .flat_map(|(end, thread)| thread.tokens.iter().cloned().map(move |word| (end, word)))
            .collect();
        // A profile is never in the clear, nor is a row's key: to find one is wrong, whoever is there.
        words.extend(
            self.person.profile.iter().chain(&self.person.rows).cloned().map(|word| ("sealed", word)),
        );
        let suppress = if self.suppress { ", suppressed" } else { "" };
        let name = |end, what| &*format!("{end}: {what} of {}{suppress}", self.mode).leak();
        words.into_iter().map(|(end, (what, word))| (name(end, what), word)).collect()
    }

    async fn erase(&self, api: &Api, key: &str) {
        let mut body =
            json!({"contact_id": self.person.contact, "mode": self.mode, "suppress": self.suppress});
        if self.mode == "conversation" {
            body["conversation_id"] = json!(self.person.mail.conversation);
        }
        erase_as(api, key, body).await;
    }

    /// What is to be read is read, and what is gone is not.
    async fn check(&self, api: &Api) {
        let (gone, kept) = self.threads();
        for thread in gone {
            for what in ["", "/messages", "/ratings"] {
                let path = format!("/v1/conversations/{}{what}", thread.conversation);
                assert_eq!(api.get(&path).await.problem().0, 404, "{}: {path}", self.mode);
            }
            for (script, word) in &thread.tokens {
                assert_eq!(hits(api, word).await, 0, "{}: {script}", self.mode);
            }
        }
        for thread in kept {
            let path = format!("/v1/conversations/{}", thread.conversation);
            let messages = api.get(&format!("{path}/messages?limit=200")).await.ok();
            let read = format!("{messages}{}", api.get(&format!("{path}/ratings")).await.ok());
            for (what, word) in &thread.tokens {
                assert!(read.contains(word), "{}: {what} is not read", self.mode);
                if *what != "rating" {
                    within(Duration::from_secs(20), what, async || hits(api, word).await > 0).await;
                }
            }
            let of = api.get(&path).await.ok()["contact_id"].clone();
            if self.takes_profile() {
                assert_ne!(of, json!(self.person.contact), "{}", self.mode);
                let heir = api.get(&format!("/v1/contacts/{}", of.as_str().expect("an id"))).await.ok();
                assert_eq!((&heir["name"], &heir["email"]), (&Value::Null, &Value::Null), "{heir}");
            }
        }
        let path = format!("/v1/contacts/{}", self.person.contact);
        if self.takes_profile() {
            assert_eq!(api.get(&path).await.problem().0, 404, "{}", self.mode);
        } else {
            let (read, picture) =
                (api.get(&path).await.ok(), api.get_bytes(&format!("{path}/picture")).await.2);
            let read = format!("{read}{}", String::from_utf8_lossy(&picture));
            for (what, word) in &self.person.profile {
                assert!(read.contains(word), "{}: {what} is not read", self.mode);
            }
        }
    }

    /// Whoever comes with the address later is opted out where it was suppressed, and only there.
    async fn check_suppression(&self, platform: &Platform, api: &Api) {
        let (_, email) = self.person.profile.iter().find(|(what, _)| *what == "e-mail address").expect("one");
        let later = api.create("/v1/contacts", &platform.nonce(), json!({"email": email})).await.ok();
        assert_eq!(later["opted_out"], json!(self.suppress), "{}", self.mode);
    }
}

async fn hits(api: &Api, word: &str) -> usize {
    let found = api.post("/v1/search/messages", json!({"query": word})).await.ok();
    found["hits"].as_array().expect("hits").len()
}

/// The units of threads: what their sealed values are recognised by where the person stays.
async fn units(platform: &Platform, threads: &[&Thread]) -> Vec<UnitId> {
    let url = format!("{}/messaging", platform.run.admin_url);
    let mut messaging = PgConnection::connect(&url).await.expect("messaging's database");
    let ids: Vec<_> = threads.iter().map(|thread| thread.conversation.parse::<ConversationId>()).collect();
    let ids: Vec<_> = ids.into_iter().map(|id| id.expect("an id").uuid()).collect();
    let units =
        sqlx::query_scalar("select unit_id from conversation_units where conversation_id::uuid = any ($1)");
    let units: Vec<uuid::Uuid> = units.bind(ids).fetch_all(&mut messaging).await.expect("units");
    units.into_iter().map(UnitId::new).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_each_mode_what_goes_is_nowhere_and_what_stays_is_read() {
    let _alone = alone().await;
    let platform = platform();
    let tenant = platform.tenant().await;
    let api = &tenant.owner;
    let mut sought = Sought { tokens: listen(platform, &tenant).await, ..Sought::default() };
    let cases = join_all(CASES.map(|case| Case::begin(platform, &tenant, case))).await;
    for case in &cases {
        sought.tokens.extend(case.tokens());
        if case.takes_profile() {
            sought.subjects.extend(&case.person.subjects);
        }
        sought.units.extend(units(platform, &case.threads().0).await);
    }
    let before = look(platform, &sought).await;
    let stores: Vec<_> = before.stores.iter().map(String::as_str).collect();
    assert_eq!(stores, ["index"], "plaintext outside the search index:\n{before}");
    let sealed: u64 = cases.iter().map(Case::sealed).sum();
    assert!(before.undated >= sealed, "what is to go opens, {sealed} at the least: {before}");
    assert_eq!(before.unread, 0, "{before}");

    let keys: Vec<_> = cases.iter().map(|_| platform.nonce()).collect();
    join_all(cases.iter().zip(&keys).map(|(case, key)| case.erase(api, key))).await;
    join_all(cases.iter().map(|case| case.check(api))).await;
    let after = look(platform, &sought).await;
    assert_eq!((after.undated, after.unread), (0, 0), "{after}");
    assert!(after.dated + after.closed > 0, "the sealed values that linger are seen: {after}");
    let plain: Vec<_> = after.lines.iter().filter(|line| line.starts_with("plaintext")).collect();
    let kept = |line: &&String| line.starts_with("plaintext: kept") && line.contains(" in index: ");
    assert!(plain.iter().all(kept), "{after}");
    let words = sought.tokens.iter().filter(|(name, _)| name.starts_with("kept") && !name.contains("rating"));
    for (name, _) in words {
        assert!(plain.iter().any(|line| line.contains(name)), "{name} is not in the index: {after}");
    }
    for case in &cases {
        case.check_suppression(platform, api).await;
        // Of the text that a signal could carry, one of each kind.
        for (what, word) in case.person.profile.iter().chain(&case.person.mail.tokens[..1]) {
            assert!(!platform.collector.holds(word), "{what} stands in a signal");
        }
    }
}
