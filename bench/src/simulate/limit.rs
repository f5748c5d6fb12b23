//! How far a site goes: raises the viewers until something breaks.

use super::coefficients::{Coefficients, Site};
use super::steady::Resource;
use super::world::{Fault, run};

/// Where it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Most viewers that hold, to 2 %.
    pub viewers: usize,
    /// What breaks with more; `None` if nothing did up to the most that was tried.
    pub breaks: Option<Resource>,
}

/// Doubles `site.viewers` until `fault` breaks it or `most` is reached, then halves the interval.
/// It holds if everybody has a picture within `patience` seconds and nothing is used up.
#[must_use]
pub fn find_limit(
    c: &Coefficients,
    site: &Site,
    fault: Fault,
    burst: f64,
    patience: f64,
    seed: u64,
    most: usize,
) -> Limit {
    let broken = |viewers| {
        let site = Site {
            viewers,
            ..site.clone()
        };
        run(c, &site, fault, burst, patience, seed).broken()
    };
    let (mut holds, mut fails) = (0, site.viewers.clamp(1, most.max(1)));
    let mut breaks = loop {
        if let Some(resource) = broken(fails) {
            break resource;
        }
        holds = fails;
        if fails >= most {
            return Limit {
                viewers: holds,
                breaks: None,
            };
        }
        fails = (fails * 2).min(most);
    };
    while fails - holds > 1 && fails - holds > holds / 50 {
        let middle = holds + (fails - holds) / 2;
        match broken(middle) {
            Some(resource) => (fails, breaks) = (middle, resource),
            None => holds = middle,
        }
    }
    Limit {
        viewers: holds,
        breaks: Some(breaks),
    }
}
