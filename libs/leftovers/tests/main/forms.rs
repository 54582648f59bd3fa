//! Raw files.

use std::{fs, sync::Mutex};

use lethe_leftovers::{BadToken, Form, Search, Tokens};

use crate::{forms, noise, one};

const TOKEN: &str = "Zq81D0c2 Grüße/北京 \"8\"";

fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(unit).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Independent of the code under test.
fn base64(bytes: &[u8]) -> String {
    let alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect();
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let value = group.iter().fold(0_usize, |value, byte| value << 8 | usize::from(*byte))
            << (8 * (3 - group.len()));
        for digit in 0..=group.len() {
            out.push(alphabet[value >> (18 - 6 * digit) & 63]);
        }
    }
    out
}

#[test]
fn each_form_is_found_in_the_midst_of_noise() {
    let lower = TOKEN.to_lowercase();
    let json = "Zq81D0c2 Gr\\u00fc\\u00dfe\\/\\u5317\\u4eac \\\"8\\\"";
    let planted: Vec<(&str, Vec<u8>, Form)> = vec![
        ("plain", TOKEN.into(), Form::Plain),
        ("lower", lower.clone().into(), Form::LowerCase),
        ("base64 0", base64(TOKEN.as_bytes()).into(), Form::Base64),
        ("base64 1", base64(format!("x{TOKEN}").as_bytes()).into(), Form::Base64),
        ("base64 2", base64(format!("xy{TOKEN}z").as_bytes()).into(), Form::Base64),
        (
            "base64 url",
            base64(format!("xyz{TOKEN}z").as_bytes()).replace('+', "-").replace('/', "_").into(),
            Form::Base64,
        ),
        ("hex", hex(TOKEN.as_bytes()).into(), Form::Hex),
        ("HEX", hex(TOKEN.as_bytes()).to_uppercase().into(), Form::Hex),
        ("hex of lower", hex(lower.as_bytes()).into(), Form::Hex),
        ("utf-16le", utf16(TOKEN, u16::to_le_bytes), Form::Utf16Le),
        ("utf-16be", utf16(TOKEN, u16::to_be_bytes), Form::Utf16Be),
        ("json", json.into(), Form::Json),
        ("JSON", json.replace("4eac", "4EAC").replace("fc", "FC").replace("df", "DF").into(), Form::Json),
        ("json, utf-8", TOKEN.replace('"', "\\\"").into(), Form::Json),
        ("url", "Zq81D0c2%20Gr%C3%BC%C3%9Fe%2F%E5%8C%97%E4%BA%AC%20%228%22".into(), Form::Percent),
    ];
    for (name, bytes, form) in planted {
        let folder = tempfile::tempdir().unwrap();
        let file = [noise(1, 10_001), bytes, noise(2, 5000)].concat();
        fs::write(folder.path().join("file"), &file).unwrap();
        let search = Search::new(&one(TOKEN));
        search.folder("store", folder.path());
        let report = search.report();
        let mut found = forms(&report);
        // A few escapes are like the bytes that a compressor strews in.
        assert!(!found.remove(&Form::Pieces) || name == "json, utf-8", "{name}");
        assert_eq!(found, [form].into(), "{name}");
        assert!(report.findings.iter().all(|finding| finding.count == 1), "{name}");
        assert!(report.unread.is_empty());
        assert_eq!(report.looked.bytes, file.len() as u64);
    }
}

#[test]
fn a_token_is_found_at_every_place_of_a_large_file_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = noise(3, 13 << 20);
    let mut planted = vec![0, 1, file.len() - TOKEN.len()];
    for window in 1..=3 {
        for before in [0, 1, 7, 20, 31, 40, 100, 173, 174, 300, 348, 512] {
            // One behind the other, around each place where a window may end.
            planted.push((window << 22) - 40 * before % 4096 + 37 * before);
        }
    }
    planted.sort_unstable();
    planted.dedup_by(|b, a| *b < *a + TOKEN.len());
    for at in &planted {
        file[*at..at + TOKEN.len()].copy_from_slice(TOKEN.as_bytes());
    }
    fs::write(folder.path().join("file"), file).unwrap();
    let told = Mutex::new((0, 0));
    let search = Search::new(&one(TOKEN)).progress(|progress| {
        *told.lock().unwrap() = (progress.done, progress.total);
    });
    search.folder("store", folder.path());
    let report = search.report();
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.findings[0].count, planted.len() as u64);
    assert_eq!(report.findings[0].place.offset, 0);
    assert_eq!(*told.lock().unwrap(), (13 << 20, 13 << 20));
}

#[test]
fn what_resembles_a_token_is_not_it() {
    let tokens = Tokens::new([("mail", "ada.lovelace@example.org"), ("phone", "+4930901820555")]).unwrap();
    let search = Search::new(&tokens);
    for text in [
        "bob.lovelace@example.org",
        "ada.lovelace@example.com",
        "lovelace@example.org ada.lovelace@example",
        "+4930901820556",
        "4930901820555",
        "https://example.org/ada.lovelace",
    ] {
        search.bytes("store", text, text.as_bytes());
        let literals: Vec<u8> = text.as_bytes().chunks(8).flat_map(|run| [&[0], run].concat()).collect();
        search.bytes("store", text, &literals);
    }
    search.bytes("store", "noise", &noise(4, 8 << 20));
    assert_eq!(search.report().findings, []);
}

#[test]
fn names_of_files_are_data_and_what_cannot_be_read_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    fs::create_dir_all(store.join("deep/zq81d0c2-ada")).unwrap();
    fs::write(store.join("deep/zq81d0c2-ada/avatar.png"), b"image").unwrap();
    fs::create_dir(folder.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("elsewhere"), store.join("link")).unwrap();
    let search = Search::new(&one("zq81d0c2-ada"));
    search.folder("objects", &store);
    search.folder("gone", &folder.path().join("nowhere"));
    search.unread("s3", "versions", "not asked for");
    let report = search.report();
    assert_eq!(report.findings.len(), 1);
    assert!(report.findings[0].place.path.starts_with("the name of deep/zq81d0c2-ada"));
    let unread: Vec<&str> = report.unread.iter().map(|unread| unread.place.store.as_str()).collect();
    assert_eq!(unread, ["gone", "objects", "s3"]);
    assert_eq!(report.of("t").count(), 1);
}

#[test]
fn a_token_that_proves_nothing_is_refused() {
    let short = Tokens::new([("name", "Ada")]).unwrap_err();
    assert_eq!(short, BadToken { label: "name".to_owned(), length: 3 });
    assert!(Tokens::new([("long", "x".repeat(5000))]).is_err());
    assert!(!format!("{:?}", one("zq81d0c2-ada")).contains("zq81"));
}
