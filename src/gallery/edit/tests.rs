use super::*;
use crate::os::process::act_as_owner_of_folder;
use crate::os::tests::child::{again, is_child};
use std::os::unix::fs::{PermissionsExt, symlink};

fn gallery(files: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for file in files {
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
    root
}

/// Every file below a folder, with its content.
fn files_of(root: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.symlink_metadata().unwrap().is_dir() {
                true => folders.push(path),
                false => all.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()),
            }
        }
    }
    all.sort();
    all
}

fn new(stem: &'static str, bytes: &'static [u8]) -> NewPicture<'static> {
    NewPicture { stem, ending: "jpg", bytes }
}

fn person(name: &str) -> Whose {
    Whose::Person(name.to_owned())
}

#[test]
fn a_name_is_stored_composed_and_an_invalid_name_is_refused_with_the_reason() {
    for (text, name) in [
        ("Alice", "Alice"),
        ("  민호 ", "민호"),
        ("\u{1106}\u{1175}\u{11ab}\u{1112}\u{1169}", "민호"),
        ("Ann-Marie O'Neil Jr", "Ann-Marie O'Neil Jr"),
        ("console", "console"),
    ] {
        assert_eq!(person_name(text).unwrap(), name);
    }
    for (text, why) in [
        ("", "empty"),
        ("  ", "empty"),
        ("..", "dot"),
        (".not", "dot"),
        ("a/b", "contains /"),
        ("a\\b", "contains \\"),
        ("a:b", "contains :"),
        ("a\u{0}b", "control"),
        ("a\nb", "control"),
        ("ab\u{202e}c", "direction"),
        ("Alice.", "ends with a dot"),
        ("NUL", "something else"),
        ("com1.txt", "something else"),
        ("lost+found", "something else"),
        ("$RECYCLE.BIN", "something else"),
        (&"a".repeat(256), "255 bytes"),
        (&"민".repeat(86), "255 bytes"),
    ] {
        let Err(Refusal::BadName(told)) = person_name(text) else { panic!("{text:?}") };
        assert!(told.contains(why) && told.ends_with("choose another name"), "{text:?}: {told}");
    }
}

#[test]
fn pictures_of_a_person_are_added_all_or_none_and_nothing_is_overwritten() {
    let root = gallery(&["Alice/1.jpg"]);
    let root = root.path();
    let written = add(root, &person("Alice"), &[new("1", b"new"), new("2", b"2")]).unwrap();
    let shown: Vec<&str> = written.iter().map(|file| &*file.shown).collect();
    assert_eq!(shown, ["Alice/1-2.jpg", "Alice/2.jpg"]);
    assert_eq!(fs::read(root.join("Alice/1.jpg")).unwrap(), b"Alice/1.jpg");
    assert_eq!(fs::read(root.join("Alice/1-2.jpg")).unwrap(), b"new");
    add(root, &person(" Bob"), &[new("1", b"b")]).unwrap();
    add(root, &Whose::Never, &[new("x", b"n")]).unwrap();
    assert_eq!(files_of(root), [".not/x.jpg", "Alice/1-2.jpg", "Alice/1.jpg", "Alice/2.jpg", "Bob/1.jpg"]);
    // The second file cannot be written, so the first one and the new folder are removed again.
    let long: &'static str = Box::leak("x".repeat(255).into_boxed_str());
    let refused = add(root, &person("Carol"), &[new("1", b"c"), new(long, b"c")]);
    assert!(matches!(refused, Err(Refusal::Failed(_))), "{refused:?}");
    assert!(!root.join("Carol").exists());
    assert!(add(root, &person("Alice"), &[new("3", b"c"), new(long, b"c")]).is_err());
    assert!(!root.join("Alice/3.jpg").exists());
    let many = vec![new("y", b"c"); MAX_FILES];
    assert!(matches!(add(root, &person("Alice"), &many), Err(Refusal::Conflict(_))));
}

#[test]
fn a_folder_whose_name_is_stored_decomposed_gets_the_new_pictures() {
    let decomposed: String = "민호".nfd().collect();
    let root = gallery(&[&format!("{decomposed}/1.jpg")]);
    let written = add(root.path(), &person("민호"), &[new("2", b"2")]).unwrap();
    assert_eq!(&*written[0].shown, "민호/2.jpg");
    assert_eq!(files_of(root.path()).len(), 2);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    rename(root.path(), "민호", "민호", false).unwrap();
    assert!(root.path().join("민호/2.jpg").exists(), "the name is composed now");
}

#[test]
fn a_picture_is_deleted_or_moved_only_by_its_name_in_the_roster() {
    let root = gallery(&["Alice/1.jpg", "Alice/2.jpg", "Bob/1.jpg", ".not/x.jpg", "secret.txt"]);
    let root = root.path();
    symlink("/etc/passwd", root.join("Alice/link.jpg")).unwrap();
    for file in
        ["../secret", "/etc/passwd", "Alice/../secret.txt", "secret.txt", "Alice/link.jpg", "Alice", "", "Alice/3.jpg"]
    {
        assert!(matches!(remove_picture(root, file), Err(Refusal::NotFound(_))), "{file}");
        assert!(matches!(picture(root, file), Err(Refusal::NotFound(_))), "{file}");
        assert!(matches!(move_picture(root, file, &person("Bob")), Err(Refusal::NotFound(_))), "{file}");
    }
    assert_eq!(&*move_picture(root, "Alice/1.jpg", &person("Bob")).unwrap().shown, "Bob/1-2.jpg");
    assert_eq!(&*move_picture(root, "Alice/2.jpg", &Whose::Never).unwrap().shown, ".not/2.jpg");
    assert_eq!(&*move_picture(root, ".not/x.jpg", &person("Carol")).unwrap().shown, "Carol/x.jpg");
    remove_picture(root, "Bob/1.jpg").unwrap();
    assert_eq!(files_of(root), [".not/2.jpg", "Alice/link.jpg", "Bob/1-2.jpg", "Carol/x.jpg", "secret.txt"]);
    assert_eq!(fs::read(root.join("Bob/1-2.jpg")).unwrap(), b"Alice/1.jpg");
    // The folder of a person without pictures is removed; the gallery folder stays.
    move_picture(root, "Carol/x.jpg", &person("Bob")).unwrap();
    remove_picture(root, ".not/2.jpg").unwrap();
    assert_eq!(files_of(root), ["Alice/link.jpg", "Bob/1-2.jpg", "Bob/x.jpg", "secret.txt"]);
    assert!(!root.join("Carol").exists() && !root.join(".not").exists() && root.join("Alice").exists());
}

#[test]
fn a_person_is_renamed_and_merged_with_another_one_only_on_request() {
    let root = gallery(&["Alice/1.jpg", "Alice/notes.txt", "Bob/1.jpg"]);
    let root = root.path();
    assert!(matches!(rename(root, "Carol", "Dan", false), Err(Refusal::NotFound(_))));
    assert!(matches!(rename(root, "Alice", "a/b", false), Err(Refusal::BadName(_))));
    assert!(matches!(rename(root, "Alice", "Bob", false), Err(Refusal::Conflict(_))));
    let old = std::time::SystemTime::now() - SETTLED;
    let first = |folder: &str| {
        let mut files: Vec<_> = fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.remove(0)
    };
    fs::File::options().write(true).open(first("Alice")).unwrap().set_modified(old).unwrap();
    let complete = rename(root, "Alice", "Alicia", false).unwrap();
    assert_eq!(complete.iter().map(|file| file.path.clone()).collect::<Vec<_>>(), [first("Alicia")]);
    assert_eq!(files_of(root), ["Alicia/1.jpg", "Alicia/notes.txt", "Bob/1.jpg"]);
    rename(root, "Alicia", "Bob", true).unwrap();
    assert_eq!(files_of(root), ["Bob/1-2.jpg", "Bob/1.jpg", "Bob/notes.txt"]);
    fs::write(root.join("Eve"), "a file").unwrap();
    assert!(matches!(rename(root, "Bob", "Eve", true), Err(Refusal::Conflict(_))));
}

#[test]
fn a_merge_keeps_every_file_and_one_of_what_systems_leave_behind() {
    let root = gallery(&["Alice/IMG", "Alice/1.a.jpg", "Alice/@eaDir/a", "Alice/Thumbs.db", "Alice/.git/a"]);
    let root = root.path();
    for file in ["IMG", "1.a.jpg", "@eaDir/b", "Thumbs.db", ".git/b"] {
        let path = root.join("Bob").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "Bob").unwrap();
    }
    rename(root, "Alice", "Bob", true).unwrap();
    let all = [".git-2/a", ".git/b", "1.a-2.jpg", "1.a.jpg", "@eaDir/b", "IMG", "IMG-2", "Thumbs.db"];
    assert_eq!(files_of(root), all.map(|file| format!("Bob/{file}")));
    assert_eq!(
        ["IMG", "IMG-2"].map(|file| fs::read_to_string(root.join("Bob").join(file)).unwrap()),
        ["Bob", "Alice/IMG"]
    );
}

#[test]
fn a_file_is_never_replaced_however_many_have_its_name() {
    let root = gallery(&["Alice/1.jpg", "Bob/1.jpg"]);
    for number in 2..=MAX_FILES + 1 {
        fs::write(root.path().join(format!("Bob/1-{number}.jpg")), "").unwrap();
    }
    let refused = move_picture(root.path(), "Alice/1.jpg", &person("Bob"));
    assert!(matches!(&refused, Err(Refusal::Failed(why)) if why.contains("rename some")), "{refused:?}");
    assert!(rename(root.path(), "Alice", "Bob", true).is_err());
    assert_eq!(fs::read(root.path().join("Bob/1.jpg")).unwrap(), b"Bob/1.jpg");
}

#[test]
fn a_person_gets_no_name_under_which_the_gallery_has_a_link() {
    let root = gallery(&["alice/1.jpg"]);
    let root = root.path();
    symlink(root.join("alice"), root.join("Alice")).unwrap();
    assert!(matches!(rename(root, "alice", "Alice", true), Err(Refusal::Conflict(_))));
    assert_eq!(files_of(root), ["Alice", "alice/1.jpg"]);
}

#[test]
fn a_picture_that_may_not_be_moved_leaves_no_empty_folder() {
    const THIS: &str = "a_picture_that_may_not_be_moved_leaves_no_empty_folder";
    if !is_child() {
        // The test needs a process of its own: root may move anything, so the process becomes another user.
        // The other user cannot delete the gallery, so it is in a folder of this process.
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(again(module_path!(), THIS).env("TMPDIR", folder.path()).status().unwrap().success());
        return;
    }
    let root = gallery(&["Alice/1.jpg"]);
    let root = root.path();
    fs::set_permissions(root.join("Alice"), fs::Permissions::from_mode(0o555)).unwrap();
    // Only root may give a folder to another user; any other user cannot move the picture as it is.
    let _ = std::os::unix::fs::chown(root, Some(65_534), Some(65_534));
    act_as_owner_of_folder(&root.join("x")).unwrap();
    let refused = move_picture(root, "Alice/1.jpg", &person("Carol"));
    assert!(matches!(refused, Err(Refusal::Failed(_))), "{refused:?}");
    assert!(root.join("Alice/1.jpg").exists() && !root.join("Carol").exists());
    let _ = fs::set_permissions(root.join("Alice"), fs::Permissions::from_mode(0o755));
}

#[test]
fn removing_a_person_deletes_all_their_files_and_no_target_of_a_link() {
    let root = gallery(&["Alice/1.jpg", "Alice/deep/2.jpg", "Bob/1.jpg"]);
    let root = root.path();
    symlink(root.join("Bob"), root.join("Alice/bob")).unwrap();
    assert_eq!(remove_person(root, "Alice").unwrap(), 3);
    assert_eq!(files_of(root), ["Bob/1.jpg"]);
    assert!(matches!(remove_person(root, "Alice"), Err(Refusal::NotFound(_))));
    assert!(matches!(remove_person(root, ".not"), Err(Refusal::NotFound(_))));
    assert!(matches!(remove_person(root, "../x"), Err(Refusal::NotFound(_))));
}

#[test]
fn an_unwritable_folder_is_reported_with_the_remedy() {
    // Root may write anywhere.
    // SAFETY: geteuid has no arguments and cannot fail.
    if unsafe { libc::geteuid() } == 0 {
        let refused = failed(Path::new("/srv/gallery"), "Alice B/1.jpg", &ErrorKind::PermissionDenied.into());
        let told =
            "Alice B/1.jpg: namecam may not write there; this allows it: sudo chmod -R g+w '/srv/gallery/Alice B'";
        assert_eq!(refused, Refusal::Failed(told.into()));
        return;
    }
    let root = gallery(&["Alice/1.jpg"]);
    fs::set_permissions(root.path().join("Alice"), fs::Permissions::from_mode(0o500)).unwrap();
    let Err(Refusal::Failed(why)) = add(root.path(), &person("Alice"), &[new("2", b"2")]) else { panic!("written") };
    assert!(why.contains("sudo chmod -R g+w "), "{why}");
}
