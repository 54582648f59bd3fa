//! Pictures: of three kinds, known by their first bytes whatever the sender calls them, and small.

use bytes::Bytes;

use super::Invalid;

/// Most bytes of a picture.
pub(crate) const MOST_BYTES: usize = 256 * 1024;

/// What a picture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MediaType {
    /// The numbers stand in the database.
    Png = 1,
    Jpeg = 2,
    Webp = 3,
}

impl MediaType {
    const ALL: [Self; 3] = [Self::Png, Self::Jpeg, Self::Webp];

    /// As the database has it.
    pub(crate) fn number(self) -> i16 {
        self as i16
    }

    /// From the database.
    pub(crate) fn of_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.number() == number)
    }

    /// As HTTP has it.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
        }
    }

    /// By the first bytes (PNG 3rd ed. 5.2; JFIF and Exif: SOI and a marker; RFC 9649 2.4).
    fn of_content(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else if bytes.starts_with(b"\xff\xd8\xff") {
            Some(Self::Jpeg)
        } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
            Some(Self::Webp)
        } else {
            None
        }
    }
}

/// A picture that fits. No `Debug`: it is personal data.
pub(crate) struct Picture {
    pub(crate) media_type: MediaType,
    pub(crate) content: Bytes,
}

impl Picture {
    /// Checks it.
    ///
    /// # Errors
    /// [`Invalid`] at `content` or `media_type`.
    pub(crate) fn new(media_type: &str, content: Bytes) -> Result<Self, Invalid> {
        if content.len() > MOST_BYTES {
            return Err(Invalid::new("content", "is longer than 256 KiB"));
        }
        let found = MediaType::of_content(&content)
            .ok_or_else(|| Invalid::new("content", "is no PNG, JPEG or WebP picture"))?;
        if found.text() != media_type {
            return Err(Invalid::new(
                "media_type",
                format!("must be {}: so the content begins", found.text()),
            ));
        }
        Ok(Self { media_type: found, content })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unfit(media_type: &str, content: &[u8]) -> String {
        Picture::new(media_type, Bytes::copy_from_slice(content)).err().expect("it does not fit").field
    }

    #[test]
    fn a_picture_is_what_its_first_bytes_say() {
        for (media_type, content) in [
            ("image/png", &b"\x89PNG\r\n\x1a\n..."[..]),
            ("image/jpeg", b"\xff\xd8\xff\xe0"),
            ("image/webp", b"RIFF....WEBPVP8 "),
        ] {
            let found =
                Picture::new(media_type, Bytes::from_static(content)).map(|picture| picture.media_type);
            assert_eq!(found.as_ref().map(|found| found.text()), Ok(media_type));
            let found = found.expect("a picture");
            assert_eq!(MediaType::of_number(found.number()), Some(found));
            assert_eq!(unfit("image/gif", content), "media_type");
        }
        for content in
            [&b""[..], b"GIF89a", b"<svg xmlns", b"RIFF....WAVE", b"\xff\xd8", b"MZ\x89PNG\r\n\x1a\n"]
        {
            assert_eq!(unfit("image/png", content), "content");
        }
    }

    #[test]
    fn a_picture_is_bounded() {
        let mut content = b"\x89PNG\r\n\x1a\n".to_vec();
        content.resize(MOST_BYTES, 0);
        assert!(Picture::new("image/png", content.clone().into()).is_ok());
        content.push(0);
        assert_eq!(unfit("image/png", &content), "content");
    }
}
