//! Peers that misbehave: a broker, a webhook's receiver, a program for events.

use crate::broker::{Broker, Manners};
use crate::support::Home;
use crate::watch::{Usage, Watch, free_port};
use crate::{Fault, Figures};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

pub const PEERS: Fault = Fault {
    name: "peers",
    wrong: "the broker is silent, refuses, floods, closes, is no broker; the webhook's receiver never reads or never ends; the program for events hangs or is away",
    does: "streams and names on; says that the broker, the receiver or the program fails; tells a good broker who is there once it is back",
    within: Some(Duration::from_millis(1100)),
    waits: true,
    run: peers,
};

/// A receiver that does this with each connection.
fn receiver(port: u16, how: fn(TcpStream)) -> TcpListener {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let accepts = listener.try_clone().unwrap();
    accepts.set_nonblocking(false).unwrap();
    std::thread::spawn(move || {
        for stream in accepts.incoming().map_while(Result::ok) {
            std::thread::spawn(move || how(stream));
        }
    });
    listener
}

fn peers(full: bool) -> Figures {
    let hooks: [fn(TcpStream); 4] = [
        |stream| std::thread::sleep(Duration::from_secs(600 + u64::from(stream.ttl().is_err()))),
        |mut stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
        },
        |mut stream| {
            while stream.write_all(b"H").is_ok() {
                std::thread::sleep(Duration::from_secs(1));
            }
        },
        |mut stream| drop(stream.read(&mut [0; 10])),
    ];
    let programs = ["sleep 1000", "no-such-program", "yes", "false"];
    let manners =
        [Manners::Silent, Manners::Refuses(5), Manners::Floods, Manners::Closes, Manners::Http, Manners::Forgetful];
    let (port, hook_port) = (free_port(), free_port());
    let home = Home::new("");
    let camera = home.still_camera("obama2.jpg");
    home.enrol("Barack Obama", "obama.jpg");
    // A look takes long on a busy machine; that recognition is off is an event too.
    let (recognition, names) = if full { ("yes", vec!["Barack Obama"]) } else { ("no", Vec::new()) };
    let config = |hook: u16, program: &str| {
        home.write_config(&format!(
            "[camera]\nsource = {camera}\n[recognition]\nenabled = {recognition}\n[mqtt]\nhost = 127.0.0.1\nport = {port}\nclient_id = door\n[webhook]\n\
             url = http://127.0.0.1:{hook}/\n[exec]\ncommand = {program}\n"
        ));
    };
    config(hook_port, programs[0]);
    let running = home.run();
    running.until("the name", |running| running.names() == names);
    let watch = Watch::of(running.address);
    let before = Usage::of(running.pid());
    let mut tried = 0;
    let lasts = Duration::from_millis(if full { 8000 } else { 1000 });
    for (at, manners) in manners.into_iter().enumerate() {
        let broker = Broker::start(port, manners);
        let other = free_port();
        let _hook = receiver(other, hooks[at % hooks.len()]);
        config(other, programs[at % programs.len()]);
        // A reload is an event too.
        running.signal(libc::SIGHUP);
        std::thread::sleep(lasts);
        running.until("the name", |running| running.names() == names);
        assert_eq!(running.get("/healthz").status, 200, "{manners:?}");
        drop(broker);
        tried += 1;
    }
    running.until("each that fails is named", |running| {
        let faults = running.state()["faults"].as_array().unwrap().clone();
        let is_told = |cause: &str| faults.iter().any(|fault| fault["cause"].as_str().unwrap().starts_with(cause));
        ["mqtt: the broker", "webhook: ", "exec: "].into_iter().all(is_told)
    });
    let broker = Broker::start(port, Manners::Good);
    broker.until("it is told what is so", |heard| match full {
        true => heard.retained.get("namecam/door/person/barack_obama").is_some_and(|payload| payload == "ON"),
        false => !heard.retained.is_empty(),
    });
    config(hook_port, "true");
    running.signal(libc::SIGHUP);
    let seen = watch.end();
    assert_eq!(seen.breaks, 0);
    let after = Usage::after(running.pid(), before, full);
    Figures { tried, survived: tried, ..Figures::default() }.seen(seen).held(before, after)
}
