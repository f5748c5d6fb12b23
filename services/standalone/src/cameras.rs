//! The cameras of one process: those of the file, then the one of the flags, and the test
//! picture when there is none.

use std::fmt;
use std::path::Path;

use fanlight_bus::{CameraId, StreamId};
use fanlight_ingest::config::{CameraConfig, CameraOptions, flag_key};
use fanlight_ops::exit::{ConfigError, ConfigProblem};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

/// What the flags name the camera, unless they say otherwise.
const DEFAULT_ID: &str = "camera";

/// What the camera is called that nobody asked for.
const TEST_ID: &str = "test";

/// The file given as `--config`: the chart's `cameras`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    cameras: Cameras,
}

/// Cameras in the file's order. A YAML reader would let the last of two namesakes win, and a
/// camera would be missing without a word.
struct Cameras(Vec<(String, CameraOptions)>);

impl<'de> Deserialize<'de> for Cameras {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Cameras;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of camera ids to their options")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Cameras, A::Error> {
                let mut cameras: Vec<(String, CameraOptions)> = Vec::new();
                while let Some(id) = map.next_key::<String>()? {
                    if cameras.iter().any(|(known, _)| *known == id) {
                        let text = format!("camera `{}` is there twice", id.escape_default());
                        return Err(serde::de::Error::custom(text));
                    }
                    cameras.push((id, map.next_value()?));
                }
                Ok(Cameras(cameras))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

/// Every camera to run.
///
/// # Errors
/// Every problem of flags and file at once.
pub(crate) fn resolve(
    config: Option<&Path>,
    id: Option<&str>,
    options: &CameraOptions,
) -> Result<Vec<CameraConfig>, ConfigError> {
    let mut problems = Vec::new();
    let mut cameras: Vec<CameraConfig> = Vec::new();
    for (id, options) in config
        .map(|path| read(path, &mut problems))
        .unwrap_or_default()
    {
        let key = |name: &str| file_key(&id, name);
        add(
            &mut cameras,
            &mut problems,
            &format!("cameras.{id}"),
            &id,
            &options,
            &key,
        );
    }
    let by_flags = id.is_some() || options.input.is_some() || options.input_file.is_some();
    if by_flags {
        let id = id.unwrap_or(DEFAULT_ID);
        add(
            &mut cameras,
            &mut problems,
            "--camera",
            id,
            options,
            &flag_key,
        );
    } else if config.is_none() {
        let test = CameraOptions {
            input: Some("test".into()),
            ..options.clone()
        };
        add(
            &mut cameras,
            &mut problems,
            "--camera",
            TEST_ID,
            &test,
            &flag_key,
        );
    } else if cameras.is_empty() && problems.is_empty() {
        let remedy = "name at least one, for example `cameras: {front-door: {url: test}}`";
        problems.push(ConfigProblem::new(
            "--config",
            "there is no camera in the file",
            remedy,
        ));
    }
    ConfigError::check(problems).map(|()| cameras)
}

fn add(
    cameras: &mut Vec<CameraConfig>,
    problems: &mut Vec<ConfigProblem>,
    id_key: &str,
    id: &str,
    options: &CameraOptions,
    key: &dyn Fn(&str) -> String,
) {
    let id: CameraId = match id.parse() {
        Ok(id) => id,
        Err(error) => {
            let remedy = "name the camera in a-z, 0-9 and `-`, for example `front-door`";
            problems.push(ConfigProblem::new(id_key, format!("{error}"), remedy));
            return;
        }
    };
    if cameras.iter().any(|camera| camera.stream.camera == id) {
        let problem = format!("camera `{id}` is there twice");
        problems.push(ConfigProblem::new(
            id_key,
            problem,
            "give each camera a name of its own",
        ));
        return;
    }
    match options.resolve(StreamId::main(id), key) {
        Ok(camera) => cameras.push(camera),
        Err(bad) => problems.extend(bad),
    }
}

fn read(path: &Path, problems: &mut Vec<ConfigProblem>) -> Vec<(String, CameraOptions)> {
    let mut refuse = |problem: String, remedy: &str| {
        problems.push(ConfigProblem::new("--config", problem, remedy));
        Vec::new()
    };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let problem = format!("cannot read {}: {error}", path.display());
            return refuse(problem, "name a readable YAML file");
        }
    };
    match serde_norway::from_str::<File>(&text) {
        Ok(file) => file.cameras.0,
        // serde's message tells line and column, and what would be right; a value in it could
        // be a URL, which is redacted when the problem is shown.
        Err(error) => refuse(
            format!("{}: {error}", path.display()),
            "write an entry for each camera, for example `cameras: {front-door: {url: test}}`",
        ),
    }
}

/// The name of an option in the file: `gop-seconds` is `cameras.gate.gopSeconds`.
fn file_key(id: &str, flag: &str) -> String {
    let name = match flag {
        "input" => "url".to_owned(),
        "input-file" => "urlFile".to_owned(),
        _ => {
            let mut words = flag.split('-');
            let first = words.next().unwrap_or_default().to_owned();
            words.fold(first, |name, word| {
                let (head, rest) = word.split_at(1);
                name + &head.to_ascii_uppercase() + rest
            })
        }
    };
    format!("cameras.{id}.{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_file(text: &str) -> Result<Vec<CameraConfig>, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fanlight.yaml");
        std::fs::write(&path, text).unwrap();
        resolve(Some(&path), None, &CameraOptions::default())
    }

    fn ids(cameras: &[CameraConfig]) -> Vec<&str> {
        cameras.iter().map(|c| c.stream.camera.as_str()).collect()
    }

    #[test]
    fn nothing_given_is_the_test_picture() {
        let cameras = resolve(None, None, &CameraOptions::default()).unwrap();
        assert_eq!(ids(&cameras), ["test"]);
    }

    #[test]
    fn cameras_keep_the_order_of_the_file() {
        let cameras = from_file(
            "cameras:\n  yard: {url: test, fps: 10}\n  gate: {url: test, bitrate: 1M, gopSeconds: 4}\n",
        );
        assert_eq!(ids(&cameras.unwrap()), ["yard", "gate"]);
    }

    #[test]
    fn every_problem_is_named_by_its_place_in_the_file() {
        let text = from_file("cameras:\n  gate: {url: test, gopSeconds: x}\n  yard: {size: 1}\n")
            .unwrap_err()
            .to_string();
        for key in [
            "cameras.gate.gopSeconds",
            "cameras.yard.url",
            "cameras.yard.size",
        ] {
            assert!(text.contains(key), "{key} is not in\n{text}");
        }
    }

    #[test]
    fn namesakes_and_unknown_keys_are_refused_without_showing_a_password() {
        let twice = "cameras:\n  gate: {url: 'rtsp://u:canary@h/1'}\n  gate: {url: test}\n";
        let unknown = "cameras:\n  gate: {url: 'rtsp://u:canary@h/1', fbs: 3}\n";
        let wrong_kind = "cameras: 'rtsp://u:canary@h/1'\n";
        for (text, word) in [
            (twice, "twice"),
            (unknown, "fbs"),
            (wrong_kind, "map of camera ids"),
        ] {
            let error = from_file(text).unwrap_err().to_string();
            assert!(error.contains(word) && !error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn a_file_without_cameras_is_refused() {
        assert!(
            from_file("cameras: {}\n")
                .unwrap_err()
                .to_string()
                .contains("--config")
        );
    }

    #[test]
    fn flags_add_a_camera_to_the_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fanlight.yaml");
        std::fs::write(&path, "cameras: {gate: {url: test}}").unwrap();
        let test = CameraOptions {
            input: Some("test".into()),
            ..Default::default()
        };
        let both = resolve(Some(&path), Some("yard"), &test).unwrap();
        assert_eq!(ids(&both), ["gate", "yard"]);
        let error = resolve(Some(&path), Some("gate"), &test)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("--camera") && error.contains("twice"),
            "{error}"
        );
    }
}
