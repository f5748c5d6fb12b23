//! How the player comes back: the numbers of services/edge/web/src/backoff.ts and connection.ts,
//! from which a test reads them again.

use super::Random;

/// First step, seconds (`firstMs`).
pub const FIRST: f64 = 0.3;
/// Longest step, seconds (`capMs`).
pub const CAP: f64 = 10.0;
/// A socket that does not open is given up after this, seconds (`OPEN_TIMEOUT_MS`).
pub const OPEN_TIMEOUT: f64 = 10.0;
/// An open socket that is silent is given up after this, seconds (`SILENCE_MS`).
pub const SILENCE: f64 = 5.0;
/// How often the player looks, seconds (`TICK_MS`).
pub const LOOK: f64 = 1.0;
/// Steps double no more after this many.
const MAX_ATTEMPT: u8 = 16;

/// Seconds until the next attempt, and counts this one. At least `at_least`, which is what the
/// edge asked for.
pub fn next(attempt: &mut u8, at_least: f64, random: &mut Random) -> f64 {
    let step = (FIRST * 2_f64.powi(i32::from(*attempt))).min(CAP);
    *attempt = (*attempt + 1).min(MAX_ATTEMPT);
    if at_least > step {
        at_least * (1.0 + random.unit() / 4.0)
    } else {
        step * (0.5 + random.unit() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_the_cap_with_jitter() {
        let (mut attempt, mut random) = (0, Random::new(1));
        for step in [0.3, 0.6, 1.2, 2.4, 4.8, 9.6, 10.0, 10.0] {
            let delay = next(&mut attempt, 0.0, &mut random);
            assert!((step / 2.0..step).contains(&delay), "{delay} of {step}");
        }
        let delay = next(&mut 0, 5.0, &mut random);
        assert!((5.0..6.25).contains(&delay), "{delay}");
    }

    #[test]
    fn has_the_numbers_of_the_player() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../services/edge/web/src/");
        let read = |name: &str| std::fs::read_to_string(format!("{dir}{name}")).unwrap();
        let source = read("connection.ts").replace('_', "");
        let ms = |seconds: f64| format!("{}", seconds * 1000.0);
        for wanted in [
            format!("firstMs: {}, capMs: {}", ms(FIRST), ms(CAP)),
            format!("const OPENTIMEOUTMS = {};", ms(OPEN_TIMEOUT)),
            format!("const SILENCEMS = {};", ms(SILENCE)),
            format!("const TICKMS = {};", ms(LOOK)),
        ] {
            assert!(source.contains(&wanted), "{wanted}");
        }
        assert!(read("backoff.ts").contains("base * (0.5 + random() / 2)"));
        assert!(read("backoff.ts").contains("base * (1 + random() / 4)"));
        assert!(read("backoff.ts").contains("Math.min(this.attempt + 1, 16)"));
    }
}
