use super::*;
use crate::config::Origin;
use serde_json::json;
use std::fs;
use unicode_normalization::UnicodeNormalization;

fn report(config: Result<&Config, &Problems>, camera: &str, state: Value) -> String {
    text(Subject {
        versions: "namecam 0\n".to_owned(),
        config,
        camera: Ok(camera.to_owned()),
        state: Ok(state),
        metrics: Err("nobody\nanswers".to_owned()),
    })
}

#[test]
fn nothing_secret_and_no_name_is_in_a_report_wherever_it_was_planted() {
    let folder = tempfile::tempdir().unwrap();
    let decomposed: String = "박서준".nfd().collect();
    let people = ["김민호", &decomposed, "Zoë Quimby", "Öğretmen Çiğdem"];
    for person in people {
        fs::create_dir_all(folder.path().join("gallery").join(person)).unwrap();
        fs::write(folder.path().join("gallery").join(person).join("1.jpg"), "").unwrap();
    }
    for (file, content) in [
        ("users", "quentin:admin:$argon2id$v=19$SALTYSALT\nkühn:viewer:token-DIGESTDIGEST\n"),
        ("broker", "brokerpass7\n"),
        ("hmac", "hmacsecret7\n"),
        (
            "namecam.ini",
            "; commentsecret7\n[camera]\nsource = pipe:ffmpeg -i rtsp://camuser:campass7@cam.invalid/x?key=querysecret7 --key=argsecret7 flagsecret7\n\
             [gallery]\npath = gallery\n[http]\npassword_file = users\nhosts = quimby-house.invalid\ncors = http://octo.quimby.invalid\n\
             [mqtt]\nhost = broker.quimby.invalid\nuser = brokeruser7\npassword_file = broker\nclient_id = quimbycam\nprefix = quimby/home\n\
             [webhook]\nurl = http://hook.quimby.invalid:8123/api/webhook/hooksecret7?token=hookquery7\nsecret_file = hmac\n\
             [exec]\ncommand = notify --to quimbymail7 --password=execsecret7\n",
        ),
    ] {
        fs::write(folder.path().join(file), content).unwrap();
    }
    let file = Some(folder.path().join("namecam.ini"));
    let config = Origin { file, state_folder: Some(folder.path().into()), ..Origin::default() }.load().unwrap();
    let planted = [
        "김민호",
        "민호를 ",
        "박서준",
        &decomposed,
        "Zoë Quimby",
        "zoë_quimby2.jpg",
        "Öğretmen",
        "quentin",
        "kühn",
        "SALTYSALT",
        "DIGESTDIGEST",
        "brokerpass7",
        "brokeruser7",
        "hmacsecret7",
        "campass7",
        "camuser",
        "querysecret7",
        "argsecret7",
        "flagsecret7",
        "hooksecret7",
        "hookquery7",
        "quimbymail7",
        "execsecret7",
        "commentsecret7",
        "quimby",
        "0F1E2D3C",
        "203.0.113.9",
        "forgottenperson",
    ];
    // An unknown name cannot be found in a text, so texts that may contain one are left out.
    let said = "김민호 박서준 Zoë Quimby quentin kühn brokerpass7 xhmacsecret7x flagsecret7 hooksecret7 from 203.0.113.9 \
                rtsp://camuser:campass7@cam.invalid/x?key=querysecret7 /dev/v4l/by-id/usb-C920_0F1E2D3C-video-index0";
    let state = json!({
        "user": "quentin", "role": "admin",
        "camera": {"source": "/dev/v4l/by-id/usb-C920_0F1E2D3C-video-index0", "error": format!("{said} {decomposed}")},
        "faces": [{"name": "forgottenperson"}],
        "faults": [
            {"cause": "camera: no pictures", "count": 7, "detail": said},
            {"cause": "http: no free place for a client", "count": 9, "detail": "forgottenperson"},
        ],
    });
    let report = report(Ok(&config), &format!("{said}\n  {decomposed}\n"), state);
    let small = report.to_lowercase();
    for secret in planted {
        let forms =
            [secret.to_lowercase(), secret.to_lowercase().nfc().collect(), secret.to_lowercase().nfd().collect()];
        // A part of a Korean name is hidden only within its whole name.
        if secret != "민호를 " {
            forms.iter().for_each(|form| assert!(!small.contains(form.as_str()), "{secret}:\n{report}"));
        }
    }
    for told in [
        "person-1",
        "\"count\": 7",
        "\"count\": 9",
        "\"faces\": 1",
        "webhook.url = (hidden)",
        "== kernel ==\n",
        "not there: nobody answers\n",
    ] {
        assert!(report.contains(told), "{told}:\n{report}");
    }
    let source = format!("camera.source = pipe:ffmpeg  ({}:3)\n", folder.path().join("namecam.ini").display());
    assert!(report.contains(&source), "{source}:\n{report}");
    assert!(report.len() <= MAX_BYTES, "{}", report.len());
}

#[test]
fn an_invalid_config_is_reported_without_its_lines() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("namecam.ini");
    fs::write(&file, "[mqtt]\npassword badsecret7\nport = portsecret7\nuser = brokeruser7\nusre = typosecret7\nbHVja3lzZWNyZXQ3=\n[sectionsecret7]\n")
        .unwrap();
    let problems =
        Origin { file: Some(file), state_folder: Some("/nowhere".into()), ..Origin::default() }.load().unwrap_err();
    let report = report(Err(&problems), "", json!({}));
    for secret in ["badsecret7", "portsecret7", "brokeruser7", "typosecret7", "bHVja3lzZWNyZXQ3", "sectionsecret7"] {
        assert!(!report.contains(secret), "{report}");
    }
    for told in ["namecam.ini:2: is wrong", "namecam.ini:3: [mqtt] port is wrong", "left out: without a config"] {
        assert!(report.contains(told), "{told}:\n{report}");
    }
}

#[test]
fn a_long_part_is_cut_at_a_line_and_says_so() {
    let lines: String = (0..10_000).map(|n| format!("line {n} 민호\n")).collect();
    for (keep, stays, goes) in [(Keep::First, "line 0 ", "line 9999 "), (Keep::Last, "line 9999 ", "line 0 ")] {
        let short = cut(&lines, 4096, keep);
        assert!(short.len() <= 4096 && short.len() > 3900, "{}", short.len());
        assert!(short.contains(stays) && !short.contains(goes) && short.contains("(cut: "), "{short}");
        assert!(short.lines().all(|line| line.starts_with("line ") || line.starts_with("(cut: ")), "{short}");
    }
    assert_eq!(cut("a\nb", 100, Keep::First), "a\nb");
    // No line fits, so there is only the note.
    assert!(cut(&"x".repeat(5000), 4096, Keep::Last).starts_with("(cut: 5000 of 5000"));
    let report = report(
        Ok(&Config::defaults(std::path::Path::new("/nowhere"))),
        &lines.repeat(9),
        json!({"x": lines.repeat(9)}),
    );
    assert!(report.len() <= MAX_BYTES, "{}", report.len());
}
