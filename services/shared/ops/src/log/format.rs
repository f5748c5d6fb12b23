//! How a line looks. Fields of the event and of all spans around it are collected once, redacted
//! value by value, and then written as JSON or as text.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::secret::{REDACTED, is_sensitive_key, redact};

/// Writes one event as one line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub(super) human: bool,
    pub(super) colour: bool,
}

impl<S> FormatEvent<S, JsonFields> for Line
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        if let Some(scope) = context.event_scope() {
            for span in scope.from_root() {
                if let Some(text) = span.extensions().get::<FormattedFields<JsonFields>>()
                    && let Ok(Value::Object(of_span)) = serde_json::from_str(text)
                {
                    fields.0.extend(of_span);
                }
            }
        }
        event.record(&mut fields);
        let Fields(mut fields) = fields;
        // Records of the `log` crate carry where they come from as fields.
        let target = fields.remove("log.target");
        fields.retain(|name, _| !name.starts_with("log."));
        if let Some((trace, span)) = crate::trace::current_ids() {
            fields.insert("trace_id".to_owned(), trace.into());
            fields.insert("span_id".to_owned(), span.into());
        }
        redact_fields(&mut fields);

        let message = fields
            .remove("message")
            .map(|value| plain(&value))
            .unwrap_or_default();
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let head = Head {
            time,
            level: *event.metadata().level(),
            target: target
                .as_ref()
                .and_then(Value::as_str)
                .unwrap_or(event.metadata().target()),
            message,
        };
        if self.human {
            self.text(writer, &head, &fields)
        } else {
            json(writer, head, fields)
        }
    }
}

struct Head<'a> {
    time: String,
    level: Level,
    target: &'a str,
    message: String,
}

impl Line {
    fn text(
        self,
        mut out: Writer<'_>,
        head: &Head<'_>,
        fields: &Map<String, Value>,
    ) -> fmt::Result {
        let level = head.level.as_str();
        if self.colour {
            let code = match head.level {
                Level::ERROR => 31,
                Level::WARN => 33,
                Level::INFO => 32,
                Level::DEBUG => 34,
                Level::TRACE => 35,
            };
            write!(
                out,
                "{} \x1b[{code}m{level:>5}\x1b[0m {}",
                head.time, head.target
            )?;
        } else {
            write!(out, "{} {level:>5} {}", head.time, head.target)?;
        }
        write!(out, ": {}", printable(&head.message))?;
        for (name, value) in fields {
            let text = plain(value);
            if text.is_empty() || text.contains([' ', '"', '=']) {
                write!(out, " {name}={text:?}")?;
            } else {
                write!(out, " {name}={}", printable(&text))?;
            }
        }
        writeln!(out)
    }
}

fn json(mut out: Writer<'_>, head: Head<'_>, fields: Map<String, Value>) -> fmt::Result {
    let mut line = Map::new();
    line.insert("timestamp".to_owned(), head.time.into());
    line.insert("level".to_owned(), head.level.as_str().into());
    line.insert("target".to_owned(), head.target.into());
    line.insert("message".to_owned(), head.message.into());
    for (name, value) in fields {
        line.entry(name).or_insert(value);
    }
    let text = serde_json::to_string(&line).map_err(|_| fmt::Error)?;
    writeln!(out, "{text}")
}

/// A value of another program cannot start a new line or steer the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let (plain, escaped) = if c.is_control() {
                (None, Some(c.escape_default()))
            } else {
                (Some(c), None)
            };
            plain.into_iter().chain(escaped.into_iter().flatten())
        })
        .collect()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn redact_fields(fields: &mut Map<String, Value>) {
    for (name, value) in fields.iter_mut() {
        if is_sensitive_key(name) {
            *value = REDACTED.into();
            continue;
        }
        let text = plain(value);
        let clean = redact(&text);
        if clean != text {
            *value = clean.into_owned().into();
        }
    }
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        self.put(field, text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}
