#!/usr/bin/env bash
# Builds the images of deploy/Dockerfile here, without Docker and without a registry, and runs them:
# buildah, a Debian base made by mmdebstrap, and release programs built on this machine. Prints sizes.
#   scripts/images.sh [FOLDER]   FOLDER holds release programs that are already built
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

SUITE=bookworm
BASE=docker.io/library/debian:$SUITE-slim
work=$PWD/.tools/images
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo -n --preserve-env=BUILDAH_ISOLATION --preserve-env=STORAGE_DRIVER)
mkdir -p "$work/programs"

say() { printf 'images: %s\n' "$*"; }
# A storage of our own: nothing that is on this machine is used or changed.
build_ah() { "${as_root[@]}" buildah --root "$work/storage" --runroot "$work/run" "$@"; }

programs() { # the release programs, without symbols
    local revision=$1 from=$2 name
    if [ -z "$from" ]; then
        FANLIGHT_REVISION=$revision cargo build --release --locked \
            -p fanlight-ingest -p fanlight-edge -p fanlight
        from=target/release
    fi
    for name in fanlight-ingest fanlight-edge fanlight; do
        strip -o "$work/programs/$name" "$from/$name"
    done
}

base() { # what docker.io/library/debian:*-slim is: minbase without manuals and translations
    local container
    build_ah inspect --type image "$BASE" >/dev/null 2>&1 && return
    say "making $BASE with mmdebstrap"
    mmdebstrap --quiet --variant=minbase \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        "$SUITE" "$work/base.tar"
    container=$(build_ah from scratch)
    build_ah add --quiet "$container" "$work/base.tar" / >/dev/null
    build_ah commit --quiet "$container" "$BASE" >/dev/null
    build_ah rm "$container" >/dev/null
    rm "$work/base.tar"
}

started=$SECONDS
revision=$(git rev-parse HEAD)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
programs "$revision" "${1:-}"
base
for target in edge ingest standalone; do
    name=fanlight-$target
    [ $target != standalone ] || name=fanlight
    build_ah bud --quiet --pull-never --layers --file deploy/Dockerfile --target $target \
        --build-context "programs=$work/programs" --build-arg "VERSION=$version" \
        --build-arg "REVISION=$revision" --tag "$name" . >/dev/null
    container=$(build_ah from --pull-never "localhost/$name")
    build_ah inspect --type image "localhost/$name" >"$work/$name.json"
    build_ah mount "$container" >"$work/$name.path"
    say "$name: $(build_ah images --format '{{.Size}}' "localhost/$name"), $(du -sm "$(cat "$work/$name.path")" | cut -f1) MiB of files"
done
say "built in $((SECONDS - started)) s; running them"
FANLIGHT_IMAGES=$work FANLIGHT_REVISION=$revision .venv/bin/python -m pytest -c tests/pytest.ini \
    tests/deploy/test_images.py -q -s
build_ah rm --all >/dev/null
