//! Tests the messages about people that go to an MQTT broker.

use crate::broker::{Broker, Heard, Manners};
use crate::support::Home;

fn says(heard: &Heard, topic: &str, payload: &str) -> bool {
    heard.retained.get(topic).map(String::as_str) == Some(payload)
}

#[test]
fn the_broker_gets_the_present_people_and_check_tests_the_broker() {
    let broker = Broker::start(0, Manners::Good);
    let home = Home::new("");
    let camera = home.still_camera("obama2.jpg");
    let config = |port| {
        let mqtt = format!("[mqtt]\nhost = 127.0.0.1\nport = {port}\nclient_id = door\n");
        home.write_config(&format!("[camera]\nsource = {camera}\n[recognition]\ninterval_ms = 100\n{mqtt}"));
    };
    config(broker.port);
    home.enrol("Barack Obama", "obama.jpg");
    let running = home.run();
    let heard = broker.until("Obama is present", |heard| says(heard, "namecam/door/person/barack_obama", "ON"));
    assert!(heard.retained["homeassistant/device/namecam_door/config"].contains("\"Barack Obama\""));
    let heard = broker.until("an event", |heard| heard.said.iter().any(|(topic, _)| topic == "namecam/door/face"));
    assert!(heard.said.iter().any(|(_, text)| text.contains(r#""kind":"named""#) && text.contains(r#""latency_ms":"#)));
    let renamed = running.ask(
        "POST /api/gallery/rename HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/json\r\n\
         Content-Length: 42\r\n\r\n{\"person\":\"Barack Obama\",\"to\":\"오바마\"}",
    );
    assert_eq!(renamed.status, 200, "{}", renamed.text());
    let config_topic = "homeassistant/device/namecam_door/config";
    broker.until("the new name", |heard| {
        heard.retained[config_topic].contains(r#""person_barack_obama":{"p":"binary_sensor","name":"오바마""#)
    });
    broker.until("Obama is still present", |heard| says(heard, "namecam/door/person/barack_obama", "ON"));
    assert!(running.get("/metrics").text().contains("namecam_mqtt_connected 1\n"));
    let good = home.command().args(["check", "--config", "namecam.ini"]).output().unwrap();
    assert!(String::from_utf8_lossy(&good.stdout).contains("good (the broker lets it in)"), "{good:?}");
    assert_eq!(broker.heard.lock().unwrap().clients.last().unwrap().0, "door-check");
    let port = broker.port;
    drop(broker);
    let away = home.command().args(["check", "--config", "namecam.ini"]).output().unwrap();
    let text = String::from_utf8_lossy(&away.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains(&format!("warning: [mqtt] 127.0.0.1:{port}: cannot connect: Connection refused")), "{text}");
    running.until("the fault", |r| r.get("/api/state").text().contains("mqtt: the broker cannot be used"));
    let broker = Broker::start(port, Manners::Good);
    broker.until("Obama is still present", |heard| says(heard, "namecam/door/person/barack_obama", "ON"));
    let log = running.log();
    let mut told: Vec<&str> =
        log.lines().filter_map(|line| line.split_once("mqtt: the broker cannot be used")).map(|(_, why)| why).collect();
    told.sort_unstable();
    told.dedup();
    assert_eq!(log.matches("mqtt: the broker cannot be used").count(), told.len(), "each reason is told once:\n{log}");
}
