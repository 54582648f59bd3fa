//! Spam marks of conversations, and whether a tenant has them set by the detector.

use lethe_ids::ConversationId;
use lethe_service::TenantTx;

/// What is said of a conversation. A member's word stands above the detector's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// By the detector, with its score.
    Detected(u8),
    /// By a member.
    Marked,
    /// A member says it is none.
    Cleared,
}

impl Mark {
    fn number(self) -> i16 {
        match self {
            Self::Detected(_) => 1,
            Self::Marked => 2,
            Self::Cleared => 3,
        }
    }
}

/// Writes the mark. `false` when nothing changes by it: it stands already, or a member said otherwise. The caller holds the
/// lock of the head.
pub(crate) async fn set(
    tx: &mut TenantTx,
    conversation: ConversationId,
    mark: Mark,
    seq: i64,
) -> sqlx::Result<bool> {
    let tenant = tx.tenant();
    let score = match mark {
        Mark::Detected(score) => Some(i16::from(score)),
        Mark::Marked | Mark::Cleared => None,
    };
    let changed = sqlx::query(
        "update conversations
            set spam = $3, spam_score = coalesce($4, spam_score), version = version + 1, seq = $5
          where tenant_id = $1 and conversation_id = $2 and spam <> $3 and ($3 <> 1 or spam = 0) and ($3 <> 3 or spam in (1, 2))",
    )
    .bind(tenant.uuid())
    .bind(conversation.uuid())
    .bind(mark.number())
    .bind(score)
    .bind(seq)
    .execute(&mut **tx)
    .await?;
    Ok(changed.rows_affected() == 1)
}

/// Whether the tenant detects, and the version of its settings: 1 before they were ever changed.
pub(crate) async fn settings(tx: &mut TenantTx) -> sqlx::Result<(bool, i64)> {
    let tenant = tx.tenant();
    let row = sqlx::query_as("select detect, version from spam_settings where tenant_id = $1")
        .bind(tenant.uuid())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(row.unwrap_or((false, 1)))
}

/// Writes the settings in the place of version `before`. `false` when somebody else was faster.
pub(crate) async fn set_settings(tx: &mut TenantTx, detect: bool, before: i64) -> sqlx::Result<bool> {
    let tenant = tx.tenant();
    let written = sqlx::query(
        "insert into spam_settings as s (tenant_id, detect, version) values ($1, $2, $3 + 1)
         on conflict (tenant_id) do update set detect = excluded.detect, version = excluded.version
          where s.version = $3",
    )
    .bind(tenant.uuid())
    .bind(detect)
    .bind(before)
    .execute(&mut **tx)
    .await?;
    Ok(written.rows_affected() == 1)
}
