# shellcheck shell=bash
# Sourced by test.sh and lint.sh: runs named steps one after the other, all of
# them whatever fails, and closes with a line of figures.

steps_passed=0
steps_failed=()

step() { # step NAME COMMAND...
    local name=$1 started=$SECONDS
    shift
    printf '\n=== %s\n' "$name"
    if "$@" </dev/null; then
        steps_passed=$((steps_passed + 1))
        printf '=== %s: ok (%d s)\n' "$name" $((SECONDS - started))
    else
        steps_failed+=("$name")
        printf '=== %s: FAILED (%d s)\n' "$name" $((SECONDS - started))
    fi
}

steps_end() { # steps_end WHAT
    local name
    printf '\n'
    for name in "${steps_failed[@]}"; do printf 'failed: %s\n' "$name"; done
    printf '%s steps (%d s):\n%d passed, %d failed\n' "$1" "$SECONDS" "$steps_passed" "${#steps_failed[@]}"
    [ ${#steps_failed[@]} -eq 0 ]
}
