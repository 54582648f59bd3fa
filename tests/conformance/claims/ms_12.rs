//! ms-12: STOP, in many languages and on any channel, opts out at once; START opts in; one who opted out gets no outbound
//! message on any channel.

use lethe_tests::{Talk, platform};
use reqwest::Method;
use serde_json::json;

pub(in super::super) async fn ms_12_stop_opts_out_on_any_channel_and_start_opts_in() {
    let tenant = platform().tenant().await;
    let words = [
        ("sms", "STOP", "START"),
        ("whatsapp", "  stop! ", "start"),
        ("email", "Stopp", "Start"),
        ("live_chat", "СТОП", "СТАРТ"),
        ("whatsapp", "إيقاف", "ابدأ"),
        ("sms", "停止", "开始"),
    ];
    for (channel, stop, start) in words {
        let talk = Talk::begin(&tenant.owner, channel).await;
        let elsewhere = talk.on(if channel == "email" { "sms" } else { "email" }).await;
        talk.send("Your parcel is on its way.").await.ok();

        // A sentence that only holds the word is no opt-out.
        talk.receive(&format!("Please do not {stop} the delivery, thank you")).await.ok();
        talk.send("Certainly.").await.ok();

        talk.receive(stop).await.ok();
        for refused in [&talk, &elsewhere] {
            let answer = refused.send("One more thing").await;
            assert_eq!(answer.problem(), (409, "CONTACT_OPTED_OUT"), "{channel} {stop}: {}", answer.body);
        }
        let contact = tenant.owner.get(&format!("/v1/contacts/{}", talk.contact)).await.ok();
        assert_eq!(contact["opted_out"], json!(true), "{channel} {stop}");
        // What the person writes still comes in.
        talk.receive("Where is my parcel?").await.ok();

        talk.receive(start).await.ok();
        talk.send("Welcome back.").await.ok();
        elsewhere.send("Welcome back.").await.ok();
    }

    // By hand as well, and it holds for a contact made later with the same address.
    let talk = Talk::begin(&tenant.owner, "sms").await;
    let phone = format!("+4930{:08}", u32::from_str_radix(&platform().nonce()[..6], 16).expect("hex"));
    let path = format!("/v1/contacts/{}", talk.contact);
    let etag = tenant.owner.get(&path).await.headers["etag"].to_str().expect("text").to_owned();
    tenant.owner.patch(&path, &etag, json!({"phone": phone})).await.ok();
    tenant.owner.put(&format!("{path}/opt-out"), json!({})).await.ok();
    assert_eq!(talk.send("Hello").await.problem(), (409, "CONTACT_OPTED_OUT"));
    let twin = tenant
        .owner
        .create("/v1/contacts", &platform().nonce(), json!({"name": "Twin", "phone": phone}))
        .await
        .ok();
    assert_eq!(twin["opted_out"], json!(true));
    tenant.owner.send(Method::DELETE, &format!("{path}/opt-out"), &[], None).await.ok();
    talk.send("Hello again").await.ok();
}
