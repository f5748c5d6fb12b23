//! Small files with secrets in them, read again when they change.

use std::path::{Path, PathBuf};

use fanlight_ops::exit::ConfigProblem;

/// Longest file.
const MAX: u64 = 1 << 20;

/// A file and what it held when it was read last.
#[derive(Clone)]
pub(crate) struct Watched {
    path: PathBuf,
    text: String,
}

impl Watched {
    /// # Errors
    /// The file cannot be read, is not text, or is larger than 1 MiB.
    pub(crate) fn open(key: &'static str, path: &Path) -> Result<Self, ConfigProblem> {
        let text = read(path).map_err(|error| {
            let problem = format!("{}: {error}", path.display());
            ConfigProblem::new(key, problem, "name a text file that this service may read")
        })?;
        Ok(Self {
            path: path.to_owned(),
            text,
        })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A newer version, if there is one. The contents are compared: Kubernetes swaps a symbolic
    /// link, editors write a new file, and both may keep the time.
    pub(crate) fn changed(&self) -> std::io::Result<Option<Self>> {
        let text = read(&self.path)?;
        Ok((text != self.text).then(|| Self {
            path: self.path.clone(),
            text,
        }))
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    let size = std::fs::metadata(path)?.len();
    if size > MAX {
        return Err(std::io::Error::other("larger than 1 MiB"));
    }
    std::fs::read_to_string(path)
}

/// The newer version of a file, told when it cannot be read.
pub(crate) fn newer(file: &Watched, flag: &'static str) -> Option<Watched> {
    match file.changed() {
        Ok(newer) => newer,
        Err(error) => {
            let path = file.path().display();
            tracing::warn!(key = flag, %path, %error, "cannot be read again; what it held stays");
            None
        }
    }
}
