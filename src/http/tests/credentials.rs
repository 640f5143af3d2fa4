//! Tests of sessions, tokens, the login page and the access of each role.

use super::sockets::{CLOSE, Running};
use super::*;
use crate::config::CameraSource;
use crate::http::auth::accounts::{Accounts, new_token, passwd, remove};
use crate::http::message::form;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;

/// A site with the viewer `anna`, the admin `root` and tokens of both roles, and the headers of each.
struct Guarded {
    _folder: tempfile::TempDir,
    file: std::path::PathBuf,
    site: Site,
    viewer_token: String,
    admin_token: String,
}

fn guarded() -> Guarded {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users");
    passwd(&file, "anna", Role::Viewer, "a").unwrap();
    passwd(&file, "root", Role::Admin, "r").unwrap();
    let viewer_token = new_token(&file, "dashboard", Role::Viewer).unwrap();
    let admin_token = new_token(&file, "script", Role::Admin).unwrap();
    let state = folder.path().to_owned();
    let mut stage = stage(|config| {
        config.http.password_file = Some(file.clone());
        // A device would need a camera thread, and none runs here.
        config.camera.source = CameraSource::Stills("/nowhere".into());
    });
    stage.state_folder = Some(state);
    let site = Site { place_wait: Duration::ZERO, ..Site::new(stage, None).unwrap() };
    Guarded { _folder: folder, file, site, viewer_token, admin_token }
}

const OWN: &str = "http://127.0.0.1:5000";

fn posted(target: &str, kind: &str, body: &str) -> Request {
    let request = with(request("POST", target, LAN), "Content-Type", kind);
    Request { body: body.as_bytes().to_vec(), ..request }
}

/// What a browser accepts when it opens an address.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

const FORM: &str = "application/x-www-form-urlencoded";

/// Logs in on the page; returns the response and the cookie.
fn logged_in(site: &Site, fields: &str) -> (Whole, String) {
    let answer = whole(site, &with(posted("/login", FORM, fields), "Origin", OWN));
    let cookie = header(&answer, "Set-Cookie").unwrap_or_default();
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    (answer, cookie)
}

fn as_session(request: Request, cookie: &str) -> Request {
    with(request, "Cookie", cookie)
}

fn as_token(request: Request, token: &str) -> Request {
    with(request, "Authorization", &format!("Bearer {token}"))
}

#[test]
fn a_person_logs_in_on_the_page_returns_to_where_they_were_and_logs_out() {
    let guarded = guarded();
    let site = &guarded.site;
    let navigation = |target| with(request("GET", target, LAN), "Accept", BROWSER);
    let page = whole(site, &navigation("/?a=1&b=\"<"));
    let login = "/login?next=/%3Fa%3D1%26b%3D%22%3C";
    assert_eq!((page.status, header(&page, "Location")), (303, Some(login)));
    assert_eq!(header(&page, "WWW-Authenticate"), None, "the browser would ask by itself");
    assert_eq!(header(&whole(site, &navigation("/")), "Location"), Some("/login"));
    assert_eq!(header(&whole(site, &navigation("//evil")), "Location"), None);
    let page = whole(site, &navigation(login));
    assert_eq!((page.status, page.content_type), (200, "text/html; charset=utf-8"));
    assert_eq!(header(&page, "Referrer-Policy"), Some("same-origin"));
    assert!(body(&page).contains("name=\"next\" value=\"/?a=1&amp;b=&quot;&lt;\""), "{}", body(&page));
    let (answer, cookie) = logged_in(site, "user=anna&password=a&next=%2F%3Fa%3D1");
    assert_eq!((answer.status, header(&answer, "Location")), (303, Some("/?a=1")));
    let set = header(&answer, "Set-Cookie").unwrap();
    assert!(set.starts_with("namecam_5000=") && set.ends_with("; Max-Age=2592000; Path=/; HttpOnly; SameSite=Strict"));
    assert_eq!(status(site, &as_session(navigation("/"), &cookie)), 200);
    let again = whole(site, &as_session(navigation(login), &cookie));
    assert_eq!((again.status, header(&again, "Location")), (303, Some("/?a=1&b=\"<")));
    let state = parsed(&whole(site, &as_session(request("GET", "/api/state", LAN), &cookie)));
    assert_eq!((&state["user"], &state["role"]), (&json!("anna"), &json!("viewer")));
    let (_, other) = logged_in(site, "user=anna&password=a");
    assert_ne!(cookie, other, "new at each login");
    let out = whole(site, &as_session(with(request("POST", "/logout", LAN), "Origin", OWN), &cookie));
    assert_eq!((out.status, header(&out, "Location")), (303, Some("/")));
    assert!(header(&out, "Set-Cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(status(site, &as_session(request("GET", "/api/state", LAN), &cookie)), 401);
    assert_eq!(status(site, &as_session(request("GET", "/api/state", LAN), &other)), 200);
}

#[test]
fn a_wrong_login_says_so_in_the_language_of_the_browser_and_keeps_the_name() {
    let guarded = guarded();
    let ask = |language: &str, number: u32| {
        let request = posted("/login", FORM, &format!("user=%EB%AF%BC%ED%98%B8+%3C&password=x{number}&next=%2Fapi"));
        let request = with(with(request, "Origin", OWN), "Accept-Language", language);
        whole(&guarded.site, &request)
    };
    let (english, korean) = (ask("en-US,en;q=0.9,ko;q=0.8", 1), ask("ko-KR,ko;q=0.9", 2));
    assert_eq!((english.status, korean.status), (401, 401));
    assert!(body(&english).contains("The user name or the password is wrong."));
    assert!(body(&korean).contains("<html lang=\"ko\">") && body(&korean).contains("올바르지 않습니다"));
    assert!(body(&english).contains("name=\"user\" value=\"민호 &lt;\"") && body(&english).contains("value=\"/api\""));
    assert_eq!(header(&english, "Set-Cookie"), None);
    (3..6).for_each(|number| drop(ask("ko", number)));
    let late = ask("ko", 6);
    assert_eq!((late.status, header(&late, "Retry-After")), (429, Some("10")));
    assert!(body(&late).contains("10초 후에"), "{}", body(&late));
}

#[test]
fn a_login_returns_only_to_a_path_of_this_server() {
    let guarded = guarded();
    for next in ["https://evil", "//evil", "/\\evil", "/%09/evil", "javascript:1", "", "/a\r\nSet-Cookie: b", "/민"] {
        let coded: String = next.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let (answer, _) = logged_in(&guarded.site, &format!("user=anna&password=a&next={coded}"));
        let expected = if next == "/%09/evil" { next } else { "/" };
        assert_eq!(header(&answer, "Location"), Some(expected), "{next}");
    }
}

#[test]
fn only_a_browser_that_navigates_gets_the_login_page() {
    let guarded = guarded();
    let ask = |method, headers: &[(&str, &str)]| {
        let request = headers.iter().fold(request(method, "/api/state", LAN), |r, (name, value)| with(r, name, value));
        let answer = whole(&guarded.site, &request);
        (answer.status, header(&answer, "Location").is_some(), header(&answer, "WWW-Authenticate").is_some())
    };
    assert_eq!(ask("GET", &[]), (401, false, true));
    assert_eq!(ask("GET", &[("Accept", "*/*")]), (401, false, true));
    assert_eq!(ask("GET", &[("Accept", "image/avif,image/webp,*/*;q=0.8")]), (401, false, true));
    // Java's HttpURLConnection.
    assert_eq!(ask("GET", &[("Accept", "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2")]), (401, false, true));
    // Chromium and Safari, Firefox, and Firefox before version 66.
    for rest in ["image/webp,image/apng,*/*;q=0.8", "image/avif,image/webp,*/*;q=0.8", "*/*;q=0.8"] {
        let accepted = format!("text/html,application/xhtml+xml,application/xml;q=0.9,{rest}");
        assert_eq!(ask("GET", &[("Accept", &accepted)]), (303, true, false));
    }
    assert_eq!(ask("GET", &[("Accept", BROWSER), ("X-Namecam", "1")]), (401, false, false));
    assert_eq!(ask("GET", &[("X-Namecam", "1")]), (401, false, false));
    assert_eq!(ask("GET", &[("Accept", BROWSER), ("Authorization", "Basic YTpi")]), (401, false, true));
    assert_eq!(ask("POST", &[("Accept", BROWSER)]), (401, false, true));
}

#[test]
fn the_stream_of_the_page_gets_no_challenge_and_that_of_a_program_with_a_key_gets_one() {
    let guarded = guarded();
    let is_challenged = |target: &str| {
        let answer = whole(&guarded.site, &request("GET", target, LAN));
        (answer.status, header(&answer, "WWW-Authenticate").is_some())
    };
    assert_eq!(is_challenged("/video_feed?t=page-1-2"), (401, false));
    for target in ["/video_feed?t=1", "/snapshot.jpg?t=1796016903", "/?action=stream&t=", "/video_feed?x=page-1"] {
        assert_eq!(is_challenged(target), (401, true), "{target}");
    }
}

#[test]
fn a_session_and_its_streams_end_with_the_password_the_account_or_by_an_admin() {
    let guarded = guarded();
    let site = &guarded.site;
    let (_, admin) = logged_in(site, "user=root&password=r");
    let (_, stays) = logged_in(site, "user=anna&password=a&stay=1");
    let (_, usual) = logged_in(site, "user=anna&password=a");
    let sees = |cookie: &str| status(site, &as_session(request("GET", "/api/state", LAN), cookie));
    let sessions = |cookie: &str| {
        let list = parsed(&whole(site, &as_session(request("GET", "/api/sessions", LAN), cookie)));
        list["sessions"].as_array().unwrap().clone()
    };
    assert_eq!((sessions(&admin).len(), sessions(&usual).len()), (3, 2));
    assert!(sessions(&usual).iter().all(|session| session["user"] == "anna" && session["from"] == LAN));
    assert_eq!(sessions(&usual).iter().filter(|session| session["own"] == true).count(), 1);
    let id = |session: &Value| session["id"].as_str().unwrap().to_owned();
    let end = |cookie: &str, id: &str| {
        let request = with(request("DELETE", &format!("/api/sessions/{id}"), LAN), "Origin", OWN);
        status(site, &as_session(request, cookie))
    };
    let admins = id(sessions(&admin).iter().find(|session| session["user"] == "root").unwrap());
    assert_eq!(end(&usual, &admins), 404, "another user's");
    let staying = id(sessions(&usual).iter().find(|session| session["stays"] == true).unwrap());
    let stream = as_session(request("GET", "/video_feed", LAN), &stays);
    let Answer::Stream(stream) = site.respond(&stream) else { panic!("no stream") };
    assert_eq!((end(&admin, &staying), sees(&stays), sees(&usual)), (200, 401, 200));
    // The stream ends by itself, although the client reads everything.
    (stream.run)(&mut Vec::new()).unwrap();

    passwd(&guarded.file, "anna", Role::Viewer, "b").unwrap();
    site.stage.config.publish(site.config());
    assert_eq!((sees(&usual), sees(&admin)), (401, 200));
    remove(&guarded.file, "root").unwrap();
    site.stage.config.publish(site.config());
    assert_eq!(sees(&admin), 401);
}

#[test]
fn only_a_viewer_stays_signed_in() {
    let guarded = guarded();
    let age = |fields: &str| {
        let (answer, _) = logged_in(&guarded.site, fields);
        let set = header(&answer, "Set-Cookie").unwrap().to_owned();
        set.split("Max-Age=").nth(1).unwrap().split(';').next().unwrap().parse::<u64>().unwrap() / 86_400
    };
    assert_eq!((age("user=anna&password=a&stay=1"), age("user=root&password=r&stay=1")), (400, 30));
    let (_, cookie) = logged_in(&guarded.site, "user=anna&password=a&stay=1");
    let text = std::fs::read_to_string(&guarded.file).unwrap().replace("anna:viewer", "anna:admin");
    std::fs::write(&guarded.file, text).unwrap();
    guarded.site.stage.config.publish(guarded.site.config());
    let request = as_session(request("GET", "/api/state", LAN), &cookie);
    assert_eq!(status(&guarded.site, &request), 401, "who becomes an admin logs in again");
}

#[test]
fn a_token_is_taken_in_a_header_everywhere_and_in_an_address_for_pictures_from_viewers_only() {
    let guarded = guarded();
    let site = &guarded.site;
    let (viewer, admin) = (&guarded.viewer_token, &guarded.admin_token);
    let text = std::fs::read_to_string(&guarded.file).unwrap();
    assert!(viewer.len() == 8 + 32 && !text.contains(viewer.as_str()) && viewer != admin);
    assert_eq!(status(site, &as_token(request("GET", "/api/gallery", LAN), viewer)), 403);
    assert_eq!(status(site, &as_token(request("GET", "/api/gallery", LAN), admin)), 200);
    let state = parsed(&whole(site, &as_token(request("GET", "/api/state", LAN), viewer)));
    assert_eq!(state["user"], "dashboard");
    for (target, answers) in [
        ("/video_feed", [200, 403]),
        ("/stream.mjpg", [200, 403]),
        ("/?action=stream", [200, 403]),
        ("/api/state", [401, 401]),
        ("/api/events", [401, 401]),
        ("/", [401, 401]),
    ] {
        let with_token = |token| format!("{target}{}token={token}", if target.contains('?') { '&' } else { '?' });
        let ask = |token| status(site, &request("GET", &with_token(token), LAN));
        assert_eq!([ask(viewer), ask(admin)], answers, "{target}");
    }
    assert_eq!(status(site, &login("/api/state", LAN, &format!("dashboard:{viewer}"))), 401, "it is no password");
    new_token(&guarded.file, "dashboard", Role::Viewer).unwrap();
    site.stage.config.publish(site.config());
    assert_eq!(status(site, &as_token(request("GET", "/api/state", LAN), viewer)), 401, "a new one replaces it");
    assert!(new_token(&guarded.file, "anna", Role::Viewer).is_err(), "a user keeps their password");
}

#[test]
fn every_role_and_credential_gets_on_every_route_only_what_the_table_allows() {
    let guarded = guarded();
    let site = &guarded.site;
    site.stage.health.camera_is_online("test", "MJPG", 4, 4);
    for route in ROUTES {
        let path = route.path.replace("{track}", "7").replace("{id}", "0");
        let target = route.action.map_or(path.clone(), |action| format!("{path}?action={action}"));
        let bare = || {
            let plain = request(route.method.as_str(), &target, LAN);
            route.takes.content_type().map_or(plain.clone(), |kind| with(plain, "Content-Type", kind))
        };
        // A logout ends a session, so each request has its own.
        let (session_of, own) = (|fields| logged_in(site, fields).1, |request| with(request, "Origin", OWN));
        let say = |who: &str, request: &Request| {
            let request = match who {
                "viewer" => login_of(request, "anna:a"),
                "admin" => login_of(request, "root:r"),
                "viewer session" => as_session(request.clone(), &session_of("user=anna&password=a")),
                "admin session" => as_session(request.clone(), &session_of("user=root&password=r")),
                "viewer token" => as_token(request.clone(), &guarded.viewer_token),
                "admin token" => as_token(request.clone(), &guarded.admin_token),
                _ => request.clone(),
            };
            // Snapshots need a fresh picture, however long the test takes.
            let jpeg = Jpeg::new(Arc::new(b"JPEG".to_vec()), crate::frame::Moment::now(), true);
            site.stage.renditions.usual().publish(&Arc::new(jpeg));
            let status = status(site, &request);
            // An empty login is admitted and then refused as wrong.
            if target == "/login" && status == 401 { 200 } else { status }
        };
        let name = format!("{} {target}", route.method.as_str());
        let (is_open, changes) = (route.access == Access::Open, route.method.changes());
        let nobody = say("nobody", &own(bare()));
        assert_eq!(nobody == 401, !is_open, "{name}: {nobody}");
        for who in ["viewer", "admin", "viewer session", "admin session", "viewer token", "admin token"] {
            let may = route.access != Access::Admin || who.starts_with("admin");
            let (is_token, is_session) = (who.ends_with("token") && !is_open, who.ends_with("session"));
            // The browser sends a cookie with the requests of any page; it does not send a password or a token. A login
            // has a password in its body, a logout has only the cookie.
            let needs_origin = changes && target != "/login" && (is_session || is_open);
            for (origin, allowed) in [
                (Some(OWN), may),
                (None, may && !needs_origin),
                (Some("http://evil.example"), may && (!changes || is_token)),
                (Some("http://127.0.0.1:5001"), may && (!changes || is_token)),
                (Some("null"), may && (!changes || is_token)),
            ] {
                let request = origin.map_or_else(bare, |origin| with(bare(), "Origin", origin));
                let status = say(who, &request);
                // Admitted. The face, the camera or a trial may be missing, and the empty body may be invalid.
                // After a minute the server is not healthy: no camera thread runs here.
                let may_be_away = target.starts_with("/api/camera") || target == "/healthz";
                let good = [200, 303, 400, 404, 409].contains(&status) || (may_be_away && status == 503);
                assert!(if allowed { good } else { status == 403 }, "{name} as {who} from {origin:?}: {status}");
            }
            assert_eq!(say(who, &with(own(bare()), "Host", "evil.example")), 421, "{name} as {who}");
        }
        let same_path = ROUTES.iter().filter(|other| other.path == route.path);
        let methods: Vec<_> = same_path.map(|other| other.method.as_str()).collect();
        for method in ["POST", "DELETE", "PUT", "OPTIONS", "get"].iter().filter(|method| !methods.contains(method)) {
            let wrong = own(request(method, &target, LAN));
            assert_eq!(say("admin", &wrong), 405, "{method} {target}");
        }
        if route.takes != Takes::Nothing {
            for kind in ["text/plain", "multipart/form-data", ""] {
                let wrong = with(with(bare(), "Origin", OWN), "Content-Type", kind);
                assert_eq!(say("admin token", &wrong), 415, "{name} {kind}");
            }
        }
    }
}

fn login_of(request: &Request, credentials: &str) -> Request {
    let authorization = login("/", LAN, credentials).header("Authorization").unwrap().to_owned();
    with(request.clone(), "Authorization", &authorization)
}

#[test]
fn without_passwords_a_change_by_the_local_admin_needs_the_own_page() {
    let site = super::site(|_| {});
    assert_eq!(header(&whole(&site, &request("GET", "/login?next=/api", LAN)), "Location"), Some("/api"));
    let change = || request("DELETE", "/api/sessions/0", "127.0.0.1");
    assert_eq!(status(&site, &change()), 403, "no page and no credential");
    assert_eq!(status(&site, &with(change(), "Origin", "http://evil.example")), 403);
    assert_eq!(status(&site, &with(change(), "Origin", OWN)), 404, "there is no such session");
    assert_eq!(status(&site, &with(change(), "Sec-Fetch-Site", "same-origin")), 404);
    assert_eq!(status(&site, &with(change(), "Sec-Fetch-Site", "cross-site")), 403);
}

#[test]
fn a_password_is_changed_with_the_old_one_and_every_other_session_ends() {
    let guarded = guarded();
    let site = &guarded.site;
    let (_, here) = logged_in(site, "user=anna&password=a");
    let (_, elsewhere) = logged_in(site, "user=anna&password=a");
    let change = |body: &str| {
        let request = with(posted("/api/password", "application/json", body), "Origin", OWN);
        whole(site, &as_session(request, &here))
    };
    for wrong in ["", "[]", "{\"old\": \"a\"}", "{\"old\": \"a\", \"new\": \"b\", \"user\": \"root\"}"] {
        assert_eq!(change(wrong).status, 400, "{wrong}");
    }
    let refused = change("{\"old\": \"x\", \"new\": \"b\"}");
    assert_eq!((refused.status, body(&refused)), (403, "The old password is wrong.\n".to_owned()));
    assert_eq!(change("{\"old\": \"a\", \"new\": \"\"}").status, 409);
    let changed = change("{\"old\": \"a\", \"new\": \"short\"}");
    assert_eq!((changed.status, parsed(&changed)["weak"].as_str()), (200, Some("it has fewer than 15 characters")));
    let cookie = header(&changed, "Set-Cookie").unwrap().split(';').next().unwrap().to_owned();
    let sees = |cookie: &str| status(site, &as_session(request("GET", "/api/state", LAN), cookie));
    assert_eq!((sees(&here), sees(&elsewhere), sees(&cookie)), (401, 401, 200));
    assert_eq!(status(site, &login("/api/state", LAN, "anna:short")), 200);
    assert_eq!(status(site, &login("/api/state", LAN, "anna:a")), 401);
    let with_token = posted("/api/password", "application/json", "{\"old\": \"a\", \"new\": \"b\"}");
    assert_eq!(status(site, &as_token(with_token, &guarded.viewer_token)), 403);
}

#[test]
fn users_who_change_their_passwords_at_once_lose_no_change() {
    let guarded = guarded();
    let site = &guarded.site;
    std::thread::scope(|scope| {
        for (user, first) in [("anna", "a"), ("root", "r")] {
            scope.spawn(move || {
                let mut old = first.to_owned();
                for round in 0..40 {
                    let new = format!("{user}{round}");
                    let change = json!({ "old": old, "new": new }).to_string();
                    let change = with(posted("/api/password", "application/json", &change), "Origin", OWN);
                    let answer = whole(site, &login_of(&change, &format!("{user}:{old}")));
                    assert_eq!(answer.status, 200, "{}", body(&answer));
                    assert_eq!(status(site, &login("/api/state", LAN, &format!("{user}:{new}"))), 200, "{new}");
                    old = new;
                }
            });
        }
    });
    let accounts = Accounts::load(&guarded.file).ok().unwrap();
    assert_eq!(
        accounts.verify("anna", "anna39").zip(accounts.verify("root", "root39")),
        Some((Role::Viewer, Role::Admin))
    );
}

#[test]
fn a_password_is_not_changed_after_the_account_was_changed_by_a_command() {
    for is_removed in [true, false] {
        let guarded = guarded();
        let site = &guarded.site;
        let (_, cookie) = logged_in(site, "user=anna&password=a");
        // No reload follows.
        if is_removed {
            remove(&guarded.file, "anna").unwrap();
        } else {
            passwd(&guarded.file, "anna", Role::Admin, "a").unwrap();
        }
        let lines = std::fs::read_to_string(&guarded.file).unwrap();
        let change = posted("/api/password", "application/json", "{\"old\": \"a\", \"new\": \"b\"}");
        let answer = whole(site, &as_session(with(change, "Origin", OWN), &cookie));
        assert_eq!((answer.status, body(&answer).contains("log in again")), (409, true), "{}", body(&answer));
        assert_eq!(std::fs::read_to_string(&guarded.file).unwrap(), lines);
        assert_eq!(status(site, &as_session(request("GET", "/api/state", LAN), &cookie)), 401);
    }
}

#[test]
fn a_slow_reading_of_the_password_file_does_not_undo_a_change_that_was_faster() {
    let guarded = guarded();
    let (site, file) = (&guarded.site, &guarded.file);
    let old = std::fs::read_to_string(file).unwrap();
    let [pipe, aside] = ["pipe", "aside"].map(|name| file.with_file_name(name));
    // Opening a pipe that has no writer blocks, like a slow disk.
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::fs::rename(file, &aside).unwrap();
    std::fs::hard_link(&pipe, file).unwrap();
    site.stage.config.publish(site.config());
    // This request waits for the file as long as requests do, so the reading has begun.
    assert_eq!(status(site, &login("/api/state", LAN, "anna:a")), 200);
    std::fs::rename(&aside, file).unwrap();
    let change = posted("/api/password", "application/json", "{\"old\": \"a\", \"new\": \"b\"}");
    assert_eq!(status(site, &login_of(&with(change, "Origin", OWN), "anna:a")), 200);
    // Without a reader this fails, and does not block.
    let mut late = std::fs::OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&pipe).unwrap();
    late.write_all(old.as_bytes()).unwrap();
    drop(late);
    // Time for the reading to end, and to do what it must not do.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(status(site, &login("/api/state", LAN, "anna:b")), 200);
    assert_eq!(status(site, &login("/api/state", LAN, "anna:a")), 401);
}

#[test]
fn a_password_that_is_changed_during_a_reload_counts_at_once() {
    let guarded = guarded();
    let site = &guarded.site;
    let change = login_of(&with(posted("/api/password", "application/json", ""), "Origin", OWN), "anna:a");
    let who = site.gate.admit(&change, &site.config(), Access::Viewer).unwrap();
    // The config of the reload is published when the change has begun, and the file is read before it is written.
    let before = site.config_with_version();
    let calls = std::cell::Cell::new(0);
    let newest = || {
        calls.set(calls.get() + 1);
        if calls.get() > 1 {
            return site.config_with_version();
        }
        site.stage.config.publish(site.config());
        assert_eq!(status(site, &login("/api/state", LAN, "anna:a")), 200);
        before.clone()
    };
    site.gate.change_password(&change, newest, &who, "a", "b").unwrap();
    assert_eq!(status(site, &login("/api/state", LAN, "anna:b")), 200);
    assert_eq!(status(site, &login("/api/state", LAN, "anna:a")), 401);
}

#[test]
fn a_login_during_many_checks_of_its_network_is_not_told_of_wrong_passwords() {
    let guarded = guarded();
    let text = std::fs::read_to_string(&guarded.file).unwrap();
    let line = text.lines().find(|line| line.starts_with("anna:")).unwrap();
    let users = 0..40;
    let lines: String = users.clone().map(|i| line.replace("anna:", &format!("u{i}:")) + "\n").collect();
    std::fs::write(&guarded.file, lines).unwrap();
    guarded.site.stage.config.publish(guarded.site.config());
    let site = &guarded.site;
    let answers: Vec<Whole> = std::thread::scope(|scope| {
        let log_in = |i| scope.spawn(move || logged_in(site, &format!("user=u{i}&password=a")).0);
        let all: Vec<_> = users.map(log_in).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let busy: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(!busy.is_empty() && answers.len() - busy.len() == answers.iter().filter(|a| a.status == 303).count());
    for answer in busy {
        assert!(body(answer).contains("Too many people are logging in."), "{}", body(answer));
        assert_eq!(header(answer, "Retry-After"), Some("5"));
    }
}

#[test]
fn a_password_file_that_cannot_be_written_names_the_command() {
    let guarded = guarded();
    let site = &guarded.site;
    let (_, cookie) = logged_in(site, "user=anna&password=a");
    // No file can be made below a file.
    let mut config = Config::clone(&site.config());
    config.http.password_file = Some(guarded.file.join("users"));
    site.stage.config.publish(Arc::new(config));
    let request = posted("/api/password", "application/json", "{\"old\": \"a\", \"new\": \"b\"}");
    let answer = whole(site, &as_session(with(request, "Origin", OWN), &cookie));
    assert_eq!(answer.status, 409);
    assert!(body(&answer).contains("sudo namecam passwd anna"), "{}", body(&answer));
}

#[test]
fn a_program_with_an_old_password_locks_nobody_out_of_its_host() {
    let guarded = guarded();
    for _ in 0..200 {
        assert_eq!(status(&guarded.site, &login("/video_feed", LAN, "anna:old")), 401);
    }
    for _ in 0..200 {
        assert_eq!(status(&guarded.site, &as_token(request("GET", "/video_feed", LAN), "namecam_old")), 401);
    }
    // As a page of another site can make the browser of a person request pictures.
    for number in 0..20 {
        let target = format!("/snapshot.jpg?token=x{number}");
        assert_eq!(status(&guarded.site, &request("GET", &target, LAN)), 401);
    }
    assert_eq!(logged_in(&guarded.site, "user=anna&password=a").0.status, 303);
}

#[test]
fn a_wrong_password_on_many_connections_at_once_is_checked_once() {
    const CONNECTIONS: u32 = 40;
    let guarded = guarded();
    let (site, together) = (&guarded.site, std::sync::Barrier::new(CONNECTIONS as usize));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                together.wait();
                assert_eq!(status(site, &login("/api/state", LAN, "anna:old")), 401);
            });
        }
    });
    // After a check, the response is held back: ten a second are sent.
    let took = begun.elapsed();
    assert!(took < Duration::from_millis(100) * (CONNECTIONS - 1), "{took:?}");
    assert_eq!(logged_in(site, "user=anna&password=a").0.status, 303);
}

#[test]
fn forms_are_read_as_browsers_write_them() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        form(b"a=1&b=x+y%20z&&c&=d&e=%EB%AF%BC=%"),
        [pair("a", "1"), pair("b", "x y z"), pair("c", ""), pair("", "d"), pair("e", "민=%")]
    );
    assert_eq!(form(b"a=%4&b=%+1&c=%ff"), [pair("a", "%4"), pair("b", "% 1"), pair("c", "\u{fffd}")]);
    assert!(form(b"").is_empty());
}

#[test]
fn a_body_is_read_after_admission_within_its_bound() {
    let guarded = guarded();
    let running = Running::guarded(&guarded.file);
    let host = format!("Host: {}\r\n", running.address);
    let origin = format!("Origin: http://{}\r\n", running.address);
    let head = |length: &str| format!("POST /login HTTP/1.1\r\n{host}{origin}Content-Type: {FORM}\r\n{length}\r\n");
    let fields = format!("user=anna&password=a&filler={}", "x".repeat(3000));
    let length = format!("Content-Length: {}\r\n", fields.len());
    let whole = running.answer(&format!("{}{fields}", head(&length)));
    assert!(whole.starts_with("HTTP/1.1 303 "), "{whole}");
    // A program that sends `Expect: 100-continue`, as curl does, is told to go on.
    let mut asked = running.ask(&head(&format!("{length}Expect: 100-continue\r\n")));
    let mut said = [0; 25];
    asked.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"HTTP/1.1 100 Continue\r\n\r\n");
    asked.write_all(fields.as_bytes()).unwrap();
    let mut rest = String::new();
    asked.read_to_string(&mut rest).unwrap();
    assert!(rest.starts_with("HTTP/1.1 303 "), "{rest}");
    let large = running.answer(&format!("{}{}", head("Content-Length: 16385\r\n"), "x".repeat(16_385)));
    assert!(large.starts_with("HTTP/1.1 413 ") && large.contains("at most 16384"), "{large}");
    assert!(running.answer(&head("Transfer-Encoding: chunked\r\n")).starts_with("HTTP/1.1 411 "));
    let foreign = head(&length).replace(&origin, "Origin: http://evil.example\r\n");
    assert!(running.answer(&format!("{foreign}{fields}")).starts_with("HTTP/1.1 403 "));
    // Two requests on one connection: a small body does not end it.
    let two = format!("{}user=anna&password=a", head("Content-Length: 20\r\n"));
    let two = running.answer(&format!("{two}GET /healthz HTTP/1.1\r\n{CLOSE}"));
    assert!(two.starts_with("HTTP/1.1 303 ") && two.ends_with("ok\n"), "{two}");
}
