//! The services are killed at each state of an erasure, and started again: it goes on where it stood, and the certificate
//! says what is true.

use std::time::Duration;

use lethe_retention::certificate::verify;
use lethe_tests::{Api, within};
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection};

use super::stage::{Stage, found, nonce, talk, text};

/// What an erasure enters after its confirmation, in this order.
const STATES: [&str; 4] = ["fenced", "purged", "verified", "certified"];

/// Lets no erasure into a state before it is allowed, and counts who tried. Sequences survive the refusal.
const GATES: &str = "
    create table gates (state text primary key);
    create function wait_at_the_gate() returns trigger language plpgsql security definer as $$
    begin
      if new.state <> old.state and to_regclass('tried_' || new.state) is not null
         and not exists (select from gates where state = new.state) then
        perform nextval('tried_' || new.state);
        raise exception 'not yet';
      end if;
      return new;
    end $$;
    create trigger wait_at_the_gate before update on erasures for each row execute function wait_at_the_gate();";

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_state_an_erasure_goes_on_and_is_certified() {
    let _alone = lethe_tests::alone().await;
    let mut stage = Stage::begin().await;
    let mut retention = stage.superuser("retention").await;
    sqlx::raw_sql(GATES).execute(&mut retention).await.expect("gates");
    for state in STATES {
        let sequence = format!("create sequence tried_{state}");
        sqlx::raw_sql(AssertSqlSafe(sequence)).execute(&mut retention).await.expect("a sequence");
    }
    let url = stage.serve().await;
    let mut owner = stage.owner(&url).await;
    let (talk, word) = (talk(&owner).await, format!("zq{}", nonce()));
    for number in 0..3 {
        let body = json!({"text": format!("It is about {word} again.")});
        owner.create(&talk.inbound(), &format!("{word}-{number}"), body).await.ok();
    }
    within(Duration::from_secs(20), "all three are found", async || found(&owner, &word).await == 3).await;

    let requested = owner.create("/v1/erasures", &word, json!({"contact_id": talk.contact})).await.ok();
    let erasure = text(&requested["erasure"], "erasure_id");
    let token = json!({"confirmation_token": text(&requested, "confirmation_token")});
    owner.post(&format!("/v1/erasures/{erasure}/confirm"), token).await.ok();
    for state in STATES {
        within(Duration::from_secs(60), "it stands before its next state", async || {
            tried(&mut retention, state).await
        })
        .await;
        stage.kill_services().await;
        sqlx::query("insert into gates values ($1)")
            .bind(state)
            .execute(&mut retention)
            .await
            .expect("a gate opens");
        owner = restarted(&mut stage).await;
    }
    let path = format!("/v1/erasures/{erasure}");
    within(Duration::from_secs(60), "it is certified", async || {
        owner.get(&path).await.body["state"] == "certified"
    })
    .await;

    assert_eq!(owner.get(&format!("/v1/contacts/{}", talk.contact)).await.status, 404);
    assert_eq!(found(&owner, &word).await, 0);
    let mut messaging = stage.superuser("messaging").await;
    let left: i64 = sqlx::query_scalar("select count(*) from messages")
        .fetch_one(&mut messaging)
        .await
        .expect("a number");
    assert_eq!(left, 0);
    let (certificate, keys) = (
        download(&owner, &format!("{path}/certificate")).await,
        download(&owner, "/.well-known/lethe-keys.json").await,
    );
    assert_eq!(verify(&certificate, &keys).expect("a certificate that holds").sequence, 1);
}

async fn tried(retention: &mut PgConnection, state: &str) -> bool {
    let statement = format!("select is_called from tried_{state}");
    sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(retention).await.expect("a sequence")
}

async fn restarted(stage: &mut Stage) -> Api {
    let url = stage.serve().await;
    stage.owner(&url).await
}

async fn download(owner: &Api, path: &str) -> Vec<u8> {
    let request = reqwest::Client::new().get(format!("{}{path}", owner.url)).bearer_auth(&owner.token);
    let answer = request.send().await.expect("the gateway answers");
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    answer.bytes().await.expect("a whole body").to_vec()
}
