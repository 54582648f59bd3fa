//! Closed sets of codes, as they stand in protobuf and in the database: one number in both.

use lethe_proto::messaging::{
    Channel, ConsentAct, ConsentPurpose, ConversationStatus, DeliveryState, Direction, ImportState,
    RestrictionGround, WebhookDeliveryState, WebhookEventType,
};

use super::Invalid;

/// An enum of the protobuf contract whose 0 means "not given".
pub(crate) trait Code: Sized + Copy {
    /// The value with this number, if there is one and it is not 0.
    fn of(number: i32) -> Option<Self>;
    /// Its number.
    fn number(self) -> i16;
}

macro_rules! codes {
    ($($name:ident),*) => {$(
        impl Code for $name {
            fn of(number: i32) -> Option<Self> {
                Self::try_from(number).ok().filter(|code| *code != Self::Unspecified)
            }
            fn number(self) -> i16 {
                self as i16
            }
        }
    )*};
}
codes!(
    Channel,
    Direction,
    DeliveryState,
    ConversationStatus,
    ConsentPurpose,
    ConsentAct,
    ImportState,
    RestrictionGround,
    WebhookDeliveryState,
    WebhookEventType
);

/// The code that `field` must have.
///
/// # Errors
/// [`Invalid`] when it is missing or unknown.
pub(crate) fn required<T: Code>(field: &str, number: i32) -> Result<T, Invalid> {
    T::of(number).ok_or_else(|| {
        Invalid::new(field, if number == 0 { "is missing" } else { "is none of the known values" })
    })
}

/// The code that `field` may have.
///
/// # Errors
/// [`Invalid`] when it is unknown.
pub(crate) fn optional<T: Code>(field: &str, number: i32) -> Result<Option<T>, Invalid> {
    if number == 0 { Ok(None) } else { required(field, number).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_contract() {
        assert_eq!(required::<Channel>("channel", 2), Ok(Channel::Whatsapp));
        assert_eq!(Channel::Sms.number(), 4);
        for wrong in [0, 5, -1] {
            assert_eq!(required::<Channel>("channel", wrong).map_err(|e| e.field), Err("channel".to_owned()));
        }
        assert_eq!(optional::<ConversationStatus>("status", 0), Ok(None));
        assert!(optional::<ConversationStatus>("status", 3).is_err());
    }
}
