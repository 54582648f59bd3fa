//! The two PostgreSQL instances of a test process.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use lethe_servers::{Durability, Postgres, Programs, free_port};
use tokio::sync::OnceCell;

/// The superuser's password, on loopback and in a folder of ours.
const PASSWORD: &str = "testkit";

static SERVERS: OnceCell<Servers> = OnceCell::const_new();

/// The servers of this process, started by the first call.
pub async fn servers() -> &'static Servers {
    SERVERS.get_or_init(Servers::start).await
}

/// A main and a keystore instance of PostgreSQL, with fsync off.
#[derive(Debug)]
pub struct Servers {
    programs: Programs,
    folder: PathBuf,
    main: Postgres,
    keystore: Postgres,
    /// Clears the folder when our end of its pipe closes.
    _janitor: Child,
}

/// Waits for the end of us, then of the servers, then clears the folder.
const JANITOR: &str = r#"
cat >/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  [ -e "$1/main/data/postmaster.pid" ] || [ -e "$1/keystore/data/postmaster.pid" ] || break
  sleep 0.2
done
rm -rf "$1"
"#;

impl Servers {
    async fn start() -> Self {
        let programs = Programs::find().expect("the servers are brought by scripts/servers");
        let folder = tempfile::Builder::new().prefix("lethe-test-").tempdir().expect("a folder").keep();
        let mut janitor = Command::new("setsid");
        janitor.args(["sh", "-c", JANITOR, "sh"]).arg(&folder);
        let janitor = janitor
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell starts");
        let (main, keystore) = (folder.join("main"), folder.join("keystore"));
        let (main, keystore) = tokio::join!(instance(&programs, &main), instance(&programs, &keystore));
        Self { programs, folder, main, keystore, _janitor: janitor }
    }

    /// The superuser's way into the main instance.
    pub fn admin_url(&self) -> String {
        self.main.admin_url()
    }

    /// The superuser's way into the keystore's instance.
    pub fn keystore_admin_url(&self) -> String {
        self.keystore.admin_url()
    }

    /// The programs the servers are made of: `psql`, `pg_dump`, …
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// What the main instance keeps on disk, for scans.
    pub fn data(&self) -> PathBuf {
        self.folder.join("main/data")
    }

    /// What the keystore's instance keeps on disk, for scans.
    pub fn keystore_data(&self) -> PathBuf {
        self.folder.join("keystore/data")
    }

    /// A folder for other files of this process's tests; cleared at its end.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

async fn instance(programs: &Programs, folder: &Path) -> Postgres {
    let port = free_port().expect("a free port");
    Postgres::start(programs, folder, port, PASSWORD, Durability::Fast).await.expect("PostgreSQL starts")
}
