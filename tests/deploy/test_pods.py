"""The chart's pods run for real: namespaces and processes in place of a cluster.

Not imitated: cgroup limits and the runtime's default seccomp profile.
"""

from _sandbox import run_inside


def test_rendered_pods_run_as_their_specs_say():
    run_inside("pods_inside.py", 170)
