//! How much of a member who left is erased.

use lethe_proto::identity::MemberErasureMode;

use super::Invalid;

/// The one contains the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// His photo and his full name.
    Profile = 1,
    /// Everything but his id.
    All = 2,
}

impl Mode {
    /// Reads a request's.
    ///
    /// # Errors
    /// Names `field`.
    pub fn parse(field: &'static str, number: i32) -> Result<Self, Invalid> {
        i16::try_from(number).ok().and_then(Self::of).ok_or(Invalid::new(field, "must be profile or all"))
    }

    /// From the database; 0 is none.
    pub fn of(number: i16) -> Option<Self> {
        [Self::Profile, Self::All].into_iter().find(|mode| *mode as i16 == number)
    }

    /// As callers see it.
    pub fn proto(self) -> MemberErasureMode {
        match self {
            Self::Profile => MemberErasureMode::Profile,
            Self::All => MemberErasureMode::All,
        }
    }

    /// For the audit log.
    pub fn word(self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::All => "all",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_its_number_and_all_contains_the_profile() {
        for mode in [Mode::Profile, Mode::All] {
            assert_eq!(Mode::parse("mode", mode.proto().into()), Ok(mode));
            assert_eq!(Mode::of(mode as i16), Some(mode));
        }
        for wrong in [0, 3, -1, 65_537] {
            assert_eq!(Mode::parse("mode", wrong).unwrap_err().field, "mode");
        }
        assert!(Mode::Profile < Mode::All);
    }
}
