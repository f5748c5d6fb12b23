"""Becomes one container: its own root, read-only, a numeric user, no capabilities, then the program.

    ip netns exec POD unshare --mount --pid --fork --kill-child python _container.py SPEC.json

What a container runtime does with the same settings, but for cgroups and seccomp.
"""

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP = 38, 24
# What a Debian program needs of the root when no image is given.
HOST = ["/usr", "/etc/ssl", "/etc/fonts", "/etc/alternatives", "/etc/ld.so.cache", "/etc/nsswitch.conf"]
DEVICES = ["null", "zero", "full", "random", "urandom"]


def mount(*arguments):
    subprocess.run(["mount", *map(str, arguments)], check=True)


def prctl(option, value):
    return LIBC.prctl(option, value, 0, 0, 0)


def place(root, path, directory=True):
    """The path below root, made where it is missing."""
    target = root / path.lstrip("/")
    if directory:
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    return target


def bind(root, source, path, *flags):
    target = place(root, path, os.path.isdir(source))
    mount("--bind", source, target)
    mount("-o", ",".join(["remount", "bind", *flags]), target)


def build(spec):
    root = Path(spec["root"])
    if spec["image"]:
        mount("--bind", spec["image"], root)
    else:
        mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", root)
        for path in filter(os.path.exists, HOST):
            bind(root, path, path, "ro")
        for name in ("bin", "sbin", "lib", "lib64"):
            (root / name).symlink_to(f"usr/{name}")
        mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", root / "usr/local")
    mount("-t", "proc", "proc", place(root, "/proc"))
    mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", place(root, "/dev"))
    for name in DEVICES:
        bind(root, f"/dev/{name}", f"/dev/{name}", "rw")
    for path, source in spec["files"].items():
        bind(root, source, path, "ro")
    for path in spec["scratch"]:
        mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", place(root, path))
    if spec["read_only"]:
        if not spec["image"]:
            mount("-o", "remount,bind,ro", root / "usr/local")
        mount("-o", "remount,bind,ro", root)
    return root


def main():
    spec = json.loads(Path(sys.argv[1]).read_text())
    mount("--make-rprivate", "/")
    root = build(spec)
    os.chroot(root)
    os.chdir("/")
    if spec["drop_capabilities"]:
        capability = 0
        while prctl(PR_CAPBSET_DROP, capability) == 0:
            capability += 1
    if spec["no_new_privileges"] and prctl(PR_SET_NO_NEW_PRIVS, 1) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")
    os.setgroups(spec["groups"])
    os.setresgid(*[spec["gid"]] * 3)
    os.setresuid(*[spec["uid"]] * 3)
    os.execvpe(spec["argv"][0], spec["argv"], spec["env"])


if __name__ == "__main__":
    main()
