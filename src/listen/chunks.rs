//! The chunked coding of HTTP/1.1. Bytes in, where its data lies out; any split of the bytes gives the same.
//!
//! Strict, for what two readers could read in two ways may hide a request, or carry another call's answer.

/// Follows one body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunks {
    at: At,
    /// Bytes of extensions and trailers so far: nothing that we act on.
    beside: u16,
}

/// More of them than anything sane sends.
const BESIDE_BYTES: u16 = 16 << 10;

/// Digits of a chunk's size that fit into 64 bits.
const DIGITS: u8 = 16;

/// Of a chunk that came in one read.
const SHORT_DIGITS: usize = 7;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Size {
        size: u64,
        digits: u8,
    },
    /// Behind a size; some pad it.
    Blank(u64),
    Extension(u64),
    SizeEnd(u64),
    Data(u64),
    DataEnd,
    DataEndLf,
    Trailer {
        is_empty: bool,
    },
    TrailerEnd {
        is_last: bool,
    },
    End,
    Malformed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl Chunks {
    /// At a body's first byte.
    pub const START: Self = Self { at: At::Size { size: 0, digits: 0 }, beside: 0 };

    /// How many of these bytes come before the next data, or make the body's end.
    pub fn pass(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut passed = 0;
        while !matches!(self.at, At::Data(_) | At::End) {
            if let Some((at, length)) = self.stride(&bytes[passed..]) {
                self.at = at;
                passed += length;
                continue;
            }
            let Some(byte) = bytes.get(passed) else { break };
            self.at = self.step(*byte);
            if self.at == At::Malformed {
                return Err(Malformed);
            }
            passed += 1;
        }
        Ok(passed)
    }

    /// So many bytes of data come next.
    pub const fn data(&self) -> u64 {
        match self.at {
            At::Data(left) => left,
            _ => 0,
        }
    }

    /// Passes over bytes of data.
    pub const fn took(&mut self, bytes: u64) {
        if let At::Data(left) = self.at {
            self.at = if left == bytes { At::DataEnd } else { At::Data(left - bytes) };
        }
    }

    pub const fn has_ended(&self) -> bool {
        matches!(self.at, At::End)
    }

    /// Several bytes at once, where they stand as nearly everybody writes them. A shortcut: `step` comes to the same.
    fn stride(&self, bytes: &[u8]) -> Option<(At, usize)> {
        match self.at {
            At::Size { digits: 0, .. } => {
                let digits = bytes.iter().take(SHORT_DIGITS).take_while(|byte| byte.is_ascii_hexdigit()).count();
                let size = bytes[..digits].iter().fold(0, |size, digit| size << 4 | u64::from(value_of(*digit)));
                (size > 0 && bytes[digits..].starts_with(b"\r\n")).then_some((At::Data(size), digits + 2))
            }
            At::DataEnd => bytes.starts_with(b"\r\n").then_some((Self::START.at, 2)),
            _ => None,
        }
    }

    fn step(&mut self, byte: u8) -> At {
        match (self.at, byte) {
            (At::Size { size, digits }, _) if byte.is_ascii_hexdigit() && digits < DIGITS => {
                At::Size { size: size << 4 | u64::from(value_of(byte)), digits: digits + 1 }
            }
            (At::Size { size, digits: 1.. } | At::Blank(size) | At::Extension(size), b'\r') => At::SizeEnd(size),
            (At::Size { size, digits: 1.. } | At::Blank(size), b';') => At::Extension(size),
            (At::Size { size, digits: 1.. } | At::Blank(size), b' ' | b'\t') => self.beside(At::Blank(size)),
            (At::Extension(_), b'\n') => At::Malformed,
            (extension @ At::Extension(_), _) => self.beside(extension),
            (At::SizeEnd(0), b'\n') => At::Trailer { is_empty: true },
            (At::SizeEnd(size), b'\n') => At::Data(size),
            (At::DataEnd, b'\r') => At::DataEndLf,
            (At::DataEndLf, b'\n') => At::Size { size: 0, digits: 0 },
            (At::Trailer { is_empty }, b'\r') => At::TrailerEnd { is_last: is_empty },
            (At::Trailer { .. }, b'\n') => At::Malformed,
            (At::Trailer { .. }, _) => self.beside(At::Trailer { is_empty: false }),
            (At::TrailerEnd { is_last: true }, b'\n') => At::End,
            (At::TrailerEnd { is_last: false }, b'\n') => At::Trailer { is_empty: true },
            _ => At::Malformed,
        }
    }

    const fn beside(&mut self, at: At) -> At {
        self.beside += 1;
        if self.beside < BESIDE_BYTES { at } else { At::Malformed }
    }
}

/// Of a hexadecimal digit.
const fn value_of(digit: u8) -> u8 {
    // Letters lie 9 above the digits in their lowest four bits.
    (digit & 0xf) + 9 * (digit >> 6)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The data in these reads, and what is left behind the body's end if that came.
    fn read(reads: &[&[u8]]) -> Result<(Vec<u8>, Option<usize>), Malformed> {
        let (mut chunks, mut data, mut behind) = (Chunks::START, Vec::new(), 0);
        for read in reads {
            let mut rest = *read;
            loop {
                rest = &rest[chunks.pass(rest)?..];
                let here = rest.len().min(usize::try_from(chunks.data()).unwrap_or(usize::MAX));
                if here == 0 {
                    break;
                }
                data.extend_from_slice(&rest[..here]);
                chunks.took(here as u64);
                rest = &rest[here..];
            }
            behind += rest.len();
        }
        Ok((data, chunks.has_ended().then_some(behind)))
    }

    #[test]
    fn data_lies_between_sizes_and_ends_with_an_empty_chunk() {
        let body = b"5 \t\r\nhello\r\n006 ;a=\"b\"\r\n world\r\n0\r\nX: y\r\n\r\nnext";
        assert_eq!(read(&[body]), Ok((b"hello world".to_vec(), Some(4))));
        assert_eq!(read(&[b"5\r\nhel"]), Ok((b"hel".to_vec(), None)));
        assert_eq!(read(&[b"0\r\n\r"]), Ok((Vec::new(), None)));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_none() {
        let long = format!("1;{}\r\nx\r\n", "a".repeat(20_000));
        let many = format!("0\r\n{}\r\n", "a: b\r\n".repeat(5_000));
        for body in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "+1\r\n",
            "1\n",
            "1\rx",
            "1;a\n",
            "1;a\rb",
            "5\r\nhelloX",
            "5\r\nhello\n",
            "5\r\nhello\rX",
            "00000000000000000\r\n",
            "0\r\n\n",
            "0\r\na\n\r\n",
            "0\r\na\rb",
            &long,
            &many,
        ] {
            assert_eq!(read(&[body.as_bytes()]), Err(Malformed), "{body:.40}");
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same(body in "([0-9a-f]{1,2}\r\n|[a-z;\r\n]{0,20}|5\r\nhello\r\n|0\r\n(a: b\r\n)?\r\n){0,8}", size in 1..40usize) {
            let reads: Vec<&[u8]> = body.as_bytes().chunks(size).collect();
            prop_assert_eq!(read(&reads), read(&[body.as_bytes()]));
        }

        #[test]
        fn what_is_written_in_chunks_is_read_again(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 0..8), size in 1..400usize) {
            let mut body = Vec::new();
            for piece in &pieces {
                body.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                body.extend_from_slice(piece);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"0\r\n\r\n");
            let reads: Vec<&[u8]> = body.chunks(size).collect();
            prop_assert_eq!(read(&reads), Ok((pieces.concat(), Some(0))));
        }
    }
}
