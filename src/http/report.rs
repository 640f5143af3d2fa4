//! GET `/api/report`: the same report as `namecam report`, made by the running program.

use super::Site;
use super::message::{Answer, Body, Request, Whole};
use super::{api, metrics, tune};
use crate::http::auth::access::Who;
use crate::report::{self, Subject};

pub fn report<'a>(site: &'a Site, _: &'a Request, who: &Who) -> Answer<'a> {
    // One report at a time, because a report runs programs of the system.
    let Ok(_one) = site.reporting.try_lock() else {
        return Whole::later(503, 10, "A report is being made; please try again.").into();
    };
    let text = report::text(Subject {
        versions: site.stage.versions.clone(),
        config: Ok(&site.config()),
        camera: tune::equipment(site),
        state: serde_json::to_value(api::state(&site.stage, who, None)).map_err(|error| error.to_string()),
        metrics: Ok(metrics::metrics(&site.stage)),
    });
    Whole::new("text/plain; charset=utf-8", Body::Bytes(text.into_bytes()))
        .with("Content-Disposition", "attachment; filename=\"namecam-report.txt\"")
        .into()
}
