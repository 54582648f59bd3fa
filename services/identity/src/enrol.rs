//! Bringing a member in: his secrets and the blind index of his address are written to the keystore before the row that
//! uses them; if the row does not come, they go again (at once, or by the keyring's sweep).
//!
//! That an address is one member's is checked from both sides: before, and after it was indexed. Of two that enrol the
//! same address at once, at least one sees the other.

use lethe_ids::{ErasureId, MemberId, SubjectId, TenantId, UnitId};
use lethe_keyring::{AddressKind, KeyError, Purpose, Sealer};
use time::OffsetDateTime;

use crate::{
    Error,
    api::Identity,
    domain::{
        member::{Profile, Roles},
        member_erasure::Mode,
    },
    store::{self, member::MemberRow},
};

/// Whether a password must be changed at the first log-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// One-time, and worth nothing after the moment, if one is said.
    UntilFirstLogIn(Option<OffsetDateTime>),
    /// The member's own.
    ForGood,
}

/// Opens a sealed profile.
pub(crate) fn open_profile(sealer: &Sealer, row: &MemberRow) -> Result<Profile, Error> {
    let opened = sealer.open(
        Purpose::MemberProfile,
        row.id.uuid(),
        row.profile_version.unsigned_abs(),
        &row.profile,
    )?;
    Profile::from_bytes(&opened).ok_or(Error::Corrupt("member profile"))
}

/// Seals a profile.
pub(crate) fn seal_profile(sealer: &Sealer, member: MemberId, version: i32, profile: &Profile) -> Vec<u8> {
    sealer.seal(Purpose::MemberProfile, member.uuid(), version.unsigned_abs(), &profile.to_bytes())
}

impl Identity {
    /// Makes secrets, index and row of a new member; the row is the caller's to insert, or to [`Identity::abandon`].
    pub(crate) async fn enrol(
        &self,
        tenant: TenantId,
        profile: &Profile,
        roles: Roles,
        password_hash: String,
        kept: Kept,
    ) -> Result<MemberRow, Error> {
        let email = profile.normalised_email();
        if self.taken(tenant, email.expose(), None, Unborn::Ignored).await? {
            return Err(Error::EmailTaken);
        }
        let member = MemberId::new(self.0.entropy.uuid7(&self.0.clock));
        let subject = SubjectId::new(self.0.entropy.uuid7(&self.0.clock));
        let unit = UnitId::new(self.0.entropy.uuid7(&self.0.clock));
        self.0.keyring.create(tenant, Some(subject), &[unit], subject).await?;
        let (must_change_password, password_expires_at) = match kept {
            Kept::UntilFirstLogIn(expires_at) => (true, expires_at),
            Kept::ForGood => (false, None),
        };
        let row = MemberRow {
            id: member,
            subject,
            unit,
            profile: Vec::new(),
            profile_version: 1,
            password_hash,
            must_change_password,
            password_expires_at,
            roles,
            active: true,
            version: 1,
            void_before_ms: 0,
            created_at: self.0.clock.now(),
            erased: None,
        };
        match self.index(tenant, row, profile, email.expose()).await {
            Ok(row) => Ok(row),
            Err((row, error)) => {
                self.abandon(tenant, &row).await;
                Err(error)
            }
        }
    }

    async fn index(
        &self,
        tenant: TenantId,
        mut row: MemberRow,
        profile: &Profile,
        email: &str,
    ) -> Result<MemberRow, (MemberRow, Error)> {
        let indexed = async {
            let addresses = [(AddressKind::Email, email)];
            self.0.keyring.settle_addresses(tenant, row.subject, &addresses, None).await?;
            if self.taken(tenant, email, Some(row.subject), Unborn::Counted).await? {
                return Err(Error::EmailTaken);
            }
            let sealer = self.0.keyring.sealer(tenant, row.subject, row.unit).await?;
            Ok(seal_profile(&sealer, row.id, row.profile_version, profile))
        };
        match indexed.await {
            Ok(sealed) => {
                row.profile = sealed;
                Ok(row)
            }
            Err(error) => Err((row, error)),
        }
    }

    /// Destroys the secrets of a member whose row did not come. The keyring's sweep does it where this fails.
    pub(crate) async fn abandon(&self, tenant: TenantId, row: &MemberRow) {
        let cause = ErasureId::new(self.0.entropy.uuid4());
        if let Err(error) = self.0.keyring.destroy(tenant, &[row.subject], &[row.unit], cause).await {
            tracing::warn!(%error, "the secrets of a member who was not enrolled wait for the sweep");
        }
    }

    /// Whether a member besides `own` has this normalised address.
    pub(crate) async fn taken(
        &self,
        tenant: TenantId,
        email: &str,
        own: Option<SubjectId>,
        unborn: Unborn,
    ) -> Result<bool, Error> {
        let mut subjects = self.0.keyring.find_subjects(tenant, AddressKind::Email, email).await?;
        subjects.retain(|subject| Some(*subject) != own);
        if subjects.is_empty() {
            return Ok(false);
        }
        let mut tx = self.0.db.tenant(tenant).await?;
        let rows = store::member::by_subjects(&mut tx, &subjects).await?;
        drop(tx);
        if unborn == Unborn::Counted
            && (rows.len() < subjects.len() || !self.0.keyring.unsettled(tenant, &subjects).await?.is_empty())
        {
            return Ok(true);
        }
        for row in &rows {
            if self.has_email(tenant, row, email).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The member with this normalised address. The index is a hint; what counts is the sealed profile.
    pub(crate) async fn by_email(&self, tenant: TenantId, email: &str) -> Result<Option<MemberRow>, Error> {
        let subjects = self.0.keyring.find_subjects(tenant, AddressKind::Email, email).await?;
        let mut tx = self.0.db.tenant(tenant).await?;
        let rows = store::member::by_subjects(&mut tx, &subjects).await?;
        drop(tx);
        for row in rows {
            if self.has_email(tenant, &row, email).await? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// What the member of this subject is found by now; `None` when there is no such member.
    pub(crate) async fn addresses(
        &self,
        tenant: TenantId,
        subject: SubjectId,
    ) -> Result<Option<Vec<(AddressKind, String)>>, Error> {
        let mut tx = self.0.db.tenant(tenant).await?;
        let rows = store::member::by_subjects(&mut tx, &[subject]).await?;
        drop(tx);
        let row = rows.first().filter(|row| row.erased != Some(Mode::All));
        let Some(row) = row else { return Ok(None) };
        let email = self.profile(tenant, row).await?.normalised_email();
        Ok(Some(vec![(AddressKind::Email, email.expose().to_owned())]))
    }

    async fn has_email(&self, tenant: TenantId, row: &MemberRow, email: &str) -> Result<bool, Error> {
        match self.profile(tenant, row).await {
            Ok(profile) => Ok(profile.normalised_email().expose() == email),
            Err(Error::Key(KeyError::Destroyed | KeyError::Missing)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// What an indexed subject counts for whose row does not say so: one that is enrolling or changing its address at this
/// moment, or was left by a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unborn {
    /// He may come.
    Counted,
    /// He is not there.
    Ignored,
}
