"""What an edge does beside the plain case: many viewers, many cameras, stalled ones, joins."""

import statistics

from quantiles import quantile

EDGE = "edge, NATS"


def measure(bench, rounds):
    """Rows of a table, each of so many rounds."""

    def run(*args, **more):
        return [bench.measure(EDGE, *args, **more) for _ in range(rounds)]

    def median(measured, key):
        return statistics.median(m[key] for m in measured)

    def bad(measured):
        return sum(m["bad"] for m in measured)

    rows = []
    alone = run(1000)
    eight = run(8000, generators=2)
    rows.append(f"| 8,000 viewers of one camera | {median(eight, 'core'):.0%} of a core, "
                f"{median(eight, 'us'):.1f} us a message, p50 {median(eight, 'p50'):.1f} / p99 "
                f"{median(eight, 'p99'):.1f} ms, {bad(eight)} gaps or failures, "
                f"{median(eight, 'kib'):.1f} KiB a viewer |")
    stalled = run(1000, options=["--stalled", 100])
    rows.append(f"| 100 of 1,000 viewers stop reading | p99 of the others {median(stalled, 'p99'):.1f} ms "
                f"(with none stalled {median(alone, 'p99'):.1f}), {bad(stalled)} gaps |")
    joins = [
        # each stays for a few pictures, so that there are hardly more viewers than without joins
        ("each for 0.2 s", run(1000, options=["--joins", 500, "--stay", 0.2]), "1,000", alone),
        ("each for 1 s", run(1000, options=["--joins", 500, "--stay", 1]), "1,500", run(1500)),
    ]
    for stay, joined, viewers, without in joins:
        p99 = statistics.median(quantile(j["join_us"], 0.99) for j in joined)
        clean = sum(j["joins_clean"] for j in joined) / max(1, sum(j["joins"] for j in joined))
        rows.append(f"| 500 joins a second onto 1,000 viewers, {stay} | connect to whole first key picture p99 "
                    f"{p99:.1f} ms, {clean:.1%} clean, p99 of the others {median(joined, 'p99'):.1f} ms "
                    f"({viewers} viewers without joins {median(without, 'p99'):.1f}) |")
    one = run(2000)
    many = run(2000, cameras=200)
    ratio = median(many, "us") / median(one, "us")
    rows.append(f"| 200 cameras x 10 viewers | {median(many, 'us'):.1f} us a message, {ratio:.2f} x 1 camera x "
                f"2,000 viewers ({median(one, 'us'):.1f}), {bad(many)} gaps |")
    # 3,000 messages a second in both; the viewers' part is what 1,800 more of them add
    few = run(200, cameras=200)
    viewer = (median(many, "core") - median(few, "core")) / (1800 * 15) * 1e6
    receive = median(few, "core") / (200 * 15) * 1e6 - viewer
    rows.append(f"| receiving from NATS | {receive:.1f} us a message, as much as "
                f"{receive / max(viewer, 0.1):.1f} sends of {viewer:.1f} us |")
    return rows
