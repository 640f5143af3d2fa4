//! POST `/api/settings`: the config changes of an admin.

use super::message::{Answer, Request, Whole};
use super::{Site, teach};
use crate::http::auth::access::Who;
use crate::settings::Refused;
use serde_json::json;

pub fn change<'a>(site: &'a Site, request: &'a Request, _: &Who) -> Answer<'a> {
    let change = match teach::body(request, "{\"set\": {\"KEY\": \"VALUE\"}, \"unset\": [\"KEY\"]}") {
        Ok(change) => change,
        Err(refusal) => return refusal.into(),
    };
    match site.stage.settings.change(&change) {
        Ok(applied) => Whole::json(&applied).into(),
        Err(refused) => {
            let status = match refused {
                Refused::Wrong(_) => 400,
                Refused::TooLarge(_) => 409,
                Refused::File(_) => 500,
            };
            Whole::json(&json!({ "problems": refused.problems() })).with_status(status).into()
        }
    }
}
