//! The small types of the JSON that clients write and read: texts, instants, changes, enums. Each says what it does
//! not accept without repeating it.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use prost_types::Timestamp;
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A text without U+0000. How long it may be, its owning service says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl Visitor<'_> for TextVisitor {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                self.visit_string(text.to_owned())
            }
            fn visit_string<E: Error>(self, text: String) -> Result<Text, E> {
                if text.contains('\0') {
                    return Err(E::custom("must not hold U+0000"));
                }
                Ok(Text(text))
            }
        }
        deserializer.deserialize_string(TextVisitor)
    }
}

/// A change of a field that may be cleared: absent stays, `null` clears, a value sets (RFC 7396).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Change<T> {
    #[default]
    Keep,
    Clear,
    Set(T),
}

impl<T: Default> Change<T> {
    /// As the services have it: `None` stays, the empty value clears.
    pub(crate) fn or_empty(self) -> Option<T> {
        match self {
            Self::Keep => None,
            Self::Clear => Some(T::default()),
            Self::Set(value) => Some(value),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Option::deserialize(deserializer)? {
            None => Self::Clear,
            Some(value) => Self::Set(value),
        })
    }
}

/// A field that may be absent and is never cleared: `null` is no value of it, and refused as one.
///
/// # Errors
/// Those of the value.
pub(crate) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Texts by name; a name that stands there twice is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named<T>(pub(crate) BTreeMap<String, T>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Named<T> {
    /// As the services have it.
    pub(crate) fn map<U>(self, value: impl Fn(T) -> U) -> BTreeMap<String, U> {
        self.0.into_iter().map(|(name, of)| (name, value(of))).collect()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamedVisitor<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for NamedVisitor<T> {
            type Value = Named<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Named<T>, A::Error> {
                let mut map = BTreeMap::new();
                while let Some(Text(name)) = access.next_key::<Text>()? {
                    if map.insert(name, access.next_value()?).is_some() {
                        return Err(A::Error::custom("holds a name twice"));
                    }
                }
                Ok(Named(map))
            }
        }
        deserializer.deserialize_map(NamedVisitor(std::marker::PhantomData))
    }
}

/// `true` or `false` behind the `?`, where everything is text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, utoipa::ToSchema)]
#[schema(value_type = bool)]
pub(crate) struct Switch(pub(crate) bool);

impl<'de> Deserialize<'de> for Switch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(text) = Text::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| D::Error::custom("must be true or false"))
    }
}

/// An object inside a request. serde alone would take an array of its fields, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(access)).map(Object)
            }
        }
        deserializer.deserialize_map(ObjectVisitor(std::marker::PhantomData))
    }
}

/// An instant as clients write it (RFC 3339), between the years 1 and 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At(OffsetDateTime);

impl At {
    /// As the services have it.
    pub(crate) fn timestamp(self) -> Timestamp {
        lethe_service::timestamp(self.0)
    }
}

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        OffsetDateTime::parse(&text, &Rfc3339)
            .map(Self)
            .map_err(|_| D::Error::custom("must be an instant as in RFC 3339: 2025-10-01T12:00:00Z"))
    }
}

/// An instant as clients read it, in UTC. One that is absent or cannot be is `null`.
pub(crate) fn instant(timestamp: Option<Timestamp>) -> Option<String> {
    let at = lethe_service::instant(&timestamp?, "").ok()?;
    at.format(&Rfc3339).ok()
}

/// A text of the services, where an empty one means that there is none.
pub(crate) fn present(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// A page's size: 1 to 200. Also from a query, where everything is text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageLimit(pub(crate) u32);

impl Default for PageLimit {
    fn default() -> Self {
        Self(50)
    }
}

impl<'de> Deserialize<'de> for PageLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LimitVisitor;
        impl Visitor<'_> for LimitVisitor {
            type Value = PageLimit;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number from 1 to 200")
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<PageLimit, E> {
                match u32::try_from(number) {
                    Ok(limit @ 1..=200) => Ok(PageLimit(limit)),
                    _ => Err(E::custom("must be a whole number from 1 to 200")),
                }
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<PageLimit, E> {
                let digits = !text.is_empty() && text.len() <= 3 && text.bytes().all(|b| b.is_ascii_digit());
                self.visit_u64(text.parse().ok().filter(|_| digits).unwrap_or(0))
            }
        }
        deserializer.deserialize_any(LimitVisitor)
    }
}

/// An enum of the protos in JSON's words: `live_chat` for `CHANNEL_LIVE_CHAT`.
macro_rules! wire_enum {
    ($(#[doc = $doc:literal])* $name:ident is $proto:path { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
        pub(crate) enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant,)+
        }
        impl utoipa::PartialSchema for $name {
            // By hand: the derive does not see a name that a macro has put in.
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .enum_values(Some([$($text),+]))
                    .description(Some(concat!($($doc),*).trim()))
                    .into()
            }
        }
        impl utoipa::ToSchema for $name {}
        #[allow(dead_code, reason = "some are only read, some only written")]
        impl $name {
            /// As the services have it.
            pub(crate) fn proto(self) -> $proto {
                match self { $(Self::$variant => <$proto>::$variant,)+ }
            }
            /// JSON's word; a value from a newer service is `unknown`.
            pub(crate) fn word(number: i32) -> &'static str {
                match <$proto>::try_from(number) {
                    $(Ok(<$proto>::$variant) => $text,)+
                    _ => "unknown",
                }
            }
            /// From JSON's word.
            pub(crate) fn of_word(word: &str) -> Option<Self> {
                match word { $($text => Some(Self::$variant),)+ _ => None }
            }
            /// What an error says of it.
            pub(crate) const WORDS: &'static str = concat!("must be one of:" $(, " ", $text)+);
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let $crate::json::Text(word) = serde::Deserialize::deserialize(deserializer)?;
                Self::of_word(&word).ok_or_else(|| serde::de::Error::custom(Self::WORDS))
            }
        }
    };
}
pub(crate) use wire_enum;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_tells_absent_from_null() {
        #[derive(Deserialize)]
        struct Patch {
            #[serde(default)]
            name: Change<String>,
        }
        let read = |text| serde_json::from_str::<Patch>(text).expect("fits").name.or_empty();
        assert_eq!(read("{}"), None);
        assert_eq!(read(r#"{"name":null}"#), Some(String::new()));
        assert_eq!(read(r#"{"name":"A"}"#), Some("A".to_owned()));
    }

    #[test]
    fn limits_go_from_1_to_200_as_number_and_as_text() {
        for good in ["1", "200", "\"1\"", "\"200\""] {
            assert!(serde_json::from_str::<PageLimit>(good).is_ok(), "{good}");
        }
        for bad in
            ["0", "201", "-1", "1.5", "\"0\"", "\"201\"", "\"+5\"", "\" 5\"", "\"\"", "null", "4294967297"]
        {
            assert!(serde_json::from_str::<PageLimit>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn instants_come_and_go_as_rfc_3339() {
        let at: At = serde_json::from_str("\"2025-10-01T14:00:00.250+02:00\"").expect("an instant");
        assert_eq!(instant(Some(at.timestamp())).as_deref(), Some("2025-10-01T12:00:00.25Z"));
        for bad in ["\"yesterday\"", "\"2025-10-01\"", "17", "\"2025-13-01T00:00:00Z\""] {
            let error = serde_json::from_str::<At>(bad).expect_err("no instant").to_string();
            assert!(!error.contains("yesterday"), "{error}");
        }
        assert_eq!(instant(None), None);
        assert_eq!(instant(Some(Timestamp { seconds: i64::MAX, nanos: 0 })), None);
    }

    #[test]
    fn names_are_not_repeated_and_hold_no_nul() {
        assert!(serde_json::from_str::<Named<Text>>(r#"{"a":"1","b":"2"}"#).is_ok());
        assert!(serde_json::from_str::<Named<Text>>(r#"{"a":"1","a":"2"}"#).is_err());
        assert!(serde_json::from_str::<Named<Text>>(r#"{"a":"\u0000"}"#).is_err());
        assert!(serde_json::from_str::<Named<Text>>(r#"{"\u0000":"a"}"#).is_err());
    }
}
