//! Tests the sinks of events: lines on stdout, the webhook, and a program.

use crate::support::{Home, PATIENCE, Running};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

/// A receiver that renders each request to a message as ntfy does with `?tpl=1&m=TEMPLATE`. Templates may have fields
/// only. The receiver answers 429 to the first request.
fn ntfy(listener: TcpListener) -> Receiver<(String, String)> {
    let (told, messages) = channel();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            let mut reader = BufReader::new(stream);
            let head: Vec<String> =
                reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let length = head.iter().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap().parse().unwrap();
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let event: Value = serde_json::from_slice(&body).unwrap();
            let target = head[0].split(' ').nth(1).unwrap();
            let mut message = target.split_once("m=").unwrap().1.replace("%20", " ");
            for (field, value) in event.as_object().unwrap() {
                message = message.replace(&format!("{{{{.{field}}}}}"), value.as_str().unwrap_or("?"));
            }
            let status = if number == 0 { "429 Too Many Requests" } else { "200 OK" };
            write!(reader.get_mut(), "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").unwrap();
            if told.send((target.split('?').next().unwrap().to_owned(), message)).is_err() {
                return;
            }
        }
    });
    messages
}

#[test]
fn a_named_person_is_sent_to_the_webhook_the_program_and_the_lines() {
    let home = Home::new("");
    let (camera, listener) = (home.still_camera("obama2.jpg"), TcpListener::bind("127.0.0.1:0").unwrap());
    let (port, out) = (listener.local_addr().unwrap().port(), home.path("said"));
    let webhook = format!(
        "[webhook]\nurl = http://127.0.0.1:{port}/door?tpl=1&t=namecam&m={{{{.name}}}}%20is%20here\nevents = named\n"
    );
    let script = r#"printf "%s %s\n" "$NAMECAM_KIND" "$NAMECAM_NAME" >>"$0""#;
    let exec = format!("[exec]\ncommand = sh -c '{script}' {}\nevents = named\n", out.display());
    home.write_config(&format!("[camera]\nsource = {camera}\n[recognition]\ninterval_ms = 100\n{webhook}{exec}"));
    home.enrol("Barack Obama", "obama.jpg");
    let messages = ntfy(listener);
    let lines = home.path("lines");
    let mut running = Running::start(home.command().args(["run", "--events"]).stdout(File::create(&lines).unwrap()));
    let message = ("/door".to_owned(), "Barack Obama is here".to_owned());
    assert_eq!(messages.recv_timeout(PATIENCE).unwrap(), message);
    assert_eq!(messages.recv_timeout(PATIENCE).unwrap(), message, "the event is sent again after the answer 429");
    running.until("the program has run", |_| {
        std::fs::read_to_string(&out).is_ok_and(|text| text == "named Barack Obama\n")
    });
    let metrics = ["namecam_events_sent_total{sink=\"webhook\"} 1\n", "namecam_events_sent_total{sink=\"exec\"} 1\n"];
    running.until("both events are counted", |r| metrics.iter().all(|line| r.get("/metrics").text().contains(line)));
    running.until("the answer 429 is a fault", |r| r.state().to_string().contains("answers 429"));
    running.signal(libc::SIGTERM);
    assert!(running.wait(PATIENCE).0.success());
    let text = std::fs::read_to_string(lines).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let named = events.iter().find(|event| event["kind"] == "named").expect("a line");
    assert_eq!((&named["name"], &named["present"]), (&"Barack Obama".into(), &1.into()), "{text}");
    assert!(
        events.iter().any(|event| event["kind"] == "camera") && events.iter().any(|event| event["kind"] == "gallery")
    );
    // `check` reports wrong settings of the sinks.
    home.write_config(
        "[exec]\ncommand = no-such-program x\n[webhook]\nurl = http://127.0.0.1:9/\nsecret_file = nothing\n",
    );
    let check = home.command().args(["check", "--config", "namecam.ini"]).output().unwrap();
    let text = String::from_utf8_lossy(&check.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    for warning in
        ["warning: [exec] command: there is no program named 'no-such-program'", "warning: [webhook] secret_file"]
    {
        assert!(text.contains(warning), "{text}");
    }
}
