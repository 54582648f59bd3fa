//! Webhooks: what is sent to an endpoint, and what comes of it. An endpoint is worked on in turns: whoever leases it sends
//! what is due, some at once, and lets go again, so that a slow receiver keeps nobody else waiting.

pub(crate) mod post;

use std::time::Duration;

use futures::{FutureExt, StreamExt, stream};
use lethe_ids::{
    ContactId, ConversationId, EventId, ScopeId, TenantId, UnitId, WebhookDeliveryId, WebhookEndpointId,
};
use lethe_keyring::{KeyError, OpenError, Purpose};
use lethe_outbox::{Actor, Audit};
use lethe_proto::messaging::{WebhookEndpointState, WebhookEventType};
use lethe_service::TenantTx;
use prost::Message;
use reqwest::Url;
use time::OffsetDateTime;

use crate::{
    domain::webhook::{self, About, EndpointProfile, Rules, SigningSecret},
    error::Error,
    state::State,
    store::{
        head, notice,
        webhook_delivery::{self, DeliveryRow, NewDelivery},
        webhook_endpoint::{self, EndpointRow, SecretRow},
        webhook_turn::{self, Outcome},
    },
};

/// Longest time in which a turn begins new attempts. Its lease lasts longer by a whole attempt and some.
const TURN: Duration = Duration::from_secs(20);
/// How long an endpoint rests after a turn in which nothing arrived.
const REST: Duration = Duration::from_secs(5);
/// Deliveries read at once, for each that is sent at once.
const READ_AHEAD: usize = 4;

/// An endpoint with what it takes to send to it.
struct Receiver {
    endpoint: WebhookEndpointId,
    url: Url,
    secrets: Vec<SigningSecret>,
    lease: i64,
}

impl State {
    /// Where webhooks may go.
    pub(crate) fn webhook_rules(&self) -> Rules<'_> {
        let config = &self.config.webhooks;
        Rules {
            allow_http: config.allow_http,
            allowed_networks: &config.allowed_networks,
            ports: &config.ports,
        }
    }

    /// URL and description of an endpoint.
    pub(crate) async fn open_endpoint(
        &self,
        tenant: TenantId,
        row: &EndpointRow,
    ) -> Result<EndpointProfile, Error> {
        let sealer = self.sealer(tenant, row.subject(), row.unit(), "webhook_endpoint").await?;
        let version = row.sealed_version.unsigned_abs();
        let opened = sealer.open(Purpose::WebhookEndpoint, row.id().uuid(), version, &row.profile)?;
        EndpointProfile::decode(&opened[..]).map_err(|_| Error::Corrupt("webhook_endpoints.profile"))
    }

    /// URL and description as they are stored.
    pub(crate) async fn seal_endpoint(
        &self,
        tenant: TenantId,
        (endpoint, unit): (WebhookEndpointId, UnitId),
        version: i32,
        profile: &EndpointProfile,
    ) -> Result<Vec<u8>, Error> {
        let subject = lethe_ids::SubjectId::new(endpoint.uuid());
        let sealer = self.sealer(tenant, subject, unit, "webhook_endpoint").await?;
        let (version, bytes) = (version.unsigned_abs(), profile.encode_to_vec());
        Ok(sealer.seal(Purpose::WebhookEndpoint, endpoint.uuid(), version, &bytes))
    }

    /// A new signing secret under a unit that was made for it, and as it is stored.
    pub(crate) async fn make_signing_secret(
        &self,
        tenant: TenantId,
        endpoint: WebhookEndpointId,
        unit: UnitId,
    ) -> Result<(SigningSecret, Vec<u8>), Error> {
        let subject = lethe_ids::SubjectId::new(endpoint.uuid());
        let sealer = self.sealer(tenant, subject, unit, "webhook_endpoint").await?;
        let bytes = zeroize::Zeroizing::new(self.entropy.bytes::<{ webhook::SECRET_LEN }>());
        let sealed = sealer.seal(Purpose::Credential, unit.uuid(), 1, &*bytes);
        Ok((SigningSecret::new(bytes.to_vec().into()), sealed))
    }

    async fn open_signing_secrets(
        &self,
        tenant: TenantId,
        endpoint: &EndpointRow,
        rows: &[SecretRow],
    ) -> Result<Vec<SigningSecret>, Error> {
        let mut secrets = Vec::with_capacity(rows.len());
        for row in rows {
            let sealer = self.sealer(tenant, endpoint.subject(), row.unit(), "webhook_endpoint").await?;
            let opened = sealer.open(Purpose::Credential, row.unit().uuid(), 1, &row.secret);
            secrets.push(SigningSecret::new(opened.map_err(|error: OpenError| error)?));
        }
        Ok(secrets)
    }

    /// Queues an event for an endpoint whose lock the caller holds.
    pub(crate) async fn queue_delivery(
        &self,
        tx: &mut TenantTx,
        endpoint: WebhookEndpointId,
        (event, event_type, happened_at): (EventId, WebhookEventType, OffsetDateTime),
        about: &About,
    ) -> Result<WebhookDeliveryId, Error> {
        let delivery = WebhookDeliveryId::new(self.entropy.uuid7(&self.clock));
        let at = self.clock.now();
        let event_type = event_type as i16;
        let new = NewDelivery { delivery, endpoint, event, event_type, happened_at, about, at };
        webhook_delivery::insert(tx, &new).await?;
        Ok(delivery)
    }

    /// One turn of an endpoint: what is due is sent, until nothing is due or the turn is over. `false` when there was nothing
    /// to do, or somebody else has it in hand.
    ///
    /// # Errors
    /// When database or keystore do not answer. The lease ends by itself.
    pub(crate) async fn webhook_turn(
        &self,
        tenant: TenantId,
        endpoint: WebhookEndpointId,
    ) -> Result<bool, Error> {
        let config = &self.config.webhooks;
        let (begun, attempt) = (self.clock.now(), Duration::from_millis(config.timeout_ms));
        let mut tx = self.tx(tenant).await?;
        let until = begun + TURN + 2 * attempt;
        let Some(lease) = webhook_turn::lease(&mut tx, endpoint, begun, until).await? else {
            return Ok(false);
        };
        let row = webhook_endpoint::find(&mut tx, endpoint).await?;
        let secrets = webhook_endpoint::secrets(&mut tx, endpoint, begun).await?;
        tx.commit().await?;
        // One that is being deleted has no keys soon, and no rows then.
        let Some(row) = row else { return Ok(false) };
        let receiver = match self.receiver(tenant, &row, &secrets, lease).await {
            Err(Error::NotFound(_) | Error::Key(KeyError::Missing)) => return Ok(false),
            other => other?,
        };
        let at_once = config.concurrency.max(1);
        let mut not_before = begun;
        while self.clock.now() < begun + TURN && !self.tasks.is_stopping() {
            let mut tx = self.tx(tenant).await?;
            let most = i64::try_from(at_once * READ_AHEAD).unwrap_or(i64::MAX);
            let due = webhook_turn::due(&mut tx, endpoint, self.clock.now(), most).await?;
            drop(tx);
            if due.is_empty() {
                break;
            }
            let attempts: Vec<_> = due
                .iter()
                .map(|delivery| {
                    // Those before it may have taken all of the turn: then it is the next one's.
                    let attempt = async {
                        match self.clock.now() < begun + TURN {
                            true => self.attempt(tenant, &receiver, delivery).await,
                            false => Ok(false),
                        }
                    };
                    attempt.boxed()
                })
                .collect();
            let arrived: Vec<_> = stream::iter(attempts).buffer_unordered(at_once).collect().await;
            let arrived = arrived.into_iter().collect::<Result<Vec<_>, Error>>()?;
            if !arrived.contains(&true) {
                not_before = self.clock.now() + REST;
                break;
            }
        }
        let mut tx = self.tx(tenant).await?;
        if webhook_endpoint::lock(&mut tx, endpoint).await?.is_some()
            && webhook_turn::release(&mut tx, endpoint, lease).await?
        {
            webhook_turn::settle_due(&mut tx, endpoint, not_before).await?;
            tx.commit().await?;
        }
        Ok(true)
    }

    async fn receiver(
        &self,
        tenant: TenantId,
        row: &EndpointRow,
        secrets: &[SecretRow],
        lease: i64,
    ) -> Result<Receiver, Error> {
        let profile = self.open_endpoint(tenant, row).await?;
        let url = Url::parse(&profile.url).map_err(|_| Error::Corrupt("webhook_endpoints.profile"))?;
        let secrets = self.open_signing_secrets(tenant, row, secrets).await?;
        Ok(Receiver { endpoint: row.id(), url, secrets, lease })
    }

    /// One attempt: counted, met by the fence and noted as a disclosure before it is made. Answers whether it arrived, or
    /// is not to arrive any more.
    async fn attempt(
        &self,
        tenant: TenantId,
        receiver: &Receiver,
        delivery: &DeliveryRow,
    ) -> Result<bool, Error> {
        let (now, mut about) = (self.clock.now(), delivery.about());
        let mut tx = self.tx(tenant).await?;
        // A notice of erasure goes past the fence.
        if let Some(contact) = about.contact.filter(|_| !delivery.is_notice()) {
            let Some(contact) = head::holds_off_fence(&mut tx, contact, about.conversation).await? else {
                webhook_delivery::delete(&mut tx, delivery.id()).await?;
                tx.commit().await?;
                return Ok(true);
            };
            about.contact = Some(contact);
            let id = self.entropy.uuid7(&self.clock);
            webhook_delivery::note_recipient(&mut tx, id, contact, receiver.endpoint, now).await?;
        }
        let number = delivery.attempts.unsigned_abs() + 1;
        let [luck] = self.entropy.bytes();
        let wait = webhook::wait_after(number, &self.config.webhooks.backoff_s, luck);
        let next = wait.map(|wait| now + wait);
        if !webhook_turn::begin_attempt(&mut tx, delivery, receiver.lease, (now, next)).await? {
            return Ok(true);
        }
        tx.commit().await?;

        let event_type = WebhookEventType::try_from(i32::from(delivery.event_type))
            .map_err(|_| Error::Corrupt("webhook_deliveries.event_type"))?;
        let body = webhook::body(event_type, delivery.happened_at, &about);
        let headers = webhook::headers(delivery.event(), now, &body, &receiver.secrets);
        let answer = tokio::select! {
            answer = self.post.send(&receiver.url, headers, body) => answer,
            // It was counted, and comes again.
            () = self.tasks.stopped() => return Ok(false),
        };
        let (status, failure) = match answer {
            Ok(status @ 200..=299) => (Some(status), None),
            Ok(status) => (Some(status), Some("NOT_2XX")),
            Err(why) => (None, Some(why.code())),
        };
        let is_gone = status == Some(410);
        let outcome = Outcome {
            status: status.and_then(|status| i16::try_from(status).ok()),
            failure,
            is_last: wait.is_none() || is_gone,
        };
        let mut tx = self.tx(tenant).await?;
        webhook_turn::end_attempt(&mut tx, delivery, outcome).await?;
        let failed_at = failure.map(|_| self.clock.now());
        let since = webhook_turn::note_arrival(&mut tx, receiver.endpoint, failed_at).await?;
        if let Some(state) = self.verdict(&mut tx, receiver.endpoint, is_gone, since).await? {
            self.switch_off(&mut tx, receiver.endpoint, state).await?;
        }
        self.commit(tx).await?;
        Ok(failure.is_none())
    }

    /// Whether an endpoint at which nothing arrived is to be switched off, and why.
    async fn verdict(
        &self,
        tx: &mut TenantTx,
        endpoint: WebhookEndpointId,
        is_gone: bool,
        failing_since: Option<OffsetDateTime>,
    ) -> Result<Option<WebhookEndpointState>, Error> {
        let config = &self.config.webhooks;
        let Some(since) = failing_since else { return Ok(None) };
        if is_gone {
            return Ok(Some(WebhookEndpointState::Gone));
        }
        if self.clock.now() - since >= Duration::from_secs(config.disable_after_s) {
            return Ok(Some(WebhookEndpointState::Failing));
        }
        let overflows = webhook_turn::overflows(tx, endpoint, i64::from(config.most_waiting)).await?;
        Ok(overflows.then_some(WebhookEndpointState::Overflowing))
    }

    /// Switches an endpoint off, where the tenant sees it.
    async fn switch_off(
        &self,
        tx: &mut TenantTx,
        endpoint: WebhookEndpointId,
        state: WebhookEndpointState,
    ) -> Result<(), Error> {
        webhook_endpoint::lock(tx, endpoint).await?;
        let Some(row) = webhook_endpoint::find(tx, endpoint).await? else { return Ok(()) };
        if row.state != WebhookEndpointState::Enabled as i16 {
            return Ok(());
        }
        webhook_endpoint::set_state(tx, endpoint, state as i16, self.clock.now()).await?;
        if state == WebhookEndpointState::Gone {
            notice::give_up(tx, endpoint).await?;
        }
        let id = endpoint.to_string();
        let audit = Audit {
            actor: Actor::Service(crate::NAME),
            action: "DisableWebhookEndpoint",
            target_kind: "webhook_endpoint",
            target_id: &id,
            contact: None,
            request_id: "",
        };
        self.outbox.audit(tx, &audit).await?;
        Ok(())
    }

    /// Lays down who is to be told of an erasure (GDPR Art. 19): of a contact that is being fenced, or of these `conversations` of it.
    pub(crate) async fn lay_notices(
        &self,
        tx: &mut TenantTx,
        (scope, conversations): (ScopeId, Option<&[ConversationId]>),
        contact: ContactId,
        fenced_at: OffsetDateTime,
    ) -> Result<(), Error> {
        for recipient in notice::recipients(tx, contact, fenced_at).await? {
            let delivery = WebhookDeliveryId::new(self.entropy.uuid7(&self.clock));
            let event = EventId::new(self.entropy.uuid7(&self.clock));
            let now = self.clock.now();
            notice::insert(tx, (delivery, event), recipient, (scope, conversations), now).await?;
        }
        Ok(())
    }

    /// Destroys the keys of an endpoint that is being deleted, then its rows. May be cut off anywhere: a job does it again.
    pub(crate) async fn finish_webhook_deletion(
        &self,
        tenant: TenantId,
        endpoint: WebhookEndpointId,
    ) -> Result<(), Error> {
        let subject = lethe_ids::SubjectId::new(endpoint.uuid());
        let cause = lethe_ids::ErasureId::new(endpoint.uuid());
        self.keyring.destroy(tenant, &[subject], &[], cause).await?;
        let mut tx = self.tx(tenant).await?;
        webhook_endpoint::delete(&mut tx, endpoint).await?;
        Ok(tx.commit().await?)
    }

    /// Destroys a signing secret that signs no more.
    pub(crate) async fn forget_signing_secret(
        &self,
        tenant: TenantId,
        endpoint: WebhookEndpointId,
        unit: UnitId,
    ) -> Result<(), Error> {
        let cause = lethe_ids::ErasureId::new(endpoint.uuid());
        self.keyring.destroy(tenant, &[], &[unit], cause).await?;
        let mut tx = self.tx(tenant).await?;
        webhook_endpoint::delete_secret(&mut tx, unit).await?;
        Ok(tx.commit().await?)
    }
}
