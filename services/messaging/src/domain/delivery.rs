//! How far an outbound message has come: queued, sent, delivered, read; or failed. It only ever goes forward, whatever
//! order the reports come in.

use lethe_proto::messaging::DeliveryState;

use super::Invalid;

/// Most characters of a failure's code.
const MOST_CHARACTERS: usize = 64;

/// Whether a report moves a message on. What was delivered can fail no more, and what failed is over.
pub(crate) fn advances(now: DeliveryState, to: DeliveryState) -> bool {
    use DeliveryState::{Delivered, Failed, Queued, Read, Sent, Unspecified};
    match (now, to) {
        (Failed | Read, _) | (_, Unspecified | Queued) => false,
        (Unspecified | Queued, _) => true,
        (Sent, Delivered | Read | Failed) => true,
        (Delivered, Read) => true,
        (Sent | Delivered, _) => false,
    }
}

/// Why it failed: a code of the provider, 1 to 64 of `[a-z0-9_]`, and only of what failed.
///
/// # Errors
/// [`Invalid`] at `failure`.
pub(crate) fn failure(state: DeliveryState, code: &str) -> Result<Option<&str>, Invalid> {
    let fits = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_');
    match (state, code) {
        (_, "") => Ok(None),
        (DeliveryState::Failed, code) if code.len() <= MOST_CHARACTERS && code.bytes().all(fits) => {
            Ok(Some(code))
        }
        (DeliveryState::Failed, _) => {
            Err(Invalid::new("failure", "must be 1 to 64 characters of a-z, 0-9 and _"))
        }
        _ => Err(Invalid::new("failure", "is only of what failed")),
    }
}

#[cfg(test)]
mod tests {
    use DeliveryState::{Delivered, Failed, Queued, Read, Sent};

    use super::*;

    #[test]
    fn a_message_only_goes_forward() {
        let all = [Queued, Sent, Delivered, Read, Failed];
        let forward = [
            (Queued, &[Sent, Delivered, Read, Failed][..]),
            (Sent, &[Delivered, Read, Failed]),
            (Delivered, &[Read]),
            (Read, &[]),
            (Failed, &[]),
        ];
        for (now, may) in forward {
            for to in all {
                assert_eq!(advances(now, to), may.contains(&to), "{now:?} to {to:?}");
            }
        }
    }

    #[test]
    fn a_failure_has_a_code() {
        assert_eq!(failure(Failed, "131026"), Ok(Some("131026")));
        assert_eq!(failure(Sent, ""), Ok(None));
        for (state, code) in [(Sent, "x"), (Failed, "No such number"), (Failed, &"x".repeat(65)[..])] {
            assert_eq!(failure(state, code).map_err(|e| e.field), Err("failure".to_owned()), "{code}");
        }
    }
}
