//! The bytes of a sealed file: contents in, bytes out, and back. Pure.
//!
//! ```text
//! magic(8) | format(2) | salt(16) | generation(8) | check value(39) | length(8) | sealed contents | SHA-256(32)
//! ```
//!
//! All before the sealed contents is the head. The seal authenticates head and contents together, so that nobody
//! without the key can make a file that opens. The checksum needs no key: it tells an accident from a wrong key and from
//! tampering, so that each gets its own message. In every format it will stand at the end and cover all before it.

use ring::digest::{SHA256, digest};

use super::contents::Contents;
use super::error::{Fault, StoreError};
use super::seal::{Binding, CHECK_LENGTH, Keyring, OVERHEAD, Purpose, Salt};
use crate::domain::entity::SealedBytes;

/// Some hundred thousand entities. Every change writes all of it, so beyond this a database is the better store.
pub(super) const IMAGE_MAX: usize = 64 * 1024 * 1024;

pub(super) const FORMAT: u16 = 1;
/// The control byte and the line end show a file that was mangled as text.
const MAGIC: &[u8; 8] = b"KEYWAY\x1a\n";
const HEAD_LENGTH: usize = MAGIC.len() + 2 + Salt::LENGTH + 8 + CHECK_LENGTH + 8;
const SUM_LENGTH: usize = 32;

pub(super) fn encode(contents: &Contents, keyring: &Keyring) -> Result<Vec<u8>, StoreError> {
    let plain = serde_json::to_vec(contents).map_err(|error| StoreError::Unencodable(error.to_string()))?;
    let sealed_length = plain.len() + OVERHEAD;
    let size_bytes = HEAD_LENGTH + sealed_length + SUM_LENGTH;
    if size_bytes > IMAGE_MAX {
        return Err(StoreError::TooLarge { size_bytes });
    }
    let mut image = Vec::with_capacity(size_bytes);
    image.extend_from_slice(MAGIC);
    image.extend_from_slice(&FORMAT.to_be_bytes());
    image.extend_from_slice(&keyring.salt().0);
    image.extend_from_slice(&contents.directory.version.to_be_bytes());
    image.extend_from_slice(&keyring.check_value()?.0);
    image.extend_from_slice(&(sealed_length as u64).to_be_bytes());
    let sealed = keyring.seal(Purpose::Directory, &Binding::default().with(&image), &plain)?;
    image.extend_from_slice(&sealed.0);
    image.extend_from_slice(digest(&SHA256, &image).as_ref());
    Ok(image)
}

pub(super) fn decode(image: &[u8], keyring: &Keyring) -> Result<Contents, Fault> {
    let frame = Frame::read(image)?;
    // Its passphrases make other keys than ours; writing over it would lose what they sealed.
    if frame.salt != keyring.salt() {
        return Err(Fault::Exchanged);
    }
    keyring.check(&frame.check)?;
    let binding = Binding::default().with(frame.head);
    let plain = keyring.open(Purpose::Directory, &binding, &frame.sealed).map_err(|_| Fault::Tampered)?;
    // The parser's own message would repeat what it stumbled over.
    serde_json::from_slice(plain.expose()).map_err(|error| Fault::Contents { column: error.column() })
}

/// The salt that the keyring is derived with, before there is a keyring.
pub(super) fn salt(image: &[u8]) -> Result<Salt, Fault> {
    Frame::read(image).map(|frame| frame.salt)
}

/// An image without accidents; nothing in it is trusted yet.
struct Frame<'a> {
    head: &'a [u8],
    salt: Salt,
    check: SealedBytes,
    sealed: SealedBytes,
}

impl<'a> Frame<'a> {
    fn read(image: &'a [u8]) -> Result<Self, Fault> {
        let mut head = Fields(image);
        let magic = head.take::<{ MAGIC.len() }>();
        if magic.map_or(!MAGIC.starts_with(image), |magic| magic != MAGIC) {
            return Err(Fault::NotOurs);
        }
        let sum_fits = sum_fits(image);
        match (head.take().map(|format| u16::from_be_bytes(*format)), sum_fits) {
            (Some(format), true) if format > FORMAT => return Err(Fault::TooNew { format }),
            (Some(FORMAT), true) => {}
            (_, true) => return Err(Fault::NotOurs),
            (_, false) => return Err(accident(image)),
        }
        // A sum that fits over a length that does not is no accident.
        let frame = Self::fields(image, head).ok_or(Fault::Tampered)?;
        if image.len() != frame.head.len() + frame.sealed.0.len() + SUM_LENGTH {
            return Err(Fault::Tampered);
        }
        Ok(frame)
    }

    fn fields(image: &'a [u8], mut fields: Fields<'a>) -> Option<Self> {
        let salt = Salt(*fields.take()?);
        let _generation = fields.take::<8>()?;
        let check = SealedBytes(fields.take::<CHECK_LENGTH>()?.to_vec());
        let length = usize::try_from(u64::from_be_bytes(*fields.take()?)).ok()?;
        let sealed = SealedBytes(fields.0.get(..length)?.to_vec());
        Some(Self { head: &image[..HEAD_LENGTH], salt, check, sealed })
    }
}

/// Reads fields off the front.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(field)
    }
}

fn sum_fits(image: &[u8]) -> bool {
    image.split_last_chunk::<SUM_LENGTH>().is_some_and(|(summed, sum)| digest(&SHA256, summed).as_ref() == sum)
}

/// The checksum does not fit: is the end missing, or is something in it wrong?
fn accident(image: &[u8]) -> Fault {
    let shortest = (HEAD_LENGTH + OVERHEAD + SUM_LENGTH) as u64;
    let declared = image
        .get(HEAD_LENGTH - 8..)
        .and_then(|rest| rest.first_chunk())
        .map(|length| u64::from_be_bytes(*length).saturating_add((HEAD_LENGTH + SUM_LENGTH) as u64));
    match declared.unwrap_or(shortest) {
        // A length beyond what we would write is itself the damage.
        expected_bytes if (image.len() as u64) < expected_bytes && expected_bytes <= IMAGE_MAX as u64 => {
            Fault::Truncated { size_bytes: image.len(), expected_bytes }
        }
        _ => Fault::Torn,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::directory::Directory;
    use crate::domain::entity::{Identity, Owner};
    use crate::domain::id::Id;
    use crate::store::seal::credential::tests::credential;
    use crate::store::seal::tests::{keyring, master_key};

    /// An image of about 4 KiB.
    fn image(keyring: &Keyring) -> Vec<u8> {
        let mut credential = credential();
        keyring.seal_credential(&mut credential, "sk-abcdefgh1234".to_string().into()).unwrap();
        let text = Identity { id: Id::random(), owner: Owner::Platform, name: "n".into(), text: "t".repeat(3_000) };
        let directory =
            Directory { version: 7, credentials: vec![credential], identities: vec![text], ..Directory::default() };
        encode(&Contents { directory, ..Contents::default() }, keyring).unwrap()
    }

    /// What an attacker without the key would do after changing a file.
    fn with_fitting_sum(mut image: Vec<u8>) -> Vec<u8> {
        let summed = image.len() - SUM_LENGTH;
        let sum = digest(&SHA256, &image[..summed]);
        image[summed..].copy_from_slice(sum.as_ref());
        image
    }

    #[test]
    fn what_is_written_is_read_again() {
        let keyring = keyring(&["a"]);
        let image = image(&keyring);
        assert!((3_500..6_000).contains(&image.len()), "{}", image.len());
        let contents = decode(&image, &keyring).unwrap();
        assert_eq!(contents.directory.version, 7);
        assert_eq!(keyring.open_credential(&contents.directory.credentials[0]).unwrap().expose(), b"sk-abcdefgh1234");
        assert_eq!(salt(&image).unwrap(), keyring.salt());
    }

    #[test]
    fn nothing_of_the_directory_stands_in_the_image_in_the_clear() {
        let image = image(&keyring(&["a"]));
        assert!(!image.windows(8).any(|window| window == b"tttttttt" || window == b"identity"));
    }

    #[test]
    fn every_flipped_bit_is_noticed_and_named() {
        let keyring = keyring(&["a"]);
        let image = image(&keyring);
        for bit in 0..image.len() * 8 {
            let mut flipped = image.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let fault = decode(&flipped, &keyring).unwrap_err();
            match bit / 8 {
                0..8 => assert!(matches!(fault, Fault::NotOurs), "bit {bit}: {fault}"),
                _ => assert!(matches!(fault, Fault::Torn | Fault::Truncated { .. }), "bit {bit}: {fault}"),
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed_even_when_the_checksum_was_made_to_fit() {
        let keyring = keyring(&["a"]);
        let image = image(&keyring);
        let hint = |at: usize| {
            // The key ids of the check value and of the contents are hints, and the only bytes whose change may go
            // unnoticed; but those of the check value stand in the authenticated head.
            (HEAD_LENGTH + 1..HEAD_LENGTH + 5).contains(&at)
        };
        for bit in 0..(image.len() - SUM_LENGTH) * 8 {
            let mut flipped = image.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let result = decode(&with_fitting_sum(flipped), &keyring);
            assert_eq!(result.is_ok(), hint(bit / 8), "bit {bit}");
        }
    }

    #[test]
    fn every_cut_is_noticed_and_named_as_one() {
        let keyring = keyring(&["a"]);
        let image = image(&keyring);
        for length in 0..image.len() {
            let fault = decode(&image[..length], &keyring).unwrap_err();
            assert!(matches!(fault, Fault::Truncated { .. }), "{length}: {fault}");
        }
    }

    #[test]
    fn bytes_after_the_end_are_noticed() {
        let keyring = keyring(&["a"]);
        let mut longer = image(&keyring);
        longer.push(0);
        assert!(matches!(decode(&longer, &keyring), Err(Fault::Torn)));
        longer.extend([0; SUM_LENGTH]);
        assert!(matches!(decode(&with_fitting_sum(longer), &keyring), Err(Fault::Tampered)));
    }

    #[test]
    fn a_wrong_key_a_newer_format_and_another_file_each_have_their_name() {
        let right = keyring(&["right"]);
        let image = image(&right);
        assert!(matches!(decode(&image, &keyring(&["wrong"])), Err(Fault::WrongKey(_))));
        assert!(decode(&image, &keyring(&["new", "right"])).is_ok());
        let mut newer = image.clone();
        newer[9] = 2;
        assert!(matches!(decode(&with_fitting_sum(newer), &right), Err(Fault::TooNew { format: 2 })));
        let elsewhere = Keyring::new(&[master_key("right")], Salt([8; Salt::LENGTH])).unwrap();
        assert!(matches!(decode(&image, &elsewhere), Err(Fault::Exchanged)));
        assert!(matches!(decode(b"[listen]\ndata = 1\n", &right), Err(Fault::NotOurs)));
    }

    #[test]
    fn a_directory_beyond_the_limit_is_refused_before_it_is_written() {
        let text = "t".repeat(IMAGE_MAX);
        let identity = Identity { id: Id::random(), owner: Owner::Platform, name: "n".into(), text };
        let directory = Directory { identities: vec![identity], ..Directory::default() };
        let result = encode(&Contents { directory, ..Contents::default() }, &keyring(&["a"]));
        assert!(matches!(result, Err(StoreError::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(decode(&bytes, &keyring(&["a"])).is_err());
        }

        #[test]
        fn no_bytes_after_a_true_beginning_and_before_a_fitting_sum_make_the_reader_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..600), format in 0..3_u16
        ) {
            let image = [MAGIC.as_slice(), &format.to_be_bytes(), &bytes, &[0; SUM_LENGTH]].concat();
            prop_assert!(decode(&with_fitting_sum(image), &keyring(&["a"])).is_err());
        }
    }
}
