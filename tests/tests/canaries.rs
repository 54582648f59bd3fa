//! Canaries and harvest: unique tokens in every field a contact can have, in several scripts, looked for in every store's
//! files and by every store's own reader. Before the erasure they stand in the search index and nowhere else, and what
//! was sealed opens; after it they stand nowhere, and nothing opens but what is dated. Each finding is first proven on
//! something planted.

mod modes;
mod person;

use std::fs;

use lethe::demo::{Leftovers, Sought, search_leftovers};
use lethe_ids::{MemberId, SubjectId};
use lethe_tests::{Platform, alone, erase, platform};
use reqwest::Method;
use serde_json::json;
use sqlx::{Connection, PgConnection};

use person::{Person, listen, write, write_member};

async fn look(platform: &Platform, sought: &Sought) -> Leftovers {
    let looked = search_leftovers(&platform.folder, &platform.run, sought, |_| {}).await;
    looked.expect("every store can be looked at")
}

impl Person {
    fn sought(&self) -> Sought {
        Sought::person(self.tokens(), self.subjects.clone())
    }
}

/// A file in a store of its own below the platform's folder, gone at the end of the test.
struct Planted(std::path::PathBuf);

impl Planted {
    fn new(platform: &Platform, name: &str, bytes: &[u8]) -> Self {
        let folder = platform.folder.join(format!("planted-{name}-{}", platform.nonce()));
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("page"), bytes).expect("a file");
        Self(folder)
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_persons_canaries_are_nowhere_and_nothing_undated_opens() {
    let _alone = alone().await;
    let platform = platform();
    let tenant = platform.tenant().await;
    let hook = listen(platform, &tenant).await;
    let person = write(platform, &tenant).await;
    let mut sought = person.sought();
    sought.tokens.extend(hook);

    let before = look(platform, &sought).await;
    let stores: Vec<_> = before.stores.iter().map(String::as_str).collect();
    assert_eq!(stores, ["index"], "plaintext outside the search index:\n{before}");
    assert!(
        before.undated >= 15,
        "the profile, the picture, the rating and twelve messages open before the erasure: {before}"
    );
    assert_eq!(before.unread, 0, "{before}");

    // The wrapped secrets, as a backup that nobody knew of would keep them.
    let url = format!("{}/messaging", platform.run.keystore_admin_url);
    let mut keystore = PgConnection::connect(&url).await.expect("the keystore");
    let subjects: Vec<_> = person.subjects.iter().map(|subject| subject.uuid()).collect();
    let wrapped: Vec<Vec<u8>> =
        sqlx::query_scalar("select wrapped from secrets where secret_id = any($1) or subject_id = any($1)")
            .bind(subjects)
            .fetch_all(&mut keystore)
            .await
            .expect("wrapped secrets");
    assert!(wrapped.len() >= 3, "a subject, a profile, a conversation's month");

    erase(&tenant.owner, &person.contact).await;
    let after = look(platform, &sought).await;
    assert!(after.is_clean(), "{after}");
    assert!(after.dated + after.closed > 0, "the sealed values that linger in old pages are seen: {after}");

    // And the search would have seen it.
    let token = &sought.tokens[0].1;
    let planted = Planted::new(platform, "token", token.as_bytes());
    assert_eq!(look(platform, &sought).await.plaintext, 1);
    drop(planted);
    let planted = Planted::new(platform, "wrapper", &wrapped.concat());
    let found = look(platform, &sought).await;
    assert!(
        found.undated > 0 && !found.is_clean(),
        "an old wrapper outside the keystore went unseen: {found}"
    );
    drop(planted);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_person_who_was_two_contacts_nothing_is_left_of_either() {
    let _alone = alone().await;
    let platform = platform();
    let tenant = platform.tenant().await;
    let (survivor, merged) = (write(platform, &tenant).await, write(platform, &tenant).await);
    let body = json!({"merged_contact_id": merged.contact});
    tenant.owner.post(&format!("/v1/contacts/{}/merge", survivor.contact), body).await.ok();
    for person in [&survivor, &merged] {
        let before = look(platform, &person.sought()).await;
        let stores: Vec<_> = before.stores.iter().map(String::as_str).collect();
        assert_eq!(stores, ["index"], "plaintext outside the search index:\n{before}");
        assert!(before.undated >= 13, "each subject's values open under its own secret: {before}");
    }
    erase(&tenant.owner, &survivor.contact).await;
    for person in [&survivor, &merged] {
        let after = look(platform, &person.sought()).await;
        assert!(after.is_clean(), "{after}");
        assert!(after.dated + after.closed > 0, "the sealed values that linger are seen: {after}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_members_canaries_are_nowhere_and_nothing_undated_opens() {
    let _alone = alone().await;
    let platform = platform();
    let tenant = platform.tenant().await;
    let (member, tokens) = write_member(platform, &tenant).await;
    let id: MemberId = member.parse().expect("an id");
    let url = format!("{}/identity", platform.run.admin_url);
    let mut database = PgConnection::connect(&url).await.expect("identity's database");
    let subject = sqlx::query_scalar("select subject_id::uuid from members where member_id = $1");
    let subject = subject.bind(id.uuid()).fetch_one(&mut database).await.expect("a subject");
    let sought = Sought::person(tokens, vec![SubjectId::new(subject)]);

    let before = look(platform, &sought).await;
    assert!(before.stores.is_empty(), "plaintext of a member is stored:\n{before}");
    assert!(
        before.undated >= 5,
        "profile, photo, log-in record, grounds and answer open before the erasure: {before}"
    );

    let path = format!("/v1/members/{member}");
    tenant.owner.send(Method::POST, &format!("{path}/deactivate"), &[], None).await.ok();
    let all = json!({"mode": "all", "confirmation": member});
    let erased = tenant.owner.post(&format!("{path}/erase"), all).await.ok();
    assert!(erased["erased_at"].is_string(), "{erased}");
    let after = look(platform, &sought).await;
    assert!(after.is_clean(), "{after}");
    assert!(after.dated + after.closed > 0, "the sealed values that linger in old pages are seen: {after}");
}
