//! Compiles the player's bundle (web/dist) into the program: each file with its hash and, where
//! it is text, a gzip form.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a build script stops at the first fault"
)]

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

fn main() {
    let dist = Path::new(&env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("web/dist");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap());
    println!("cargo::rerun-if-changed=web/dist");
    println!("cargo::rerun-if-changed=build.rs");
    if !dist.join("index.html").is_file() {
        println!(
            "cargo::error=the player is not built: run `make setup-run` in the top folder, or \
             `npm ci && npm run build` in services/edge/web"
        );
        return;
    }
    let mut names: Vec<String> = fs::read_dir(&dist)
        .expect("web/dist is readable")
        .map(|entry| entry.expect("web/dist is readable"))
        .filter(|entry| entry.path().is_file())
        .map(|entry| {
            entry
                .file_name()
                .into_string()
                .expect("file names are UTF-8")
        })
        .collect();
    names.sort();
    let mut table = String::from("&[\n");
    for name in names {
        let path = dist.join(&name);
        println!("cargo::rerun-if-changed=web/dist/{name}");
        let bytes = fs::read(&path).expect("web/dist is readable");
        let hash = Sha256::digest(&bytes);
        let etag: String = hash.iter().take(8).map(|b| format!("{b:02x}")).collect();
        let plain = out.join(format!("asset-{name}"));
        fs::write(&plain, &bytes).unwrap();
        let gzip = gzip(&bytes).filter(|_| !name.ends_with(".png"));
        let gzip = match gzip {
            Some(gzip) => {
                let path = out.join(format!("asset-{name}.gz"));
                fs::write(&path, gzip).unwrap();
                format!("Some(include_bytes!({path:?}))")
            }
            None => "None".to_owned(),
        };
        writeln!(
            table,
            "    Asset {{ name: {name:?}, etag: {etag:?}, plain: include_bytes!({plain:?}), gzip: {gzip} }},"
        )
        .unwrap();
    }
    table.push(']');
    fs::write(out.join("assets.rs"), table).unwrap();
}

/// `None` when it saves nothing.
fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    let gzip = encoder.finish().unwrap();
    (gzip.len() < bytes.len()).then_some(gzip)
}
