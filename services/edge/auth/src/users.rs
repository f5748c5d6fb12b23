//! The users file: one user a line, `name:hash:cameras`.

use std::collections::HashMap;

use fanlight_ops::exit::ConfigProblem;

use crate::signed::Key;
use crate::{Cameras, passwords};

/// Somebody with a password.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) hash: String,
    /// What stands in the operator's file: the hash, or a plain password. Another one ends the
    /// user's sessions.
    pub(crate) origin: String,
    pub(crate) cameras: Cameras,
}

impl User {
    /// Goes into the cookie. It is the same on every replica and after every restart, and without
    /// the key there is nothing to guess from it.
    pub(crate) fn print(&self, key: &Key) -> String {
        key.print("password", &self.origin)
    }
}

pub(crate) type Users = HashMap<String, User>;

/// A line of the users file.
#[must_use]
pub fn user_line(name: &str, hash: &str, cameras: &str) -> String {
    format!("{name}:{hash}:{cameras}")
}

/// Whether a text can be a user's name. Names go into logs and cookies: letters, digits and `._@-`, at most 64.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._@-".contains(c);
    (1..=64).contains(&name.len()) && name.chars().all(fits)
}

/// All users of a file. Empty lines and those that begin with `#` are left out.
///
/// # Errors
/// Every line that cannot be used, by its number; no text of the file is repeated, since a
/// password may stand where a hash should.
pub(crate) fn parse(text: &str) -> Result<Users, Vec<ConfigProblem>> {
    let mut users = Users::new();
    let mut problems = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match parse_line(line) {
            Ok((name, user)) => {
                if users.insert(name, user).is_some() {
                    problems.push(problem(
                        index,
                        "this name was there before",
                        "name each user once",
                    ));
                }
            }
            Err((what, remedy)) => problems.push(problem(index, what, remedy)),
        }
    }
    if problems.is_empty() {
        Ok(users)
    } else {
        Err(problems)
    }
}

/// The number of users in the text of a users file.
///
/// # Errors
/// Every line that cannot be used, as at the start of a service.
pub fn check(text: &str) -> Result<usize, Vec<ConfigProblem>> {
    parse(text).map(|users| users.len())
}

fn problem(index: usize, what: &str, remedy: &str) -> ConfigProblem {
    ConfigProblem::new(
        "--users-file",
        format!("line {}: {what}", index + 1),
        remedy,
    )
}

fn parse_line(line: &str) -> Result<(String, User), (&'static str, &'static str)> {
    let mut fields = line.splitn(3, ':');
    let (name, hash) = (fields.next().unwrap_or_default(), fields.next());
    let hash = hash.ok_or((
        "there is no `:`",
        "write NAME:HASH:CAMERAS, as `fanlight-edge hash-password` prints it",
    ))?;
    if !is_name(name) {
        return Err((
            "the name is not one",
            "use 1 to 64 of letters, digits and `._@-`",
        ));
    }
    if !passwords::is_hash(hash) {
        return Err((
            "the second field is no argon2id hash",
            "let `fanlight-edge hash-password` make it",
        ));
    }
    let patterns = fields.next().unwrap_or("*").trim();
    let patterns = if patterns.is_empty() { "*" } else { patterns };
    let cameras = Cameras::from_patterns(patterns.split(',').map(str::trim)).map_err(|_| {
        (
            "a camera pattern is not one",
            "write camera ids, or the start of ids and `*`, separated by commas",
        )
    })?;
    Ok((
        name.to_owned(),
        User {
            hash: hash.to_owned(),
            origin: hash.to_owned(),
            cameras,
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$ZhFj7GlVJy5Hd7UmTMZ9SZ9yUaVkV8s3R2Oe8rnCSsQ";

    #[test]
    fn users_and_their_cameras() {
        let users = parse(&format!(
            "# the family\n\nanna:{HASH}:gate, yard-*\nben:{HASH}:\ncleo:{HASH}\n"
        ))
        .unwrap_or_default();
        assert_eq!(users.len(), 3);
        assert!(users["anna"].cameras.contains("yard-2"));
        assert!(!users["anna"].cameras.contains("vault"));
        assert_eq!(users["ben"].cameras, Cameras::All);
        assert_eq!(users["cleo"].cameras, Cameras::All);
    }

    #[test]
    fn every_bad_line_is_named_and_none_is_repeated() {
        let text = format!(
            "anna\nb b:{HASH}:*\ncleo:hunter2:*\ndora:{HASH}:Gate\neve:{HASH}\neve:{HASH}\n"
        );
        let Err(problems) = parse(&text) else {
            panic!("it was taken")
        };
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        for (line, text) in [1, 2, 3, 4, 6].iter().zip(&told) {
            assert!(text.contains(&format!("line {line}:")), "{text}");
        }
        assert_eq!(told.len(), 5);
        assert!(!told.concat().contains("hunter2"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_safe(text in "(?s).{0,300}") {
            let _users = parse(&text);
        }
    }
}
