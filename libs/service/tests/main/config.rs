//! Layers of configuration, and what is refused.

use std::path::Path;

use lethe_service::{ConfigError, Secret, config, load};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    messaging: Messaging,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Messaging {
    size: u32,
    share: f64,
    strict: bool,
    name: String,
    words: Vec<String>,
    #[serde(default)]
    secret: Option<Secret>,
    database: Database,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Database {
    url: String,
}

const DEFAULTS: [&str; 2] = [
    "[messaging]\nsize = 1\nshare = 0.5\nstrict = false\nname = \"one\"\nwords = [\"a\"]",
    "[messaging.database]\nurl = \"postgres://default\"",
];

fn read(file: &str, environment: &[(&str, &str)]) -> Result<Messaging, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lethe.toml");
    std::fs::write(&path, file).unwrap();
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load::<Config>(&DEFAULTS, Some(&path), environment).map(|config| config.messaging)
}

/// Path and message of what was refused.
fn refused(file: &str, environment: &[(&str, &str)]) -> String {
    read(file, environment).unwrap_err().to_string()
}

#[test]
fn the_file_goes_over_the_defaults_and_the_environment_over_both() {
    let config = read(
        "[messaging]\nsize = 2\nname = \"two\"",
        &[
            ("LETHE__MESSAGING__NAME", "3"),
            ("LETHE__MESSAGING__SHARE", "1"),
            ("LETHE__MESSAGING__STRICT", "true"),
            ("LETHE__MESSAGING__WORDS", "[\"b\", \"c\"]"),
            ("LETHE__MESSAGING__DATABASE__URL", "postgres://environment"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!((config.size, config.share, config.strict, config.name.as_str()), (2, 1.0, true, "3"));
    assert_eq!(config.words, ["b", "c"]);
    assert_eq!(config.database.url, "postgres://environment");
    let defaults: Config = load(&DEFAULTS, None, std::iter::empty()).unwrap();
    assert_eq!(
        (defaults.messaging.size, defaults.messaging.database.url.as_str()),
        (1, "postgres://default")
    );
}

#[test]
fn what_is_wrong_is_named_by_its_path() {
    type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);
    let cases: [Case; 9] = [
        ("[messaging]\ncolour = 1", &[], "messaging.colour: unknown field"),
        ("[messaging.database]\nport = 1", &[], "messaging.database.port: unknown field"),
        ("[masaging]\nsize = 1", &[], "masaging: unknown field"),
        ("[messaging]\nsize = \"x\"", &[], "messaging.size: invalid type"),
        ("[messaging]\nsize = -1", &[], "messaging.size: invalid value"),
        ("", &[("LETHE__MESSAGING__COLOUR", "1")], "messaging.colour: unknown field"),
        ("", &[("LETHE__MESSAGING__SIZE", "many")], "messaging.size: must be a whole number"),
        ("", &[("LETHE__MESSAGING__STRICT", "1")], "messaging.strict: must be true or false"),
        ("", &[("LETHE__MESSAGING__SIZE__DEEP", "1")], "messaging.size.deep: lies below an option"),
    ];
    for (file, environment, wanted) in cases {
        let said = refused(file, environment);
        assert!(said.starts_with(wanted), "wanted {wanted}, got {said}");
    }
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_named() {
    let missing = load::<Config>(&DEFAULTS, Some(Path::new("/nowhere/lethe.toml")), std::iter::empty());
    assert!(missing.unwrap_err().to_string().contains("/nowhere/lethe.toml"));
    assert!(refused("[messaging", &[]).contains("lethe.toml is not TOML"));
}

#[test]
fn a_secret_comes_from_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, "s3cret with spaces \n").unwrap();
    let path = path.to_str().unwrap();
    let expose = |config: Messaging| config.secret.unwrap().expose().to_owned();
    let as_text = read("[messaging]\nsecret = \"text\"", &[]).unwrap();
    assert_eq!(expose(as_text), "text");
    let as_table = read(&format!("[messaging]\nsecret = {{ file = {path:?} }}"), &[]).unwrap();
    assert_eq!(expose(as_table), "s3cret with spaces ");
    let as_key = read(&format!("[messaging]\nsecret_file = {path:?}"), &[]).unwrap();
    assert_eq!(expose(as_key), "s3cret with spaces ");
    let over_text =
        read("[messaging]\nsecret = \"text\"", &[("LETHE__MESSAGING__SECRET_FILE", path)]).unwrap();
    assert_eq!(expose(over_text), "s3cret with spaces ");
    let over_file =
        read(&format!("[messaging]\nsecret_file = {path:?}"), &[("LETHE__MESSAGING__SECRET", "0123")]);
    assert_eq!(expose(over_file.unwrap()), "0123", "digits stay text");
    let said = refused("[messaging]\nsecret_file = \"/nowhere/secret\"", &[]);
    assert!(said.starts_with("messaging.secret: cannot read /nowhere/secret"), "{said}");
}

#[test]
fn a_secret_is_in_no_message() {
    let said = refused("[messaging]\nsecret = [\"s3cret\"]", &[]);
    assert!(said.starts_with("messaging.secret") && !said.contains("s3cret"), "{said}");
    assert!(!format!("{:?}", Secret::new("s3cret")).contains("s3cret"));
}

#[test]
fn our_own_defaults_are_whole() {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Shell {
        telemetry: lethe_service::TelemetryConfig,
        server: lethe_service::ServerConfig,
    }
    let defaults = [lethe_service::telemetry::DEFAULTS, lethe_service::server::DEFAULTS];
    let table = config::merge(&defaults, None, std::iter::empty()).unwrap();
    let shell: Shell = config::parse(table).unwrap();
    assert_eq!(shell.telemetry.endpoint, "");
    assert_eq!(shell.server.max_concurrent_calls, 512);
}
