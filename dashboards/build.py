#!/usr/bin/env python3
"""Writes overview.json, camera.json and edge.json beside this file.

The panels are described here once, so that ids, places, variables, links and
annotations cannot drift apart between the three. Run it after a change and
commit both; a test compares them. Only the standard library is needed.
"""

import json
from pathlib import Path

HERE = Path(__file__).parent
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

# What every expression selects. In Kubernetes the namespace and pod labels
# come from the ServiceMonitor; where they are missing, "All" (.*) fits too.
SCOPE = 'namespace=~"$namespace"'
CAMERA = SCOPE + ',camera=~"$camera"'
POD = SCOPE + ',pod=~"$pod"'

UP = {"0": ("down", "red"), "1": ("up", "green")}
NO = {"0": ("no", "green"), "1": ("yes", "orange")}
LINKED = {"0": ("lost", "red"), "1": ("connected", "green")}


def target(expr, legend="", table=False):
    made = {"expr": expr, "datasource": DATASOURCE, "editorMode": "code"}
    if table:
        made |= {"format": "table", "instant": True, "range": False}
    else:
        made |= {"legendFormat": legend or "__auto", "range": True}
    return made


def heatmap(expr):
    return target(expr, "{{le}}") | {"format": "heatmap"}


def panel(kind, title, description, unit, targets, size, **extra):
    """size is (width, height) in Grafana's grid of 24 columns."""
    field = {"unit": unit}
    for key in ("min", "max", "decimals", "noValue"):
        if key in extra:
            field[key] = extra.pop(key)
    if steps := extra.pop("thresholds", None):
        field["color"] = {"mode": "thresholds"}
        field["thresholds"] = {
            "mode": "absolute",
            "steps": [{"color": color, "value": value} for value, color in steps],
        }
    if mapped := extra.pop("mapped", None):
        field["mappings"] = [
            {
                "type": "value",
                "options": {
                    value: {"text": text, "color": color, "index": index}
                    for index, (value, (text, color)) in enumerate(mapped.items())
                },
            }
        ]
    if links := extra.pop("links", None):
        field["links"] = links
    custom, options = defaults(kind)
    if extra.pop("stacked", False):
        custom |= {"stacking": {"mode": "normal", "group": "A"}, "fillOpacity": 30}
    if custom:
        field["custom"] = custom
    made = {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "fieldConfig": {"defaults": field, "overrides": extra.pop("overrides", [])},
        "options": options | extra.pop("options", {}),
        "targets": [t | {"refId": chr(ord("A") + i)} for i, t in enumerate(targets)],
        "gridPos": dict(zip("wh", size)),
    }
    return made | extra


def defaults(kind):
    if kind == "timeseries":
        return {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 8, "showPoints": "never"}, {
            "legend": {"displayMode": "table", "placement": "bottom", "showLegend": True,
                       "calcs": ["lastNotNull", "max"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    if kind == "stat":
        return {}, {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "value", "graphMode": "area", "justifyMode": "auto",
            "orientation": "auto", "textMode": "auto",
        }
    if kind == "state-timeline":
        return {"fillOpacity": 80, "lineWidth": 0}, {
            "mergeValues": True, "showValue": "never", "rowHeight": 0.85, "alignValue": "left",
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "single", "sort": "none"},
        }
    if kind == "heatmap":
        return {}, {
            "calculate": False, "cellGap": 1, "color": {"mode": "scheme", "scheme": "Oranges",
            "steps": 64, "exponent": 0.5, "fill": "dark-orange", "reverse": False},
            "yAxis": {"unit": "s", "axisPlacement": "left"}, "legend": {"show": True},
            "tooltip": {"mode": "single", "yHistogram": False},
        }
    return {}, {"showHeader": True, "cellHeight": "sm"}


def table(title, description, unit, expr, size, hide=(), rename=None, **extra):
    organize = {
        "id": "organize",
        "options": {
            "excludeByName": {name: True for name in ("Time", *hide)},
            "renameByName": rename or {},
        },
    }
    return panel("table", title, description, unit, [target(expr, table=True)], size,
                 transformations=[organize], **extra)


def row(title, *panels, collapsed=False):
    return {"type": "row", "title": title, "collapsed": collapsed, "panels": list(panels)}


def place(rows):
    """Gives ids and fills the grid from left to right, row by row."""
    placed, y, number = [], 0, 0
    for group in rows:
        number += 1
        inner = group["panels"]
        head = group | {"id": number, "panels": [], "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}}
        y += 1
        x = height = 0
        for one in inner:
            number += 1
            width, tall = one["gridPos"]["w"], one["gridPos"]["h"]
            if x + width > 24:
                x, y, height = 0, y + height, 0
            one["id"] = number
            one["gridPos"] = {"x": x, "y": y, "w": width, "h": tall}
            x, height = x + width, max(height, tall)
        y += height
        if group["collapsed"]:
            placed.append(head | {"panels": inner})
        else:
            placed += [head, *inner]
    return placed


def query_variable(name, label, query, several=True, **extra):
    made = {
        "type": "query", "name": name, "label": label, "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2, "sort": 1, "multi": several, "includeAll": several,
        "options": [], "regex": "", "hide": 0, "skipUrlSync": False,
    }
    if several:
        made |= {"allValue": ".*", "current": {"text": "All", "value": "$__all", "selected": True}}
    return made | extra


def variables(camera_several):
    return [
        {
            "type": "datasource", "name": "datasource", "label": "Data source",
            "query": "prometheus", "regex": "", "refresh": 1, "hide": 0, "multi": False,
            "includeAll": False, "options": [], "skipUrlSync": False,
        },
        query_variable("namespace", "Namespace",
                       "label_values(fanlight_edge_build_info, namespace)"),
        query_variable("camera", "Camera",
                       f"label_values(fanlight_ingest_camera_up{{{SCOPE}}}, camera)",
                       several=camera_several),
        query_variable("pod", "Pod",
                       f"label_values(fanlight_edge_build_info{{{SCOPE}}}, pod)"),
    ]


def annotation(name, color, expr, title, text):
    return {
        "name": name, "enable": True, "hide": False, "iconColor": color,
        "datasource": DATASOURCE, "expr": expr, "step": "60s",
        "titleFormat": title, "textFormat": text, "useValueForTime": False,
    }


ANNOTATIONS = [
    {
        "name": "Annotations & Alerts", "type": "dashboard", "builtIn": 1, "enable": True,
        "hide": True, "iconColor": "rgba(0, 211, 255, 1)",
        "datasource": {"type": "grafana", "uid": "-- Grafana --"},
    },
    annotation(
        "Pod restarts", "red",
        "changes(process_start_time_seconds[$__interval]) > 0 and on (namespace, pod, instance) "
        f"({{__name__=~\"fanlight_(edge|ingest)_build_info\",{SCOPE}}})",
        "Pod restarted", "{{pod}} {{instance}}",
    ),
    annotation(
        "ffmpeg restarts", "orange",
        "sum by (camera, reason) (increase(fanlight_ingest_ffmpeg_restarts_total"
        f"{{{CAMERA}}}[$__interval])) > 0",
        "ffmpeg restarted", "{{camera}}: {{reason}}",
    ),
    annotation(
        "Deploys", "blue",
        f"group by (version, revision) (fanlight_edge_build_info{{{SCOPE}}}) unless "
        f"group by (version, revision) (fanlight_edge_build_info{{{SCOPE}}} offset 2m)",
        "New build", "{{version}} {{revision}}",
    ),
]


def dashboard(uid, title, description, rows, camera_several=True):
    return {
        "uid": uid, "title": title, "description": description, "tags": ["fanlight"],
        "schemaVersion": 39, "version": 1, "editable": False, "graphTooltip": 1,
        "timezone": "browser", "refresh": "30s", "time": {"from": "now-1h", "to": "now"},
        "fiscalYearStartMonth": 0, "liveNow": False, "weekStart": "",
        "annotations": {"list": ANNOTATIONS},
        "templating": {"list": variables(camera_several)},
        "links": [{
            "type": "dashboards", "title": "Fanlight", "tags": ["fanlight"], "asDropdown": False,
            "includeVars": True, "keepTime": True, "targetBlank": False, "icon": "external link",
            "tooltip": "", "url": "",
        }],
        "panels": place(rows),
    }


def to_camera(field="__field.labels.camera"):
    return [{
        "title": "Show camera",
        "url": "/d/fanlight-camera?var-camera=${%s}&${datasource:queryparam}"
               "&${namespace:queryparam}&${__url_time_range}" % field,
    }]


def quantiles(metric, where, by="", legend=""):
    """p50, p95 and p99 of a histogram."""
    labels = ", ".join(filter(None, [by, "le"]))
    return [
        target(
            f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket{{{where}}}"
            "[$__rate_interval])))",
            f"{name} {legend}".strip(),
        )
        for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    ]


def p95(metric, where, by, legend):
    return quantiles(metric, where, by, legend)[1]


def rate(metric, where, by):
    return f"sum by ({by}) (rate({metric}{{{where}}}[$__rate_interval]))"


def up(where):
    return f"max by (namespace, camera, rendition) (fanlight_ingest_camera_up{{{where}}})"


ALERTS = (
    "CameraDown|CameraStalled|IngestMissing|IngestFlapping|PublishFailing|NatsDisconnected|"
    "EdgeLatencyHigh|ViewersStalling|EdgeNearCapacity|EdgeRejecting"
)

OVERVIEW = dashboard(
    "fanlight-overview", "Fanlight / Overview",
    "Which cameras are down and since when, who is watching and how late the picture is.",
    [
        row(
            "Now",
            panel("stat", "Cameras up",
                  "Cameras whose ffmpeg delivers. Compare it with the number you run; a camera "
                  "whose ingest is gone is missing here and raises IngestMissing.",
                  "short", [target(f"sum({up(CAMERA)})")], (4, 4)),
            panel("stat", "Cameras down",
                  "Cameras whose ingest runs and gets no picture. The table below names them "
                  "with the last sign of life.",
                  "short", [target(f"count({up(CAMERA)} == 0) or vector(0)")], (4, 4),
                  thresholds=[(None, "green"), (1, "red")]),
            panel("stat", "Viewers",
                  "Open streams on all edge pods, WebSocket and plain HTTP together.",
                  "short", [target(f"sum(fanlight_edge_viewers{{{CAMERA}}})")], (4, 4)),
            panel("stat", "Egress",
                  "Stream bytes written to viewers per second, without WebSocket headers. "
                  "Multiply by 8 for the bandwidth you pay for.",
                  "Bps", [target(
                      f"sum(rate(fanlight_edge_sent_bytes_total{{{CAMERA}}}[$__rate_interval]))")],
                  (4, 4)),
            panel("stat", "Delivery latency p95",
                  "From ffmpeg's output to the viewer's socket, 95 of 100 chunks. Above 1 s look "
                  "at the Edge dashboard: CPU, NATS, or one pod with too many viewers.",
                  "s", [target(
                      "histogram_quantile(0.95, sum by (le) (rate("
                      f"fanlight_edge_delivery_latency_seconds_bucket{{{SCOPE}}}"
                      "[$__rate_interval])))")],
                  (4, 4), thresholds=[(None, "green"), (0.5, "orange"), (1, "red")]),
            panel("stat", "Capacity used",
                  "Viewers by what all edge pods admit. Above 85 % the loss of one pod of three "
                  "cannot be carried: add replicas.",
                  "percentunit", [target(
                      f"sum(fanlight_edge_viewers{{{SCOPE}}}) / "
                      f"(sum(fanlight_edge_viewer_limit{{{SCOPE}}}) > 0)")],
                  (4, 4), min=0, max=1, noValue="no limit",
                  thresholds=[(None, "green"), (0.7, "orange"), (0.85, "red")]),
        ),
        row(
            "Cameras",
            panel("state-timeline", "Camera state",
                  "Green while ffmpeg delivers, red while it does not, empty while the ingest "
                  "itself is gone. Click a camera for its own dashboard.",
                  "short", [target(
                      f"max by (camera) (fanlight_ingest_camera_up{{{CAMERA}}})", "{{camera}}")],
                  (24, 9), mapped=UP, links=to_camera()),
            table("Longest without a picture",
                  "Age of each camera's last chunk, the oldest first. A live camera stays below "
                  "a second. An age in years means: never since the ingest started.",
                  "s",
                  "topk(20, time() - max by (namespace, camera) "
                  f"(fanlight_ingest_last_chunk_timestamp_seconds{{{CAMERA}}}))",
                  (8, 8), rename={"Value": "Age"}, links=to_camera("__data.fields.camera"),
                  thresholds=[(None, "green"), (5, "orange"), (15, "red")]),
            table("Why ffmpeg ended, last hour",
                  "Restarts by camera and cause. auth: password; refused, dns, unreachable: address "
                  "or network; silent: the camera hangs. The runbook has the remedy for each.",
                  "short",
                  "topk(20, sum by (namespace, camera, reason) "
                  f"(increase(fanlight_ingest_ffmpeg_restarts_total{{{CAMERA}}}[1h])) > 0)",
                  (8, 8), rename={"Value": "Restarts"}, decimals=0, noValue="none",
                  links=to_camera("__data.fields.camera")),
            table("Alerts firing",
                  "Fanlight's alerts that fire now. Each links to its section of the runbook in "
                  "your alert manager. Empty is good.",
                  "short",
                  f'ALERTS{{alertname=~"{ALERTS}",alertstate="firing",{SCOPE}}}',
                  (8, 8), hide=("Value", "alertstate", "__name__", "instance", "job"),
                  noValue="none"),
        ),
        row(
            "Viewers",
            panel("timeseries", "Viewers by camera",
                  "Who watches what. A sudden drop on all cameras is a network or login fault, "
                  "on one camera it is that camera.",
                  "short", [target(
                      f"sum by (camera) (fanlight_edge_viewers{{{CAMERA}}})", "{{camera}}")],
                  (12, 8), min=0, stacked=True, links=to_camera()),
            panel("timeseries", "Egress by camera",
                  "Stream bytes per second sent to viewers. One camera far above the rest has "
                  "too high a bitrate or too many viewers for its size.",
                  "Bps", [target(rate("fanlight_edge_sent_bytes_total", CAMERA, "camera"),
                                 "{{camera}}")],
                  (12, 8), min=0, stacked=True, links=to_camera()),
            panel("timeseries", "Delivery latency",
                  "From ffmpeg's output to the socket. p50 up: the whole path is slow; only p99 "
                  "up: single slow viewers, which harm nobody else.",
                  "s", quantiles("fanlight_edge_delivery_latency_seconds", SCOPE), (8, 8), min=0),
            panel("timeseries", "Viewer latency",
                  "What players report: from ffmpeg's output to the screen. Well above the "
                  "delivery latency means the viewer's link or device is slow.",
                  "s", quantiles("fanlight_edge_viewer_latency_seconds", SCOPE), (8, 8), min=0),
            panel("timeseries", "Time to join",
                  "From the upgrade to the first key picture written. Seconds here mean that no "
                  "GOP could be replayed: see --gop-cache and the camera's key interval.",
                  "s", quantiles("fanlight_edge_join_seconds", SCOPE), (8, 8), min=0),
            panel("timeseries", "Skipped for slow viewers",
                  "Part of the chunks that viewers were spared because their link was too slow. "
                  "A few per cent on one camera is a bad link; on all it is our own egress.",
                  "percentunit", [target(
                      rate("fanlight_edge_skipped_chunks_total", CAMERA, "camera") + " / ("
                      + rate("fanlight_edge_skipped_chunks_total", CAMERA, "camera") + " + "
                      + rate("fanlight_edge_sent_chunks_total", CAMERA, "camera") + ")",
                      "{{camera}}")],
                  (8, 8), min=0, links=to_camera()),
            panel("timeseries", "Lost between ingest and edge",
                  "Holes in the chunk numbers per second. Anything lasting above 0 is NATS "
                  "dropping: look for slow consumers and max_payload.",
                  "short", [target(rate("fanlight_edge_sequence_gaps_total", CAMERA, "camera"),
                                   "{{camera}}")],
                  (8, 8), min=0, links=to_camera()),
            panel("timeseries", "Refused and accepted connections",
                  "Connection attempts per second by result. at_capacity: add replicas; "
                  "not_signed_in: expired links or an attack; origin_not_allowed: a page that "
                  "needs --allow-origin.",
                  "short", [target(rate("fanlight_edge_connections_total", SCOPE, "result"),
                                   "{{result}}")],
                  (8, 8), min=0),
        ),
    ],
)

CAMERA_BOARD = dashboard(
    "fanlight-camera", "Fanlight / Camera",
    "One camera from its input to its viewers.",
    [
        row(
            "Now",
            panel("stat", "State",
                  "up while ffmpeg delivers. down: the tables below say why it ended.",
                  "short", [target(f"max(fanlight_ingest_camera_up{{{CAMERA}}})")], (4, 4),
                  mapped=UP),
            panel("stat", "Last picture",
                  "Age of the last chunk. Frozen video with state up means that bytes come but "
                  "no pictures: wrong codec or no key pictures.",
                  "s", [target(
                      "time() - max(fanlight_ingest_last_chunk_timestamp_seconds"
                      f"{{{CAMERA}}})")],
                  (4, 4), thresholds=[(None, "green"), (5, "orange"), (15, "red")]),
            panel("stat", "Viewers",
                  "Open streams of this camera on all edge pods.",
                  "short", [target(f"sum(fanlight_edge_viewers{{{CAMERA}}})")], (4, 4)),
            panel("stat", "Frames per second",
                  "Pictures read from ffmpeg. Below the configured rate the camera or the "
                  "encoder cannot keep up.",
                  "short", [target(
                      f"sum(rate(fanlight_ingest_frames_total{{{CAMERA}}}[$__rate_interval]))")],
                  (4, 4), decimals=1),
            panel("stat", "Bitrate",
                  "Bytes per second read from ffmpeg. It follows --bitrate when we encode and "
                  "the camera's own setting with --codec copy.",
                  "Bps", [target(
                      "sum(rate(fanlight_ingest_received_bytes_total"
                      f"{{{CAMERA}}}[$__rate_interval]))")],
                  (4, 4)),
            table("Picture",
                  "Codec and size as ingest found them in the stream. A change at run time shows "
                  "as a second line for a while.",
                  "short", f"max by (codec, width, height) (fanlight_ingest_camera_info{{{CAMERA}}})",
                  (4, 4), hide=("Value",)),
        ),
        row(
            "Input",
            panel("state-timeline", "State over time",
                  "Green while ffmpeg delivers. Short red gaps are restarts; see the orange "
                  "marks for their causes.",
                  "short", [target(
                      f"max by (camera, rendition) (fanlight_ingest_camera_up{{{CAMERA}}})",
                      "{{camera}}/{{rendition}}")],
                  (24, 4), mapped=UP),
            panel("timeseries", "Frames per second",
                  "Pictures per second out of ffmpeg. Saw teeth are a camera with a bad link.",
                  "short", [target(rate("fanlight_ingest_frames_total", CAMERA,
                                        "camera, rendition"), "{{camera}}/{{rendition}}")],
                  (8, 8), min=0),
            panel("timeseries", "Bitrate",
                  "Bytes per second out of ffmpeg and published to NATS. The two lines lie on "
                  "each other unless chunks are dropped.",
                  "Bps", [
                      target(rate("fanlight_ingest_received_bytes_total", CAMERA, "camera"),
                             "read"),
                      target(rate("fanlight_ingest_published_bytes_total", CAMERA, "camera"),
                             "published"),
                  ], (8, 8), min=0),
            panel("timeseries", "Transport stream packets and errors",
                  "Packets per second, and what the parser found wrong, by kind. Errors above 0 "
                  "mean a damaged source or a broken --ffmpeg-args.",
                  "short", [
                      target(rate("fanlight_ingest_ts_packets_total", CAMERA, "camera"),
                             "packets"),
                      target(rate("fanlight_ingest_ts_errors_total", CAMERA, "kind"),
                             "error: {{kind}}"),
                  ], (8, 8), min=0),
            panel("timeseries", "ffmpeg restarts",
                  "Restarts by cause, per shown step. silent, timeout and exited point at the "
                  "camera or its link, the others at the configuration: see the runbook.",
                  "short", [target(
                      "sum by (reason) (increase(fanlight_ingest_ffmpeg_restarts_total"
                      f"{{{CAMERA}}}[$__rate_interval]))", "{{reason}}")],
                  (8, 8), min=0, stacked=True),
            panel("timeseries", "Wait before the next start",
                  "The current backoff. It grows while ffmpeg keeps failing and falls back to "
                  "nothing after a healthy while.",
                  "s", [target(f"max by (camera) (fanlight_ingest_backoff_seconds{{{CAMERA}}})",
                               "{{camera}}")],
                  (8, 8), min=0),
            panel("timeseries", "Start of ffmpeg",
                  "From the start of ffmpeg to its first key picture, of all cameras in the "
                  "namespace. RTSP cameras take one to three seconds; more is probing or a long "
                  "key interval.",
                  "s", quantiles("fanlight_ingest_ffmpeg_start_duration_seconds", SCOPE), (8, 8),
                  min=0),
        ),
        row(
            "Publishing",
            panel("timeseries", "Chunks published and received",
                  "Chunks per second into NATS and out of it at each edge pod that has viewers. "
                  "A pod's line below the published one has losses.",
                  "short", [
                      target(rate("fanlight_ingest_published_chunks_total", CAMERA, "camera"),
                             "published"),
                      target(rate("fanlight_edge_received_chunks_total", CAMERA,
                                  "pod, instance"), "{{pod}} {{instance}}"),
                  ], (8, 8), min=0),
            panel("timeseries", "Publish errors",
                  "Chunks NATS did not take, by reason. too_large: raise max_payload; denied: "
                  "permissions; disconnected: NATS itself.",
                  "short", [target(rate("fanlight_ingest_publish_errors_total", CAMERA, "reason"),
                                   "{{reason}}")],
                  (8, 8), min=0),
            panel("timeseries", "Dropped before NATS",
                  "Chunks thrown away because the outbox was full, always whole GOPs and the "
                  "oldest first. Expected while NATS is gone, at no other time.",
                  "short", [target(rate("fanlight_ingest_dropped_chunks_total", CAMERA, "reason"),
                                   "{{reason}}")],
                  (8, 8), min=0),
        ),
        row(
            "Viewers",
            panel("timeseries", "Viewers by pod",
                  "How this camera's viewers spread over the edge.",
                  "short", [target(
                      f"sum by (pod, instance) (fanlight_edge_viewers{{{CAMERA}}})",
                      "{{pod}} {{instance}}")],
                  (6, 8), min=0, stacked=True),
            panel("timeseries", "Egress",
                  "Bytes per second received from NATS once a pod, and sent once a viewer.",
                  "Bps", [
                      target(rate("fanlight_edge_received_bytes_total", CAMERA, "camera"),
                             "received"),
                      target(rate("fanlight_edge_sent_bytes_total", CAMERA, "camera"), "sent"),
                  ], (6, 8), min=0),
            panel("timeseries", "Packets sent",
                  "MPEG-TS packets per second to viewers. With nobody skipping it is the packets "
                  "of the input times the viewers.",
                  "short", [target(rate("fanlight_edge_sent_ts_packets_total", CAMERA, "camera"),
                                   "{{camera}}")],
                  (6, 8), min=0),
            panel("timeseries", "Skips and gaps",
                  "Chunks skipped for slow viewers, and holes in the numbers from NATS. Skips "
                  "are the viewer's link, gaps are ours.",
                  "short", [
                      target(rate("fanlight_edge_skipped_chunks_total", CAMERA, "camera"),
                             "skipped"),
                      target(rate("fanlight_edge_sequence_gaps_total", CAMERA, "camera"), "gaps"),
                  ], (6, 8), min=0),
        ),
    ],
    camera_several=False,
)

OF_EDGE = f"and on (namespace, pod, instance) fanlight_edge_build_info{{{POD}}}"

EDGE = dashboard(
    "fanlight-edge", "Fanlight / Edge",
    "Each edge pod: how full, how late, how loaded.",
    [
        row(
            "Now",
            panel("stat", "Pods",
                  "Edge pods that are scraped. Fewer than replicas: look at the pods' events.",
                  "short", [target(f"count(fanlight_edge_build_info{{{POD}}})")], (4, 4)),
            panel("stat", "Viewers",
                  "Open streams on the chosen pods.",
                  "short", [target(f"sum(fanlight_edge_viewers{{{POD}}})")], (4, 4)),
            panel("stat", "Fullest pod",
                  "Viewers by limit of the fullest pod. At 100 % it answers 503; the load "
                  "balancer should have sent them elsewhere.",
                  "percentunit", [target(
                      f"max(sum by (namespace, pod, instance) (fanlight_edge_viewers{{{POD}}}) / "
                      "on (namespace, pod, instance) "
                      f"(fanlight_edge_viewer_limit{{{POD}}} > 0))")],
                  (4, 4), min=0, max=1, noValue="no limit",
                  thresholds=[(None, "green"), (0.7, "orange"), (0.85, "red")]),
            panel("stat", "Draining",
                  "Pods that are leaving. They should be gone after --drain-seconds.",
                  "short", [target(f"sum(fanlight_edge_draining{{{POD}}})")], (4, 4)),
            panel("stat", "Without NATS",
                  "Pods that lost NATS. They keep their viewers and show a still picture.",
                  "short", [target(
                      f"count(fanlight_edge_nats_connected{{{POD}}} == 0) or vector(0)")],
                  (4, 4), thresholds=[(None, "green"), (1, "red")]),
            table("Builds",
                  "Versions that run, ingests included. Two lines outside of a rollout: it got "
                  "stuck.",
                  "short",
                  'count by (version, revision) ({__name__=~"fanlight_(edge|ingest)_build_info",'
                  f"{SCOPE}}})",
                  (4, 4), rename={"Value": "Processes"}),
        ),
        row(
            "Load",
            panel("timeseries", "Viewers by pod",
                  "An even spread is good. One pod far above the rest: the load balancer does "
                  "not use least connections.",
                  "short", [target(
                      f"sum by (pod, instance) (fanlight_edge_viewers{{{POD}}})",
                      "{{pod}} {{instance}}")],
                  (8, 8), min=0, stacked=True),
            panel("timeseries", "Egress by pod",
                  "Stream bytes per second. Compare with the node's network limit.",
                  "Bps", [target(rate("fanlight_edge_sent_bytes_total", POD, "pod, instance"),
                                 "{{pod}} {{instance}}")],
                  (8, 8), min=0),
            panel("timeseries", "Cameras subscribed",
                  "Cameras a pod takes from NATS: only those somebody watches there.",
                  "short", [target(
                      f"max by (pod, instance) (fanlight_edge_subscriptions{{{POD}}})",
                      "{{pod}} {{instance}}")],
                  (8, 8), min=0),
            panel("timeseries", "CPU",
                  "Cores used. A pod at its CPU limit shows as latency first.",
                  "short", [target(
                      f"rate(process_cpu_seconds_total{{{POD}}}[$__rate_interval]) {OF_EDGE}",
                      "{{pod}} {{instance}}")],
                  (8, 8), min=0),
            panel("timeseries", "Memory",
                  "Resident memory. It grows with cameras (their rings), hardly with viewers.",
                  "bytes", [target(f"process_resident_memory_bytes{{{POD}}} {OF_EDGE}",
                                   "{{pod}} {{instance}}")],
                  (8, 8), min=0),
            panel("timeseries", "File descriptors",
                  "Part of the open file limit in use. Each viewer takes one.",
                  "percentunit", [target(
                      f"process_open_fds{{{POD}}} / process_max_fds{{{POD}}} {OF_EDGE}",
                      "{{pod}} {{instance}}")],
                  (8, 8), min=0, max=1),
        ),
        row(
            "Latency",
            panel("heatmap", "Delivery latency",
                  "Chunks by latency from ffmpeg's output to the socket. A second band above "
                  "the first is a group of slow viewers.",
                  "s", [heatmap(
                      "sum by (le) (rate(fanlight_edge_delivery_latency_seconds_bucket"
                      f"{{{POD}}}[$__rate_interval]))")],
                  (12, 8)),
            panel("timeseries", "Delivery latency p95 by pod",
                  "One pod above the rest: its CPU or node. All: NATS or the ingest side.",
                  "s", [p95("fanlight_edge_delivery_latency_seconds", POD, "pod, instance",
                            "{{pod}} {{instance}}")],
                  (12, 8), min=0),
            panel("timeseries", "Time to join p95 by pod",
                  "From the upgrade to the first key picture. High after a pod's start: it has "
                  "to ask ingest for each GOP.",
                  "s", [p95("fanlight_edge_join_seconds", POD, "pod, instance",
                            "{{pod}} {{instance}}")],
                  (8, 8), min=0),
            panel("timeseries", "Viewer latency p95 by pod",
                  "As players report it, to the screen.",
                  "s", [p95("fanlight_edge_viewer_latency_seconds", POD, "pod, instance",
                            "{{pod}} {{instance}}")],
                  (8, 8), min=0),
            panel("timeseries", "Stalls reported by players",
                  "Pictures that came to a halt on a screen, per second. Compare with skips: "
                  "without skips it is the viewers' devices.",
                  "short", [target(
                      rate("fanlight_edge_viewer_stalls_total", POD, "pod, instance"),
                      "{{pod}} {{instance}}")],
                  (8, 8), min=0),
        ),
        row(
            "Connections",
            panel("timeseries", "Pictures players left out",
                  "Part of the pictures players dropped to keep up. High with low latency: weak "
                  "devices; lower --size or --fps.",
                  "percentunit", [target(
                      rate("fanlight_edge_viewer_dropped_pictures_total", POD, "pod, instance")
                      + " / ("
                      + rate("fanlight_edge_viewer_dropped_pictures_total", POD, "pod, instance")
                      + " + "
                      + rate("fanlight_edge_viewer_decoded_pictures_total", POD, "pod, instance")
                      + ")",
                      "{{pod}} {{instance}}")],
                  (8, 8), min=0, max=1),
            panel("timeseries", "Attempts by result",
                  "Connection attempts per second. Anything but accepted is a viewer without a "
                  "picture.",
                  "short", [target(rate("fanlight_edge_connections_total", POD, "result"),
                                   "{{result}}")],
                  (8, 8), min=0),
            panel("timeseries", "Ends by reason",
                  "Streams that ended per second. client is normal; slow: their link; drain: a "
                  "rollout; error: resets, look at the load balancer's timeouts.",
                  "short", [target(rate("fanlight_edge_disconnects_total", POD, "reason"),
                                   "{{reason}}")],
                  (8, 8), min=0),
            panel("timeseries", "Dropped from NATS",
                  "Messages per second the NATS client threw away because this pod read too "
                  "slowly. Above 0 the pod needs more CPU.",
                  "short", [target(
                      rate("fanlight_edge_slow_consumer_events_total", POD, "pod, instance"),
                      "{{pod}} {{instance}}")],
                  (12, 8), min=0),
            panel("timeseries", "Skipped for slow viewers",
                  "Chunks skipped per second by pod. On one pod only: that pod's network.",
                  "short", [target(
                      rate("fanlight_edge_skipped_chunks_total", POD, "pod, instance"),
                      "{{pod}} {{instance}}")],
                  (12, 8), min=0),
        ),
        row(
            "NATS and lifecycle",
            panel("state-timeline", "NATS connection",
                  "Green while connected. All pods red at once: the broker; one pod: its node.",
                  "short", [target(
                      f"max by (pod, instance) (fanlight_edge_nats_connected{{{POD}}})",
                      "{{pod}} {{instance}}")],
                  (12, 6), mapped=LINKED),
            panel("state-timeline", "Draining",
                  "Orange while a pod drains. Longer than --drain-seconds: it hangs.",
                  "short", [target(
                      f"max by (pod, instance) (fanlight_edge_draining{{{POD}}})",
                      "{{pod}} {{instance}}")],
                  (12, 6), mapped=NO),
            panel("timeseries", "NATS reconnects",
                  "Reconnects per shown step by service. Steady ones: the broker cuts slow "
                  "clients off, see its log.",
                  "short", [
                      target("sum by (pod, instance) (increase("
                             f"fanlight_edge_nats_reconnects_total{{{POD}}}[$__rate_interval]))",
                             "edge {{pod}} {{instance}}"),
                      target("sum(increase(fanlight_ingest_nats_reconnects_total"
                             f"{{{SCOPE}}}[$__rate_interval]))", "all ingests"),
                  ], (8, 8), min=0),
            panel("timeseries", "Ingests without NATS",
                  "Ingests that lost NATS. Together with edge pods it is the broker, alone it "
                  "is the network between cameras and cluster.",
                  "short", [target(
                      f"count(fanlight_ingest_nats_connected{{{SCOPE}}} == 0) or vector(0)",
                      "ingests")],
                  (8, 8), min=0),
            panel("timeseries", "Clock offset",
                  "The largest offset between a pod's clock and an ingest's. Latencies are "
                  "corrected by it; above a second repair the time service of that host.",
                  "s", [target(
                      f"max by (pod, instance) (fanlight_edge_clock_offset_seconds{{{POD}}})",
                      "{{pod}} {{instance}}")],
                  (8, 8)),
        ),
    ],
)


def text(board):
    return json.dumps(board, indent=2) + "\n"


BOARDS = {"overview.json": OVERVIEW, "camera.json": CAMERA_BOARD, "edge.json": EDGE}

if __name__ == "__main__":
    for name, board in BOARDS.items():
        (HERE / name).write_text(text(board))
