//! GetSatisfaction: how many ratings of how many stars in a window of time. Numbers alone.

use lethe_proto::messaging::{GetSatisfactionRequest, Satisfaction};
use lethe_service::instant;
use time::Duration;
use tonic::Request;

use crate::{
    domain::Invalid,
    error::Error,
    state::{Call, State},
    store::{rating, unsigned},
};

/// The longest window: 13 months.
const LONGEST: Duration = Duration::days(397);

pub(super) async fn get_satisfaction(
    state: &State,
    request: Request<GetSatisfactionRequest>,
) -> Result<Satisfaction, Error> {
    let call = Call::of(&request)?;
    let request = request.into_inner();
    let from = request.from.ok_or_else(|| Invalid::new("from", "is missing"))?;
    let until = request.until.ok_or_else(|| Invalid::new("until", "is missing"))?;
    let (from, until) = (instant(&from, "from")?, instant(&until, "until")?);
    if until <= from || until - from > LONGEST {
        return Err(Invalid::new("until", "must be later than from, by at most 397 days").into());
    }
    let mut tx = state.tx(call.tenant).await?;
    let mut stars = vec![0; 5];
    for (of, count) in rating::tally(&mut tx, from, until).await? {
        if let Some(place) = usize::try_from(of - 1).ok().and_then(|place| stars.get_mut(place)) {
            *place = unsigned(count);
        }
    }
    Ok(Satisfaction { stars })
}
