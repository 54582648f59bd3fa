//! Placing and releasing legal holds: the row first, then messaging, which keeps what is held, then the row again. Stopped
//! anywhere, the job asks messaging again: it takes each call twice.

use lethe_ids::{HoldId, TenantId};
use lethe_proto::erasure::{
    HoldRequest, ReleaseRequest, hold_request::What, hold_service_client::HoldServiceClient,
};
use lethe_service::{CallContext, Failure, PeerChannel};
use time::Duration;
use tonic::Code;

use crate::{
    domain::HoldState,
    error::Error,
    saga::Saga,
    store::{self, Held, Hold},
};

/// Who keeps what is held.
const KEEPER: &str = "messaging";
/// Until messaging is asked again.
const AGAIN: Duration = Duration::seconds(10);

impl Saga {
    /// Moves a hold to where it is to be: asked for, to active; at its end, to released.
    ///
    /// # Errors
    /// What messaging refused: a hold that it refuses for good is none. When it does not answer, it is tried again.
    pub(crate) async fn settle_hold(&self, tenant: TenantId, id: HoldId) -> Result<(), Error> {
        let mut tx = self.db.tenant(tenant).await?;
        let Some(hold) = store::get_hold(&mut tx, id).await? else { return Ok(()) };
        drop(tx);
        match hold.state {
            HoldState::Placing => self.place(tenant, &hold).await,
            HoldState::Active if hold.ends_at <= self.clock.now() => {
                let mut tx = self.db.tenant(tenant).await?;
                store::start_release(&mut tx, id, None, self.clock.now()).await?;
                tx.commit().await?;
                self.let_go(tenant, id).await
            }
            HoldState::Releasing => self.let_go(tenant, id).await,
            HoldState::Active | HoldState::Released => Ok(()),
        }
    }

    async fn place(&self, tenant: TenantId, hold: &Hold) -> Result<(), Error> {
        let what = match hold.held {
            Some(Held::Contact(contact)) => What::ContactId(contact.to_string()),
            Some(Held::Conversation(conversation)) => What::ConversationId(conversation.to_string()),
            None => return Err(Error::Damaged),
        };
        let request =
            HoldRequest { tenant_id: tenant.to_string(), hold_id: hold.id.to_string(), what: Some(what) };
        let answer = self.keeper().hold(request).await;
        let mut tx = self.db.tenant(tenant).await?;
        let outcome = match answer {
            Ok(_) => {
                let moved = (HoldState::Placing, HoldState::Active);
                store::move_hold(&mut tx, hold.id, moved, Some(hold.ends_at)).await?;
                Ok(())
            }
            Err(status) => {
                let failure = Failure::from_status(&status);
                if matches!(failure.code, Code::NotFound | Code::FailedPrecondition | Code::InvalidArgument) {
                    store::delete_hold(&mut tx, hold.id).await?;
                } else {
                    let again = self.clock.now() + AGAIN;
                    let stays = (HoldState::Placing, HoldState::Placing);
                    store::move_hold(&mut tx, hold.id, stays, Some(again)).await?;
                }
                Err(Error::Request(failure))
            }
        };
        tx.commit().await?;
        outcome
    }

    pub(crate) async fn let_go(&self, tenant: TenantId, id: HoldId) -> Result<(), Error> {
        let request = ReleaseRequest { tenant_id: tenant.to_string(), hold_id: id.to_string() };
        let answer = self.keeper().release(request).await;
        let mut tx = self.db.tenant(tenant).await?;
        let outcome = match answer {
            Ok(answer) => {
                store::move_hold(&mut tx, id, (HoldState::Releasing, HoldState::Released), None).await?;
                if answer.into_inner().being_erased {
                    store::forget_held(&mut tx, id).await?;
                }
                store::wake_held(&mut tx, self.clock.now()).await?;
                Ok(())
            }
            Err(status) => {
                let again = self.clock.now() + AGAIN;
                let stays = (HoldState::Releasing, HoldState::Releasing);
                store::move_hold(&mut tx, id, stays, Some(again)).await?;
                Err(Error::Request(Failure::from_status(&status)))
            }
        };
        tx.commit().await?;
        outcome
    }

    fn keeper(&self) -> HoldServiceClient<PeerChannel> {
        let context = CallContext::for_job("settle_holds", &self.entropy, self.config.call_timeout());
        HoldServiceClient::new(self.peers.client(KEEPER, &context))
    }
}
