//! Compiles `proto/` without protoc, and turns each RPC's authorisation line into a table.
//! An RPC without a line stops the build.

use std::{env, error::Error, fmt::Write, fs, path::PathBuf};

use prost_reflect::{DescriptorPool, DynamicMessage, EnumDescriptor, Value};

const PROTO: &str = "../../proto";

#[allow(clippy::disallowed_methods, reason = "cargo speaks to build scripts through the environment")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={PROTO}");
    let mut files = Vec::new();
    for area in fs::read_dir(PathBuf::from(PROTO).join("lethe"))? {
        for version in fs::read_dir(area?.path())? {
            for file in fs::read_dir(version?.path())? {
                files.push(file?.path());
            }
        }
    }
    files.sort();
    let mut compiler = protox::Compiler::new([PROTO])?;
    compiler.include_source_info(true).include_imports(true);
    compiler.open_files(&files)?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let encoded = compiler.encode_file_descriptor_set();
    fs::write(out.join("descriptor.bin"), &encoded)?;
    fs::write(out.join("method_access.rs"), method_access(&DescriptorPool::decode(encoded.as_slice())?)?)?;
    // Maps in the order of their keys: the same message has the same bytes, of which idempotency keeps a MAC.
    tonic_prost_build::configure().bytes(".").btree_map(".").compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

/// Rust source of one `MethodAccess` for each RPC, from its `(lethe.access.v1.access)` option.
fn method_access(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let option = pool.get_extension_by_name("lethe.access.v1.access").ok_or("no access option")?;
    let permissions = pool.get_enum_by_name("lethe.access.v1.Permission").ok_or("no Permission")?;
    let actings = pool.get_enum_by_name("lethe.access.v1.Acting").ok_or("no Acting")?;
    let mut source = String::from("&[\n");
    for service in pool.services() {
        for method in service.methods() {
            let options = method.options();
            if !options.has_extension(&option) {
                return Err(format!("{} has no authorisation line", method.full_name()).into());
            }
            let access = options.get_extension(&option);
            let access = access.as_message().ok_or("access is no message")?;
            let permission = variant(access, "permission", &permissions, "PERMISSION_");
            let acting = variant(access, "acting", &actings, "ACTING_");
            if (acting == "Unspecified") == (permission == "Unspecified") {
                return Err(
                    format!("{} needs a permission or an `acting`, not both", method.full_name()).into()
                );
            }
            writeln!(
                source,
                "MethodAccess {{ path: \"/{}/{}\", rpc: {:?}, permission: Permission::{permission}, acting: Acting::{acting}, callers: &{:?}, guarded: {}, internal: {}, before_password_change: {} }},",
                service.full_name(),
                method.name(),
                method.name(),
                strings(access, "callers"),
                flag(access, "guarded"),
                flag(access, "internal"),
                flag(access, "before_password_change"),
            )?;
        }
    }
    source.push(']');
    Ok(source)
}

fn variant(message: &DynamicMessage, field: &str, of: &EnumDescriptor, prefix: &str) -> String {
    let number = message.get_field_by_name(field).and_then(|v| v.as_enum_number()).unwrap_or(0);
    let name = of.get_value(number).map(|v| v.name().to_owned()).unwrap_or_default();
    name.trim_start_matches(prefix)
        .split('_')
        .map(|word| word[..1].to_owned() + &word[1..].to_lowercase())
        .collect()
}

fn strings(message: &DynamicMessage, field: &str) -> Vec<String> {
    let value = message.get_field_by_name(field).map(|v| v.into_owned());
    match value {
        Some(Value::List(items)) => items.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

fn flag(message: &DynamicMessage, field: &str) -> bool {
    message.get_field_by_name(field).and_then(|v| v.as_bool()).unwrap_or(false)
}
