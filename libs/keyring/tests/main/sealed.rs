//! Sealed values: the format, and that nothing opens in another place or under another key.

use lethe_ambient::Entropy;
use lethe_ids::{SubjectId, TenantId, UnitId};
use lethe_keyring::{OpenError, Place, Purpose, Sealer, header, open_with, seal_with};
use uuid::Uuid;

use crate::world::{OTHER, TENANT, subject, unit};

const RECORD: Uuid = Uuid::from_u128(0x4444);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sealer(tenant: TenantId, subject: SubjectId, unit: UnitId) -> Sealer {
    Sealer::of_secrets(tenant, (subject, &[1; 32]), (unit, &[2; 32]), &Entropy::seeded(5))
}

#[test]
fn the_format_is_the_golden_one() {
    let (tenant, record) = (TenantId::new(Uuid::from_bytes([0x11; 16])), Uuid::from_bytes([0x44; 16]));
    let unit = Uuid::from_bytes([0x33; 16]);
    let entropy = Entropy::seeded(42);
    let owner = (SubjectId::new(Uuid::from_bytes([0x22; 16])), &[1; 32]);
    let sealer = Sealer::of_secrets(tenant, owner, (UnitId::new(unit), &[2; 32]), &entropy);
    let sealed = sealer.seal(Purpose::MessageText, record, 7, "Grüße".as_bytes());
    assert_eq!(
        hex(&sealed),
        "4c54485301000200000007222222222222222222222222222222223333333333333333333333333333333371de4c32174b8a39969d43d9955f3e1ebf5e93c443151c95541e8a310317b73d0fe7de49ed680b1e7227d059a932dc509dbb7a"
    );
    assert_eq!(sealed.len(), header::LEN + "Grüße".len() + 16);

    let key = sealer.handed_key(Purpose::Census);
    assert_eq!(hex(key.as_ref()), "127d8e20fbd998579b6383902b48fc441392ef2f1d1f340a65da116d756333d0");
    let place = Place { tenant, unit, purpose: Purpose::Census, record, version: 1 };
    let census = seal_with(&key, &entropy, place, b"[]");
    assert_eq!(
        hex(&census),
        "4c544853010007000000010000000000000000000000000000000033333333333333333333333333333333b86e48b084c5d51fbbbff56e2cb357b20506397db2e2556c62c21dea6fa1a9a5515dd8f7c3c13b9d18b185726c36"
    );
    assert_eq!(open_with(&key, place, &census).unwrap().as_slice(), b"[]");
}

#[test]
fn a_value_opens_where_it_was_sealed_and_nowhere_else() {
    let home = sealer(TENANT, subject(1), unit(1));
    let sealed = home.seal(Purpose::MessageText, RECORD, 3, b"see you at eight");
    let text = home.open(Purpose::MessageText, RECORD, 3, &sealed).unwrap();
    assert_eq!(text.as_slice(), b"see you at eight");
    assert_eq!(
        home.open(Purpose::MessageText, RECORD, 3, &home.seal(Purpose::MessageText, RECORD, 3, b""))
            .unwrap()
            .len(),
        0
    );

    // The same secrets throughout, so that it is the place that refuses.
    let moved = [
        ("purpose", home.open(Purpose::ConsentNote, RECORD, 3, &sealed)),
        ("record", home.open(Purpose::MessageText, Uuid::from_u128(0x5555), 3, &sealed)),
        ("version", home.open(Purpose::MessageText, RECORD, 4, &sealed)),
        ("tenant", sealer(OTHER, subject(1), unit(1)).open(Purpose::MessageText, RECORD, 3, &sealed)),
        ("subject", sealer(TENANT, subject(2), unit(1)).open(Purpose::MessageText, RECORD, 3, &sealed)),
        ("unit", sealer(TENANT, subject(1), unit(2)).open(Purpose::MessageText, RECORD, 3, &sealed)),
    ];
    for (what, outcome) in moved {
        assert_eq!(outcome.err(), Some(OpenError::Damaged), "{what}");
    }
    // And a header that was rewritten to fit the new place does not help.
    let mut forged = sealed.clone();
    forged[7..11].copy_from_slice(&4_u32.to_be_bytes());
    assert_eq!(home.open(Purpose::MessageText, RECORD, 4, &forged).err(), Some(OpenError::Damaged));
    let mut forged = sealed;
    forged[5..7].copy_from_slice(&Purpose::ConsentNote.number().to_be_bytes());
    assert!(home.open(Purpose::ConsentNote, RECORD, 3, &forged).is_err());
}

#[test]
fn a_wrong_key_and_damage_are_told_apart() {
    let right = sealer(TENANT, subject(1), unit(1));
    let sealed = right.seal(Purpose::MessageText, RECORD, 3, b"see you at eight");
    for (subject_secret, unit_secret) in [([9; 32], [2; 32]), ([1; 32], [9; 32]), ([2; 32], [1; 32])] {
        let owner = (subject(1), &subject_secret);
        let wrong = Sealer::of_secrets(TENANT, owner, (unit(1), &unit_secret), &Entropy::seeded(5));
        assert_eq!(wrong.open(Purpose::MessageText, RECORD, 3, &sealed).err(), Some(OpenError::WrongKey));
        assert_eq!(wrong.open(Purpose::ConsentNote, RECORD, 3, &sealed).err(), Some(OpenError::WrongKey));
    }
    for at in 0..sealed.len() {
        for bit in [1, 0x80] {
            let mut bent = sealed.clone();
            bent[at] ^= bit;
            let wanted = if at < header::MAGIC.len() { OpenError::Format } else { OpenError::Damaged };
            let got = right.open(Purpose::MessageText, RECORD, 3, &bent).err();
            // A purpose that exists carries another commitment: that cannot be told from another key.
            if (5..7).contains(&at) && got == Some(OpenError::WrongKey) {
                continue;
            }
            assert_eq!(got, Some(wanted), "byte {at}");
        }
    }
    for length in 0..sealed.len() {
        let got = right.open(Purpose::MessageText, RECORD, 3, &sealed[..length]).err();
        let wanted = if length < header::LEN + 16 { OpenError::Format } else { OpenError::Damaged };
        assert_eq!(got, Some(wanted), "{length} bytes");
    }
    assert!(right.open(Purpose::MessageText, RECORD, 3, b"see you at eight").is_err());
}

#[test]
fn each_seal_draws_a_nonce_and_each_purpose_has_a_key() {
    let sealer = sealer(TENANT, subject(1), unit(1));
    let (a, b) = (
        sealer.seal(Purpose::MessageText, RECORD, 1, b"x"),
        sealer.seal(Purpose::MessageText, RECORD, 1, b"x"),
    );
    let (a, b) = (header::parse(&a).unwrap(), header::parse(&b).unwrap());
    assert_ne!(a.nonce, b.nonce);
    assert_eq!(a.commitment, b.commitment);
    let commitments: std::collections::HashSet<_> =
        Purpose::ALL.iter().map(|purpose| sealer.commitment(*purpose)).collect();
    assert_eq!(commitments.len(), Purpose::ALL.len());
}
