#!/bin/bash
# Copies programs and files, the libraries that the programs load, and the records of the packages
# they are from (for scanners, with the licences) into a folder that becomes part of an image.
#   collect.sh FOLDER FILE...
set -euo pipefail
to=$1
shift

libraries() { # ldd says "name => /path (address)"; a static program has none
    for file in "$@"; do
        if [[ -x $file && ! -d $file ]]; then ldd "$file" | grep -oE '/[^ ]+' || true; fi
    done
}

mapfile -t libraries < <(libraries "$@" | sort -u)
found=()
for file in "$@" "${libraries[@]}"; do
    # /lib and /bin are links into /usr, and stay links in the image.
    place=$(readlink -f "$(dirname "$file")")/$(basename "$file")
    mkdir -p "$to$(dirname "$place")"
    cp -R --dereference --preserve=mode,timestamps "$file" "$to$place"
    found+=("$file" "$(readlink -f "$file")")
done

# Lines are "libc6:amd64: /path" or "one, two: /folder"; files of no package are skipped.
packages=$( (dpkg-query --search "${found[@]}" 2>/dev/null || true) | sed 's/: \/.*//; s/, /\n/g' |
    sed 's/:.*//' | sort -u)
mkdir -p "$to/var/lib/dpkg/status.d"
for package in $packages; do
    mkdir -p "$to/usr/share/doc/$package"
    dpkg-query --status "$package" >"$to/var/lib/dpkg/status.d/$package"
    cp --dereference "/usr/share/doc/$package/copyright" "$to/usr/share/doc/$package/copyright"
done
