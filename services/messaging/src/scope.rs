//! What is to be erased: the scope of one erasure, decoded.

use lethe_ids::{ContactId, ConversationId, ErasureId, ScopeId, TenantId};
use lethe_proto::erasure as proto;
pub(crate) use lethe_proto::erasure::Mode;
use lethe_service::id;

use crate::{domain::Invalid, error::Error};

/// The scope of an erasure of one contact, or of a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    /// Random, never used again.
    pub(crate) id: ScopeId,
    /// Whose contact.
    pub(crate) tenant: TenantId,
    /// Which erasure.
    pub(crate) erasure: ErasureId,
    /// Whom it is about.
    pub(crate) contact: ContactId,
    /// How much of it; never unspecified.
    pub(crate) mode: Mode,
    /// Of the mode conversation: which.
    pub(crate) conversations: Vec<ConversationId>,
    /// The addresses go on the opt-out list.
    pub(crate) suppress: bool,
}

impl Scope {
    /// From the request.
    ///
    /// # Errors
    /// INVALID_ARGUMENT at the id that is none, or the conversation that is not named.
    pub(crate) fn of(given: Option<proto::Scope>) -> Result<Self, Error> {
        let given = given.ok_or_else(|| Invalid::new("scope", "is missing"))?;
        let mode = match given.mode() {
            Mode::Unspecified => Mode::Everything,
            mode => mode,
        };
        if mode == Mode::Conversation && given.conversation_ids.len() != 1 {
            return Err(Invalid::new("scope.conversation_ids", "must be one in the mode conversation").into());
        }
        let conversations = given.conversation_ids.iter().map(|text| id("scope.conversation_ids", text));
        Ok(Self {
            id: id("scope.scope_id", &given.scope_id)?,
            tenant: id("scope.tenant_id", &given.tenant_id)?,
            erasure: id("scope.erasure_id", &given.erasure_id)?,
            contact: id("scope.contact_id", &given.contact_id)?,
            mode,
            conversations: conversations.collect::<Result<_, _>>()?,
            suppress: given.suppress,
        })
    }

    /// Whether the contact itself goes.
    pub(crate) fn is_whole(&self) -> bool {
        is_whole(self.mode)
    }
}

/// Whether a mode takes the contact itself.
pub(crate) fn is_whole(mode: Mode) -> bool {
    !matches!(mode, Mode::Conversation | Mode::Email)
}
