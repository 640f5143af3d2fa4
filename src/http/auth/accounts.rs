//! The password file: a line `user:role:hash` for each user, and a line `name:role:sha256:hash` for each token of a
//! program. [`Accounts::load`] reads it; [`passwd`], [`new_token`] and [`remove`] write it.

use crate::http::auth::secret;
use crate::os::files;
use anyhow::{Context, Result, bail};
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Watch.
    Viewer,
    /// Watch, see and change the gallery, see the chips of faces in view, and change the settings.
    Admin,
}

impl Role {
    /// The word of the role in the password file.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Admin => "admin",
        }
    }

    /// The role with this word.
    pub fn from_word(word: &str) -> Option<Role> {
        [Role::Viewer, Role::Admin].into_iter().find(|role| role.as_str() == word)
    }
}

/// The memory of one check in KiB, and its rounds: 0.1 s on a small board.
const COST: (u32, u32) = (19_456, 2);
/// The most memory (KiB) and rounds of a hash that is accepted; a check of a larger one would block a small board.
const MAX_COST: (u32, u32) = (262_144, 16);

/// The prefix of the digest of a token. A token has 128 random bits, so a slow hash would not protect it better.
const TOKEN: &str = "sha256:";
/// Passwords with fewer characters are weak: NIST SP 800-63B-4, 3.1.1.2, for a password without a second factor.
const SHORT: usize = 15;

struct Account {
    role: Role,
    proof: Proof,
    /// The hash as in the file.
    text: String,
}

/// The secret by which an account is verified.
enum Proof {
    Password(Box<PasswordHash>),
    /// The SHA-256 of a token.
    Token([u8; 32]),
}

impl Account {
    fn password(&self) -> Option<&PasswordHash> {
        match &self.proof {
            Proof::Password(hash) => Some(hash),
            Proof::Token(_) => None,
        }
    }
}

/// The users and programs that may watch.
#[derive(Default)]
pub struct Accounts {
    users: BTreeMap<String, Account>,
    /// Problems that make the file useless or unsafe, as sentences for the log.
    warnings: Vec<String>,
}

impl Accounts {
    /// Reads a password file. Blank lines and lines that begin with `#` are comments.
    ///
    /// # Errors
    /// Every problem, with its line number.
    pub fn load(path: &Path) -> Result<Accounts, Vec<String>> {
        let shown = path.display();
        let read = fs::read_to_string(path);
        let text = read.map_err(|error| vec![format!("{shown}: cannot be read: {error}")])?;
        let mut accounts = Accounts::default();
        let mut problems = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match read_line(line) {
                Ok((user, _)) if accounts.users.contains_key(&user) => {
                    problems.push(format!(
                        "{shown}, line {number}: the user {user} is already on an earlier line; remove one of the two"
                    ));
                }
                Ok((user, account)) => drop(accounts.users.insert(user, account)),
                Err(what) => problems.push(format!("{shown}, line {number}: {what}")),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        if accounts.users.is_empty() {
            accounts.warnings.push(format!("{shown}: has no users, so no one can watch; add one with namecam passwd"));
        }
        if fs::metadata(path).is_ok_and(|meta| meta.mode() & 0o004 != 0) {
            accounts.warnings.push(format!("{shown}: every user of this machine can read it; run chmod o-r {shown}"));
        }
        Ok(accounts)
    }

    /// Logs the problems that make the file useless or unsafe.
    pub fn warn(&self) {
        self.warnings.iter().for_each(|warning| log::warn!("{warning}"));
    }

    /// The role of `user`; the password is not checked.
    pub fn role(&self, user: &str) -> Option<Role> {
        self.users.get(user).map(|account| account.role)
    }

    /// The hash of `user` as in the file.
    pub fn hash(&self, user: &str) -> Option<&str> {
        self.users.get(user).map(|account| account.text.as_str())
    }

    /// Each name with its role, and whether it is a token.
    pub fn list(&self) -> impl Iterator<Item = (&str, Role, bool)> {
        self.users.iter().map(|(name, account)| (name.as_str(), account.role, account.password().is_none()))
    }

    /// The name and the role of `token`.
    pub fn of_token(&self, token: &str) -> Option<(&str, Role)> {
        let digest = <[u8; 32]>::from(Sha256::digest(token));
        let is_it = |account: &Account| matches!(account.proof, Proof::Token(known) if known == digest);
        self.users.iter().find(|(_, account)| is_it(account)).map(|(name, account)| (name.as_str(), account.role))
    }

    /// The role of `user` when `password` is right. The time it takes does not show whether `user` exists.
    pub fn verify(&self, user: &str, password: &str) -> Option<Role> {
        let known = self.users.get(user).filter(|account| account.password().is_some());
        let account = known.or_else(|| self.stand_in(user))?;
        let right = Argon2::default().verify_password(password.as_bytes(), account.password()?).is_ok();
        (right && known.is_some()).then_some(account.role)
    }

    /// The account whose hash is checked for a user who does not exist. Checks of different hashes may take different
    /// times. If one hash stood in for all such users, a check of another duration would reveal that its user exists.
    /// So each unknown name is mapped to one of the accounts, the same one until the file changes; the mapping is
    /// unknown without the file.
    fn stand_in(&self, user: &str) -> Option<&Account> {
        let mut hash = Sha256::new();
        self.users.values().for_each(|account| hash.update(&account.text));
        hash.update(user);
        let number = hash.finalize().iter().take(8).fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
        let with_password = || self.users.values().filter(|account| account.password().is_some());
        with_password().nth(number.checked_rem(with_password().count() as u64)? as usize)
    }
}

fn read_line(line: &str) -> Result<(String, Account), String> {
    let mut parts = line.splitn(3, ':');
    let (Some(user), Some(role), Some(hash)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("must be user:role:hash; write it with namecam passwd".to_owned());
    };
    check_user(user)?;
    let role = Role::from_word(role).ok_or_else(|| format!("role {role}: must be viewer or admin"))?;
    let text = hash.to_owned();
    if let Some(digest) = hash.strip_prefix(TOKEN) {
        let digest =
            files::from_hex(digest).ok_or("the token is damaged; make a new one with namecam passwd --token")?;
        return Ok((user.to_owned(), Account { role, proof: Proof::Token(digest), text }));
    }
    let hash =
        PasswordHash::new(hash).map_err(|_| "the hash is damaged; write a new one with namecam passwd".to_owned())?;
    let params = Params::try_from(&hash).ok().filter(|p| p.m_cost() <= MAX_COST.0 && p.t_cost() <= MAX_COST.1);
    if hash.algorithm.as_str() != "argon2id" || hash.salt.is_none() || hash.hash.is_none() || params.is_none() {
        let (m, t) = MAX_COST;
        return Err(format!(
            "the hash must be argon2id with m <= {m} and t <= {t}; write a new one with namecam passwd"
        ));
    }
    Ok((user.to_owned(), Account { role, proof: Proof::Password(Box::new(hash)), text }))
}

/// Parses any bytes as lines of a password file.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    for line in String::from_utf8_lossy(bytes).lines() {
        if let Ok((user, _)) = read_line(line) {
            assert!(check_user(&user).is_ok());
        }
    }
}

fn check_user(user: &str) -> Result<(), String> {
    let bad = |c: char| c == ':' || c.is_control() || c.is_whitespace();
    if user.is_empty() || user.len() > 64 || user.starts_with('#') || user.contains(bad) {
        return Err("a user name must have 1 to 64 bytes, no spaces or colons, and must not begin with #".to_owned());
    }
    Ok(())
}

/// The role of a user or token in the password file; `None` when the file does not have them.
pub fn role_in(file: &Path, name: &str) -> Option<Role> {
    let text = fs::read_to_string(file).ok()?;
    let mut line = text.lines().map(|line| line.trim().split(':')).find(|line| line.clone().next() == Some(name))?;
    line.nth(1).and_then(Role::from_word)
}

/// Whether `name` is a token or a user; `None` when the file cannot be read or does not have the name.
fn is_token(file: &Path, name: &str) -> Option<bool> {
    let accounts = Accounts::load(file).ok()?;
    accounts.list().find(|(known, ..)| *known == name).map(|(.., is_token)| is_token)
}

/// Adds `user` to the password file, or changes their role and password. Other lines stay unchanged. The file is
/// replaced atomically and keeps its owner and mode; a new file has mode 0600.
///
/// # Errors
/// When the name or the password is not allowed or the name is a token's, or the file cannot be read or written.
pub fn passwd(file: &Path, user: &str, role: Role, password: &str) -> Result<()> {
    if is_token(file, user) == Some(true) {
        bail!("{user} is a token; choose another name for the user, or remove the token first");
    }
    set_line(file, user, &line(user, role, password)?)
}

/// The line of a user with a new hash, which takes a tenth of a second on a small board.
///
/// # Errors
/// When the password is not allowed.
pub fn line(user: &str, role: Role, password: &str) -> Result<String> {
    if password.is_empty() || password.len() > 256 || password.contains(char::is_control) {
        bail!("a password must have 1 to 256 bytes and no control characters");
    }
    let params = Params::new(COST.0, COST.1, 1, None).map_err(|error| anyhow::anyhow!("{error}"))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon2.hash_password(password.as_bytes()).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(format!("{user}:{}:{hash}", role.as_str()))
}

/// Writes the line of a user that [`line()`] made, in place of their old one if there is one.
///
/// # Errors
/// When the name is not allowed, or the file cannot be read or written.
pub fn set_line(file: &Path, user: &str, line: &str) -> Result<()> {
    write(file, user, Some(line))
}

/// Makes a token for the program `name`, replacing its old one. The file contains only a digest of the token.
///
/// # Errors
/// When `name` is not allowed or is a user's, or the file cannot be read or written.
pub fn new_token(file: &Path, name: &str, role: Role) -> Result<String> {
    if is_token(file, name) == Some(false) {
        bail!("{name} is a user with a password; choose another name for the token");
    }
    let token = format!("namecam_{}", files::hex(&secret::random_128()?));
    let digest = files::hex(&Sha256::digest(&token));
    write(file, name, Some(&format!("{name}:{}:{TOKEN}{digest}", role.as_str())))?;
    Ok(token)
}

/// Removes a user or a token.
///
/// # Errors
/// When there is none of that name, or the file cannot be read or written.
pub fn remove(file: &Path, name: &str) -> Result<()> {
    write(file, name, None)
}

/// Why `password` is easy to guess; `None` if it is not known to be.
pub fn weakness(user: &str, password: &str) -> Option<&'static str> {
    let lower = password.to_lowercase();
    let letters: Vec<char> = lower.chars().collect();
    if letters.len() < SHORT {
        return Some("it has fewer than 15 characters");
    }
    let user: Vec<char> = user.to_lowercase().chars().collect();
    // The number of characters that are not part of a known piece.
    let (mut at, mut own) = (0, 0);
    while at < letters.len() {
        let known = known_piece(&letters, at, &user);
        own += usize::from(known == 0);
        at += known.max(1);
    }
    (own < SHORT / 2).then_some("it consists of common words, rows of the keyboard, repetitions or the user name")
}

/// The length of the longest easily guessed piece that begins at `at`: a repetition, a row, a common word or the user
/// name.
fn known_piece(letters: &[char], at: usize, user: &[char]) -> usize {
    let rest = &letters[at..];
    let same = |piece: &[char]| rest.iter().zip(piece).take_while(|(a, b)| a == b).count();
    let whole = |piece: &[char]| if piece.len() > 2 && same(piece) == piece.len() { piece.len() } else { 0 };
    let repeated = (0..at).map(|from| same(&letters[from..])).max().unwrap_or(0);
    let in_row = |row: &str| {
        let row: Vec<char> = row.chars().collect();
        let back: Vec<char> = row.iter().rev().copied().collect();
        let longest = |row: &[char]| (0..row.len()).map(|from| same(&row[from..])).max().unwrap_or(0);
        longest(&row).max(longest(&back))
    };
    let rows = ROWS.iter().map(|row| in_row(row)).max().unwrap_or(0);
    let words = COMMON.iter().map(|word| whole(&word.chars().collect::<Vec<_>>())).max().unwrap_or(0);
    // Two repeated letters, or two neighbours on the keyboard, may be chance.
    [repeated, rows].into_iter().filter(|length| *length > 2).max().unwrap_or(0).max(words).max(whole(user))
}

/// Rows of keys and letters that passwords are made of.
const ROWS: &[&str] = &[
    "12345678901234567890",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "1qaz2wsx3edc4rfv5tgb",
    "abcdefghijklmnopqrstuvwxyz",
];

/// Words at the top of lists of common passwords, and words that a camera suggests; Korean ones also as typed on an
/// English keyboard.
const COMMON: &[&str] = &[
    "password",
    "passwort",
    "p@ssw0rd",
    "passw0rd",
    "qwerty",
    "letmein",
    "welcome",
    "iloveyou",
    "admin",
    "administrator",
    "login",
    "monkey",
    "dragon",
    "football",
    "baseball",
    "master",
    "sunshine",
    "princess",
    "shadow",
    "superman",
    "batman",
    "trustno",
    "secret",
    "hello",
    "changeme",
    "default",
    "guest",
    "user",
    "root",
    "test",
    "love",
    "home",
    "house",
    "family",
    "camera",
    "namecam",
    "raspberry",
    "raspberrypi",
    "jetson",
    "nvidia",
    "summer",
    "winter",
    "spring",
    "autumn",
    "korea",
    "seoul",
    "correct horse battery staple",
    "correcthorsebatterystaple",
    "비밀번호",
    "사랑해",
    "안녕하세요",
    "대한민국",
    "카메라",
    "우리집",
    "qlalfqjsgh",
    "tkfkdgo",
    "dkssudgktpdy",
    "eogksalsrnr",
];

/// Replaces the line of `name` with `new`, or appends it; `None` removes the line.
fn write(file: &Path, name: &str, new: Option<&str>) -> Result<()> {
    if let Err(what) = check_user(name) {
        bail!(what);
    }
    // The target of a link is replaced, so that the link stays a link.
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let shown = file.display();
    let old = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => bail!(
            "cannot read {shown}: permission denied; run this with sudo, and if that does not help, give the file to the \
             owner of its folder (chown)"
        ),
        Err(error) => return Err(error).with_context(|| format!("cannot read {shown}")),
    };
    let is_theirs = |line: &&str| line.trim().split(':').next() == Some(name);
    let mut lines: Vec<&str> = old.lines().collect();
    match (lines.iter().position(is_theirs), new) {
        (Some(at), Some(new)) => lines[at] = new,
        (Some(at), None) => drop(lines.remove(at)),
        (None, Some(new)) => lines.push(new),
        (None, None) => bail!("{shown} has no user or token {name}; namecam passwd --list shows them"),
    }
    files::replace(&file, (lines.join("\n") + "\n").as_bytes()).with_context(|| format!("cannot write {shown}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_written_user_can_log_in_and_a_wrong_password_or_name_cannot() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("passwords");
        passwd(&file, "anna", Role::Viewer, "ein Wort: geheim").unwrap();
        passwd(&file, "민호", Role::Admin, "비밀").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        let accounts = Accounts::load(&file).ok().unwrap();
        assert!(accounts.warnings.is_empty());
        assert_eq!(accounts.verify("anna", "ein Wort: geheim"), Some(Role::Viewer));
        assert_eq!(accounts.verify("민호", "비밀"), Some(Role::Admin));
        assert_eq!(accounts.verify("anna", "비밀"), None);
        assert_eq!(accounts.verify("nobody", "ein Wort: geheim"), None);
    }

    #[test]
    fn a_check_of_an_unknown_user_costs_as_much_as_one_in_the_file_and_always_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("passwords");
        let mut text = String::new();
        for (user, m_cost) in [("anna", 8), ("bob", 16), ("carl", 32)] {
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(m_cost, 1, 1, None).unwrap());
            text += &format!("{user}:viewer:{}\n", argon2.hash_password(b"x").unwrap());
        }
        fs::write(&file, &text).unwrap();
        let costs = |accounts: &Accounts| -> Vec<u32> {
            let stand_ins = (0..300).map(|i| accounts.stand_in(&format!("nobody{i}")).unwrap());
            stand_ins.map(|account| Params::try_from(account.password().unwrap()).unwrap().m_cost()).collect()
        };
        let (accounts, again) = (Accounts::load(&file).ok().unwrap(), Accounts::load(&file).ok().unwrap());
        let first = costs(&accounts);
        for cost in [8, 16, 32] {
            let share = first.iter().filter(|&&c| c == cost).count();
            // 100 of 300 are expected, with a deviation of 8.
            assert!((50..150).contains(&share), "{share} of 300 cost {cost}");
        }
        assert_eq!(first, costs(&again), "after a restart too");
        fs::write(&file, text.lines().rev().map(|line| line.replace("viewer", "admin") + "\n").collect::<String>())
            .unwrap();
        assert_eq!(first, costs(&Accounts::load(&file).ok().unwrap()), "the order of lines does not matter");
        passwd(&file, "anna", Role::Viewer, "y").unwrap();
        assert_ne!(first, costs(&Accounts::load(&file).ok().unwrap()), "the mapping depends on the secret hashes");
        assert_eq!((accounts.verify("nobody", "x"), Accounts::default().verify("nobody", "x")), (None, None));
    }

    #[test]
    fn a_new_password_replaces_only_that_line_and_keeps_the_mode() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("passwords");
        passwd(&file, "anna", Role::Viewer, "old").unwrap();
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("# the family\n\n{text}# end")).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        passwd(&file, "anna", Role::Admin, "new").unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("# the family\n\nanna:admin:$argon2id$") && text.ends_with("\n# end\n"), "{text}");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let accounts = Accounts::load(&file).ok().unwrap();
        assert_eq!((accounts.verify("anna", "old"), accounts.verify("anna", "new")), (None, Some(Role::Admin)));
    }

    #[test]
    fn every_bad_line_is_named_with_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("passwords");
        passwd(&file, "anna", Role::Viewer, "x").unwrap();
        let good = fs::read_to_string(&file).unwrap();
        let weak = good.replace("anna", "eve").replace("m=19456", "m=999999");
        fs::write(&file, format!("{good}\nbob\n# fine\ncarl:boss:x\ndora:viewer:plain\n{weak}{good}")).unwrap();
        let problems = Accounts::load(&file).err().unwrap();
        let lines: Vec<&str> = problems.iter().filter_map(|p| p.split("line ").nth(1)?.split(':').next()).collect();
        assert_eq!(lines, ["3", "5", "6", "7", "8"], "{problems:#?}");
    }

    #[test]
    fn a_file_that_every_user_can_read_or_without_users_gives_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("passwords");
        fs::write(&file, "# no users yet\n").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(Accounts::load(&file).ok().unwrap().warnings.len(), 2);
        assert!(Accounts::load(&folder.path().join("absent")).err().unwrap()[0].contains("cannot be read"));
    }

    #[test]
    fn a_token_is_found_by_its_digest_and_a_damaged_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("passwords");
        let token = new_token(&file, "ha", Role::Viewer).unwrap();
        passwd(&file, "anna", Role::Admin, "x").unwrap();
        let accounts = Accounts::load(&file).ok().unwrap();
        assert_eq!(accounts.list().collect::<Vec<_>>(), [("anna", Role::Admin, false), ("ha", Role::Viewer, true)]);
        assert_eq!(accounts.of_token(&token), Some(("ha", Role::Viewer)));
        let digest = accounts.hash("ha").unwrap().strip_prefix(TOKEN).unwrap();
        for wrong in ["", "x", digest, &token[1..]] {
            assert_eq!(accounts.of_token(wrong), None, "{wrong}");
        }
        assert_eq!(accounts.verify("ha", &token), None, "a token is no password");
        let good = fs::read_to_string(&file).unwrap();
        for damage in [&digest[1..], &digest.replace(|c: char| c.is_ascii_digit(), "g"), ""] {
            fs::write(&file, good.replace(digest, damage)).unwrap();
            assert!(Accounts::load(&file).err().unwrap()[0].contains("line 1: the token is damaged"), "{damage}");
        }
        fs::write(&file, good).unwrap();
        remove(&file, "anna").unwrap();
        assert_eq!(Accounts::load(&file).ok().unwrap().list().count(), 1);
        assert!(remove(&file, "anna").unwrap_err().to_string().contains("no user or token anna"));
        // Without any password, an unknown user has no hash to be compared with.
        assert_eq!(Accounts::load(&file).ok().unwrap().verify("anna", "x"), None);
    }

    #[test]
    fn short_and_common_passwords_are_called_weak() {
        for weak in [
            "",
            "correct horse",
            "비밀번호가깁니다",
            "aaaaaaaaaaaaaaaaaaaa",
            "passwordpassword",
            "1234567890123456",
            "qwertyuiopasdfg",
            "Kim.Minho-Kim.Minho1",
        ] {
            assert!(weakness("kim.minho", weak).is_some(), "{weak}");
        }
        for good in [
            "correct horse battery",
            "우리집카메라는현관문앞에있습니다",
            "k4wqmz8dpt2hx6ay",
            "the camera at the blue door",
        ] {
            assert_eq!(weakness("kim.minho", good), None, "{good}");
        }
    }

    #[test]
    fn names_and_passwords_that_the_file_cannot_hold_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("passwords");
        for (user, password) in [("a:b", "x"), ("", "x"), ("#a", "x"), ("a\nb", "x"), ("a", ""), ("a", "x\ny")] {
            assert!(passwd(&file, user, Role::Viewer, password).is_err(), "{user:?} {password:?}");
        }
        assert!(!file.exists());
    }
}
