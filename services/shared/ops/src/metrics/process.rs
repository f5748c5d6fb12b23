//! `process_*` from /proc, by the names every Prometheus client uses. The prometheus crate's own
//! collector counts whole seconds of CPU, too coarse to see an edge at rest.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, Opts};

/// Reads /proc at each scrape. What cannot be read keeps its last value.
pub(super) struct ProcessCollector {
    cpu: Counter,
    gauges: [Gauge; 6],
}

/// Name and help of the gauges, in the order of [`ProcessCollector::gauges`].
const GAUGES: [(&str, &str); 6] = [
    ("process_open_fds", "Number of open file descriptors."),
    (
        "process_max_fds",
        "Maximum number of open file descriptors.",
    ),
    (
        "process_virtual_memory_bytes",
        "Virtual memory size in bytes.",
    ),
    (
        "process_resident_memory_bytes",
        "Resident memory size in bytes.",
    ),
    (
        "process_start_time_seconds",
        "Start time of the process since unix epoch in seconds.",
    ),
    ("process_threads", "Number of OS threads in the process."),
];

impl ProcessCollector {
    pub(super) fn new() -> prometheus::Result<Self> {
        let cpu = Opts::new(
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds.",
        );
        let gauge = |(name, help): (&str, &str)| Gauge::with_opts(Opts::new(name, help));
        let [a, b, c, d, e, f] = GAUGES.map(gauge);
        Ok(Self {
            cpu: Counter::with_opts(cpu)?,
            gauges: [a?, b?, c?, d?, e?, f?],
        })
    }

    fn read(&self) {
        let [
            open_fds,
            max_fds,
            virtual_memory,
            resident,
            start_time,
            threads,
        ] = &self.gauges;
        if let Ok(entries) = fs::read_dir("/proc/self/fd") {
            // One of them is the directory being read.
            open_fds.set(entries.count().saturating_sub(1) as f64);
        }
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        max_fds.set(limit.map_or(f64::INFINITY, |limit| limit as f64));
        if let Some(stat) = fs::read_to_string("/proc/self/stat")
            .ok()
            .as_deref()
            .and_then(Stat::parse)
        {
            let ticks = rustix::param::clock_ticks_per_second() as f64;
            self.cpu
                .inc_by((stat.cpu_ticks as f64 / ticks - self.cpu.get()).max(0.0));
            virtual_memory.set(stat.virtual_bytes as f64);
            resident.set((stat.resident_pages * rustix::param::page_size() as u64) as f64);
            threads.set(stat.threads as f64);
            if let Some(boot) = boot_time() {
                start_time.set(boot as f64 + stat.start_ticks as f64 / ticks);
            }
        }
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        let gauges = self.gauges.iter().flat_map(Collector::desc);
        self.cpu.desc().into_iter().chain(gauges).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.read();
        let gauges = self.gauges.iter().flat_map(Collector::collect);
        self.cpu.collect().into_iter().chain(gauges).collect()
    }
}

/// What we need of /proc/PID/stat, see proc(5).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The program's name stands in brackets and may hold anything, brackets too.
        let (_, rest) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // proc(5) counts from 1 and the state, our first, is its field 3.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

/// When the system booted, unix seconds.
fn boot_time() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let line = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 7 0 \
                    123456 1000000 256 18446744073709551615 1 1";
        assert_eq!(
            Stat::parse(line),
            Some(Stat {
                cpu_ticks: 200,
                threads: 7,
                start_ticks: 123_456,
                virtual_bytes: 1_000_000,
                resident_pages: 256,
            })
        );
        assert_eq!(Stat::parse("42 (short) S 1"), None);
    }

    #[test]
    fn this_process_is_measured_in_fractions_of_a_second() {
        let process = ProcessCollector::new().unwrap();
        let mut spent = 0_u64;
        while process.cpu.get() < 0.05 {
            for n in 0..100_000_u64 {
                spent = std::hint::black_box(spent.wrapping_add(n));
            }
            process.read();
        }
        assert!(process.cpu.get() < 30.0);
        let [
            open_fds,
            max_fds,
            virtual_memory,
            resident,
            start_time,
            threads,
        ] = process.gauges.each_ref().map(Gauge::get);
        assert!(
            open_fds >= 3.0 && open_fds < max_fds,
            "{open_fds} of {max_fds}"
        );
        assert!(virtual_memory > resident && resident > 500_000.0);
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        assert!(
            (now.as_secs_f64() - start_time).abs() < 3600.0,
            "{start_time}"
        );
        assert!(threads >= 1.0);
    }
}
