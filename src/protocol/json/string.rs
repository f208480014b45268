//! Finds where a string ends, and that all before its end is as JSON wants it: 64 bytes a step, by vector instructions.
//!
//! Bytes behind an opening quote in, the string out, or nothing and then `flaw` says why. Each byte is looked at once, and
//! a second time, while it is still in the nearest cache, where some around it are not ASCII.

use wide::{u8x16, u8x64};

use super::Flaw;
use super::text::{Text, escape_length};

/// Of bytes that are taken one by one: which may stand behind a backslash, and which are hexadecimal digits.
const SIMPLE: u8 = 1;
const HEX: u8 = 2;
static KINDS: [u8; 256] = kinds();

const fn kinds() -> [u8; 256] {
    let mut kinds = [0; 256];
    let (simple, hex) = (b"\"\\/bfnrt", b"0123456789abcdefABCDEF");
    let mut at = 0;
    while at < hex.len() {
        if at < simple.len() {
            kinds[simple[at] as usize] |= SIMPLE;
        }
        kinds[hex[at] as usize] |= HEX;
        at += 1;
    }
    kinds
}

/// The string whose first byte stands first here.
#[inline]
pub(super) fn read(bytes: &[u8]) -> Option<Text<'_>> {
    match short(bytes) {
        Some(raw) => Some(Text { raw, escaped: false }),
        None => long(bytes),
    }
}

/// A string that ends within a few small blocks, without escapes and in ASCII: most keys, roles, types and short texts.
#[inline]
fn short(bytes: &[u8]) -> Option<&[u8]> {
    for (number, block) in bytes.as_chunks().0.iter().take(SHORT_BLOCKS).enumerate() {
        let block = u8x16::new(*block);
        let is = |byte| block.simd_eq(u8x16::splat(byte));
        let is_control = block.min(u8x16::splat(LAST_CONTROL)).simd_eq(block);
        // A bit mask takes each byte's highest bit: set by a comparison, and in what is not ASCII.
        let odd = (is(b'\\') | is_control | block).to_bitmask();
        let quotes = is(b'"').to_bitmask();
        if quotes != 0 {
            let before = quotes.wrapping_sub(1) & !quotes;
            return (odd & before == 0).then(|| &bytes[..number * 16 + quotes.trailing_zeros() as usize]);
        }
        if odd != 0 {
            return None;
        }
    }
    None
}

/// Any string.
fn long(bytes: &[u8]) -> Option<Text<'_>> {
    let (mut least, mut top) = (u8x64::splat(u8::MAX), u8x64::splat(0));
    let (mut at, mut carry, mut escapes) = (0, 0, 0);
    // Up to here it is UTF-8.
    let mut checked = 0;
    loop {
        let block = block(&bytes[at..])?;
        let slashes = ones(block, b'\\');
        let mut closing = ones(block, b'"');
        if slashes | carry != 0 {
            let escaped = escaped(slashes, &mut carry);
            closing &= !escaped;
            let escaped = escaped & before(closing);
            check_escapes(bytes, at, escaped)?;
            escapes |= escaped;
        }
        if closing != 0 {
            let before = before(closing);
            let raw = &bytes[..at + closing.trailing_zeros() as usize];
            let has_control = controls(block) & before | controls(least) != 0;
            let has_high = block.to_bitmask() & before | top.to_bitmask() != 0;
            let is_text = !has_control && (!has_high || is_utf8(&raw[checked..]));
            return is_text.then_some(Text { raw, escaped: escapes != 0 });
        }
        least = least.min(block);
        top |= block;
        at = bytes.len().min(at + BLOCK_BYTES);
        if at - checked >= WINDOW_BYTES {
            if top.to_bitmask() != 0 {
                checked = last_letter(bytes, checked, at).filter(|last| is_utf8(&bytes[checked..*last]))?;
                // What is left of the window lies in its last block.
                top = block;
            } else {
                checked = at;
            }
        }
    }
}

fn is_utf8(bytes: &[u8]) -> bool {
    simdutf8::basic::from_utf8(bytes).is_ok()
}

/// Where the last letter between begins; it may not end there.
fn last_letter(bytes: &[u8], from: usize, to: usize) -> Option<usize> {
    let longest = to.saturating_sub(LETTER_BYTES).max(from);
    let within = bytes[longest..to].iter().rposition(|byte| !matches!(byte, 0x80..0xc0))?;
    Some(longest + within)
}

const BLOCK_BYTES: usize = 64;
/// UTF-8 is checked by pieces of this size: half of what the nearest cache of most processors holds.
const WINDOW_BYTES: usize = 16 * 1024;
/// The longest letter in UTF-8.
const LETTER_BYTES: usize = 4;
const SHORT_BLOCKS: usize = 4;
const LAST_CONTROL: u8 = 0x1f;

/// The next bytes; behind the last one there are zeros, which end nothing.
#[inline]
fn block(rest: &[u8]) -> Option<u8x64> {
    if let Some(block) = rest.first_chunk::<BLOCK_BYTES>() {
        return Some(u8x64::new(*block));
    }
    let mut block = [0; BLOCK_BYTES];
    block[..rest.len()].copy_from_slice(rest);
    (!rest.is_empty()).then(|| u8x64::new(block))
}

/// A bit for each byte that is this one.
#[inline]
fn ones(block: u8x64, byte: u8) -> u64 {
    block.simd_eq(u8x64::splat(byte)).to_bitmask()
}

#[inline]
fn controls(block: u8x64) -> u64 {
    block.min(u8x64::splat(LAST_CONTROL)).simd_eq(block).to_bitmask()
}

/// The bits below the lowest one; all where there is none.
#[inline]
const fn before(bits: u64) -> u64 {
    bits.wrapping_sub(1) & !bits
}

/// The bytes behind a backslash that escapes. `carry`: the block's first byte is one, by the block before.
///
/// Of a run of backslashes the first escapes the second, the third the fourth; an odd run's last escapes what follows.
/// The subtraction finds the escaping ones of all runs at once, and what follows an odd run: it leaves the bits of a run
/// that begins at an even place and turns those of one that begins at an odd place into the one bit behind it, and
/// against the odd places of all bytes both come out as every second one.
#[inline]
const fn escaped(slashes: u64, carry: &mut u64) -> u64 {
    const ODD_PLACES: u64 = 0xaaaa_aaaa_aaaa_aaaa;
    let runs = slashes & !*carry;
    let escaping_and_behind = ((runs << 1) | ODD_PLACES).wrapping_sub(runs) ^ ODD_PLACES;
    let escaped = escaping_and_behind ^ (slashes | *carry);
    *carry = (escaping_and_behind & slashes) >> 63;
    escaped
}

/// Does each of these bytes of the block at `at` make an escape with the backslash before it?
#[inline]
fn check_escapes(bytes: &[u8], at: usize, mut escaped: u64) -> Option<()> {
    while escaped != 0 {
        let here = at + escaped.trailing_zeros() as usize;
        let byte = *bytes.get(here)?;
        let is_escape = KINDS[usize::from(byte)] & SIMPLE != 0 || byte == b'u' && is_hex4(bytes.get(here + 1..)?);
        if !is_escape {
            return None;
        }
        escaped &= escaped - 1;
    }
    Some(())
}

#[inline]
fn is_hex4(bytes: &[u8]) -> bool {
    bytes
        .first_chunk::<4>()
        .is_some_and(|digits| digits.iter().fold(HEX, |all, digit| all & KINDS[usize::from(*digit)]) != 0)
}

/// What exactly is wrong with the string that begins at `start` and is none.
#[cold]
pub(super) fn flaw(bytes: &[u8], start: usize) -> Flaw {
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => break,
            b'\\' => match escape_length(&bytes[at..]) {
                Some(length) => at += length,
                None => return Flaw { what: "an unknown escape", at },
            },
            0..0x20 => return Flaw { what: "a control character stands bare in a string", at },
            _ => at += 1,
        }
    }
    match std::str::from_utf8(&bytes[start..at]) {
        Err(wrong) if at < bytes.len() => Flaw { what: "bytes that are not UTF-8", at: start + wrong.valid_up_to() },
        _ => Flaw { what: "a string has no end", at },
    }
}
