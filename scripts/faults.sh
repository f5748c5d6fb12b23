#!/usr/bin/env bash
# Injects every fault RUNS (5) times and writes the table of docs/reliability.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo build --workspace --bins --locked
cargo run --quiet --locked --package fanlight-faults -- --runs "${RUNS:-5}"
