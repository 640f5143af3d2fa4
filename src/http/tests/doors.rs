//! Tests of access from behind a proxy, and of penalties for wrong passwords.

use super::sockets::{CLOSE, Running};
use super::*;
use crate::http::auth::checks::MOST;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

#[test]
fn the_client_of_a_proxy_on_this_machine_is_no_admin() {
    let site = site(|config| config.http.hosts = vec!["cam.example".to_owned()]);
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned();
    let ask = |host: &str, target: &str| with(request("GET", target, "127.0.0.1"), "Host", host);
    for own in ["127.0.0.1:5000", "127.0.0.9", "localhost", "LocalHost.:5000", "[::1]:5000", "[::ffff:127.0.0.1]"] {
        assert_eq!(status(&site, &ask(own, "/api/gallery")), 200, "{own}");
    }
    for public in ["cam.example", "cam.example:443", "192.168.1.2:5000", "[2001:db8::1]", &machine, "[::1", ""] {
        assert_ne!(status(&site, &ask(public, "/api/gallery")), 200, "{public}");
    }
    assert_eq!(status(&site, &ask("cam.example", "/api/state")), 200, "a viewer still");
    let mut nameless = request("GET", "/api/gallery", "127.0.0.1");
    nameless.headers.clear();
    assert_eq!(status(&site, &nameless), 403);
    let absolute = request("GET", "http://cam.example/api/gallery", "127.0.0.1");
    assert_eq!(status(&site, &absolute), 403);
    for header in ["Forwarded", "Via", "X-Real-IP", "X-Forwarded-For", "x-forwarded-host", "X-Forwarded-Proto"] {
        let proxied = with(request("GET", "/api/gallery", "127.0.0.1"), header, "192.0.2.7");
        assert_eq!(status(&site, &proxied), 403, "{header}");
    }
}

#[test]
fn the_streams_of_other_machines_end_when_open_is_no_longer_set() {
    let site = site(|config| config.http.open = true);
    let watch = |peer| request("GET", "/video_feed", peer);
    let who = |peer| site.gate.admit(&watch(peer), &site.config(), Access::Picture).unwrap();
    let both = [who(LAN), who("127.0.0.1")];
    let stay = || both.each_ref().map(|who| site.gate.is_still_admitted(who, &site.config()));
    assert_eq!(stay(), [true, true]);
    let lan = watch(LAN);
    let Answer::Stream(stream) = site.respond(&lan) else { panic!("no stream") };
    let mut closed = Config::clone(&site.config());
    closed.http.open = false;
    site.stage.config.publish(Arc::new(closed));
    assert_eq!(stay(), [false, true]);
    // The stream ends by itself, although the client reads everything.
    let begun = Instant::now();
    std::thread::scope(|scope| {
        // If it does not, the stop of the site ends it.
        scope.spawn(|| {
            site.stage.stop.wait(Duration::from_secs(20));
            site.stage.stop.set();
        });
        (stream.run)(&mut Vec::new()).unwrap();
        site.stage.stop.set();
    });
    assert!(begun.elapsed() < Duration::from_secs(15));
}

/// A site where `anna` may watch with the password `a`.
fn guarded() -> (tempfile::TempDir, Site) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passwords");
    auth::accounts::passwd(&file, "anna", Role::Viewer, "a").unwrap();
    (folder, site(|config| config.http.password_file = Some(file)))
}

#[test]
fn a_client_with_a_whole_ipv6_network_may_try_no_more_passwords_than_others() {
    let (_folder, site) = guarded();
    for host in 1..=5 {
        assert_eq!(status(&site, &login("/", &format!("2001:db8::{host}"), &format!("anna:x{host}"))), 401);
    }
    assert_eq!(status(&site, &login("/", "2001:db8::6", "anna:x")), 429);
    assert_eq!(status(&site, &login("/", "2001:db8:0:1::6", "anna:x")), 401, "another network");
    for i in 0..5 {
        assert_eq!(status(&site, &login("/", "fe80::1", &format!("anna:x{i}"))), 401);
    }
    assert_eq!(
        status(&site, &login("/", "fe80::2", "anna:x")),
        401,
        "a neighbour on the same cable is another machine"
    );
}

#[test]
fn behind_a_proxy_only_the_client_that_sent_wrong_passwords_must_wait() {
    let (_folder, site) = guarded();
    let behind = |peer: &str, forwarded: &str, credentials: &str| {
        status(&site, &with(login("/", peer, credentials), "X-Forwarded-For", forwarded))
    };
    for i in 0..5 {
        // Addresses before the last one were sent by the client and are not trusted.
        let forwarded = format!("198.51.100.{i}, 203.0.113.9");
        assert_eq!(behind("127.0.0.1", &forwarded, &format!("anna:x{i}")), 401);
    }
    assert_eq!(behind("127.0.0.1", "198.51.100.9, 203.0.113.9", "anna:x"), 429);
    assert_eq!(behind("127.0.0.1", "203.0.113.10", "anna:a"), 200);
    for i in 0..5 {
        assert_eq!(behind(LAN, &format!("203.0.113.{i}"), &format!("anna:x{i}")), 401);
    }
    assert_eq!(behind(LAN, "203.0.113.77", "anna:x"), 429, "only a proxy on this machine is trusted");
}

#[test]
fn the_accounts_that_were_read_before_the_start_are_not_read_again_until_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passwords");
    auth::accounts::passwd(&file, "anna", Role::Viewer, "a").unwrap();
    let accounts = Accounts::load(&file).ok().unwrap();
    auth::accounts::passwd(&file, "anna", Role::Viewer, "b").unwrap();
    let site = Site::new(stage(|config| config.http.password_file = Some(file)), Some(accounts)).unwrap();
    assert_eq!(status(&site, &login("/api/state", LAN, "anna:a")), 200);
    site.stage.config.publish(site.config());
    assert_eq!(status(&site, &login("/api/state", LAN, "anna:b")), 200);
    assert_eq!(status(&site, &login("/api/state", LAN, "anna:a")), 401);
}

#[test]
fn a_late_request_does_not_restore_an_old_config() {
    let (_folder, site) = guarded();
    let old = site.stage.config.newest().unwrap();
    let mut open = Config::clone(&old.1);
    open.http.password_file = None;
    site.stage.config.publish(Arc::new(open));
    site.refresh();
    assert_eq!(status(&site, &request("GET", "/api/state", "127.0.0.1")), 200);
    site.gate.refresh(old.0, &old.1);
    assert_eq!(
        site.gate
            .admit(&request("GET", "/", "127.0.0.1"), &site.config(), Access::Viewer)
            .ok()
            .map(|who| (who.role, who.user)),
        Some((Role::Admin, None))
    );
}

#[test]
fn a_password_file_on_a_disk_that_hangs_keeps_the_accounts_and_delays_no_request_for_long() {
    let (folder, site) = guarded();
    assert_eq!(status(&site, &login("/api/state", LAN, "anna:a")), 200);
    let good = std::fs::read_to_string(folder.path().join("passwords")).unwrap();
    // Opening a pipe that has no writer blocks for ever, like a disk that hangs.
    let pipes = ["one", "another"].map(|name| folder.path().join(name));
    assert!(std::process::Command::new("mkfifo").args(&pipes).status().unwrap().success());
    let mut hangs = Config::clone(&site.config());
    hangs.http.password_file = Some(pipes[0].clone());
    site.stage.config.publish(Arc::new(hangs.clone()));
    assert_eq!(status(&site, &request("GET", "/healthz", LAN)), 200);
    assert_eq!(status(&site, &login("/api/state", LAN, "anna:a")), 200);
    assert_eq!(status(&site, &request("GET", "/api/state", LAN)), 401);

    let open = super::site(|config| config.http.open = true);
    assert_eq!(status(&open, &request("GET", "/api/state", LAN)), 200);
    hangs.http.password_file = Some(pipes[1].clone());
    open.stage.config.publish(Arc::new(hangs));
    assert_eq!(status(&open, &request("GET", "/api/state", LAN)), 401, "no access without a password meanwhile");

    std::fs::write(&pipes[0], good.replace("anna", "bob")).unwrap();
    let begun = Instant::now();
    // Each request is from another address, because requests no longer wait.
    let mut addresses = (0..=255).map(|host| format!("192.168.2.{host}"));
    while status(&site, &login("/api/state", &addresses.next().unwrap(), "bob:a")) != 200 {
        assert!(begun.elapsed() < Duration::from_secs(20), "the file was never read");
    }
    assert_eq!(status(&site, &login("/api/state", "192.168.1.10", "anna:a")), 401);
}

/// Requests the state as a proxy on this machine does for `forwarded`.
fn send(running: &Running, credentials: &str, forwarded: IpAddr) -> TcpStream {
    let code = STANDARD.encode(credentials);
    let head =
        format!("GET /api/state HTTP/1.1\r\nAuthorization: Basic {code}\r\nX-Forwarded-For: {forwarded}\r\n{CLOSE}");
    let mut stream = TcpStream::connect(running.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// The status of the response; empty when the connection was closed without one.
fn status_of(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn more_attackers_behind_one_proxy_than_may_wait_leave_connections_to_users_who_have_logged_in() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passwords");
    auth::accounts::passwd(&file, "anna", Role::Viewer, "right").unwrap();
    let running = Running::guarded(&file);
    let owner = IpAddr::from([192, 0, 2, 1]);
    assert_eq!(status_of(send(&running, "anna:right", owner)), "200");
    let attackers: Vec<TcpStream> = (0..200_u32)
        .map(|i| send(&running, &format!("anna:wrong{i}"), IpAddr::from((10 << 24 | i).to_be_bytes())))
        .collect();
    attackers.iter().for_each(|stream| stream.set_nonblocking(true).unwrap());
    let answered = || attackers.iter().filter(|stream| stream.peek(&mut [0]).is_ok()).count();
    running.until("requests beyond the limit get a response", || answered() >= 200 - MOST - 8);
    let checks: u64 = running.stage.health.faults.all().iter().map(|fault| fault.count).sum();
    assert!(checks < 200, "the first responses came after all checks");
    assert_eq!(status_of(send(&running, "anna:right", owner)), "200");
    assert_eq!(running.stage.health.connections().refused, 0);
    drop(attackers);
}

#[test]
fn an_owner_logs_in_for_the_first_time_among_a_hundred_attackers_with_forged_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passwords");
    let owners = ["anna", "boris", "carla", "dora", "emil"];
    for owner in owners {
        auth::accounts::passwd(&file, owner, Role::Viewer, "right").unwrap();
    }
    let running = Running::guarded(&file);
    let (number, over) = (AtomicU32::new(0), AtomicBool::new(false));
    let ask = |credentials: &str, forwarded: IpAddr| status_of(send(&running, credentials, forwarded));
    let attack = |attacker: usize| {
        while !over.load(Relaxed) {
            // A user of the file, because an attacker may know the names.
            let number = number.fetch_add(1, Relaxed);
            ask(
                &format!("{}:wrong{number}", owners[attacker % owners.len()]),
                IpAddr::from((10 << 24 | number).to_be_bytes()),
            );
        }
    };
    let wrong = || running.stage.health.faults.all().iter().map(|fault| fault.count).sum::<u64>();
    std::thread::scope(|scope| {
        (0..100).for_each(|attacker| drop(scope.spawn(move || attack(attacker))));
        let mut before = Vec::new();
        for (i, owner) in owners.iter().enumerate() {
            // The first two owners send their requests while all attackers wait for a check, the others while attackers
            // repeat theirs.
            running.until("checks", || wrong() >= [1, 10, 104, 108, 112][i]);
            let count = wrong();
            assert_eq!(ask(&format!("{owner}:right"), IpAddr::from([192, 0, 2, i as u8])), "200", "{owner}");
            before.push(wrong() - count);
        }
        over.store(true, Relaxed);
        // Two checks at most. On a busy machine, checks that run before the request arrives are added; their number
        // grows with the number of connections that begin at that time. In the order of arrival it would be about a
        // hundred for each owner.
        assert!(before.iter().filter(|&&checks| checks < 6).count() >= 3, "{before:?}");
        println!("checks before the owners': {before:?}");
    });
}
