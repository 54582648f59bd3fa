//! Tokens that a compressor left in pieces. Seven bytes of one were seen; here is decided whether the rest stands around
//! them, so that another text with a word in common is not taken for it.

use crate::forms::Form;

/// How far around seven bytes is looked, for a token of this length.
pub(crate) fn reach(length: usize) -> usize {
    FAR + 2 * length + 64
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
/// three bytes), from any of the places before, the buffer unpacks to the token: wholly, where the beginning of the
/// value is in sight; else all but one short reference, which is taken on trust, for its control bits say how long it is.
fn unpacks(token: &[u8], at: usize, buffer: &[u8], here: usize) -> bool {
    let near = here.saturating_sub(2 * at + 64);
    (near..here).any(|control| reads(token, at, buffer, here, control, Trust::OneReference))
        || (here.saturating_sub(FAR)..here)
            .any(|control| reads(token, at, buffer, here, control, Trust::Nothing))
}

/// How far back the beginning of a compressed value is sought: a page of PostgreSQL's.
const FAR: usize = 8192;

/// Most references among the eight items of which one is trusted.
const MOST_REFERENCES: u32 = 2;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// Every reference must be to bytes in sight.
    Nothing,
    /// One in the token may be to bytes out of sight.
    OneReference,
}

fn reads(token: &[u8], at: usize, buffer: &[u8], here: usize, control: usize, trust: Trust) -> bool {
    let mut out: Vec<Option<u8>> = Vec::new();
    // Where the token begins and ends in what is unpacked, once its seven bytes were met.
    let mut span: Option<(usize, usize)> = None;
    let mut trusted: Vec<usize> = Vec::new();
    let mut place = control;
    loop {
        let Some(bits) = buffer.get(place).copied() else { return false };
        place += 1;
        for item in 0..8 {
            if bits >> item & 1 == 0 {
                if place == here {
                    let Some(start) = out.len().checked_sub(at) else { return false };
                    span = Some((start, start + token.len()));
                }
                let Some(byte) = buffer.get(place) else { return false };
                out.push(Some(*byte));
                place += 1;
            } else {
                let Some((offset, length, size)) = reference(&buffer[place.min(buffer.len())..]) else {
                    return false;
                };
                if offset > out.len() {
                    // Text read as control bytes is full of references; noise read as compressed ends here too.
                    if trust == Trust::Nothing || bits.count_ones() > MOST_REFERENCES {
                        return false;
                    }
                    trusted.push(out.len());
                }
                place += size;
                for _ in 0..length {
                    out.push(out.len().checked_sub(offset).and_then(|from| out[from]));
                }
            }
            match span {
                Some((start, end)) if out.len() >= end => {
                    let within = trusted.iter().filter(|at| (start..end).contains(*at)).count();
                    return within <= 1 && agrees(token, &out[start..end]);
                }
                // The seven bytes are no literals, read from here.
                None if place > here => return false,
                _ => {}
            }
        }
    }
}

/// Offset, length and size of a reference.
fn reference(bytes: &[u8]) -> Option<(usize, usize, usize)> {
    let [first, second, rest @ ..] = bytes else { return None };
    let offset = usize::from(first & 0xf0) << 4 | usize::from(*second);
    let length = usize::from(first & 0x0f) + 3;
    match (offset, length) {
        (0, _) => None,
        (_, 18) => Some((offset, 18 + usize::from(*rest.first()?), 3)),
        _ => Some((offset, length, 2)),
    }
}

fn agrees(token: &[u8], out: &[Option<u8>]) -> bool {
    let known = out.iter().flatten().count();
    known * 4 >= token.len() * 3
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

    /// Texts made of the same stuff, a few bytes of the token exchanged, plain and packed.
    #[test]
    fn near_misses_are_not_taken_for_it() {
        let entropy = lethe_ambient::Entropy::seeded(11);
        let letters = b"etaoin shrdlu-.@0123456789bcfgmpvwyk";
        let mut wrong = 0;
        for round in 0..4000 {
            let random = entropy.bytes::<256>();
            let mut text: Vec<u8> =
                random[..200].iter().map(|byte| letters[usize::from(*byte) % letters.len()]).collect();
            let mut other = TOKEN.to_vec();
            let exchanged = 1 + usize::from(random[250]) % 4;
            let at = usize::from(random[251]) % (other.len() - exchanged);
            for byte in &mut other[at..at + exchanged] {
                *byte = byte.wrapping_add(1 + random[252] % 20);
            }
            text.splice(80..80, other);
            let text = if round % 2 == 0 { text } else { literals(&text) };
            wrong += u32::from(seen(TOKEN, &text).is_some());
        }
        assert!(wrong <= 30, "{wrong} of 4000");
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
