#!/bin/sh
# Makes the captures of this folder again; see README.md.
# The options are lists of words, meant to be split.
# shellcheck disable=SC2086
set -eu
cd "$(dirname "$0")"
run() { ffmpeg -hide_banner -loglevel error -y -bitexact "$@"; }
src() { echo "-f lavfi -i testsrc2=size=$1:rate=$2"; }
live="-muxdelay 0 -muxpreload 0 -flush_packets 1 -mpegts_flags +initial_discontinuity -f mpegts"
base="-c:v libx264 -pix_fmt yuv420p -preset veryfast -threads 1"

run $(src 640x480 15) -frames:v 30 -an $base -profile:v baseline -level 3.0 -tune zerolatency \
    -bf 0 -g 15 -keyint_min 15 -sc_threshold 0 -b:v 400k -maxrate 400k -bufsize 200k \
    -omit_video_pes_length 0 $live h264.ts
run $(src 320x180 25) -frames:v 25 -an $base -profile:v high -bf 2 -g 10 -keyint_min 10 \
    -sc_threshold 0 -b:v 300k $live h264_unknown_length.ts
run $(src 320x240 15) -f lavfi -i sine=frequency=440:sample_rate=44100 -t 2 $base \
    -profile:v baseline -tune zerolatency -g 15 -sc_threshold 0 -b:v 200k -c:a aac -b:a 32k \
    -omit_video_pes_length 0 $live h264_audio.ts
run -f lavfi -i "testsrc2=size=320x240:rate=15,noise=alls=60:allf=t" -frames:v 2 -an $base \
    -profile:v baseline -tune zerolatency -g 15 -qp 24 -omit_video_pes_length 0 $live h264_big.ts
run $(src 320x240 15) -frames:v 30 -an $base -profile:v main -bf 2 -g 10 -sc_threshold 0 \
    -x264-params open-gop=1 -b:v 200k -omit_video_pes_length 0 $live h264_open_gop.ts
run -i h264.ts -frames:v 6 -c copy -bsf:v "filter_units=remove_types=7|8" -omit_video_pes_length 0 \
    $live h264_out_of_band.ts
run $(src 426x240 15) -frames:v 30 -an -c:v libx265 -pix_fmt yuv420p -preset ultrafast \
    -x265-params log-level=error:keyint=15:min-keyint=15:scenecut=0:bframes=0:open-gop=0:pools=1 \
    -b:v 200k -omit_video_pes_length 0 $live h265.ts
run $(src 320x240 15) -frames:v 30 -an -c:v mpeg1video -strict unofficial -bf 0 -g 15 \
    -b:v 300k -omit_video_pes_length 0 $live mpeg1.ts
run $(src 352x288 25) -f lavfi -i sine=frequency=440:sample_rate=44100 -t 1 -c:v mpeg1video \
    -bf 2 -g 12 -b:v 300k -c:a mp2 -b:a 64k $live mpeg1_25.ts
run $(src 352x240 30000/1001) -frames:v 20 -an -c:v mpeg2video -bf 2 -g 10 -b:v 800k \
    -omit_video_pes_length 0 $live mpeg2.ts
run -f lavfi -i sine=frequency=440:sample_rate=44100 -t 1 -c:a aac -b:a 32k $live audio_only.ts
run $(src 320x240 15) -frames:v 8 -an -c:v mpeg4 -b:v 200k $live mpeg4.ts
