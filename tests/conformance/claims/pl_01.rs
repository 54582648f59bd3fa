//! pl-01: TLS 1.2 or newer on every connection, between services too: of the platform as separate processes, every port
//! that is open is known, none says anything in plain, none takes TLS 1.1, and the services among themselves take 1.3 alone.

use std::{collections::BTreeSet, fs, time::Duration};

use lethe_tests::{Api, alone};
use reqwest::tls::Version;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::apart::apart;

/// A record of TLS that is an alert, and one that is a handshake.
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
/// RFC 8446, 6.2: the version is not spoken here.
const PROTOCOL_VERSION: u8 = 70;
const TLS_1_1: [u8; 2] = [3, 2];
const TLS_1_2: [u8; 2] = [3, 3];

pub(in super::super) async fn pl_01_every_connection_is_tls_1_2_or_newer_between_services_too() {
    let _alone = alone().await;
    let apart = apart();
    for (name, port) in &apart.ports {
        for words in in_plain(name) {
            let said = exchange(*port, &[], &words).await;
            assert!(says_nothing(name, &said), "{name} answers in plain: {}", String::from_utf8_lossy(&said));
        }
        let refused = exchange(*port, before_tls(name), &hello(TLS_1_1)).await;
        assert_eq!(refused.first(), Some(&ALERT), "{name} takes TLS 1.1: {refused:?}");
        assert_eq!(refused.get(6), Some(&PROTOCOL_VERSION), "{name}: {refused:?}");
        // The same words with a newer version: it was the version that was refused.
        let newer = exchange(*port, before_tls(name), &hello(TLS_1_2)).await;
        let is_between_services =
            !["postgres", "keystore", "nats", "gateway-0", "gateway-1"].contains(&&**name);
        if is_between_services {
            assert_eq!(newer.get(6), Some(&PROTOCOL_VERSION), "{name} takes TLS 1.2: {newer:?}");
        } else {
            assert_eq!(newer.first(), Some(&HANDSHAKE), "{name} does not take TLS 1.2: {newer:?}");
        }
    }
    for process in apart.processes.values().flatten() {
        assert_eq!(listens_on(process.id()), [process.port].into(), "{} has an unknown port", process.name);
    }

    let ca = fs::read(apart.run.ca.as_ref().expect("an authority")).expect("its certificate");
    let ca = reqwest::Certificate::from_pem(&ca).expect("a certificate");
    let client = |at_most: Version| {
        reqwest::Client::builder()
            .tls_certs_only([ca.clone()])
            .tls_version_max(at_most)
            .build()
            .expect("a client")
    };
    for version in [Version::TLS_1_2, Version::TLS_1_3] {
        let answer = client(version).get(format!("{}/livez", apart.run.url)).send().await.expect("an answer");
        assert_eq!(answer.version(), reqwest::Version::HTTP_2, "by ALPN");
        assert!(answer.headers()["strict-transport-security"].to_str().expect("text").contains("max-age="));
    }
    // Whoever has no certificate of the authority learns nothing of a service; whoever does not know it trusts nobody.
    let strange = reqwest::Client::new().get(format!("{}/livez", apart.run.url)).send().await;
    assert!(strange.is_err());
    let messaging = format!("https://127.0.0.1:{}/", apart.processes["messaging"][0].port);
    assert!(client(Version::TLS_1_3).get(messaging).send().await.is_err());
    // And all that works: this member signed in over it.
    let tenant = apart.tenant().await;
    let _: &Api = &tenant.owner;
    tenant.owner.get("/v1/self").await.ok();
}

/// What a client without TLS begins with there.
fn in_plain(name: &str) -> Vec<Vec<u8>> {
    match name {
        "postgres" | "keystore" => {
            let body = b"\0\x03\0\0user\0lethe\0database\0postgres\0\0";
            let length = u32::try_from(body.len() + 4).expect("short").to_be_bytes();
            vec![[&length[..], body].concat()]
        }
        "nats" => vec![b"CONNECT {\"verbose\":false}\r\nPING\r\n".to_vec()],
        _ => vec![
            b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
        ],
    }
}

/// Whether it was turned away before anything was asked of it.
fn says_nothing(name: &str, said: &[u8]) -> bool {
    let text = String::from_utf8_lossy(said);
    match name {
        // An error, and why; neither a question for a password nor anything else.
        "postgres" | "keystore" => said.first() == Some(&b'E') && text.contains("no encryption"),
        // Its greeting says that it speaks no further without.
        "nats" => text.contains("\"tls_required\":true") && !text.contains("PONG"),
        _ => said.is_empty() || said[0] == ALERT,
    }
}

/// What the protocol of a store says before TLS begins.
fn before_tls(name: &str) -> &'static [u8] {
    match name {
        // SSLRequest, answered by one letter.
        "postgres" | "keystore" => &[0, 0, 0, 8, 4, 210, 22, 47],
        _ => &[],
    }
}

/// Connects, says `first` and reads what is said to it (or to the connection itself), says `words`, and reads what comes
/// within a moment.
async fn exchange(port: u16, first: &[u8], words: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the port is open");
    let is_nats = apart().ports.iter().any(|(name, at)| *at == port && name == "nats");
    if !first.is_empty() {
        stream.write_all(first).await.expect("it is read");
        assert_eq!(stream.read_u8().await.expect("an answer"), b'S', "PostgreSQL speaks TLS");
    }
    let mut said = Vec::new();
    if is_nats {
        // One line, before anybody has spoken.
        while said.last() != Some(&b'\n') {
            said.push(stream.read_u8().await.expect("a greeting"));
        }
        if words[0] == HANDSHAKE {
            said.clear();
        }
    }
    // A reset is an answer, too.
    let _ = stream.write_all(words).await;
    let mut buffer = [0; 4096];
    let limit = Duration::from_millis(1500);
    while let Ok(Ok(read @ 1..)) = timeout(limit, stream.read(&mut buffer)).await {
        said.extend(&buffer[..read]);
        if words[0] == HANDSHAKE {
            break;
        }
    }
    said
}

/// The first words of a client that speaks TLS up to `version`, with what RSA and elliptic certificates need.
fn hello(version: [u8; 2]) -> Vec<u8> {
    let extensions: [&[u8]; 3] = [
        // secp256r1 and x25519; uncompressed points; ECDSA and RSA with SHA-256.
        &[0, 10, 0, 6, 0, 4, 0, 23, 0, 29],
        &[0, 11, 0, 2, 1, 0],
        &[0, 13, 0, 8, 0, 6, 4, 3, 4, 1, 8, 4],
    ];
    let extensions = extensions.concat();
    let suites = [0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x0a, 0xc0, 0x14, 0x00, 0x2f];
    let mut body = version.to_vec();
    body.extend([7; 32]);
    body.push(0);
    body.extend([0, suites.len() as u8]);
    body.extend(suites);
    body.extend([1, 0]);
    body.extend([0, extensions.len() as u8]);
    body.extend(extensions);
    let mut record = vec![HANDSHAKE, 3, 1, 0, body.len() as u8 + 4, 1, 0, 0, body.len() as u8];
    record.extend(body);
    record
}

/// The ports of IPv4 that a process listens on (Linux: /proc).
fn listens_on(process: i32) -> BTreeSet<u16> {
    let sockets: BTreeSet<String> = fs::read_dir(format!("/proc/{process}/fd"))
        .expect("its files")
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    ["tcp", "tcp6"]
        .iter()
        .flat_map(|table| {
            let table = fs::read_to_string(format!("/proc/{process}/net/{table}")).unwrap_or_default();
            table.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
        })
        .filter_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let (is_listening, inode) = (columns.get(3)? == &"0A", columns.get(9)?);
            let port = columns.get(1)?.rsplit(':').next()?;
            (is_listening && sockets.contains(*inode)).then(|| u16::from_str_radix(port, 16).ok())?
        })
        .collect()
}
