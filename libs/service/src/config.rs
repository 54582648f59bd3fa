//! Configuration: compiled-in defaults < one file < `LETHE__SECTION__KEY` of the environment. All three are TOML
//! tables that are laid over each other, then read into one type that knows no key but its own: an unknown key or
//! a wrong type is refused with its path.
//!
//! A secret may stand in a file of its own: `password_file = "/run/secrets/x"` is `password = { file = "…" }`.
//! The ending `_file` is kept for that; other paths are called `…_path` or `…_dir`.

use std::{fmt, fs, path::Path};

use lethe_ambient::Sensitive;
use serde::{Deserialize, Deserializer, de::DeserializeOwned, de::Error as _};
use toml::{Table, Value};

/// What environment variables of ours begin with.
pub const PREFIX: &str = "LETHE__";

/// A configuration that cannot be used. Says where, and never a value.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there, or not readable.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML.
    #[error("{place} is not TOML: {message}")]
    Malformed {
        /// The file, or which defaults.
        place: String,
        /// What the parser says, with line and column.
        message: String,
    },
    /// A key that nobody knows, or a value that does not fit.
    #[error("{path}: {message}")]
    Invalid {
        /// Like `messaging.database.url`.
        path: String,
        /// What does not fit.
        message: String,
    },
}

/// A secret of the configuration: given as text, or as `{ file = "/path" }`, whose last line end is cut off.
#[derive(Clone)]
pub struct Secret(Sensitive<String>);

impl Secret {
    /// A secret that is known already: tests, `lethe dev`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Sensitive::new(text.into()))
    }

    /// The secret's text.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "must be text, or { file = \"/path\" }")]
        enum Given {
            Text(String),
            File { file: String },
        }
        match Given::deserialize(deserializer)? {
            Given::Text(text) => Ok(Self::new(text)),
            Given::File { file } => fs::read_to_string(&file)
                .map(|text| Self::new(text.trim_end_matches(['\r', '\n'])))
                .map_err(|error| D::Error::custom(format_args!("cannot read {file}: {error}"))),
        }
    }
}

/// The configuration as type `C`.
///
/// # Errors
/// [`ConfigError`], with the path of what is wrong.
pub fn load<C: DeserializeOwned>(
    defaults: &[&str],
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<C, ConfigError> {
    parse(merge(defaults, file, environment)?)
}

/// The configuration as one table, before it is read into a type: for `lethe config print`.
///
/// # Errors
/// When a part is not readable or not TOML.
pub fn merge(
    defaults: &[&str],
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Table, ConfigError> {
    let mut table = Table::new();
    for (number, text) in defaults.iter().enumerate() {
        lay_over(&mut table, table_of(text, || format!("defaults {number}"))?);
    }
    if let Some(path) = file {
        let place = path.display().to_string();
        let text = fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: place.clone(), source })?;
        lay_over(&mut table, table_of(&text, || place)?);
    }
    let mut variables: Vec<_> = environment.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    variables.sort();
    for (name, text) in variables {
        set(&mut table, &name, text)?;
    }
    Ok(table)
}

/// Reads a merged table into `C`.
///
/// # Errors
/// [`ConfigError::Invalid`] with the path of what does not fit.
pub fn parse<C: DeserializeOwned>(table: Table) -> Result<C, ConfigError> {
    serde_path_to_error::deserialize(Value::Table(table)).map_err(|error| {
        let message = error.inner().to_string();
        let message = message.trim().to_owned();
        let mut path = error.path().to_string();
        // serde reports an unknown field at its parent: the name stands in backticks.
        if let Some(field) = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next())
            && !path.ends_with(field)
        {
            path = if path == "." { field.to_owned() } else { format!("{path}.{field}") };
        }
        ConfigError::Invalid { path, message }
    })
}

fn table_of(text: &str, place: impl FnOnce() -> String) -> Result<Table, ConfigError> {
    let mut table: Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Malformed {
        place: place(),
        message: error.message().to_owned(),
    })?;
    name_files(&mut table);
    Ok(table)
}

/// `password_file = "x"` becomes `password = { file = "x" }`.
fn name_files(table: &mut Table) {
    let files: Vec<String> = table.keys().filter(|key| key.ends_with("_file")).cloned().collect();
    for key in files {
        if let Some(path) = table.remove(&key) {
            table.insert(key.trim_end_matches("_file").to_owned(), file_of(path));
        }
    }
    for (_, value) in table.iter_mut() {
        if let Value::Table(inner) = value {
            name_files(inner);
        }
    }
}

fn file_of(path: Value) -> Value {
    Value::Table(Table::from_iter([("file".to_owned(), path)]))
}

/// Lays one configuration over another: tables are merged, everything else is replaced. A secret's `{ file }` is a value, not a
/// table.
pub fn lay_over(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) if !is_file(below) && !is_file(&above) => {
                lay_over(below, above);
            }
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

fn is_file(table: &Table) -> bool {
    table.len() == 1 && table.contains_key("file")
}

/// Sets one variable. It takes the type that the value below it has; a key without one is text, unless it reads as
/// a boolean, an array or a table of TOML.
fn set(table: &mut Table, name: &str, text: String) -> Result<(), ConfigError> {
    let path = name[PREFIX.len()..].to_lowercase().replace("__", ".");
    let invalid = |message: &str| ConfigError::Invalid { path: path.clone(), message: message.to_owned() };
    let mut keys: Vec<&str> = path.split('.').collect();
    let last = keys.pop().filter(|key| !key.is_empty()).ok_or_else(|| invalid("names no option"))?;
    let mut place = table;
    for key in keys {
        let inner = place.entry(key).or_insert_with(|| Value::Table(Table::new()));
        place = inner.as_table_mut().ok_or_else(|| invalid("lies below an option that is no section"))?;
    }
    if let Some(secret) = last.strip_suffix("_file") {
        place.insert(secret.to_owned(), file_of(Value::String(text)));
        return Ok(());
    }
    let read = || text.parse::<Value>().ok();
    let value = match place.get(last) {
        Some(Value::String(_)) => Value::String(text),
        Some(Value::Float(_)) => match read() {
            Some(Value::Integer(whole)) => Value::Float(whole as f64),
            Some(value @ Value::Float(_)) => value,
            _ => return Err(invalid("must be a number")),
        },
        Some(Value::Integer(_)) => {
            read().filter(Value::is_integer).ok_or_else(|| invalid("must be a whole number"))?
        }
        Some(Value::Boolean(_)) => {
            read().filter(Value::is_bool).ok_or_else(|| invalid("must be true or false"))?
        }
        Some(Value::Array(_)) => read().filter(Value::is_array).ok_or_else(|| invalid("must be an array"))?,
        _ => match read() {
            Some(value @ (Value::Boolean(_) | Value::Array(_) | Value::Table(_))) => value,
            _ => Value::String(text),
        },
    };
    place.insert(last.to_owned(), value);
    Ok(())
}
