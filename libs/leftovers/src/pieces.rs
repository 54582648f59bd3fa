//! Tokens that a compressor left in pieces. Seven bytes of one were seen; here is decided whether the rest stands around
//! them, so that another text with a word in common is not taken for it.

use crate::forms::Form;

/// How far around seven bytes is looked, for a token of this length.
pub(crate) fn reach(length: usize) -> usize {
    2 * length + 64
}

/// Seven bytes of `token`, those from `at`, stand in `buffer` at `here`: is all of it there?
pub(crate) fn around(token: &[u8], at: usize, buffer: &[u8], here: usize) -> Option<Form> {
    if strewn(token, at, buffer, here) {
        return Some(Form::Pieces);
    }
    unpacks(token, at, buffer, here).then_some(Form::Pglz)
}

/// Every byte is there in its order, with few others between them and never two of those in a row: literal runs of a
/// compressor with its control bytes.
fn strewn(token: &[u8], at: usize, buffer: &[u8], here: usize) -> bool {
    let mut spare = 1 + token.len() / 6;
    let forward = |from: usize, mut place: usize, spare: &mut usize| {
        for byte in &token[from..] {
            if buffer.get(place) != Some(byte) {
                if *spare == 0 || buffer.get(place + 1) != Some(byte) {
                    return false;
                }
                *spare -= 1;
                place += 1;
            }
            place += 1;
        }
        true
    };
    let backward = |mut place: usize, spare: &mut usize| {
        for byte in token[..at].iter().rev() {
            let before = |by: usize| place.checked_sub(by).map(|place| buffer[place]);
            if before(1) == Some(*byte) {
                place -= 1;
            } else if *spare > 0 && before(2) == Some(*byte) {
                *spare -= 1;
                place -= 2;
            } else {
                return false;
            }
        }
        true
    };
    forward(at, here, &mut spare) && backward(here, &mut spare)
}

/// Read as PostgreSQL's compression (pglz: a control byte, then eight items, each a literal or a reference of two or
/// three bytes), from any of the places before, the buffer unpacks to the token. Half of it must be literal; what refers
/// to bytes out of sight is taken on trust, for the control bits say how long it is.
fn unpacks(token: &[u8], at: usize, buffer: &[u8], here: usize) -> bool {
    let begin = here.saturating_sub(reach(at));
    (begin..here).any(|control| unpacks_from(token, at, buffer, here, control))
}

fn unpacks_from(token: &[u8], at: usize, buffer: &[u8], here: usize, control: usize) -> bool {
    let mut out: Vec<Option<u8>> = Vec::with_capacity(2 * token.len());
    let mut start = None;
    let mut place = control;
    while let Some(bits) = buffer.get(place).copied() {
        place += 1;
        for item in 0..8 {
            if bits >> item & 1 == 0 {
                if place == here {
                    // The seven bytes must be where the token has them.
                    start = out.len().checked_sub(at);
                    if start.is_none() {
                        return false;
                    }
                }
                let Some(byte) = buffer.get(place) else { return false };
                out.push(Some(*byte));
                place += 1;
            } else {
                let (Some(first), Some(second)) = (buffer.get(place), buffer.get(place + 1)) else {
                    return false;
                };
                let offset = usize::from(first & 0xf0) << 4 | usize::from(*second);
                let mut length = usize::from(first & 0x0f) + 3;
                place += 2;
                if length == 18 {
                    let Some(more) = buffer.get(place) else { return false };
                    length += usize::from(*more);
                    place += 1;
                }
                if offset == 0 {
                    return false;
                }
                for _ in 0..length {
                    out.push(out.len().checked_sub(offset).and_then(|from| out[from]));
                }
            }
            match start {
                Some(start) if out.len() >= start + token.len() => {
                    return agrees(token, &out[start..start + token.len()]);
                }
                None if place > here => return false,
                _ => {}
            }
        }
    }
    false
}

fn agrees(token: &[u8], out: &[Option<u8>]) -> bool {
    let known = out.iter().flatten().count();
    known * 2 >= token.len()
        && out.iter().zip(token).all(|(byte, wanted)| byte.is_none_or(|byte| byte == *wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &[u8] = b"zq81d0c2-ada.lovelace@example.org";

    /// Literals only, as pglz writes what never repeats: eight at a time behind a zero.
    fn literals(text: &[u8]) -> Vec<u8> {
        text.chunks(8).flat_map(|run| std::iter::once(0).chain(run.iter().copied())).collect()
    }

    fn seen(token: &[u8], buffer: &[u8]) -> Option<Form> {
        (0..=token.len() - 7).find_map(|at| {
            let key = &token[at..at + 7];
            let here = buffer.windows(7).position(|window| window == key)?;
            around(token, at, buffer, here)
        })
    }

    #[test]
    fn literal_runs_are_found_at_every_phase() {
        for phase in 0..9 {
            let text = [&b"some words"[..phase], TOKEN, b" and more"].concat();
            assert!(seen(TOKEN, &literals(&text)).is_some(), "phase {phase}");
            assert!(seen(&TOKEN[..13], &literals(&text)).is_some(), "short, phase {phase}");
        }
    }

    #[test]
    fn references_in_the_middle_are_taken_by_their_length() {
        // "-ada." refers to somewhere before: literal, reference, literal.
        let mut bytes = literals(b"what came earlier in the value, and is gone ");
        bytes.truncate(bytes.len() / 9 * 9);
        bytes.push(0);
        bytes.extend_from_slice(b"zq81d0c2");
        bytes.push(0b0000_0001);
        bytes.extend_from_slice(&[0x12, 0x34]);
        bytes.extend_from_slice(b"lovelac");
        bytes.push(0);
        bytes.extend_from_slice(b"e@exampl");
        bytes.push(0);
        bytes.extend_from_slice(b"e.org");
        assert_eq!(seen(TOKEN, &bytes), Some(Form::Pglz));
    }

    #[test]
    fn a_text_that_only_resembles_it_is_not_it() {
        for other in [
            &b"zq81d0c2-bob.lovelace@example.org"[..],
            b"a letter to lovelace@example.org, and another",
            b"zq81d0c3-ada.lovelace@example.org",
            b"lovelace lovelace lovelace example.org example.org",
        ] {
            assert_eq!(seen(TOKEN, other), None, "{}", other.escape_ascii());
            assert_eq!(seen(TOKEN, &literals(other)), None, "{}", other.escape_ascii());
        }
    }
}
