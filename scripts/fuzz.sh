#!/usr/bin/env bash
# Fuzzes every target for SECONDS_EACH (600) seconds; see fuzz/run.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
SECONDS_EACH=${SECONDS_EACH:-600} exec fuzz/run.sh "$@"
