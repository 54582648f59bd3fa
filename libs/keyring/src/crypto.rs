//! The three primitives everything here is made of, by AWS-LC: HKDF-SHA-256 (RFC 5869), AES-256-GCM (NIST SP 800-38D)
//! and HMAC-SHA-256 (RFC 2104). Nothing else of the crate touches a primitive.

use aws_lc_rs::{
    aead::{self, Aad, LessSafeKey, Nonce, UnboundKey},
    hkdf::{self, KeyType, Prk, Salt},
};
use zeroize::Zeroizing;

/// Length of a secret and of a key, in bytes.
pub const KEY_LEN: usize = 32;
/// Length of a key commitment, in bytes.
pub const COMMITMENT_LEN: usize = 16;
/// Length of an AES-GCM nonce, in bytes.
pub(crate) const NONCE_LEN: usize = 12;
/// Length of an AES-GCM tag, in bytes.
pub(crate) const TAG_LEN: usize = 16;

/// Separates our derivations from anyone else's under the same secret.
const SALT: &[u8] = b"lethe v1";

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Extract.
pub(crate) fn extract(secret: &[u8]) -> Prk {
    Salt::new(hkdf::HKDF_SHA256, SALT).extract(secret)
}

/// HKDF-Expand into `N` bytes, at most 8,160.
pub(crate) fn expand<const N: usize>(prk: &Prk, info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    let mut out = Zeroizing::new([0; N]);
    prk.expand(info, Length(N))
        .and_then(|okm| okm.fill(out.as_mut()))
        .expect("the length is far below HKDF's limit");
    out
}

/// An AES-256-GCM key, ready for use.
pub(crate) fn aes(key: &[u8; KEY_LEN]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&aead::AES_256_GCM, key).expect("32 bytes are an AES-256 key"))
}

/// Encrypts `data` in place and appends the tag.
pub(crate) fn encrypt(key: &LessSafeKey, nonce: [u8; NONCE_LEN], aad: &[u8], out: &mut Vec<u8>, from: usize) {
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut out[from..])
        .expect("a value is far below AES-GCM's limit of 64 GiB");
    out.extend_from_slice(tag.as_ref());
}

/// Decrypts ciphertext and tag. `None` when the tag does not fit; nothing of the text is let out then.
pub(crate) fn decrypt(
    key: &LessSafeKey,
    nonce: [u8; NONCE_LEN],
    aad: &[u8],
    sealed: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let mut text = Zeroizing::new(sealed.to_vec());
    let length =
        key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut text).ok()?.len();
    text.truncate(length);
    Some(text)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn hkdf_sha256_as_rfc_5869_appendix_a() {
        // A.1
        let prk = Salt::new(hkdf::HKDF_SHA256, &hex("000102030405060708090a0b0c")).extract(&[0x0b; 22]);
        let okm = expand::<42>(&prk, &[&hex("f0f1f2f3f4"), &hex("f5f6f7f8f9")]);
        let wanted = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
        assert_eq!(okm.as_slice(), hex(wanted));
        // A.3: no salt, no info
        let prk = Salt::new(hkdf::HKDF_SHA256, &[]).extract(&[0x0b; 22]);
        let wanted = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8";
        assert_eq!(expand::<42>(&prk, &[]).as_slice(), hex(wanted));
    }

    /// Test cases 13, 14 and 16 of the GCM specification that NIST SP 800-38D is made from.
    #[test]
    fn aes_256_gcm_as_published() {
        let mut out = Vec::new();
        encrypt(&aes(&[0; 32]), [0; 12], &[], &mut out, 0);
        assert_eq!(out, hex("530f8afbc74536b9a963b4f1c4cb738b"));

        let mut out = vec![0; 16];
        encrypt(&aes(&[0; 32]), [0; 12], &[], &mut out, 0);
        assert_eq!(out, hex("cea7403d4d606b6e074ec5d3baf39d18 d0d1c8a799996bf0265b98b5d48ab919"));

        let key = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
        let key = aes(key.as_slice().try_into().unwrap());
        let nonce = hex("cafebabefacedbaddecaf888").try_into().unwrap();
        let aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let text = hex(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        );
        let mut out = text.clone();
        encrypt(&key, nonce, &aad, &mut out, 0);
        assert_eq!(
            out,
            hex(
                "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662 76fc6ece0f4e1768cddf8853bb2d551b"
            )
        );
        assert_eq!(decrypt(&key, nonce, &aad, &out).unwrap().as_slice(), text);
        out[3] ^= 1;
        assert!(decrypt(&key, nonce, &aad, &out).is_none());
    }

    #[test]
    fn hmac_sha256_as_rfc_4231() {
        let cases: [(&[u8], &[u8], &str); 3] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ];
        for (key, text, wanted) in cases {
            assert_eq!(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref(), hex(wanted));
        }
    }
}
