//! `CloseMemberRequest`: answers what a member asked. Granting an erasure is the erasure of all that there is, in the same
//! transaction (`crate::erase_member`). The same answer twice is as once; another one than the first is refused.

use lethe_ids::MemberRequestId;
use lethe_proto::identity::{CloseMemberRequestRequest, MemberRequest};
use lethe_service::{Failure, id};
use tonic::Request;

use super::super::{Call, Identity};
use crate::{
    Error,
    domain::{
        Invalid,
        member_erasure::Mode,
        member_request::{self, Kind, State},
    },
    erase_member,
    store::{self, member_request::MemberRequestRow},
};

/// What the request is answered with.
struct Answer {
    state: State,
    words: Option<String>,
}

pub(super) async fn handle(
    identity: &Identity,
    request: Request<CloseMemberRequestRequest>,
) -> Result<MemberRequest, Error> {
    let call = Call::of(&request)?;
    let asked = request.get_ref();
    let id: MemberRequestId = id("member_request_id", &asked.member_request_id)?;
    let state = State::answer(asked.state, asked.refusal)?;
    let answer = Answer { state, words: member_request::words("answer", &asked.answer)? };
    let row = get(identity, &call, id).await?;
    let erases = row.kind == Kind::Erasure && state == State::Granted;
    if erases && answer.words.is_some() {
        return Err(
            Invalid::new("answer", "is not kept when the member is erased: tell him otherwise").into()
        );
    }
    if row.state != State::Open {
        return replay(identity, &call, row, &answer).await;
    }
    if erases {
        if asked.confirmation != row.member.to_string() {
            return Err(Invalid::new("confirmation", "must be the member's id once more").into());
        }
        let begun = erase_member::begin(identity, &call, row.member, Mode::All, "").await?;
        if let Err(error) = erase_member::finish(identity, call.tenant(), begun.id).await {
            let failure = Failure::from(error);
            tracing::warn!(erasure = %begun.id, error = %failure, "the erasure of a member waits for the job");
        }
        let row = get(identity, &call, id).await?;
        return replay(identity, &call, row, &answer).await;
    }
    write(identity, &call, row, answer).await
}

async fn get(identity: &Identity, call: &Call, id: MemberRequestId) -> Result<MemberRequestRow, Error> {
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    store::member_request::get(&mut tx, id).await?.ok_or(Error::NotFound("member request"))
}

/// What was answered before, if it is this.
async fn replay(
    identity: &Identity,
    call: &Call,
    row: MemberRequestRow,
    answer: &Answer,
) -> Result<MemberRequest, Error> {
    let state = row.state;
    let was = super::member_request(identity, call.tenant(), row).await?;
    if state != answer.state || was.answer != answer.words.as_deref().unwrap_or_default() {
        return Err(Error::RequestClosed);
    }
    Ok(was)
}

async fn write(
    identity: &Identity,
    call: &Call,
    mut row: MemberRequestRow,
    answer: Answer,
) -> Result<MemberRequest, Error> {
    let sealed = match &answer.words {
        None => None,
        Some(_) => {
            let sealer = identity.0.keyring.sealer(call.tenant(), row.subject, row.unit).await?;
            super::seal_words(&sealer, &row, super::ANSWER, answer.words.clone())
        }
    };
    row.state = answer.state;
    row.answer = sealed;
    row.closed_at = Some(identity.0.clock.now());
    row.closed_by = Some(call.principal.actor().to_string());

    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    // What was sealed under a secret that an erasure has retired meanwhile must not come after it.
    let member = store::member::lock(&mut tx, row.member).await?.ok_or(Error::NotFound("member"))?;
    if member.unit != row.unit || member.erased == Some(Mode::All) {
        return Err(Error::MemberErased);
    }
    if !store::member_request::close(&mut tx, &row).await? {
        drop(tx);
        let row = get(identity, call, row.id).await?;
        return replay(identity, call, row, &answer).await;
    }
    let done = call.done("CloseMemberRequest", "member_request", row.id);
    identity.record_detail(&mut tx, call.actor(), done, &row.state.word()).await?;
    tx.commit().await?;
    super::member_request(identity, call.tenant(), row).await
}
