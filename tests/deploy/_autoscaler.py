"""The Horizontal Pod Autoscaler's arithmetic, as kubernetes.io documents it ("Algorithm details",
"Configurable scaling behavior") and pkg/controller/podautoscaler/horizontal.go does it: one metric
with a target per pod, all pods ready. KEDA hands its triggers to the same controller.
"""

import math

TOLERANCE = 0.1
SYNC_SECONDS = 15


def wanted(total, target, current, smallest, largest):
    """Replicas for a metric that is `total` over all pods; no answer changes nothing."""
    if total is None:
        return current
    ratio = total / (target * current)
    replicas = current if abs(ratio - 1) <= TOLERANCE else math.ceil(total / target)
    return min(max(replicas, smallest), largest)


class Autoscaler:
    """One controller: ask it every SYNC_SECONDS."""

    def __init__(self, behavior, target, smallest, largest):
        self.behavior, self.target = behavior, target
        self.smallest, self.largest = smallest, largest
        self.replicas = smallest
        self.recommended = []
        self.events = []

    def sync(self, now, total):
        """Follows the metric by one step; returns the replicas from now on."""
        desired = wanted(total, self.target, self.replicas, self.smallest, self.largest)
        desired = self.stabilized(now, desired)
        desired = self.limited(now, desired)
        if desired != self.replicas:
            self.events.append((now, desired - self.replicas))
            self.replicas = desired
        return self.replicas

    def stabilized(self, now, desired):
        """Down only to the highest, up only to the lowest recommendation of the window."""
        self.recommended.append((now, desired))

        def within(direction):
            seconds = self.behavior[direction]["stabilizationWindowSeconds"]
            return [r for at, r in self.recommended if now - at <= seconds]

        low, high = min(within("scaleUp")), max(within("scaleDown"))
        return min(max(self.replicas, low), high)

    def limited(self, now, desired):
        """No faster than the policies allow; the one that allows most counts."""
        direction = "scaleUp" if desired > self.replicas else "scaleDown"
        limits = []
        for policy in self.behavior[direction]["policies"]:
            lately = [n for at, n in self.events if now - at < policy["periodSeconds"]]
            start = self.replicas - sum(lately)
            step = policy["value"]
            if policy["type"] == "Percent":
                step = math.ceil(start * step / 100)
            limits.append(start + step if direction == "scaleUp" else start - step)
        if direction == "scaleUp":
            return min(desired, max(self.replicas, *limits))
        return max(desired, min(self.replicas, *limits))


def flaps(events, seconds):
    """Replicas that went and were wanted again within so many seconds."""
    return sum(
        1 for (at, n), (then, m) in zip(events, events[1:], strict=False)
        if n < 0 < m and then - at < seconds)
