//! `VerifyAbsent`: reads the stores again and says what is there.

use lethe_proto::erasure::{Attestation, Finding, VerifyAbsentRequest, VerifyAbsentResponse};
use lethe_service::timestamp;

use super::{Api, DOCUMENTS, INDEX, POSTGRES, PROGRESS, census_key, scope};
use crate::{error::Error, verify};

pub(super) async fn verify_absent(
    api: &Api,
    request: VerifyAbsentRequest,
) -> Result<VerifyAbsentResponse, Error> {
    let (scope, key) = (scope(request.scope)?, census_key(&request.census_key)?);
    let indexer = &api.indexer;
    // An index that is not the one that counts has nothing to say of what is absent.
    let turn = indexer.turn(scope.tenant).await?;
    let verified = verify::verify_absent(&indexer.db, &*indexer.engine, &scope, &key).await?;
    turn.still_counts()?;
    drop(turn);
    let index = verified.index;
    let volume = if indexer.config.volume_is_encrypted { "VOLUME_ENCRYPTED" } else { "VOLUME_NOT_DECLARED" };
    let findings = vec![
        // By id in the terms and columns of every segment, deleted documents' too: a segment that once held a document
        // of the contact has its id, so one without it has none of its words.
        line(INDEX, DOCUMENTS, verified.looked_for, index.found, "TERMS_ABSENT", "TERMS_FOUND"),
        line(INDEX, "files", index.segments, index.stray_files, "NO_STRAY_FILES", "STRAY_FILES"),
        Finding { attestation: Attestation::Declared.into(), ..line(INDEX, "volume", 0, 0, volume, volume) },
        line(POSTGRES, PROGRESS, verified.rows_looked_for, verified.rows, "ROWS_ABSENT", "ROWS_FOUND"),
    ];
    Ok(VerifyAbsentResponse { findings, verified_at: Some(timestamp(indexer.clock.now())) })
}

fn line(store: &str, kind: &str, looked_for: u64, found: u64, absent: &str, there: &str) -> Finding {
    Finding {
        store: store.to_owned(),
        kind: kind.to_owned(),
        attestation: Attestation::ReRead.into(),
        looked_for,
        found,
        code: if found == 0 { absent } else { there }.to_owned(),
        until: None,
    }
}
