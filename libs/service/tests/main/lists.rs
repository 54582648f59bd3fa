//! Pages, ids, instants and the body's fingerprint.

use lethe_ids::{ContactId, MessageId};
use lethe_proto::request::Page;
use lethe_service::{Limit, PageKey, body_mac, id, instant, page, timestamp};
use prost_types::Timestamp;
use time::macros::datetime;
use uuid::Uuid;

fn limit(limit: u32) -> Result<usize, Option<String>> {
    let page = Page { limit, ..Default::default() };
    Limit::of(Some(&page)).map(Limit::get).map_err(|failure| failure.field)
}

#[test]
fn a_page_holds_one_to_two_hundred() {
    assert_eq!(Limit::of(None).unwrap().get(), 50);
    assert_eq!(limit(0), Ok(50));
    assert_eq!(limit(1), Ok(1));
    assert_eq!(limit(200), Ok(200));
    assert_eq!(limit(201), Err(Some("page.limit".to_owned())));
}

#[test]
fn a_key_goes_round_and_nothing_else_is_one() {
    let key = PageKey { at: datetime!(2026-11-22 12:00:00.123456 UTC), id: Uuid::from_u128(7) };
    let bytes = key.encode();
    let of = |after: &[u8]| PageKey::of(Some(&Page { limit: 0, after: after.to_vec().into() }));
    assert_eq!(of(&bytes).unwrap(), Some(key));
    assert_eq!(of(b"").unwrap(), None);
    assert_eq!(PageKey::of(None).unwrap(), None);
    let longer = [&bytes[..], b"x"].concat();
    let other_format = [&[2], &bytes[1..]].concat();
    let no_time = [&[1], &[0x7f; 8][..], &[0; 16][..]].concat();
    for wrong in [&bytes[..24], &longer, &other_format, &no_time, b"x"] {
        assert_eq!(of(wrong).unwrap_err().field.as_deref(), Some("page.after"));
    }
}

#[test]
fn the_extra_row_tells_that_there_is_more() {
    let limit = Limit::of(Some(&Page { limit: 2, ..Default::default() })).unwrap();
    assert_eq!(limit.and_one(), 3);
    let key = |row: &u128| PageKey { at: datetime!(2026-11-22 12:00 UTC), id: Uuid::from_u128(*row) };
    let mut rows = vec![1, 2, 3];
    assert_eq!(page::next(&mut rows, limit, key), key(&2).encode());
    assert_eq!(rows, [1, 2]);
    assert!(page::next(&mut rows, limit, key).is_empty());
    assert_eq!(rows, [1, 2]);
}

#[test]
fn a_wrong_id_names_its_field_and_not_its_value() {
    let text = ContactId::new(Uuid::from_u128(7)).to_string();
    assert_eq!(id::<ContactId>("contact_id", &text).unwrap().to_string(), text);
    let failure = id::<MessageId>("message_id", &text).unwrap_err();
    assert_eq!(failure.field.as_deref(), Some("message_id"));
    assert!(!failure.message.contains(&text));
}

#[test]
fn an_instant_is_of_our_years_and_cut_to_the_microsecond() {
    let at = datetime!(2026-11-22 12:00:00.123456789 UTC);
    let kept = instant(&timestamp(at), "from").unwrap();
    assert_eq!(kept, datetime!(2026-11-22 12:00:00.123456 UTC));
    let before_1970 = datetime!(1969-12-31 23:59:59.5 UTC);
    assert_eq!(instant(&timestamp(before_1970), "from").unwrap(), before_1970);
    for (seconds, nanos) in
        [(i64::MAX, 0), (-62_135_596_801, 0), (253_402_300_800, 0), (0, -1), (0, 1_000_000_000)]
    {
        let failure = instant(&Timestamp { seconds, nanos }, "from").unwrap_err();
        assert_eq!(failure.field.as_deref(), Some("from"));
    }
}

#[test]
fn a_fingerprint_is_of_one_body_under_one_key() {
    let (one, other) = (Page { limit: 1, ..Default::default() }, Page { limit: 2, ..Default::default() });
    assert_eq!(body_mac(&[7; 32], &one), body_mac(&[7; 32], &one));
    assert_ne!(body_mac(&[7; 32], &one), body_mac(&[7; 32], &other));
    assert_ne!(body_mac(&[7; 32], &one), body_mac(&[8; 32], &one));
}
