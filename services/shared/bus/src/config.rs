//! How to reach NATS, and the command-line options that say it.

use std::fmt;
use std::path::PathBuf;

use crate::Subjects;

/// A connection to NATS.
#[derive(Clone)]
pub struct NatsConfig {
    /// Server URLs, `nats://host:4222` or `tls://host:4222`; any of a cluster.
    pub urls: Vec<String>,
    /// Names of the subjects.
    pub subjects: Subjects,
    /// Who we are to the server.
    pub credentials: Credentials,
    /// Certificates.
    pub tls: Tls,
    /// Client name shown by the server's monitoring. Its first word is part of our inboxes'
    /// subjects (`_INBOX.<word>.>`).
    pub name: String,
}

// A URL may hold a password.
impl fmt::Debug for NatsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsConfig")
            .field("servers", &self.urls.len())
            .field("subjects", &self.subjects)
            .field("credentials", &self.credentials)
            .field("tls", &self.tls)
            .field("name", &self.name)
            .finish()
    }
}

/// Credentials for NATS. `Debug` tells the kind only.
#[derive(Clone, Default)]
pub enum Credentials {
    /// None, or those in the URL.
    #[default]
    None,
    /// User name and password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A token.
    Token(String),
    /// The seed of an nkey user.
    NkeySeed(String),
    /// The text of a `.creds` file (JWT and seed).
    Creds(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Password { .. } => "Password",
            Self::Token(_) => "Token",
            Self::NkeySeed(_) => "NkeySeed",
            Self::Creds(_) => "Creds",
        })
    }
}

/// Certificates for NATS, PEM files.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Certificate authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// Client certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// An option that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadOption {
    /// The flag, for example `--nats-url`.
    pub key: &'static str,
    /// What is wrong; holds no credential.
    pub problem: String,
    /// What would be right.
    pub remedy: String,
}

#[cfg(feature = "cli")]
pub use cli::NatsArgs;

#[cfg(feature = "cli")]
mod cli {
    use std::path::{Path, PathBuf};

    use super::{BadOption, Credentials, NatsConfig, Subjects, Tls};

    /// Options of a NATS connection, the same for every service.
    #[derive(Clone, clap::Args)]
    #[command(next_help_heading = "NATS")]
    pub struct NatsArgs {
        /// Server of a NATS cluster; repeat or separate with commas to name several
        #[arg(
            long,
            env = "FANLIGHT_NATS_URL",
            hide_env_values = true,
            value_delimiter = ',',
            default_value = "nats://127.0.0.1:4222",
            value_name = "URL"
        )]
        pub nats_url: Vec<String>,

        /// First word or words of all subjects
        #[arg(
            long,
            env = "FANLIGHT_NATS_PREFIX",
            default_value = "fanlight",
            value_name = "SUBJECT"
        )]
        pub nats_prefix: String,

        /// User name
        #[arg(long, env = "FANLIGHT_NATS_USER", value_name = "NAME")]
        pub nats_user: Option<String>,

        /// File that holds the user's password
        #[arg(long, env = "FANLIGHT_NATS_PASSWORD_FILE", value_name = "FILE")]
        pub nats_password_file: Option<PathBuf>,

        /// File that holds a token
        #[arg(long, env = "FANLIGHT_NATS_TOKEN_FILE", value_name = "FILE")]
        pub nats_token_file: Option<PathBuf>,

        /// File that holds an nkey seed
        #[arg(long, env = "FANLIGHT_NATS_NKEY_FILE", value_name = "FILE")]
        pub nats_nkey_file: Option<PathBuf>,

        /// Credentials file (`.creds`: JWT and seed)
        #[arg(long, env = "FANLIGHT_NATS_CREDS", value_name = "FILE")]
        pub nats_creds: Option<PathBuf>,

        /// PEM file of the certificate authorities to trust, instead of the system's
        #[arg(long, env = "FANLIGHT_NATS_CA", value_name = "FILE")]
        pub nats_ca: Option<PathBuf>,

        /// PEM file of the client certificate
        #[arg(long, env = "FANLIGHT_NATS_CERT", value_name = "FILE")]
        pub nats_cert: Option<PathBuf>,

        /// PEM file of the client certificate's key
        #[arg(long, env = "FANLIGHT_NATS_KEY", value_name = "FILE")]
        pub nats_key: Option<PathBuf>,
    }

    // URLs may hold passwords.
    impl std::fmt::Debug for NatsArgs {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("NatsArgs")
                .field("servers", &self.nats_url.len())
                .finish_non_exhaustive()
        }
    }

    impl NatsArgs {
        /// Reads the files and checks everything.
        ///
        /// # Errors
        /// Every problem at once.
        pub fn resolve(&self, client_name: &str) -> Result<NatsConfig, Vec<BadOption>> {
            let mut bad = Vec::new();
            for url in &self.nats_url {
                if let Err(problem) = crate::nats::check_url(url) {
                    let remedy =
                        "write for example `nats://nats:4222` or `tls://nats:4222`".to_owned();
                    bad.push(BadOption {
                        key: "--nats-url",
                        problem,
                        remedy,
                    });
                }
            }
            let subjects = Subjects::new(&self.nats_prefix).unwrap_or_else(|remedy| {
                let problem = format!("`{}` cannot be a prefix", self.nats_prefix.escape_default());
                bad.push(BadOption {
                    key: "--nats-prefix",
                    problem,
                    remedy,
                });
                Subjects::default()
            });
            let credentials = self.credentials(&mut bad);
            let tls = self.tls(&mut bad);
            if bad.is_empty() {
                let urls = self.nats_url.clone();
                return Ok(NatsConfig {
                    urls,
                    subjects,
                    credentials,
                    tls,
                    name: client_name.to_owned(),
                });
            }
            Err(bad)
        }

        fn credentials(&self, bad: &mut Vec<BadOption>) -> Credentials {
            let mut read = |key: &'static str, path: &Path| {
                read_secret(path).unwrap_or_else(|problem| {
                    let remedy = "name a readable text file".to_owned();
                    bad.push(BadOption {
                        key,
                        problem,
                        remedy,
                    });
                    String::new()
                })
            };
            let mut given = Vec::new();
            if let Some(user) = &self.nats_user {
                let password = self.nats_password_file.as_deref();
                let password = password
                    .map(|p| read("--nats-password-file", p))
                    .unwrap_or_default();
                given.push(Credentials::Password {
                    user: user.clone(),
                    password,
                });
            }
            if let Some(path) = &self.nats_token_file {
                given.push(Credentials::Token(read("--nats-token-file", path)));
            }
            if let Some(path) = &self.nats_nkey_file {
                given.push(Credentials::NkeySeed(read("--nats-nkey-file", path)));
            }
            if let Some(path) = &self.nats_creds {
                given.push(Credentials::Creds(read("--nats-creds", path)));
            }
            if self.nats_password_file.is_some() && self.nats_user.is_none() {
                bad.push(BadOption {
                    key: "--nats-password-file",
                    problem: "a password without a user".to_owned(),
                    remedy: "give --nats-user too".to_owned(),
                });
            }
            if given.len() > 1 {
                bad.push(BadOption {
                    key: "--nats-user",
                    problem: "several kinds of NATS credentials are given".to_owned(),
                    remedy:
                        "give one of --nats-user, --nats-token-file, --nats-nkey-file, --nats-creds"
                            .to_owned(),
                });
            }
            given.pop().unwrap_or_default()
        }

        fn tls(&self, bad: &mut Vec<BadOption>) -> Tls {
            for (key, path) in [
                ("--nats-ca", &self.nats_ca),
                ("--nats-cert", &self.nats_cert),
                ("--nats-key", &self.nats_key),
            ] {
                let Some(path) = path else { continue };
                if let Err(error) = std::fs::File::open(path) {
                    bad.push(BadOption {
                        key,
                        problem: format!("cannot read {}: {error}", path.display()),
                        remedy: "name a readable PEM file".to_owned(),
                    });
                }
            }
            let client = match (&self.nats_cert, &self.nats_key) {
                (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
                (None, None) => None,
                _ => {
                    bad.push(BadOption {
                        key: "--nats-cert",
                        problem: "a client certificate needs its key".to_owned(),
                        remedy: "give both --nats-cert and --nats-key".to_owned(),
                    });
                    None
                }
            };
            Tls {
                ca: self.nats_ca.clone(),
                client,
            }
        }
    }

    fn read_secret(path: &Path) -> Result<String, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            Err(format!("{} is empty", path.display()))
        } else {
            Ok(text.to_owned())
        }
    }
}
