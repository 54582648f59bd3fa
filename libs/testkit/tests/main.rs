//! The ground that other tests stand on.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{path::Path, process::Command, time::Duration};

use lethe_access::Role;
use lethe_service::Migration;
use lethe_testkit::{Databases, World, access, nats, servers};
use sqlx::Row;

const THINGS: Migration =
    Migration { version: 100, name: "things", sql: "create table things (id int primary key)" };

#[tokio::test]
async fn databases_of_two_tests_do_not_meet() {
    let (one, other) =
        tokio::join!(Databases::fresh("testkit", &[THINGS]), Databases::fresh("testkit", &[THINGS]),);
    assert_ne!(one.url, other.url);
    let mut first = Databases::superuser(&one).await;
    sqlx::query("insert into things values (1)").execute(&mut first).await.unwrap();
    let mut second = Databases::superuser(&other).await;
    let count = sqlx::query("select count(*) from things").fetch_one(&mut second).await.unwrap();
    assert_eq!(count.get::<i64, _>(0), 0);
}

#[tokio::test]
async fn the_keystore_is_an_instance_of_its_own() {
    let main = Databases::fresh("testkit", &[THINGS]).await;
    let keystore = Databases::keystore("testkit", &[THINGS]).await;
    let mut identifiers = Vec::new();
    for config in [&main, &keystore] {
        let mut superuser = Databases::superuser(config).await;
        let row = sqlx::query("select system_identifier from pg_control_system()");
        identifiers.push(row.fetch_one(&mut superuser).await.unwrap().get::<i64, _>(0));
    }
    assert_ne!(identifiers[0], identifiers[1]);
    assert!(servers().await.data().join("PG_VERSION").exists());
    assert!(servers().await.keystore_data().join("PG_VERSION").exists());
}

#[tokio::test]
async fn nats_keeps_its_streams_over_a_crash_and_loses_them_when_it_is_wiped() {
    let mut nats = nats().await;
    let bus = nats.connect("testkit").await;
    let stream = async_nats::jetstream::stream::Config {
        name: "THINGS".to_owned(),
        subjects: vec!["things.>".to_owned()],
        ..Default::default()
    };
    bus.jetstream().create_stream(stream).await.unwrap();
    let is_there = async || {
        // The connection comes back by itself; until then nobody answers.
        let asked = async {
            loop {
                match bus.jetstream().get_stream("THINGS").await {
                    Ok(_) => return true,
                    Err(error) if error.to_string().contains("not found") => return false,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), asked).await.unwrap()
    };
    nats.restart().await;
    assert!(is_there().await);
    nats.wipe().await;
    assert!(!is_there().await);
}

#[tokio::test]
async fn principals_are_believed_and_expire_with_the_tests_clock() {
    let world = World::new(&["gateway"]).await;
    let token = world.principal(world.tenant(), &[Role::Agent]);
    let gateway = world.access.of("gateway");
    assert_eq!(*gateway.verify_principal(&token).await.unwrap().roles(), [Role::Agent]);
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(gateway.verify_principal(&token).await.unwrap_err().reason, "PRINCIPAL_EXPIRED");
    let stranger = access(&["gateway"], &world.clock);
    assert!(stranger.names().any(|name| name == "identity"), "who signs principals is always there");
}

/// Set in the process that [`servers_end_with_a_process_that_is_killed`] starts: this test once more, as its own child.
const CHILD: &str = "LETHE_TESTKIT_CHILD";

/// Says where its servers are, and waits to be killed.
#[allow(clippy::print_stdout, reason = "the other end of a pipe reads it")]
async fn child() {
    println!("folder={}", servers().await.folder().display());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn servers_end_with_a_process_that_is_killed() {
    use std::io::{BufRead, BufReader};
    if std::env::var_os(CHILD).is_some() {
        return child().await;
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["servers_end_with_a_process_that_is_killed", "--exact", "--nocapture"])
        .env(CHILD, "1")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let folder = lines
        .map_while(Result::ok)
        .find_map(|line| line.split("folder=").nth(1).map(str::to_owned))
        .expect("the child says where its servers are");
    let postmaster = std::fs::read_to_string(Path::new(&folder).join("main/data/postmaster.pid")).unwrap();
    let pid: u32 = postmaster.lines().next().unwrap().parse().unwrap();
    let alive = || Path::new(&format!("/proc/{pid}")).exists() || Path::new(&folder).exists();
    assert!(alive());
    child.kill().unwrap();
    child.wait().unwrap();
    let gone = async {
        while alive() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone)
        .await
        .expect("PostgreSQL ended, and its folder is cleared");
}
