//! One registry, one prefix a service, closed label sets that start at 0.
//!
//! Asking twice for the same family gives the same one, so that several cameras in one process
//! share it. Callers resolve children (`with_label_values`) once and keep the handle.

mod labels;
mod nats;
mod process;

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

pub use labels::{ANY_CAMERA, CameraLabels};
pub use nats::NatsMetrics;
pub use prometheus;

/// Buckets in seconds for latencies between a millisecond and the 10 s after which nobody calls
/// it live.
pub const LATENCY_BUCKETS: &[f64] = &[
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
];

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The metrics of one service in one process. Clones are handles to the same ones.
#[derive(Clone)]
pub struct Metrics {
    service: &'static str,
    shared: Arc<Shared>,
}

struct Shared {
    registry: Registry,
    families: Mutex<HashMap<String, Box<dyn Any + Send>>>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics")
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

impl Metrics {
    /// A registry of its own with `process_*` and `fanlight_{service}_build_info`. `service` is
    /// `ingest` or `edge`.
    ///
    /// # Panics
    /// `service` is no valid part of a metric name.
    #[must_use]
    pub fn new(service: &'static str) -> Self {
        let registry = Registry::new();
        if let Err(error) = process::ProcessCollector::new()
            .and_then(|process| registry.register(Box::new(process)))
        {
            panic!("process metrics: {error}");
        }
        Self {
            service,
            shared: Arc::new(Shared {
                registry,
                families: Mutex::new(HashMap::new()),
            }),
        }
        .with_build_info()
    }

    /// Another service's metrics in the same registry, for one process with one admin listener:
    /// own prefix, own build info, `process_*` only once.
    ///
    /// # Panics
    /// As [`Metrics::new`].
    #[must_use]
    pub fn sharing(&self, service: &'static str) -> Self {
        Self {
            service,
            shared: Arc::clone(&self.shared),
        }
        .with_build_info()
    }

    fn with_build_info(self) -> Self {
        let labels = [
            ("version", env!("CARGO_PKG_VERSION")),
            (
                "revision",
                option_env!("FANLIGHT_REVISION").unwrap_or("unknown"),
            ),
        ];
        self.info(
            "build_info",
            "Always 1; the labels say which build this is.",
            &labels,
        );
        self
    }

    /// The registry behind it, for a collector made elsewhere.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    /// A counter without labels. `name` goes without the prefix and ends in `_total`.
    ///
    /// # Panics
    /// As every method that registers: the name is invalid, or stands for another kind of metric
    /// already. Both are mistakes in the program and show at its start.
    #[must_use]
    pub fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.family(name, help, IntCounter::with_opts)
    }

    /// A counter with labels; each series appears when it is first resolved.
    ///
    /// # Panics
    /// As [`counter`](Self::counter).
    #[must_use]
    pub fn counter_vec(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.family(name, help, |opts| IntCounterVec::new(opts, labels))
    }

    /// A counter with one label whose values are all known: every series is there from the start,
    /// at 0, so that its first increment is seen as a rate.
    ///
    /// # Panics
    /// As [`counter`](Self::counter).
    #[must_use]
    pub fn closed_counter(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: &[&str],
    ) -> IntCounterVec {
        let counter = self.counter_vec(name, help, &[label]);
        for value in values {
            let _ = counter.with_label_values(&[value]);
        }
        counter
    }

    /// A gauge of whole numbers without labels.
    ///
    /// # Panics
    /// As [`counter`](Self::counter).
    #[must_use]
    pub fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.family(name, help, IntGauge::with_opts)
    }

    /// A gauge of whole numbers with labels.
    ///
    /// # Panics
    /// As [`counter`](Self::counter).
    #[must_use]
    pub fn gauge_vec(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.family(name, help, |opts| IntGaugeVec::new(opts, labels))
    }

    /// A gauge of any number without labels, for seconds and timestamps.
    ///
    /// # Panics
    /// As [`counter`](Self::counter).
    #[must_use]
    pub fn float_gauge(&self, name: &str, help: &str) -> Gauge {
        self.family(name, help, Gauge::with_opts)
    }

    /// A gauge of any number with labels.
    ///
    /// # Panics
    /// As [`counter`](Self::counter).
    #[must_use]
    pub fn float_gauge_vec(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.family(name, help, |opts| GaugeVec::new(opts, labels))
    }

    /// A histogram without labels; `buckets` are upper bounds in the metric's unit, rising.
    ///
    /// # Panics
    /// As [`counter`](Self::counter), or `buckets` do not rise.
    #[must_use]
    pub fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        self.family(name, help, |opts| {
            Histogram::with_opts(HistogramOpts {
                common_opts: opts,
                buckets: buckets.to_vec(),
            })
        })
    }

    /// A gauge that is always 1 and says something in its labels.
    ///
    /// # Panics
    /// As [`counter`](Self::counter).
    pub fn info(&self, name: &str, help: &str, labels: &[(&str, &str)]) {
        let (names, values): (Vec<_>, Vec<_>) = labels.iter().copied().unzip();
        self.gauge_vec(name, help, &names)
            .with_label_values(&values)
            .set(1);
    }

    /// The connection to NATS: `nats_connected`, `nats_reconnects_total`.
    ///
    /// # Panics
    /// As [`counter`](Self::counter).
    #[must_use]
    pub fn nats(&self) -> NatsMetrics {
        NatsMetrics::new(self)
    }

    /// Everything in the registry in Prometheus' text format, of all services that share it.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        if let Err(error) =
            TextEncoder::new().encode_utf8(&self.shared.registry.gather(), &mut text)
        {
            tracing::error!(%error, "metrics not encoded");
        }
        text
    }

    fn family<C>(
        &self,
        name: &str,
        help: &str,
        make: impl FnOnce(Opts) -> prometheus::Result<C>,
    ) -> C
    where
        C: Collector + Clone + 'static,
    {
        let opts = Opts::new(name, help)
            .namespace("fanlight")
            .subsystem(self.service);
        let full = opts.fq_name();
        let mut families = self
            .shared
            .families
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = families.get(&full) {
            return known
                .downcast_ref::<C>()
                .unwrap_or_else(|| panic!("metric {full} exists as another type"))
                .clone();
        }
        let family = make(opts).unwrap_or_else(|error| panic!("metric {full}: {error}"));
        if let Err(error) = self.shared.registry.register(Box::new(family.clone())) {
            panic!("metric {full}: {error}");
        }
        families.insert(full, Box::new(family.clone()));
        family
    }
}

#[cfg(test)]
mod tests;
