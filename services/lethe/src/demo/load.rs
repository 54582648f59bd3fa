//! Loads conversations through the public API: eight at a time, each one's messages in order.

use futures::{TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{
    client::{Client, text},
    data::{Conversation, From},
};

const AT_ONCE: usize = 8;

/// Loads each tenant's share. `nonce` keeps the keys of two demos apart.
pub(crate) async fn conversations(shares: &[(&Client, &[Conversation])], nonce: &str) -> anyhow::Result<()> {
    let messages: usize = shares.iter().flat_map(|(_, share)| share.iter()).map(|c| c.turns.len()).sum();
    let bar = ProgressBar::new(messages as u64);
    if let Ok(style) = ProgressStyle::with_template("  {bar:40} {pos}/{len} messages  {per_sec}") {
        bar.set_style(style);
    }
    let all = shares
        .iter()
        .flat_map(|(client, share)| share.iter().map(move |conversation| (*client, conversation)));
    stream::iter(all.map(Ok))
        .try_for_each_concurrent(AT_ONCE, |(client, conversation)| {
            conversation_of(client, conversation, nonce, &bar)
        })
        .await?;
    bar.finish();
    super::say(&format!("{messages} messages accepted"));
    Ok(())
}

async fn conversation_of(
    client: &Client,
    from: &Conversation,
    nonce: &str,
    bar: &ProgressBar,
) -> anyhow::Result<()> {
    let key = |what: &str| format!("{nonce}-{what}-{}", from.id).chars().take(64).collect::<String>();
    let person = from.person();
    let mut profile = json!({"name": person.name, "email": person.email, "tags": ["demo"]});
    if !person.phone.is_empty() {
        profile["phone"] = json!(person.phone);
    }
    if !person.company.is_empty() {
        profile["company"] = json!(person.company);
    }
    let contact = client.create("/v1/contacts", &key("c"), profile).await?;
    let opened = json!({"contact_id": contact["contact_id"], "channel": from.channel});
    let conversation =
        text(&client.create("/v1/conversations", &key("v"), opened).await?, "conversation_id")?;
    for (number, turn) in from.turns.iter().enumerate() {
        let folder = if turn.from == From::Contact { "inbound-messages" } else { "messages" };
        let path = format!("/v1/conversations/{conversation}/{folder}");
        client.create(&path, &key(&format!("m{number}")), json!({"text": turn.text})).await?;
        bar.inc(1);
    }
    Ok(())
}
