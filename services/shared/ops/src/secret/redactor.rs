//! Finds what is secret in a text. Known secrets are looked for in every form they may take;
//! unknown ones by shape. Where a shape is ambiguous it hides too much rather than too little.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{LazyLock, PoisonError, RwLock};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use regex::{Captures, Regex};

/// What stands where a secret was.
pub const REDACTED: &str = "[redacted]";

/// Secrets shorter than this are replaced only where they stand alone: replacing every `1` or
/// `ab` would make logs unreadable and hide nothing more.
const SHORT: usize = 4;

/// What JavaScript's `encodeURIComponent` leaves as it is.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// What RFC 3986 3.2.1 lets stand in userinfo without encoding.
const USERINFO: &AsciiSet = &COMPONENT
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=');

/// Every form of every secret registered in this process, the longest first.
static REGISTERED: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// Redacts with secrets of its own besides those of the process, for a secret that is known to
/// one place only.
#[derive(Clone, Default)]
pub struct Redactor {
    forms: Vec<String>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor")
            .field("forms", &self.forms.len())
            .finish()
    }
}

impl Redactor {
    /// Without secrets of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Also hides `secret`, in every form.
    #[must_use]
    pub fn with_secret(mut self, secret: &str) -> Self {
        add_forms(&mut self.forms, secret);
        self
    }

    /// Removes everything secret, as [`redact`](super::redact), and this redactor's own secrets.
    #[must_use]
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        redact_with(&self.forms, text)
    }
}

pub(super) fn register(secret: &str) {
    let mut registered = REGISTERED.write().unwrap_or_else(PoisonError::into_inner);
    add_forms(&mut registered, secret);
}

/// Only the registered secrets, not the shapes.
pub(crate) fn redact_registered(text: &str) -> Cow<'_, str> {
    let registered = REGISTERED.read().unwrap_or_else(PoisonError::into_inner);
    replace_forms(&registered, Cow::Borrowed(text))
}

pub(super) fn redact_with<'t>(own: &[String], text: &'t str) -> Cow<'t, str> {
    let text = replace_forms(own, Cow::Borrowed(text));
    let text = match redact_registered(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(changed) => Cow::Owned(changed),
    };
    SHAPES.iter().fold(text, |text, shape| shape.apply(text))
}

fn add_forms(forms: &mut Vec<String>, secret: &str) {
    let known: BTreeSet<String> = forms_of(secret)
        .into_iter()
        .chain(forms.drain(..))
        .collect();
    forms.extend(known);
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
}

/// The secret as given and percent-decoded, each also percent-encoded in the usual ways and
/// escaped as in JSON and in Rust's `{:?}`.
fn forms_of(secret: &str) -> BTreeSet<String> {
    let mut bases = BTreeSet::from([secret.to_owned()]);
    if let Ok(decoded) = percent_decode_str(secret).decode_utf8() {
        bases.insert(decoded.into_owned());
    }
    let mut forms = BTreeSet::new();
    for base in bases {
        for set in [NON_ALPHANUMERIC, COMPONENT, USERINFO] {
            let encoded = utf8_percent_encode(&base, set).to_string();
            forms.insert(lower_hex(&encoded));
            forms.insert(encoded.replace("%20", "+"));
            forms.insert(encoded);
        }
        forms.insert(unquoted(&format!("{base:?}")));
        if let Ok(json) = serde_json::to_string(&base) {
            forms.insert(unquoted(&json));
        }
        forms.insert(base);
    }
    forms.retain(|form| !form.trim().is_empty() && form != REDACTED);
    forms
}

fn unquoted(quoted: &str) -> String {
    quoted[1..quoted.len() - 1].to_owned()
}

/// `%2F` to `%2f`, the rest untouched.
fn lower_hex(encoded: &str) -> String {
    let mut hex = 0;
    encoded
        .chars()
        .map(|c| match c {
            '%' => {
                hex = 2;
                c
            }
            _ if hex > 0 => {
                hex -= 1;
                c.to_ascii_lowercase()
            }
            _ => c,
        })
        .collect()
}

fn replace_forms<'t>(forms: &[String], mut text: Cow<'t, str>) -> Cow<'t, str> {
    for form in forms {
        if !text.contains(form.as_str()) {
            continue;
        }
        text = Cow::Owned(if form.len() >= SHORT {
            text.replace(form.as_str(), REDACTED)
        } else {
            replace_alone(&text, form)
        });
    }
    text
}

/// Replaces `form` only where no letter or digit touches it.
fn replace_alone(text: &str, form: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut end = 0;
    for (at, _) in text.match_indices(form) {
        let after = at + form.len();
        let touches = text[..at]
            .chars()
            .next_back()
            .is_some_and(char::is_alphanumeric)
            || text[after..]
                .chars()
                .next()
                .is_some_and(char::is_alphanumeric);
        if !touches {
            out.push_str(&text[end..at]);
            out.push_str(REDACTED);
            end = after;
        }
    }
    out.push_str(&text[end..]);
    out
}

/// A way secrets look when nobody registered them.
struct Shape {
    pattern: Regex,
    /// What to put in place of a match; `None` leaves it as it is.
    replace: fn(&Captures<'_>) -> Option<String>,
}

impl Shape {
    #[allow(
        clippy::expect_used,
        reason = "the patterns are constants and every test builds them"
    )]
    fn new(pattern: &str, replace: fn(&Captures<'_>) -> Option<String>) -> Self {
        Self {
            pattern: Regex::new(pattern).expect("a valid pattern"),
            replace,
        }
    }

    fn apply<'t>(&self, text: Cow<'t, str>) -> Cow<'t, str> {
        if !self.pattern.is_match(&text) {
            return text;
        }
        let changed = self.pattern.replace_all(&text, |found: &Captures<'_>| {
            (self.replace)(found).unwrap_or_else(|| found[0].to_owned())
        });
        Cow::Owned(changed.into_owned())
    }
}

const KEYS: &str =
    r"(?:pass(?:word|wd|phrase)?|pwd|token|secret|api[_-]?key|credentials?|signature|jwt|seed)";

/// Whether a field or query key of this name holds a secret.
pub(crate) fn is_sensitive_key(key: &str) -> bool {
    static KEY: LazyLock<Regex> = LazyLock::new(|| {
        Shape::new(
            &format!("(?i)(?:^|[_.-]){KEYS}$|^(?:authorization|(?:set-)?cookie)$"),
            |_| None,
        )
        .pattern
    });
    KEY.is_match(key)
}

static SHAPES: LazyLock<Vec<Shape>> = LazyLock::new(|| {
    vec![
        // scheme://user:password@host, up to the last `@` of the word: a raw `@` or `/` in the
        // password is a mistake people make.
        Shape::new(r#"(?i)\b([a-z][a-z0-9+.-]*://)([^\s"'<>`]*)@"#, |found| {
            has_userinfo(&found[2]).then(|| format!("{}{REDACTED}@", &found[1]))
        }),
        // scheme://user:password with the host lost, as when the password holds a space.
        Shape::new(
            r#"(://[^\s"'<>`/?#:@\[\]{}]+:)([^\s"'<>`/?#@\[0-9{][^\s"'<>`/?#@]*)"#,
            |found| Some(format!("{}{REDACTED}", &found[1])),
        ),
        // user:password@host without a scheme, as NATS takes it.
        Shape::new(
            r#"(^|[\s"'=(,])[^\s"'=(,:/@\[]+:[^\s"'<>`/][^\s"'<>`]*@([\w\[])"#,
            |found| Some(format!("{}{REDACTED}@{}", &found[1], &found[2])),
        ),
        // Authorization and cookie headers: the value goes up to its quote or the line's end.
        Shape::new(
            r#"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie|x-api-key)(\\?["']?\s*[:=]\s*)("(?:\\.|[^"\\])*"|'[^']*'|[^\r\n]*)"#,
            |found| {
                let quote = found[3].chars().next().filter(|c| "\"'".contains(*c));
                let quote = quote.map(String::from).unwrap_or_default();
                Some(format!(
                    "{}{}{quote}{REDACTED}{quote}",
                    &found[1], &found[2]
                ))
            },
        ),
        Shape::new(
            &format!(r#"(?i)({KEYS}(?:=|\\?["']\s*[:=]\s*\\?["']))([^\s&"'\\;,)<>]+)"#),
            |found| Some(format!("{}{REDACTED}", &found[1])),
        ),
        Shape::new(r"(?i)\b(bearer|basic)\s+([a-z0-9._~+/=-]{8,})", |found| {
            let looks_encoded = found[2].contains(|c: char| c.is_ascii_digit() || "=_".contains(c))
                || found[2][1..].contains(|c: char| c.is_ascii_uppercase());
            looks_encoded.then(|| format!("{} {REDACTED}", &found[1]))
        }),
        Shape::new(r"\beyJ[\w-]{4,}\.[\w-]+(?:\.[\w-]*)?", |_| {
            Some(REDACTED.to_owned())
        }),
        // Seeds of NATS nkeys: base32, always 58 characters that begin with S.
        Shape::new(r"\bS[A-Z2-7]{57}\b", |_| Some(REDACTED.to_owned())),
    ]
});

/// Whether the part between `://` and the last `@` holds userinfo, rather than a host, a port and
/// a path with an `@` in it.
fn has_userinfo(before_at: &str) -> bool {
    let Some(end) = before_at.find(['/', '?', '#']) else {
        return true;
    };
    let authority = &before_at[..end];
    let after_literal = authority.rsplit(']').next().unwrap_or(authority);
    let port = after_literal.split_once(':').map(|(_, port)| port);
    authority.contains('@') || port.is_some_and(|port| !port.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests;
