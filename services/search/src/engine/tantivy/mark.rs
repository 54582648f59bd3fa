//! The mark of an index folder: of which format it is, which index, and under which boot of the machine it is open.
//!
//! Writes survive the end of a process at once and the loss of power after a sync only. So a folder that was open under
//! another boot may lack late writes, and is read through once; one without a mark was wiped.

use std::{fs, io::Write, path::Path};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{SHARDS, shard_folder};
use crate::{analysis, engine::EngineError};

/// Counts up with the fields and their meaning.
const FORMAT: u32 = 2;
const FILE: &str = "mark.json";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Mark {
    format: u32,
    analysis: u32,
    shards: u16,
    pub(super) id: Uuid,
    /// The boot under which the folder is open; none when it was closed after a sync.
    boot: Option<String>,
}

impl Mark {
    pub(super) fn open(id: Uuid) -> Self {
        Self { boot: Some(boot().unwrap_or_default()), ..Self::closed(id) }
    }

    pub(super) fn closed(id: Uuid) -> Self {
        Self { format: FORMAT, analysis: analysis::VERSION, shards: SHARDS, id, boot: None }
    }

    pub(super) fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(FILE)).ok()?).ok()
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), EngineError> {
        fs::create_dir_all(folder)?;
        let text = serde_json::to_vec(self).map_err(|_| EngineError::Failed("no mark".to_owned()))?;
        let new = folder.join("mark.json.new");
        let mut file = fs::File::create(&new)?;
        file.write_all(&text)?;
        file.sync_data()?;
        fs::rename(&new, folder.join(FILE))?;
        fs::File::open(folder)?.sync_data()?;
        Ok(())
    }

    /// Whether the folder is one that this code wrote, with all its shards.
    pub(super) fn fits(&self, folder: &Path) -> bool {
        self.format == FORMAT
            && self.analysis == analysis::VERSION
            && self.shards == SHARDS
            && (0..SHARDS).all(|number| shard_folder(folder, number).join("meta.json").exists())
    }

    /// Whether all that was written is there.
    pub(super) fn is_sure(&self) -> bool {
        self.boot.is_none() || (self.boot == boot() && self.boot.as_deref() != Some(""))
    }
}

/// Removes the shards and the mark.
pub(super) fn clear(folder: &Path) -> Result<(), EngineError> {
    for number in 0..SHARDS {
        let shard = shard_folder(folder, number);
        if shard.exists() {
            fs::remove_dir_all(shard)?;
        }
    }
    if folder.join(FILE).exists() {
        fs::remove_file(folder.join(FILE))?;
    }
    Ok(())
}

/// Linux's name of the present boot; elsewhere none, and every open folder is read through.
fn boot() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(boot.trim().to_owned()).filter(|boot| !boot.is_empty())
}
