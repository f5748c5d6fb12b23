#!/bin/sh
# Fuzzes every target, or those named, for SECONDS_EACH (default 60) seconds each.
#   SECONDS_EACH=600 fuzz/run.sh psi
# Needs cargo-fuzz; the compiler may be the stable one. Stops at the first finding.
set -eu
cd "$(dirname "$0")"
export RUSTC_BOOTSTRAP=1
python3 seeds.py
targets=${*:-$(cargo fuzz list --fuzz-dir .)}
for target in $targets; do
    echo "fuzz: $target, ${SECONDS_EACH:-60} s" >&2
    mkdir -p "corpus/$target"
    cargo fuzz run --fuzz-dir . "$target" -- -max_total_time="${SECONDS_EACH:-60}" -max_len=20000 \
        -print_final_stats=1
done
