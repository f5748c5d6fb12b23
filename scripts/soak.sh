#!/usr/bin/env bash
# The long forms: faults drawn at random for MINUTES (30), the wall for ten
# minutes, foreign clients and loss for a full minute each.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PWD/.venv/bin:$PATH"
cargo build --workspace --bins --locked
cargo run --quiet --locked --package fanlight-faults -- --soak "${MINUTES:-30}" --seed "${SEED:-1}"
cd tests/browser
FANLIGHT_SECONDS=${FANLIGHT_SECONDS:-60} node run.mjs foreign damage rtsp
FANLIGHT_SOAK_SECONDS=${FANLIGHT_SOAK_SECONDS:-600} node run.mjs soak
