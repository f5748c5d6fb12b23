//! Exit codes and problems of the configuration: all of them are listed at once, each with the
//! key's name and what would be right, and the process ends with 64.

use std::fmt;
use std::process::ExitCode;

use crate::secret::redact;

/// The service ended as asked.
pub const OK: u8 = 0;
/// The service could not start or had to be aborted.
pub const FAILURE: u8 = 1;
/// The configuration is wrong (`EX_USAGE` of sysexits.h): a restart will not help.
pub const USAGE: u8 = 64;

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The flag or key as the user writes it, such as `--size` or `cameras.front.url`.
    pub key: String,
    /// What is wrong, such as "`640` is not WIDTHxHEIGHT".
    pub problem: String,
    /// What would be right, such as "write for example `640x480`".
    pub remedy: String,
}

impl ConfigProblem {
    /// A problem with `key`. Secrets in any of the texts are redacted when it is displayed.
    pub fn new(
        key: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            key: key.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("`{}`: {}; {}", self.key, self.problem, self.remedy);
        f.write_str(&redact(&text))
    }
}

/// Every problem found in a configuration; never empty when made by [`ConfigError::check`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError(pub Vec<ConfigProblem>);

impl ConfigError {
    /// `Ok` when `problems` is empty.
    ///
    /// # Errors
    /// All the problems otherwise.
    pub fn check(problems: Vec<ConfigProblem>) -> Result<(), Self> {
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Self(problems))
        }
    }

    /// Writes every problem to standard error and gives the code to leave with.
    pub fn report(&self) -> ExitCode {
        eprintln!("{self}");
        ExitCode::from(USAGE)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "bad configuration: {one}"),
            many => {
                write!(f, "bad configuration, {} problems:", many.len())?;
                for problem in many {
                    write!(f, "\n  {problem}")?;
                }
                Ok(())
            }
        }
    }
}

/// Reads the command line and the environment. Text that goes to the terminal is redacted, since
/// clap repeats a value it refuses.
///
/// # Errors
/// The code to leave with: 0 after `--help` and `--version`, else [`USAGE`].
pub fn parse_args<A: clap::Parser>() -> Result<A, ExitCode> {
    parse_args_from(std::env::args_os())
}

/// As [`parse_args`], with the arguments given; the first is the program's name.
///
/// # Errors
/// As [`parse_args`].
pub fn parse_args_from<A, I, T>(args: I) -> Result<A, ExitCode>
where
    A: clap::Parser,
    I: IntoIterator<Item = T>,
    T: Into<std::ffi::OsString> + Clone,
{
    A::try_parse_from(args).map_err(|error| {
        if error.use_stderr() {
            eprint!("{}", redact(&error.to_string()));
            ExitCode::from(USAGE)
        } else {
            // Help and version hold no values, so they keep their colours. A closed pipe
            // (`--help | head`) is no failure.
            let _ = error.print();
            ExitCode::from(OK)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Args {
        #[arg(long)]
        port: u16,
    }

    fn problem(key: &str, text: &str) -> ConfigProblem {
        ConfigProblem::new(key, text, "write for example `640x480`")
    }

    #[test]
    fn every_problem_is_listed_with_its_key_and_remedy() {
        let error = ConfigError::check(vec![
            problem("--size", "`640` is not WIDTHxHEIGHT"),
            problem("--fps", "`0` is no frame rate"),
        ])
        .unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("`--size`: `640` is not WIDTHxHEIGHT; write for example `640x480`"),
            "{text}"
        );
        assert!(text.contains("`--fps`"), "{text}");
        assert!(text.starts_with("bad configuration, 2 problems:"), "{text}");
        assert!(ConfigError::check(Vec::new()).is_ok());
    }

    #[test]
    fn a_problem_never_shows_a_password() {
        let text = problem("--input", "`rtsp://cam:hunter2@10.0.0.1/` is odd").to_string();
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("10.0.0.1"), "{text}");
    }

    #[test]
    fn bad_usage_is_64_and_help_is_0() {
        let code = parse_args_from::<Args, _, _>(["x", "--port", "many"]).unwrap_err();
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(USAGE)));
        let code = parse_args_from::<Args, _, _>(["x", "--help"]).unwrap_err();
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(OK)));
        assert_eq!(
            parse_args_from::<Args, _, _>(["x", "--port", "1"])
                .unwrap()
                .port,
            1
        );
    }
}
