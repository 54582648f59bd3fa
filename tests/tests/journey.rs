//! The demo's story as a test: on the project's own conversations, and on the 1,500 of `../shared/data` where they are.

use std::path::Path;

use lethe::demo::{self, Story};
use lethe_tests::{alone, platform};

/// Runs on a task of its own thread's runtime; the story itself fails on whatever does not hold.
async fn tell(data: Option<&Path>) {
    let _alone = alone().await;
    let platform = platform();
    let story =
        Story { folder: platform.folder.clone(), data: data.map(Path::to_owned), run: platform.run.clone() };
    let leftovers = demo::tell(&story).await.expect("the story holds");
    assert!(leftovers.is_clean(), "{leftovers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demos_story_holds_on_its_own_data() {
    tell(None).await;
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stdout, reason = "what was left out is said in one line")]
async fn the_demos_story_holds_on_1500_real_conversations() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/conversations.jsonl");
    if !data.exists() {
        println!(
            "the real conversations of ../shared/data are missing: this journey was told on the own data alone"
        );
        return;
    }
    tell(Some(&data)).await;
}
