//! What stands in the path: ids, percent-decoded and of the wanted kind, or a problem that names the parameter.

use std::{fmt::Display, str::FromStr};

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;

use crate::{App, problem::Problem};

/// The parameters of the route, in their order.
pub(crate) struct Params(RawPathParams);

impl Params {
    /// Reads them.
    pub(crate) async fn of(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        RawPathParams::from_request_parts(parts, app)
            .await
            .map(Self)
            .map_err(|_| Problem::bad_request("PATH_NOT_UTF8", "is not valid UTF-8"))
    }

    /// The parameter at `place`, parsed.
    pub(crate) fn get<T>(&self, place: usize) -> Result<T, Problem>
    where
        T: FromStr,
        T::Err: Display,
    {
        let Some((name, text)) = self.0.iter().nth(place) else {
            return Err(Problem::internal("the route has no such parameter"));
        };
        text.parse()
            .map_err(|error: T::Err| Problem::bad_request("FIELD_INVALID", error.to_string()).at(name))
    }
}

/// The one id of a path.
pub(crate) struct Id<T>(pub(crate) T);

impl<T> FromRequestParts<App> for Id<T>
where
    T: FromStr,
    T::Err: Display,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        Params::of(parts, app).await?.get(0).map(Self)
    }
}
