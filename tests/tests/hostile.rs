//! What no client of ours would send: RPCs of rubbish.

use std::{collections::BTreeMap, time::Duration};

use lethe_access::Role;
use lethe_ambient::Entropy;
use lethe_proto::METHODS;
use lethe_tests::{Api, Signers, alone, name_of, platform, servers_of};
use prost::{
    DecodeError, Message,
    bytes::{Buf, BufMut},
    encoding::{DecodeContext, WireType},
};
use tonic::{Code, Status};

/// Bytes that go out as they are, whatever message the RPC takes.
#[derive(Clone, Debug, Default)]
struct Rubbish(Vec<u8>);

impl Message for Rubbish {
    fn encode_raw(&self, into: &mut impl BufMut) {
        into.put_slice(&self.0);
    }

    fn merge_field(
        &mut self,
        _tag: u32,
        _wire: WireType,
        _from: &mut impl Buf,
        _context: DecodeContext,
    ) -> Result<(), DecodeError> {
        unreachable!("nothing of this kind is received")
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

/// A length-delimited field: a text, bytes or a message.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = content.len();
    while length > 127 {
        bytes.push((length & 127) as u8 | 128);
        length >>= 7;
    }
    bytes.push(length as u8);
    [bytes, content.to_vec()].concat()
}

/// Every field that an RPC of ours has a number for.
fn fields(content: &[u8]) -> Vec<u8> {
    (1..16).flat_map(|number| field(number, content)).collect()
}

fn rubbish(entropy: &Entropy) -> BTreeMap<String, Vec<u8>> {
    let nested = (0..200).fold(vec![8, 1], |inner, _| field(1, &inner));
    let cursor = [field(2, &entropy.bytes::<24>()), vec![8, 10]].concat();
    let mut made = BTreeMap::from([
        ("a length without its bytes".to_owned(), vec![0x0a, 0xff, 0xff, 0xff, 0x7f]),
        ("a number without an end".to_owned(), vec![0x08; 1].into_iter().chain([0xff; 11]).collect()),
        ("fields that are no text".to_owned(), fields(b"\xff\xfe\x00")),
        ("fields of zero bytes".to_owned(), fields(&[0; 64])),
        ("fields of 100 KiB".to_owned(), fields(&[b'a'; 100 * 1024])),
        ("a message of 9 MiB".to_owned(), field(1, &vec![b'a'; 9 * 1024 * 1024])),
        ("nests of 200".to_owned(), nested),
        ("50,000 of each".to_owned(), (1..4).flat_map(|number| field(number, b"a").repeat(50_000)).collect()),
        (
            "numbers at their ends".to_owned(),
            (1..16).flat_map(|n: u8| [vec![n << 3], vec![0xff; 9], vec![1]].concat()).collect(),
        ),
        ("pages with a cursor of rubbish".to_owned(), fields(&cursor)),
    ]);
    for number in 0..12 {
        let random = entropy.bytes::<96>();
        made.insert(format!("random bytes {number}"), random[..8 * (number + 1)].to_vec());
        // What decodes reaches further: ids that are nobody's, enums that do not exist.
        let text = entropy.uuid4().to_string();
        made.insert(format!("random ids {number}"), field(number as u8 + 1, text.as_bytes()));
    }
    made
}

/// Whether an answer says what was wrong, or that nothing was: anything else is a defect, or takes one for one.
fn is_answered(answer: &Result<(), Status>) -> bool {
    match answer {
        Ok(()) => true,
        Err(status) => match status.code() {
            Code::Internal => status.message().contains("failed to decode Protobuf message"),
            code => {
                !matches!(code, Code::Unknown | Code::DataLoss | Code::Unavailable | Code::DeadlineExceeded)
            }
        },
    }
}

#[tokio::test]
async fn every_rpc_answers_rubbish_and_goes_on() {
    let _alone = alone().await;
    let platform = platform();
    let signers = Signers::new(platform, platform.tenant().await);
    let seed = u64::from(std::process::id());
    let rubbish = rubbish(&Entropy::seeded(seed));
    let table = crate::authz::table();
    let principal = signers.principal(Role::Owner, Duration::ZERO);
    let mut wrong = Vec::new();
    for method in METHODS {
        let caller = table[&name_of(method)].callers[0];
        for server in servers_of(method) {
            let owner = signers.signed("identity", &principal);
            for (what, bytes) in &rubbish {
                let message = Rubbish(bytes.clone());
                let answer = signers.call(method, server, Some(caller), Some(&owner), message).await;
                if !is_answered(&answer) {
                    wrong.push(format!("{} at {server}, {what} (seed {seed}): {answer:?}", name_of(method)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Api::anonymous(&platform.run.url).get("/readyz").await.ok();
}
