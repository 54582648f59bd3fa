//! RecordConsent: given or withdrawn (GDPR Art. 7). The history is kept.

use lethe_ambient::{Planted, planted};
use lethe_ids::{ConsentId, ContactId};
use lethe_proto::messaging::{Consent, ConsentAct, ConsentPurpose, RecordConsentRequest};
use lethe_service::{id, timestamp};
use tonic::Request;

use crate::{
    domain::{
        channel::{Code, required},
        source::Source,
    },
    error::Error,
    seal,
    state::{Call, State, Target},
    store::{consent, contact, head, idempotency},
};

pub(super) async fn record_consent(
    state: &State,
    request: Request<RecordConsentRequest>,
) -> Result<Consent, Error> {
    let call = Call::of(&request)?;
    let tenant = call.tenant;
    let mut request = request.into_inner();
    let key = request.idempotency.take();
    let once = state.once(tenant, "RecordConsent", key, &request).await?;
    let contact: ContactId = id("contact_id", &request.contact_id)?;
    let purpose: ConsentPurpose = required("purpose", request.purpose)?;
    let act: ConsentAct = required("act", request.act)?;
    let source = Source::new(request.source)?;

    let mut tx = state.tx(tenant).await?;
    let made = state.made_before(&mut tx, once, "consent").await?;
    let row = match (contact::require(&mut tx, contact).await, made) {
        (Err(Error::NotFound(_)), Some(_)) => return Err(Error::Gone("consent")),
        (row, _) => row?,
    };
    drop(tx);
    let sealer = state.sealer(tenant, row.subject(), row.unit(), "contact").await?;
    if let Some(made) = made {
        return replay(state, &call, contact, ConsentId::new(made)).await;
    }
    let consent = ConsentId::new(state.entropy.uuid7(&state.clock));
    let sealed = seal::seal_source(&sealer, consent, source.as_str());
    let at = state.clock.now();

    let mut tx = state.tx(tenant).await?;
    match head::require(&mut tx, contact).await {
        Err(Error::NotFound(_)) if planted(Planted::FenceUnchecked) => {}
        head => drop(head?),
    }
    if let Some(once) = once
        && !idempotency::insert(&mut tx, once, Some(contact), consent.uuid(), at).await?
    {
        let made = state.made_before(&mut tx, Some(once), "consent").await?;
        drop(tx);
        let made = ConsentId::new(made.ok_or(Error::Gone("consent"))?);
        return replay(state, &call, contact, made).await;
    }
    let seq = head::count_up(&mut tx, contact).await?;
    consent::insert(&mut tx, contact, consent, (purpose.number(), act.number()), &sealed, at).await?;
    state.contact_changed(&mut tx, contact, seq).await?;
    let consent_id = consent.to_string();
    let target = Target { kind: "consent", id: &consent_id, contact };
    state.audit(&mut tx, &call, "RecordConsent", &target).await?;
    state.commit(tx).await?;
    Ok(Consent {
        consent_id,
        purpose: purpose.into(),
        act: act.into(),
        source: source.as_str().to_owned(),
        at: Some(timestamp(at)),
    })
}

async fn replay(
    state: &State,
    call: &Call,
    contact: ContactId,
    consent: ConsentId,
) -> Result<Consent, Error> {
    let mut tx = state.tx(call.tenant).await?;
    let row = consent::find(&mut tx, contact, consent).await?.ok_or(Error::Gone("consent"))?;
    drop(tx);
    super::list_consents::encode(state, call.tenant, &row).await
}
