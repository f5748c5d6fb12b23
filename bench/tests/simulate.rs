//! The simulator against what can be computed by hand.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use clap::{Args, Command, FromArgMatches};
use fanlight_bench::simulate::{
    Coefficients, Fault, Resource, Site, Spread, find_limit, run, steady,
};

/// The defaults of the command line.
fn defaults<T: Args + FromArgMatches>() -> T {
    let command = T::augment_args(Command::new("test"));
    T::from_arg_matches(&command.get_matches_from(["test"])).unwrap()
}

fn coefficients() -> Coefficients {
    defaults()
}

/// So much of everything that nothing is short.
fn plenty() -> Site {
    Site {
        viewers: 2_000,
        cameras: 10,
        edges: 4,
        edge_cores: 1_000.0,
        edge_gbit: 10_000.0,
        max_viewers: 1_000_000,
        nats_gbit: 10_000.0,
        nats_cores: 1_000.0,
        ..defaults()
    }
}

fn near(a: f64, b: f64, slack: f64) {
    assert!((a - b).abs() <= slack * b.abs(), "{a} is not {b}");
}

#[test]
fn everybody_is_served_once() {
    let c = coefficients();
    for fault in [Fault::Join, Fault::Edge, Fault::Nats, Fault::Zone] {
        let out = run(&c, &plenty(), fault, 5.0, 60.0, 7);
        assert!(out.affected > 0, "{fault:?}");
        assert_eq!(out.served, out.affected, "{fault:?}");
        assert_eq!(out.broken(), None, "{fault:?}: {out:?}");
    }
}

#[test]
fn viewers_are_neither_lost_nor_made() {
    let (c, site) = (coefficients(), plenty());
    let join = run(&c, &site, Fault::Join, 5.0, 60.0, 7);
    let zone = run(&c, &site, Fault::Zone, 5.0, 60.0, 7);
    // All places after it are those before it: the link's use of the fullest edge bounds the sum.
    near(zone.before.edge_link, join.after.edge_link, 0.2);
    assert_eq!(join.affected, site.viewers);
    // One edge of four, its viewers and nobody else.
    let edge = run(&c, &site, Fault::Edge, 5.0, 60.0, 7);
    near(edge.affected as f64, site.viewers as f64 / 4.0, 0.15);
    assert!(edge.attempts >= edge.affected as u64);
}

#[test]
fn the_same_seed_is_the_same_run() {
    let c = coefficients();
    let run = |seed| format!("{:?}", run(&c, &plenty(), Fault::Zone, 5.0, 60.0, seed));
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn joins_are_as_fast_as_the_cpu() {
    let c = Coefficients {
        join_us: 10_000.0,
        deliver_us: 0.0,
        receive_us: 0.0,
        ..coefficients()
    };
    let site = Site {
        edges: 1,
        edge_cores: 1.0,
        backlog: 100_000,
        ..plenty()
    };
    let out = run(&c, &site, Fault::Join, 0.1, 100.0, 1);
    near(out.all.unwrap(), 20.0, 0.02); // 2,000 joins of 10 ms
    assert_eq!(out.bottleneck(), Resource::EdgeCpu);
}

#[test]
fn joins_are_as_fast_as_the_link() {
    let c = coefficients();
    // Streams take half the link at the end, so bursts have between all and half of it.
    let live = 2_000.0 * c.stream_bytes();
    let site = Site {
        edges: 1,
        edge_gbit: 2.0 * live / 125e6,
        ..plenty()
    };
    let out = run(&c, &site, Fault::Join, 0.1, 100.0, 1);
    // A burst is a second of the stream: x' = 2 n - x, so x = n after ln 2; and the joins' 0.1 s.
    near(out.all.unwrap(), 2_f64.ln() + 0.05, 0.1);
    assert_eq!(out.bottleneck(), Resource::EdgeLink);
}

#[test]
fn a_reset_edge_is_the_backoff_of_its_players() {
    let c = Coefficients {
        detect: 0.0,
        join_us: 1.0,
        ..coefficients()
    };
    let out = run(&c, &plenty(), Fault::Edge, 0.0, 60.0, 1);
    // First step 0.3 s, between half and all of it: the middle is 0.225 s.
    near(out.half.unwrap(), 0.225, 0.15);
    assert!(out.all.unwrap() < 0.4, "{out:?}");
    // The zone is silent: 5 s until it is noticed, at most 6, and the backoff.
    let zone = run(&c, &plenty(), Fault::Zone, 0.0, 60.0, 1);
    assert!((6.0..6.5).contains(&zone.all.unwrap()), "{zone:?}");
}

#[test]
fn who_finds_no_place_is_not_served() {
    let c = coefficients();
    let site = Site {
        max_viewers: 300,
        ..plenty()
    };
    let out = run(&c, &site, Fault::Join, 1.0, 30.0, 1);
    assert_eq!(out.served, 4 * 300);
    assert_eq!(out.broken(), Some(Resource::Places));
}

#[test]
fn steady_use_is_the_sum() {
    let c = coefficients();
    let site = Site {
        edges: 1,
        edge_cores: 1.0,
        ..plenty()
    };
    let steady = steady::Steady::of(&c, &site, &[1_000], &[10], 1);
    let us = c.fps * (1_000.0 * c.deliver_us + 10.0 * c.receive_us);
    near(steady.edge_cpu, us / 1e6, 1e-9);
    near(
        steady.nats_link,
        10.0 * c.stream_bytes() / site.nats_bytes(),
        1e-9,
    );
}

#[test]
fn the_limit_is_where_the_tightest_is_used_up() {
    let c = coefficients();
    let site = Site {
        edges: 1,
        edge_gbit: 1.0,
        viewers: 100,
        ..plenty()
    };
    let limit = find_limit(&c, &site, Fault::Join, 10.0, 300.0, 1, 1_000_000);
    assert_eq!(limit.breaks, Some(Resource::EdgeLink));
    let most = 125e6 / c.stream_bytes();
    near(limit.viewers as f64, most, 0.05);
}

#[test]
fn hashing_by_camera_spares_nats() {
    let c = coefficients();
    let site = |spread| Site {
        viewers: 20_000,
        cameras: 1_000,
        edges: 10,
        spread,
        ..plenty()
    };
    let link = |spread| {
        let out = run(&c, &site(spread), Fault::Join, 1.0, 30.0, 1);
        out.after.nats_link
    };
    assert!(link(Spread::Random) > 2.0 * link(Spread::Camera));
}
