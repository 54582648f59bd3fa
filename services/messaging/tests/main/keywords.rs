//! STOP and START, obeyed in the transaction that accepts the message.

use std::time::Duration;

use lethe_ids::ContactId;
use lethe_proto::messaging::{GetContactRequest, OptOutContactRequest, Profile, UpdateContactRequest};

use tokio::sync::Notify;

use crate::stage::{Stage, full_profile, reason, uuid_of};

/// A word of each language of `articles-by-language.jsonl`, as a person would type it.
const WORDS: &[(&str, &str, &str)] = &[
    ("eng", "STOP", "start"),
    ("deu", "Abmelden!", "Anmelden"),
    ("fra", "Arrêt", "Démarrer"),
    ("spa", "darse de baja", "Empezar"),
    ("ita", "ferma", "inizia"),
    ("por", "SAIR", "começar"),
    ("nld", "Afmelden.", "aanmelden"),
    ("pol", "Wypisz mnie", "zacznij"),
    ("ces", "odhlásit", "přihlásit"),
    ("hun", "leiratkozás", "feliratkozás"),
    ("fin", "lopeta", "aloita"),
    ("swe", "sluta", "börja"),
    ("rus", "Стоп", "старт"),
    ("ukr", "відписатися", "почати"),
    ("ell", "ΔΙΑΚΟΠΗ", "έναρξη"),
    ("tur", "İPTAL", "başlat"),
    ("kat", "შეწყვიტე", "დაწყება"),
    ("arb", "إيقاف", "ابدأ"),
    ("heb", "הסר", "התחל"),
    ("pes", "لغو", "شروع"),
    ("hin", "बंद करें", "शुरू करें"),
    ("ben", "বন্ধ করুন", "শুরু"),
    ("tam", "நிறுத்து", "தொடங்கு"),
    ("tha", "หยุด", "เริ่ม"),
    ("vie", "Dừng lại", "bắt đầu"),
    ("cmn", "退订", "开始"),
    ("jpn", "配信停止", "再開"),
    ("kor", "수신거부", "시작"),
    ("ind", "Berhenti", "mulai"),
    ("swh", "sitisha", "anza"),
    ("amh", "አቁም", "ጀምር"),
];

async fn is_out(stage: &Stage, contact_id: &str) -> bool {
    let request = GetContactRequest { contact_id: contact_id.into() };
    stage.contacts().get_contact(request).await.unwrap().into_inner().opted_out
}

#[tokio::test]
async fn stop_and_start_are_obeyed_in_every_language() {
    let stage = Stage::new().await;
    let contact = stage.create(full_profile("a")).await;
    let conversation = stage.open(&contact).await;
    for (language, stop, start) in WORDS {
        stage.receive(&conversation, stop).await;
        assert!(is_out(&stage, &contact.contact_id).await, "{language}: {stop}");
        let status = stage.try_send(&conversation, "an offer", None).await.unwrap_err();
        assert_eq!(reason(&status), "CONTACT_OPTED_OUT", "{language}");
        stage.receive(&conversation, start).await;
        assert!(!is_out(&stage, &contact.contact_id).await, "{language}: {start}");
        stage.send(&conversation, "welcome back").await;
    }
}

#[tokio::test]
async fn stop_is_for_the_address_on_every_channel_and_for_who_comes_later() {
    let stage = Stage::new().await;
    let ada = stage.create(full_profile("a")).await;
    let sharer = stage.create(full_profile("b")).await;
    let (conversation, other) = (stage.open(&ada).await, stage.open(&ada).await);
    let stop = stage.receive(&conversation, "Stop.").await;
    assert_eq!(stop.text, "Stop.", "the message itself is stored");
    assert_eq!(reason(&stage.try_send(&other, "x", None).await.unwrap_err()), "CONTACT_OPTED_OUT");
    assert!(is_out(&stage, &sharer.contact_id).await);
    let later = stage.create(Profile { phone: "+442079460018".into(), ..Profile::default() }).await;
    assert!(later.opted_out);
    // Said once more, nothing changes but the message.
    let seq = stage.receive(&conversation, "STOP").await.seq;
    assert_eq!(stage.receive(&conversation, "are you there?").await.seq, seq + 1);
}

#[tokio::test]
async fn the_sentence_around_it_is_no_keyword_and_outbound_words_are_not_obeyed() {
    let stage = Stage::new().await;
    let contact = stage.contact("Ada").await;
    let conversation = stage.open(&contact).await;
    stage.receive(&conversation, "please stop by tomorrow").await;
    stage.send(&conversation, "STOP").await;
    assert!(!is_out(&stage, &contact.contact_id).await);
}

#[tokio::test]
async fn a_repeated_stop_is_one_message() {
    let stage = Stage::new().await;
    let contact = stage.contact("Ada").await;
    let conversation = stage.open(&contact).await;
    let first = stage.try_receive(&conversation, "STOP", Some("k")).await.unwrap();
    stage.receive(&conversation, "START").await;
    let again = stage.try_receive(&conversation, "STOP", Some("k")).await.unwrap();
    assert!(again.replayed && again.message == first.message);
    assert!(!is_out(&stage, &contact.contact_id).await, "a replay does not opt out again");
}

#[tokio::test]
async fn others_with_the_address_are_opted_out_by_the_job_where_the_request_had_no_time() {
    let mut stage = Stage::new().await;
    let ada = stage.create(full_profile("a")).await;
    let sharer = stage.create(full_profile("b")).await;
    let stranger = stage.contact("Eve").await;
    let conversation = stage.open(&ada).await;
    stage.receive(&conversation, "STOP").await;
    // As after a crash between the two.
    let mut db = stage.superuser().await;
    let ada: ContactId = ada.contact_id.parse().unwrap();
    let undone = "update contact_head set opted_out = false where contact_id <> $1";
    sqlx::query(undone).bind(ada.uuid()).execute(&mut db).await.unwrap();
    sqlx::query(
        "insert into opt_out_spreads select tenant_id, contact_id, created_at from contacts where contact_id = $1",
    )
    .bind(ada.uuid())
    .execute(&mut db)
    .await
    .unwrap();
    assert!(!is_out(&stage, &sharer.contact_id).await);
    stage.advance(Duration::from_secs(31));
    let spread = async {
        while !is_out(&stage, &sharer.contact_id).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), spread).await.expect("the job opts the sharer out");
    assert!(!is_out(&stage, &stranger.contact_id).await);
    let left = async {
        while sqlx::query("select from opt_out_spreads").fetch_optional(&mut db).await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), left).await.expect("the note goes when all are out");
}

#[tokio::test]
async fn a_second_stop_during_the_first_ones_work_leaves_its_own_note() {
    let stage = Stage::new().await;
    let mut db = stage.superuser().await;
    let mail = |email: &str| Profile { email: email.into(), ..Profile::default() };
    let (one, two) = (mail("maud.one@example.org"), mail("maud.two@example.org"));
    let ada = stage.create(one.clone()).await;
    let (first, second) = (stage.create(one).await, stage.create(two.clone()).await);
    let stop = async || {
        let request = OptOutContactRequest { contact_id: ada.contact_id.clone() };
        stage.contacts().opt_out_contact(request).await.unwrap();
    };
    let (begin_second, first_is_done) = (Notify::new(), Notify::new());
    let first_stop = async {
        stop().await;
        first_is_done.notify_one();
    };
    let second_stop = async {
        begin_second.notified().await;
        stop().await;
    };
    // The first STOP waits where it opts out who shares the first address, the second one at the second address.
    let (held_first, held_second) = (stage.hold(&first).await, stage.hold(&second).await);
    let story = async {
        stage.somebody_waits().await;
        let version = sqlx::query_scalar::<_, i64>("select version from contacts where contact_id = $1")
            .bind(uuid_of(&ada.contact_id))
            .fetch_one(&mut db)
            .await
            .unwrap();
        let request = UpdateContactRequest {
            contact_id: ada.contact_id.clone(),
            email: two.email.clone().into(),
            if_version: version.unsigned_abs(),
            ..UpdateContactRequest::default()
        };
        stage.contacts().update_contact(request).await.unwrap();
        let at = "select asked_at from opt_out_spreads";
        let before: time::OffsetDateTime = sqlx::query_scalar(at).fetch_one(&mut db).await.unwrap();
        begin_second.notify_one();
        while sqlx::query_scalar::<_, time::OffsetDateTime>(at).fetch_one(&mut db).await.unwrap() == before {
            tokio::task::yield_now().await;
        }
        drop(held_first);
        first_is_done.notified().await;
        let left = "select count(*) from opt_out_spreads";
        let notes: i64 = sqlx::query_scalar(left).fetch_one(&mut db).await.unwrap();
        assert_eq!(notes, 1, "the later note is not the first one's to end");
        drop(held_second);
    };
    tokio::join!(first_stop, second_stop, story);
    assert!(is_out(&stage, &first.contact_id).await && is_out(&stage, &second.contact_id).await);
    let notes: i64 =
        sqlx::query_scalar("select count(*) from opt_out_spreads").fetch_one(&mut db).await.unwrap();
    assert_eq!(notes, 0);
}
