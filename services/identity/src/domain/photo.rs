//! Photos of members. What one is, its first bytes say, never the caller alone: browsers show it under that type.

use super::Invalid;

/// The most bytes of a photo.
pub const LARGEST: usize = 256 * 1024;

/// What photos may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    /// RFC 2083.
    Png,
    /// ITU-T T.81.
    Jpeg,
    /// RFC 9649.
    WebP,
}

impl MediaType {
    const ALL: [Self; 3] = [Self::Png, Self::Jpeg, Self::WebP];

    /// As in `Content-Type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::WebP => "image/webp",
        }
    }

    fn begins(self, bytes: &[u8]) -> bool {
        match self {
            Self::Png => bytes.starts_with(b"\x89PNG\r\n\x1a\n"),
            Self::Jpeg => bytes.starts_with(b"\xff\xd8\xff"),
            Self::WebP => bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP"),
        }
    }

    /// Of a photo that says it is `declared`.
    ///
    /// # Errors
    /// Names `media_type` when it is none of the three, and `photo` when its bytes are too many or begin as another.
    pub fn of(declared: &str, photo: &[u8]) -> Result<Self, Invalid> {
        let declared = Self::ALL.into_iter().find(|media_type| media_type.as_str() == declared);
        let declared =
            declared.ok_or(Invalid::new("media_type", "must be image/png, image/jpeg or image/webp"))?;
        if photo.len() > LARGEST {
            return Err(Invalid::new("photo", "is longer than 262144 bytes"));
        }
        if !declared.begins(photo) {
            return Err(Invalid::new("photo", "does not begin as its media type does"));
        }
        Ok(declared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photo_is_what_its_first_bytes_say() {
        let photos: [(&str, &[u8]); 3] = [
            ("image/png", b"\x89PNG\r\n\x1a\nrest"),
            ("image/jpeg", b"\xff\xd8\xff\xe0rest"),
            ("image/webp", b"RIFF\x10\0\0\0WEBPVP8 "),
        ];
        for (declared, photo) in photos {
            assert_eq!(MediaType::of(declared, photo).unwrap().as_str(), declared);
            for (other, _) in photos.iter().filter(|(other, _)| *other != declared) {
                assert_eq!(MediaType::of(other, photo).unwrap_err().field, "photo");
            }
        }
        for html in [&b"<html>"[..], b"", b"RIFF\x10\0\0\0WAVE"] {
            assert_eq!(MediaType::of("image/webp", html).unwrap_err().field, "photo");
        }
        for other in ["image/svg+xml", "text/html", "", "IMAGE/PNG"] {
            assert_eq!(MediaType::of(other, photos[0].1).unwrap_err().field, "media_type");
        }
        let mut largest = photos[0].1.to_vec();
        largest.resize(LARGEST, 0);
        assert!(MediaType::of("image/png", &largest).is_ok());
        largest.push(0);
        assert_eq!(MediaType::of("image/png", &largest).unwrap_err().field, "photo");
    }
}
