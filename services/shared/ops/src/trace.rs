//! Spans over OTLP (gRPC or HTTP), steered by the standard `OTEL_*` variables and off without
//! them. Off, a span below the log level costs what tracing's cached check costs.
//!
//! Spans of Fanlight's own crates down to `debug` are exported. Spans of single chunks are
//! `debug`, so that with tracing off they do not exist at all.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Level, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

static ENABLED: AtomicBool = AtomicBool::new(false);

const TRACEPARENT: &str = "traceparent";

/// Whether spans are exported. One relaxed load: ask it before work that only serves tracing.
#[must_use]
pub fn enabled() -> bool {
    ENABLED.load(Ordering::Relaxed)
}

/// The W3C `traceparent` of the current span, to be sent along; `None` when tracing is off or
/// this trace is not sampled.
#[must_use]
pub fn inject_current() -> Option<String> {
    if !enabled() {
        return None;
    }
    inject(&Span::current())
}

/// As [`inject_current`], of a span that need not be entered.
#[must_use]
pub fn inject(span: &Span) -> Option<String> {
    if !enabled() {
        return None;
    }
    let context = span.context();
    let of_span = context.span();
    let ids = of_span.span_context();
    (ids.is_valid() && ids.is_sampled())
        .then(|| format!("00-{}-{}-01", ids.trace_id(), ids.span_id()))
}

/// Makes `span` a child of the span a `traceparent` names. Text that is no `traceparent` is
/// ignored: it comes from the network. Call it before the span is first entered.
pub fn set_parent(span: &Span, traceparent: &str) {
    if !enabled() {
        return;
    }
    let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
    if context.span().span_context().is_valid() {
        // Fails only for a span nobody records.
        let _ = span.set_parent(context);
    }
}

/// Trace and span id of the span entered on this thread.
pub(crate) fn current_ids() -> Option<(String, String)> {
    if !enabled() {
        return None;
    }
    let context = Context::current();
    let of_span = context.span();
    let ids = of_span.span_context();
    ids.is_valid()
        .then(|| (ids.trace_id().to_string(), ids.span_id().to_string()))
}

/// The export of spans of this process.
#[derive(Debug)]
pub(crate) struct Exporter {
    provider: SdkTracerProvider,
}

impl Exporter {
    /// `None` unless `OTEL_EXPORTER_OTLP_ENDPOINT`, its variant for traces or
    /// `OTEL_TRACES_EXPORTER=otlp` asks for it. gRPC needs to be set up inside the tokio runtime.
    pub(crate) fn from_env(service: &str) -> Result<Option<Self>, String> {
        if !wanted(|name| std::env::var(name).ok()) {
            return Ok(None);
        }
        register_secrets();
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .build()
            .map_err(|error| error.to_string())?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource(service))
            .build();
        ENABLED.store(true, Ordering::Relaxed);
        Ok(Some(Self { provider }))
    }

    pub(crate) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'s> LookupSpan<'s>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("fanlight"))
            .with_filter(filter_fn(|metadata| {
                *metadata.level() <= Level::DEBUG && metadata.target().starts_with("fanlight")
            }))
    }

    /// Sends what waits, for at most `timeout`.
    pub(crate) async fn shutdown(self, timeout: Duration) -> bool {
        let sent = tokio::task::spawn_blocking(move || {
            self.provider.shutdown_with_timeout(timeout).is_ok()
        });
        ENABLED.store(false, Ordering::Relaxed);
        matches!(tokio::time::timeout(timeout, sent).await, Ok(Ok(true)))
    }

    /// As [`shutdown`](Self::shutdown) where nothing can be awaited.
    pub(crate) fn shutdown_blocking(self, timeout: Duration) {
        ENABLED.store(false, Ordering::Relaxed);
        let (done, wait) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let _ = self.provider.shutdown_with_timeout(timeout);
            let _ = done.send(());
        });
        let _ = wait.recv_timeout(timeout);
    }
}

/// `OTEL_SDK_DISABLED=true` and `OTEL_TRACES_EXPORTER=none` win over an endpoint.
fn wanted(var: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name| var(name).is_some_and(|value| !value.trim().is_empty());
    if var("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return false;
    }
    match var("OTEL_TRACES_EXPORTER").as_deref().map(str::trim) {
        Some("otlp") => true,
        Some("") | None => {
            set("OTEL_EXPORTER_OTLP_ENDPOINT") || set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        }
        Some(_) => false,
    }
}

/// Collectors take their keys in headers and URLs: keep them out of the log.
fn register_secrets() {
    for name in [
        "OTEL_EXPORTER_OTLP_HEADERS",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    ] {
        for pair in std::env::var(name).unwrap_or_default().split(',') {
            if let Some((_, value)) = pair.split_once('=') {
                crate::secret::register(value.trim());
            }
        }
    }
    for name in [
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    ] {
        crate::secret::register_url(&std::env::var(name).unwrap_or_default());
    }
}

/// `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` win over our own name.
fn resource(service: &str) -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let mut resource = Resource::builder().with_attribute(version);
    let attributes = std::env::var("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let named = std::env::var("OTEL_SERVICE_NAME").is_ok_and(|name| !name.is_empty())
        || attributes
            .split(',')
            .any(|pair| pair.trim_start().starts_with("service.name="));
    if !named {
        resource = resource.with_service_name(format!("fanlight-{service}"));
    }
    resource.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&str, &str)]) -> bool {
        wanted(|name| {
            pairs
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| (*v).to_owned())
        })
    }

    #[test]
    fn off_unless_the_environment_asks() {
        assert!(!asked(&[]));
        assert!(!asked(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]));
        assert!(asked(&[(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://collector:4317"
        )]));
        assert!(asked(&[(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://collector:4318"
        )]));
        assert!(asked(&[("OTEL_TRACES_EXPORTER", "otlp")]));
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");
        assert!(!asked(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]));
        assert!(!asked(&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")]));
    }

    #[test]
    fn off_means_nothing_is_sent_along() {
        let span = tracing::info_span!("chunk");
        set_parent(
            &span,
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        );
        assert_eq!(span.in_scope(inject_current), None);
        assert_eq!(current_ids(), None);
    }
}
