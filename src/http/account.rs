//! The routes for a user's own account: sessions and the password.

use super::Site;
use super::api::SessionJson;
use super::message::{Answer, Request, Whole};
use super::teach::body;
use crate::http::auth::access::{Credential, Refused, Who};
use crate::http::auth::accounts::{Role, weakness};
use crate::http::auth::sessions::{Fingerprint, Session};
use crate::os::files;
use serde::Deserialize;
use serde_json::json;

/// How many bytes of a session's key are its public id; the rest is not shown.
const ID_BYTES: usize = 8;

fn id(key: &Fingerprint) -> String {
    files::hex(&key[..ID_BYTES])
}

/// True when `who` may see and end the session.
fn is_theirs(who: &Who, session: &Session) -> bool {
    who.role == Role::Admin || who.user.as_deref() == Some(&*session.user)
}

/// GET `/api/sessions`.
pub fn sessions<'a>(site: &'a Site, _: &'a Request, who: &Who) -> Answer<'a> {
    let own = |key| who.credential == Credential::Session(key);
    let sessions = site.gate.sessions().list().into_iter().filter(|(_, session)| is_theirs(who, session));
    let sessions: Vec<_> = sessions.map(|(key, session)| SessionJson::of(id(&key), &session, own(key))).collect();
    Whole::json(&json!({ "sessions": sessions })).into()
}

/// DELETE `/api/sessions/ID`.
pub fn end_session<'a>(site: &'a Site, request: &'a Request, who: &Who) -> Answer<'a> {
    let named = request.path.trim_start_matches("/api/sessions/");
    match site.gate.sessions().end(|key, session| id(key) == named && is_theirs(who, session)) {
        0 => Whole::text(404, "There is no such session. /api/sessions lists them.").into(),
        ended => Whole::json(&json!({ "ended": ended })).into(),
    }
}

/// The body of POST `/api/password`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PasswordChange {
    old: String,
    new: String,
}

/// POST `/api/password`.
pub fn password<'a>(site: &'a Site, request: &'a Request, who: &Who) -> Answer<'a> {
    let PasswordChange { old, new } = match body(request, "{\"old\": \"...\", \"new\": \"...\"}") {
        Ok(change) => change,
        Err(refusal) => return refusal.into(),
    };
    match site.gate.change_password(request, || site.config_with_version(), who, &old, &new) {
        Ok(cookie) => {
            let weak = weakness(who.user.as_deref().unwrap_or_default(), &new);
            let answer = Whole::json(&json!({ "changed": true, "weak": weak }));
            cookie.into_iter().fold(answer, |answer, cookie| answer.with("Set-Cookie", cookie)).into()
        }
        Err(Refused::Because(whole) | Refused::Busy(whole)) => whole.into(),
        Err(Refused::LogIn(why)) => Whole::text(403, why).into(),
    }
}
