//! The tables themselves: who may do what, and partitions that come and go.

use sqlx::{Connection, PgConnection};

use crate::rig::{Rig, event, until};

#[tokio::test]
async fn the_app_role_puts_for_its_tenant_and_reads_nothing() {
    let rig = Rig::new().await;
    rig.put(1, 1).await;
    let mut tx = rig.bus.db.tenant(rig.tenant).await.unwrap();
    for statement in [
        "select count(*) from outbox",
        "delete from outbox",
        "update outbox set seq = 0",
        "select count(*) from outbox_default",
    ] {
        let mut inner = tx.begin().await.unwrap();
        assert!(sqlx::query(statement).execute(&mut *inner).await.is_err(), "{statement}");
    }
    let other = rig.world.tenant();
    let foreign = sqlx::query("select outbox_put_v1($1, $1, 1, 'messaging.message.changed', ''::bytea)")
        .bind(other.uuid())
        .execute(&mut *tx)
        .await;
    assert!(foreign.unwrap_err().to_string().contains("row-level security"));
    rig.stop().await;
}

#[tokio::test]
async fn the_jobs_role_marks_but_does_not_rewrite() {
    let rig = Rig::new().await;
    rig.put(1, 1).await;
    for statement in [
        "update outbox set payload = ''",
        "insert into dead_letters select * from dead_letters",
        "select payload from dead_letters",
        "drop table outbox",
    ] {
        let refused = sqlx::query(statement).execute(rig.bus.db.jobs()).await.unwrap_err();
        let code = refused.as_database_error().and_then(|error| error.code()).unwrap_or_default();
        assert_eq!(code, "42501", "{statement}: {refused}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn an_insert_for_which_no_partition_was_made_is_kept_and_published() {
    let rig = Rig::new().await;
    let mut superuser = rig.superuser().await;
    drop_partitions(&mut superuser).await;
    rig.put(1, 5).await;
    let strays: i64 =
        sqlx::query_scalar("select count(*) from outbox_default").fetch_one(&mut superuser).await.unwrap();
    assert_eq!(strays, 5);
    rig.relay();
    rig.all_published().await;
    assert_eq!(rig.in_stream().await, 5);
    // The span of today is left to the default partition, tomorrow's are made.
    until("partitions are made again", async || partitions(&rig).await.len() == 2).await;
    rig.stop().await;
}

#[tokio::test]
async fn old_partitions_are_dropped_but_none_with_an_unpublished_event() {
    let mut rig = Rig::new().await;
    let mut superuser = rig.superuser().await;
    sqlx::query("select outbox_make_partitions_v1(now() - interval '6 days')")
        .execute(&mut superuser)
        .await
        .unwrap();
    rig.put(1, 1).await;
    sqlx::query("update outbox set created_at = now() - interval '6 days'")
        .execute(&mut superuser)
        .await
        .unwrap();
    assert_eq!(partitions(&rig).await.len(), 6);
    assert!(!drop_as_jobs(&rig, "outbox_default").await, "the default partition is none by time");
    let young = partitions(&rig).await.remove(3);
    assert!(!drop_as_jobs(&rig, &young).await, "72 hours are kept");
    rig.world.nats.kill().await;
    rig.relay();
    until("two empty ones are dropped", async || partitions(&rig).await.len() == 4).await;
    rig.world.nats.restart().await;
    until("the third is dropped too", async || partitions(&rig).await.len() == 3).await;
    assert_eq!(rig.in_stream().await, 1);
    rig.stop().await;
}

#[tokio::test]
async fn the_inbox_and_the_tries_forget_after_a_week() {
    let rig = Rig::new().await;
    let mut tx = rig.bus.db.tenant(rig.tenant).await.unwrap();
    for age in [1, 8, 9] {
        sqlx::query(
            "insert into inbox values ($1, 'test', gen_random_uuid(), now() - $2 * interval '1 day')",
        )
        .bind(rig.tenant.uuid())
        .bind(f64::from(age))
        .execute(&mut *tx)
        .await
        .unwrap();
    }
    for age in [1, 8, 9, 10] {
        sqlx::query(
            "insert into tries (tenant_id, consumer, event_id, tries, begun_at)
             values ($1, 'test', gen_random_uuid(), 1, now() - $2 * interval '1 day')",
        )
        .bind(rig.tenant.uuid())
        .bind(f64::from(age))
        .execute(&mut *tx)
        .await
        .unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(lethe_outbox::sweep_consumed(&rig.bus.db, 1).await.unwrap(), 1);
    assert_eq!(lethe_outbox::sweep_consumed(&rig.bus.db, 10).await.unwrap(), 2, "the tries that are left");
    assert_eq!(lethe_outbox::sweep_consumed(&rig.bus.db, 10).await.unwrap(), 0);
    rig.stop().await;
}

#[tokio::test]
async fn a_slot_is_the_aggregates_and_all_sixteen_are_used() {
    let rig = Rig::new().await;
    rig.put(1, 400).await;
    let mut tx = rig.bus.db.tenant(rig.tenant).await.unwrap();
    rig.outbox.put(&mut tx, &event(1)).await.unwrap();
    tx.commit().await.unwrap();
    let (slots, of_one): (i64, i64) = sqlx::query_as(
        "select count(distinct slot), (select count(distinct slot) from outbox where seq = 1) from outbox",
    )
    .fetch_one(rig.bus.db.jobs())
    .await
    .unwrap();
    assert_eq!((slots, of_one), (16, 1));
    rig.stop().await;
}

async fn drop_partitions(superuser: &mut PgConnection) {
    let names: Vec<String> =
        sqlx::query_scalar("select partition::text from outbox_partitions_v1() where low is not null")
            .fetch_all(&mut *superuser)
            .await
            .unwrap();
    for name in names {
        sqlx::query(sqlx::AssertSqlSafe(format!("drop table {name}")))
            .execute(&mut *superuser)
            .await
            .unwrap();
    }
}

/// The partitions by time, oldest first.
async fn partitions(rig: &Rig) -> Vec<String> {
    sqlx::query_scalar(
        "select partition::text from outbox_partitions_v1() where low is not null order by low",
    )
    .fetch_all(rig.bus.db.jobs())
    .await
    .unwrap()
}

async fn drop_as_jobs(rig: &Rig, name: &str) -> bool {
    sqlx::query_scalar("select outbox_drop_partition_v1($1::regclass)")
        .bind(name)
        .fetch_one(rig.bus.db.jobs())
        .await
        .unwrap()
}

#[tokio::test]
async fn every_statement_fits_the_schema() {
    let rig = Rig::new().await;
    lethe_testkit::every_statement_fits(env!("CARGO_MANIFEST_DIR"), &rig.database, 20).await;
}
