//! `ask_engine FOLDER TENANT`: asks the embedded engine itself the queries on standard input, one a line, of the index in
//! FOLDER that no process has open. Answers each with its microseconds and hits. For `make bench JOB=search`.

#![allow(clippy::print_stdout, reason = "it is what it answers with")]

use std::{error::Error, fs, io, path::Path, time::Instant};

use lethe_ids::TenantId;
use lethe_search::{
    analysis,
    engine::{Engine, Opened, Order, Search, tantivy::TantivyEngine},
};

/// As many as a page holds and one more, as the service asks.
const LIMIT: usize = 51;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(tenant)) = (arguments.next(), arguments.next()) else {
        return Err("usage: ask_engine FOLDER TENANT".into());
    };
    let tenant: TenantId = tenant.parse()?;
    let folder = Path::new(&folder);
    let mark: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("mark.json"))?)?;
    let id = mark["id"].as_str().ok_or("the mark has no id")?.parse()?;
    let (engine, opened) = TantivyEngine::open(folder, Some(id), id)?;
    if opened == Opened::Empty {
        return Err("there is no index of this format".into());
    }
    let queries = io::read_to_string(io::stdin())?;
    // Once for the caches, as the service had it.
    for measured in [false, true] {
        for query in queries.lines() {
            let begun = Instant::now();
            let search = Search {
                sought: analysis::sought(query).ok_or("no word")?,
                channel: None,
                contact: None,
                conversation: None,
                member: None,
                from: None,
                until: None,
                order: Order::Newest,
                after: None,
                limit: LIMIT,
            };
            let hits = engine.search(tenant, search).await?.len();
            if measured {
                println!("{} {hits}", begun.elapsed().as_micros());
            }
        }
    }
    engine.close().await?;
    Ok(())
}
