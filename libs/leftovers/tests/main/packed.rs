//! Compressed streams.

use std::{fs, io::Write as _};

use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};
use lethe_leftovers::{Form, Report, Search, Tokens};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use crate::{forms, noise, one};

const TOKEN: &str = "zq5d1e8a40-planted";

/// Some text that packs well, with the token in it.
fn text() -> Vec<u8> {
    let mut text = "The same words, and the same words again, and again. ".repeat(40).into_bytes();
    text.extend_from_slice(TOKEN.as_bytes());
    text.extend_from_slice(" and the same words once more. ".repeat(40).as_bytes());
    text
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut out = ZlibEncoder::new(Vec::new(), Compression::best());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut out = DeflateEncoder::new(Vec::new(), Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// An archive of one deflated entry, as far as it is read.
fn zip(bytes: &[u8]) -> Vec<u8> {
    let packed = deflate(bytes);
    let mut out = b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0".to_vec();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&u32::try_from(packed.len()).unwrap().to_le_bytes());
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
    out.extend_from_slice(&[8, 0, 3, 0]);
    out.extend_from_slice(b"chat.txtxyz");
    out.extend_from_slice(&packed);
    out
}

fn in_a_file(bytes: &[u8], tokens: &Tokens) -> Report {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), bytes).unwrap();
    let search = Search::new(tokens);
    search.folder("store", folder.path());
    search.report()
}

/// Where the token stands as it is. What hardly packs stands in the packed bytes as well.
fn paths(report: &Report) -> impl Iterator<Item = &str> {
    let plain = |finding: &&lethe_leftovers::Finding| finding.form == Form::Plain;
    report.findings.iter().filter(plain).map(|finding| finding.place.path.as_str())
}

#[test]
fn streams_are_opened_wherever_they_begin() {
    let streams: [(&str, Vec<u8>); 5] = [
        ("gzip", gzip(&text())),
        ("zlib", zlib(&text())),
        ("zip entry", zip(&text())),
        ("zstd", compress_to_vec(text().as_slice(), CompressionLevel::Fastest)),
        ("deflate", deflate(&text())),
    ];
    for (kind, packed) in streams {
        let found = in_a_file(&packed, &one(TOKEN));
        assert!(forms(&found).contains(&Form::Plain), "{kind} at the beginning");
        assert!(found.findings.iter().any(|finding| finding.place.path.contains(kind)), "{kind}");
        assert!(found.looked.streams >= 1);
        if kind == "deflate" {
            continue;
        }
        // In the middle of something, and torn off at the end.
        let buried = [noise(5, 5_000_000), packed.clone(), noise(6, 1000)].concat();
        let found = in_a_file(&buried, &one(TOKEN));
        assert!(paths(&found).any(|path| path == format!("file › {kind}@5000000")), "{kind} in the middle");
        if kind != "zstd" {
            let torn = [noise(7, 300), packed[..packed.len() - 9].to_vec()].concat();
            let found = in_a_file(&torn, &one(TOKEN));
            assert!(paths(&found).any(|path| path == format!("file › {kind}@300")), "{kind} torn");
        }
        // In memory too, as readers give it.
        let search = Search::new(&one(TOKEN));
        search.bytes("store", "row", &[b"a row: ", packed.as_slice()].concat());
        let found = search.report();
        assert!(paths(&found).any(|path| path == format!("row › {kind}@7")), "{kind} in a row");
    }
}

#[test]
fn streams_within_streams_are_opened() {
    let nested = gzip(
        &[
            noise(8, 100),
            zlib(&[noise(9, 70), compress_to_vec(text().as_slice(), CompressionLevel::Fastest)].concat()),
        ]
        .concat(),
    );
    let found = in_a_file(&nested, &one(TOKEN));
    assert_eq!(forms(&found), [Form::Plain].into());
    assert!(paths(&found).any(|path| path == "file › gzip@0 › zlib@100 › zstd@70"));
}

#[test]
fn a_stream_longer_than_memory_is_searched_to_its_end_and_what_was_not_opened_is_said() {
    let long = [b"x".repeat(100 << 20), TOKEN.as_bytes().to_vec(), b"y".repeat(10 << 20)].concat();
    let found = in_a_file(&gzip(&long), &one(TOKEN));
    assert_eq!(forms(&found), [Form::Plain].into());
    assert_eq!(found.findings[0].place.offset, 100 << 20);
    assert_eq!(found.unread.len(), 1, "{:?}", found.unread);
}

/// By the code that NATS compresses with (`fixtures/s2.go`); what was packed is made here again.
#[test]
fn s2_and_snappy_are_read() {
    let mut whole = String::new();
    for number in 0..400 {
        whole += &format!(
            "{{\"level\":\"info\",\"number\":{},\"text\":\"the same words again and again, but for a number\"}}\n",
            number * number
        );
        if number == 200 {
            whole += "zq5d1e8a40-planted-in-s2\n";
        }
    }
    let tokens = Tokens::new([
        ("middle", "zq5d1e8a40-planted-in-s2"),
        ("end", "zq77aa0913-at-the-end"),
        ("row", &whole[4000..4100]),
    ])
    .unwrap();
    for packed in [
        &include_bytes!("../fixtures/plain.s2")[..],
        include_bytes!("../fixtures/best.s2"),
        include_bytes!("../fixtures/snappy.sz"),
    ] {
        let found = in_a_file(&[b"cmp\0", packed].concat(), &tokens);
        let unpacked = whole.len() + 160_000 + "zq77aa0913-at-the-end\n".len();
        assert_eq!(found.looked.unpacked, unpacked as u64);
        for (label, offset) in
            [("row", 4000), ("middle", whole.find("zq5d").unwrap()), ("end", unpacked - 22)]
        {
            let at: Vec<u64> = found
                .of(label)
                .filter(|finding| finding.form == Form::Plain && finding.place.path == "file › s2@4")
                .map(|finding| finding.place.offset)
                .collect();
            assert_eq!(at, [offset as u64], "{label}");
        }
    }
}
