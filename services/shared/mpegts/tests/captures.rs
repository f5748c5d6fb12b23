//! Real streams, see `captures/README.md`. Expected values were read with ffprobe and ffmpeg's
//! `trace_headers` when the captures were made.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;

use bytes::Bytes;
use fanlight_mpegts::{
    Checker, Chunker, PACKET_SIZE, Packet, PictureType, Pid, RawChunk, is_key_chunk,
};

fn capture(name: &str) -> Bytes {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/captures")
        .join(name);
    std::fs::read(&path)
        .unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
        .into()
}

/// All chunks of a capture, which must give it back byte by byte without an error.
fn chunks(name: &str) -> (Vec<RawChunk>, Chunker) {
    let stream = capture(name);
    let mut chunker = Chunker::new();
    chunker.push(stream.clone());
    let chunks: Vec<_> = std::iter::from_fn(|| chunker.finish()).collect();
    let joined: Vec<u8> = chunks
        .iter()
        .flat_map(|chunk| chunk.payload.iter().copied())
        .collect();
    assert!(joined == stream, "{name}: the chunks are not the stream");
    assert_eq!(
        chunker.errors().total(),
        0,
        "{name}: {:?}",
        chunker.errors()
    );
    assert!(chunks.iter().all(|chunk| !chunk.damaged));
    (chunks, chunker)
}

fn pids(chunk: &RawChunk) -> Vec<u16> {
    let packets = chunk.payload.chunks(PACKET_SIZE);
    packets
        .map(|packet| Packet::new(packet).unwrap().pid().get())
        .collect()
}

struct Expected {
    codec: &'static str,
    size: (u32, u32),
    fps: Option<f64>,
    pictures: usize,
    /// Which pictures, in coding order, are key chunks.
    keys: &'static [usize],
    /// PTS of the first pictures in coding order.
    pts: [u64; 3],
}

#[track_caller]
fn assert_capture(name: &str, expected: &Expected) {
    let (chunks, chunker) = chunks(name);
    let pictures: Vec<_> = chunks.iter().filter(|chunk| chunk.starts_unit()).collect();
    assert_eq!(pictures.len(), expected.pictures);
    let keys: Vec<_> = (0..pictures.len()).filter(|i| pictures[*i].key).collect();
    assert_eq!(keys, expected.keys);
    let pts: Vec<_> = pictures
        .iter()
        .take(3)
        .map(|chunk| chunk.pts.unwrap().ticks())
        .collect();
    assert_eq!(pts, expected.pts);
    for chunk in pictures {
        assert!(chunk.complete);
        assert_eq!(chunk.format.is_some(), chunk.key);
        let Some(format) = &chunk.format else {
            continue;
        };
        assert_eq!(&*format.codec, expected.codec);
        assert_eq!((format.width, format.height), expected.size);
        assert_eq!(format.fps, expected.fps);
    }
    assert_eq!(chunker.diagnosis(), None);
}

#[test]
fn h264_as_ingest_encodes_it() {
    assert_capture(
        "h264.ts",
        &Expected {
            codec: "avc1.42C01E",
            size: (640, 480),
            fps: Some(15.0),
            pictures: 30,
            keys: &[0, 15],
            pts: [0, 6000, 12000],
        },
    );
}

#[test]
fn h264_with_unknown_lengths_and_b_pictures() {
    assert_capture(
        "h264_unknown_length.ts",
        &Expected {
            codec: "avc1.64000D",
            size: (320, 180),
            fps: Some(25.0),
            pictures: 25,
            keys: &[0, 10, 20],
            pts: [7200, 18000, 10800],
        },
    );
}

#[test]
fn h264_with_audio() {
    assert_capture(
        "h264_audio.ts",
        &Expected {
            codec: "avc1.42C00D",
            size: (320, 240),
            fps: Some(15.0),
            pictures: 30,
            keys: &[0, 15],
            pts: [2090, 8090, 14090],
        },
    );
}

#[test]
fn h265() {
    assert_capture(
        "h265.ts",
        &Expected {
            codec: "hvc1.1.6.L60.90",
            size: (426, 240),
            fps: Some(15.0),
            pictures: 30,
            keys: &[0, 15],
            pts: [0, 6000, 12000],
        },
    );
}

#[test]
fn mpeg1_at_15_fps() {
    assert_capture(
        "mpeg1.ts",
        &Expected {
            codec: "mp4v.6A",
            size: (320, 240),
            fps: Some(15.0),
            pictures: 30,
            keys: &[0, 15],
            pts: [6000, 12000, 18000],
        },
    );
}

#[test]
fn mpeg1_with_audio_and_b_pictures() {
    assert_capture(
        "mpeg1_25.ts",
        &Expected {
            codec: "mp4v.6A",
            size: (352, 288),
            fps: Some(25.0),
            pictures: 25,
            keys: &[0, 10, 22],
            pts: [3600, 14400, 7200],
        },
    );
}

#[test]
fn mpeg2() {
    assert_capture(
        "mpeg2.ts",
        &Expected {
            codec: "mp4v.61",
            size: (352, 240),
            fps: Some(30_000.0 / 1001.0),
            pictures: 20,
            keys: &[0, 10],
            pts: [3003, 12012, 6006],
        },
    );
}

#[test]
fn an_i_picture_without_idr_is_no_key() {
    let (chunks, _) = chunks("h264_open_gop.ts");
    let of = |picture| {
        let found = chunks
            .iter()
            .enumerate()
            .filter(|(_, chunk)| chunk.picture == Some(picture));
        found.map(|(i, _)| i).collect::<Vec<_>>()
    };
    assert_eq!(of(PictureType::Key), [0]);
    // ffprobe flags these as key frames, too: random access points with leading pictures.
    assert_eq!(of(PictureType::Intra), [10, 20]);
    assert_eq!(chunks.iter().filter(|chunk| chunk.key).count(), 1);
}

#[test]
fn idr_pictures_without_parameter_sets_are_no_keys() {
    let (chunks, chunker) = chunks("h264_out_of_band.ts");
    assert_eq!(chunks[0].picture, Some(PictureType::Key));
    assert!(chunks.iter().all(|chunk| !chunk.key));
    assert_eq!(
        chunker.diagnosis().unwrap().to_string(),
        "key pictures come without parameter sets before them (1 so far)"
    );
}

#[test]
fn a_key_picture_above_64_kib_is_complete_when_the_pipe_is_dry() {
    let stream = capture("h264_big.ts");
    let mut chunker = Chunker::new();
    let mut sizes = Vec::new();
    // As a pipe gives it: 4 KiB a read, dry in between.
    for read in stream.chunks(4096) {
        chunker.push(Bytes::copy_from_slice(read));
        while let Some(chunk) = chunker.idle() {
            sizes.push((chunk.payload.len(), chunk.picture, chunk.key));
        }
    }
    // The second comes without tables: ffmpeg forces them for a key picture only where the one
    // before was none.
    let key = Some(PictureType::Key);
    assert_eq!(sizes, [(406 * 188, key, true), (401 * 188, key, false)]);
}

#[test]
fn a_run_starts_with_the_service_description() {
    for name in ["h264.ts", "h265.ts", "mpeg1.ts", "mpeg2.ts"] {
        let (chunks, _) = chunks(name);
        assert!(chunks[0].key);
        assert_eq!(
            pids(&chunks[0])[..4],
            [Pid::SDT.get(), 0, 0x1000, 0x100],
            "{name}"
        );
    }
}

#[test]
fn a_chunk_that_starts_with_a_pat_need_not_be_a_key() {
    let (chunks, _) = chunks("h264.ts");
    let with_pat: Vec<_> = chunks
        .iter()
        .filter(|chunk| !chunk.key && pids(chunk)[0] == Pid::PAT.get())
        .collect();
    assert!(
        with_pat.len() >= 5,
        "only {} of {}",
        with_pat.len(),
        chunks.len()
    );
    assert!(with_pat.iter().all(|chunk| !is_key_chunk(&chunk.payload)));
}

#[test]
fn a_message_alone_tells_whether_it_is_a_key_chunk() {
    for name in [
        "h264.ts",
        "h264_audio.ts",
        "h265.ts",
        "mpeg1.ts",
        "mpeg2.ts",
    ] {
        let (chunks, _) = chunks(name);
        for chunk in &chunks {
            assert_eq!(is_key_chunk(&chunk.payload), chunk.key);
        }
        // The first part of a key picture that was split is one, too; half packets are not.
        let key = &chunks[0].payload;
        assert!(is_key_chunk(
            &key.slice(..key.len() / 2 / PACKET_SIZE * PACKET_SIZE)
        ));
        assert!(!is_key_chunk(&key.slice(..key.len() - 1)));
    }
}

#[test]
fn each_write_of_ffmpeg_is_one_chunk() {
    for name in [
        "h264.ts",
        "h265.ts",
        "mpeg1.ts",
        "mpeg2.ts",
        "h264_open_gop.ts",
    ] {
        let (expected, _) = chunks(name);
        let mut chunker = Chunker::new();
        for chunk in &expected {
            chunker.push(chunk.payload.clone());
            assert_eq!(chunker.idle().as_ref(), Some(chunk), "{name}");
            assert_eq!(chunker.idle(), None);
        }
        assert_eq!(chunker.finish(), None);
    }
}

#[test]
fn streams_that_cannot_be_shown_say_why() {
    for (name, words) in [
        ("audio_only.ts", "there is no video stream, only: AAC"),
        (
            "mpeg4.ts",
            "video codec MPEG-4 part 2 video is not supported",
        ),
    ] {
        let (_, chunker) = chunks(name);
        assert_eq!(chunker.diagnosis().unwrap().to_string(), words);
    }
}

#[test]
fn a_checker_finds_nothing_in_a_whole_stream() {
    for (name, pictures, keys) in [
        ("h264.ts", 30, 2),
        ("h265.ts", 30, 2),
        ("mpeg1.ts", 30, 2),
        ("mpeg2.ts", 20, 2),
    ] {
        let mut checker = Checker::new();
        for part in capture(name).chunks(1000) {
            checker.push(Bytes::copy_from_slice(part));
        }
        let report = checker.finish();
        assert_eq!(
            (report.pictures, report.key_pictures),
            (pictures, keys),
            "{name}"
        );
        assert_eq!(
            (report.continuity_errors, report.gaps, report.backward_steps),
            (0, 0, 0)
        );
        assert!(report.starts_with_key);
        assert_eq!(report.errors.total(), 0);
    }
}

#[test]
fn a_checker_finds_a_lost_picture_and_a_lost_packet() {
    let (chunks, _) = chunks("h264.ts");
    let mut checker = Checker::new();
    for (i, chunk) in chunks.iter().enumerate() {
        match i {
            5 => {}
            // Sixteen packets later the counters fit again: only the time tells.
            9 => checker.push(chunk.payload.slice(PACKET_SIZE..)),
            _ => checker.push(chunk.payload.clone()),
        }
    }
    let report = checker.finish();
    assert_eq!(report.pictures, 28);
    assert_eq!(report.gaps, 2);
    assert!(
        report.continuity_errors >= 2,
        "{}",
        report.continuity_errors
    );
    assert_eq!(report.longest_step.as_millis(), 133);
}

#[test]
fn a_checker_sees_a_restart() {
    let stream = capture("h264.ts");
    let mut checker = Checker::new();
    checker.push(stream.clone());
    checker.push(stream);
    let report = checker.finish();
    assert_eq!((report.pictures, report.key_pictures), (60, 4));
    assert_eq!((report.backward_steps, report.gaps), (1, 0));
    // The run announces its discontinuity.
    assert_eq!(report.continuity_errors, 0);
}
