//! `hash-password` and `share`: what an operator needs beside a running edge.

use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use fanlight_auth::{Cameras, hash_password as hash, is_name, make_link, user_line};
use fanlight_bus::CameraId;
use fanlight_ops::exit;
use fanlight_ops::secret::Secret;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

/// Options of `hash-password`.
#[derive(clap::Args)]
pub(crate) struct HashPasswordArgs {
    /// Name of the user: letters, digits and `._@-`
    #[arg(long, value_name = "NAME")]
    user: String,

    /// Cameras that the user may watch: ids, `yard-*` or `*`, with commas between
    #[arg(long, default_value = "*", value_name = "CAMERAS")]
    cameras: String,
}

/// Options of `share`.
#[derive(clap::Args)]
pub(crate) struct ShareArgs {
    /// The camera
    #[arg(long, value_name = "ID")]
    camera: CameraId,

    /// How long the link works, up to 7 days
    #[arg(long, default_value_t = 60.0, value_name = "N")]
    minutes: f64,

    /// The edges' session key
    #[arg(long, env = "FANLIGHT_SESSION_KEY_FILE", value_name = "FILE")]
    session_key_file: PathBuf,

    /// Address of the server, to print a whole link
    #[arg(long, default_value = "", value_name = "URL")]
    base: String,
}

/// Prints a line for the users file.
///
/// # Errors
/// The name, a pattern or the password cannot be used.
pub(crate) fn hash_password(args: &HashPasswordArgs) -> anyhow::Result<ExitCode> {
    if !is_name(&args.user) {
        bail!("--user: use 1 to 64 of letters, digits and `._@-`");
    }
    if let Err(pattern) = Cameras::from_patterns(args.cameras.split(',').map(str::trim)) {
        bail!("--cameras: `{pattern}` is no camera id, and no start of ids with `*`");
    }
    let password = read_password().context("read the password")?;
    println!(
        "{}",
        user_line(&args.user, &hash(&password)?, &args.cameras)
    );
    Ok(ExitCode::from(exit::OK))
}

/// One line of standard input; on a terminal it is asked for and not shown.
fn read_password() -> anyhow::Result<String> {
    let input = std::io::stdin();
    let mut line = String::new();
    if !input.is_terminal() {
        input.lock().read_line(&mut line)?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    eprint!("Password: ");
    let shown = tcgetattr(&input)?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&input, OptionalActions::Now, &hidden)?;
    let read = input.lock().read_line(&mut line);
    tcsetattr(&input, OptionalActions::Now, &shown)?;
    eprintln!();
    read?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Prints a share link.
///
/// # Errors
/// The key cannot be read or is too short.
pub(crate) fn share(args: &ShareArgs) -> anyhow::Result<ExitCode> {
    let path = &args.session_key_file;
    let key = Secret::from_file(path).with_context(|| format!("read {}", path.display()))?;
    let lifetime = Duration::try_from_secs_f64(args.minutes * 60.0).context("--minutes")?;
    let link = make_link(&key, args.camera.as_str(), lifetime).map_err(anyhow::Error::msg)?;
    println!("{}{link}", args.base.trim_end_matches('/'));
    Ok(ExitCode::from(exit::OK))
}
