//! What a person would otherwise have to remember about the tree: sizes, comments, words that sound unfinished.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use lethe_ambient::{Planted, planted};

/// The root of the clone.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the clone")
}

/// Every file that git tracks or would track, with its text.
fn files() -> Vec<(PathBuf, String)> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root())
        .output()
        .expect("git lists files");
    assert!(listed.status.success(), "git ls-files failed");
    String::from_utf8(listed.stdout)
        .expect("paths are UTF-8")
        .split_terminator('\0')
        .filter_map(|path| Some((path.into(), fs::read_to_string(root().join(path)).ok()?)))
        .collect()
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| extensions.contains(&e))
}

/// Fails with all that was found, so that one run tells everything.
fn none(found: Vec<String>, rule: &str) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

#[test]
fn a_file_of_500_lines_is_two() {
    let long = files()
        .into_iter()
        .filter(|(path, _)| has_extension(path, &["rs", "sql", "proto", "sh"]))
        .filter(|(_, text)| text.lines().count() > 500)
        .map(|(path, text)| format!("{} has {} lines", path.display(), text.lines().count()));
    none(long.collect(), "there is a second noun in it");
}

#[test]
fn every_module_says_what_it_is() {
    let silent = files()
        .into_iter()
        .filter(|(path, _)| has_extension(path, &["rs"]))
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(path, _)| path.display().to_string());
    none(silent.collect(), "opens without a `//!`");
}

#[test]
fn nothing_is_unfinished_or_skipped() {
    // Spelled in pieces, or this file would find itself.
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("dbg", "!("),
        concat!("#[ig", "nore"),
        concat!("for ", "now,"),
        concat!("thread::", "sleep"),
    ];
    let mut found = Vec::new();
    for (path, text) in files().iter().filter(|(path, _)| has_extension(path, &["rs", "sql", "proto", "sh"]))
    {
        for (number, line) in text.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(**word)) {
                found.push(format!("{}:{} {word}", path.display(), number + 1));
            }
        }
    }
    none(found, "sounds unfinished");
}

#[test]
fn every_dependency_says_what_it_is_for() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the manifest");
    let section = manifest.split("[workspace.dependencies]").nth(1).expect("dependencies");
    let section = section.split("\n[").next().expect("a section");
    let silent = section
        .lines()
        .filter(|line| line.contains('=') && !line.starts_with('#'))
        .filter(|line| !line.contains("path = ") && !line.contains(" # "))
        .map(str::to_owned);
    none(silent.collect(), "has no comment");
}

/// One provider of cryptography, one of TLS.
const BANNED: [&str; 4] = ["openssl", "openssl-sys", "native-tls", "ring"];
/// Licences whose code may be built into the program.
const LICENSES: [&str; 10] = [
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "0BSD",
    "Unicode-3.0",
    "CDLA-Permissive-2.0",
];

#[test]
fn what_is_built_in_is_licensed_and_of_one_provider() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--locked", "--offline", "-e", "normal,build", "--prefix", "none"])
        .args(["-f", "{p}|{l}"])
        .current_dir(root())
        .output()
        .expect("cargo tells its tree");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).expect("names are UTF-8");
    let packages: std::collections::BTreeSet<&str> =
        tree.lines().map(|line| line.trim_end_matches(" (*)")).filter(|line| !line.is_empty()).collect();
    assert!(packages.len() > 200, "{} packages", packages.len());
    let mut found = Vec::new();
    for package in packages {
        let (name, license) = package.split_once('|').unwrap_or((package, ""));
        let crate_name = name.split(' ').next().unwrap_or_default();
        if BANNED.contains(&crate_name) {
            found.push(format!("{name} is banned"));
        }
        // Every part that must be obeyed offers one that may be.
        let license = license.replace(['(', ')'], "").replace('/', " OR ");
        let allowed = |part: &str| part.split(" OR ").any(|one| LICENSES.contains(&one.trim()));
        if !license.split(" AND ").all(allowed) {
            found.push(format!("{name} is under {license:?}"));
        }
    }
    none(found, "may not be built in");
}

#[test]
fn members_take_versions_from_the_workspace() {
    let mut found = Vec::new();
    for (path, text) in
        files().iter().filter(|(path, _)| path.ends_with("Cargo.toml") && path.components().count() > 1)
    {
        // A workspace of its own, which wants the nightly compiler.
        if path.starts_with("fuzz") {
            continue;
        }
        for line in text.lines().filter(|line| line.contains("version = \"") && !line.contains("workspace")) {
            found.push(format!("{}: {line}", path.display()));
        }
    }
    none(found, "declares a version of its own");
}

#[test]
fn every_crate_and_service_explains_itself() {
    let mut missing = Vec::new();
    for kind in ["libs", "services"] {
        for entry in fs::read_dir(root().join(kind)).expect("a folder") {
            let folder = entry.expect("an entry").path();
            let name = folder.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
            let generated = kind == "libs" && ["ids", "ambient", "proto"].contains(&name.as_str());
            if !generated && !folder.join("README.md").exists() {
                missing.push(format!("{kind}/{name}/README.md"));
            }
            if kind == "services" && name != "lethe" && !folder.join("config.default.toml").exists() {
                missing.push(format!("{kind}/{name}/config.default.toml"));
            }
        }
    }
    none(missing, "is missing");
}

// In a build with the mistakes it would not be a constant, and this would not compile.
const _: () = assert!(!planted(Planted::SecretKept));

#[test]
fn mistakes_are_made_by_make_planted_alone() {
    // Spelled in pieces, or this file would find itself.
    let (feature, said) = (concat!("ambient/pla", "nted"), concat!("LETHE_PLA", "NTED"));
    let mut found = Vec::new();
    for (path, text) in files() {
        let name = path.display().to_string();
        let (its_script, its_code) = (name == "scripts/planted", name == "libs/ambient/src/planted.rs");
        if text.contains(feature) && !its_script || text.contains(said) && !its_script && !its_code {
            found.push(format!("{name} switches mistakes on"));
        }
        for line in text.lines().filter(|_| path.ends_with("Cargo.toml")) {
            let is_declared = name == "libs/ambient/Cargo.toml" && line == "planted = []";
            if line.contains("\"planted\"") || line.starts_with("planted") && !is_declared {
                found.push(format!("{name} has mistakes among its features: {line}"));
            }
        }
    }
    none(found, "would make mistakes");
}

#[test]
fn the_clone_stands_alone() {
    let hosts = [
        concat!("crates", ".io/api"),
        concat!("pypi", ".org"),
        concat!("registry.", "npmjs"),
        concat!("/wo", "rk/"),
    ];
    let mut found = Vec::new();
    for (path, text) in files().iter().filter(|(path, _)| !path.ends_with("Cargo.lock")) {
        for (number, line) in text.lines().enumerate() {
            for host in hosts.iter().filter(|host| line.contains(**host)) {
                found.push(format!("{}:{} {host}", path.display(), number + 1));
            }
        }
    }
    none(found, "points outside the clone");
}
