//! The parameters of a list without filters.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::json::{PageLimit, Text};

/// A page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    /// How many at most.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    pub(crate) limit: PageLimit,
    /// `next` of the page before; absent for the first page.
    #[param(value_type = Option<String>)]
    pub(crate) after: Option<Text>,
}

impl Page {
    /// The cursor, if one was given.
    pub(crate) fn after(&self) -> Option<&str> {
        self.after.as_ref().map(|after| after.0.as_str())
    }
}
