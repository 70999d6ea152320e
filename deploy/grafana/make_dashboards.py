#!/usr/bin/env python3
"""Writes deploy/grafana/dashboards/*.json, which are kept in the repository; edit the panels here, not there.

Use: deploy/grafana/make_dashboards.py [--output FOLDER]     default: dashboards beside this script
"""

import argparse
import json
import pathlib

DATASOURCE = {"type": "prometheus", "uid": "strata-prometheus"}
WIDTH = 24  # of Grafana's grid

TRIAL = 'experiment="$experiment",trial="$trial"'
# Joins what a trial is to series of trials.
WHAT = "* on (experiment, trial) group_left (scheme, depth, seed) strata_trial_info"
NAMED = "{{trial}}: {{scheme}} {{depth}} seed {{seed}}"


def target(expression, legend="", table=False):
    made = {"expr": expression, "legendFormat": legend or "__auto", "datasource": DATASOURCE, "editorMode": "code",
            "range": not table, "instant": table}
    return made | ({"format": "table"} if table else {})


def panel(kind, title, targets, size, description="", unit="short", custom=None, options=None, **field):
    """A panel. `size`: columns of 24 and rows. `field`: further defaults of its field configuration."""
    for letter, entry in zip("ABCDEFGH", targets):
        entry["refId"] = letter
    defaults = {"unit": unit, "custom": custom or {}, **field}
    made = {"type": kind, "title": title, "datasource": DATASOURCE, "targets": targets, "options": options or {},
            "fieldConfig": {"defaults": defaults, "overrides": []}, "gridPos": {"w": size[0], "h": size[1], "x": 0, "y": 0}}
    return made | ({"description": description} if description else {})


def lines(title, targets, size=(12, 8), stacked=False, log=False, **rest):
    custom = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 20 if stacked else 0, "showPoints": "never"}
    if stacked:
        custom["stacking"] = {"mode": "normal", "group": "A"}
    if log:
        custom["scaleDistribution"] = {"type": "log", "log": 10}
    options = {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
               "tooltip": {"mode": "multi", "sort": "desc"}}
    return panel("timeseries", title, targets, size, custom=custom, options=options, **rest)


def number(title, expression, size=(4, 4), steps=None, **rest):
    """One number. `steps`: [(from, colour)]: above a value the number takes a colour."""
    thresholds = {"mode": "absolute", "steps": [{"value": None, "color": "green"}] +
                  [{"value": value, "color": color} for value, color in steps or []]}
    options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": "value",
               "graphMode": "area", "justifyMode": "auto", "textMode": "auto", "orientation": "auto"}
    return panel("stat", title, [target(expression)], size, thresholds=thresholds, options=options, **rest)


def bars(title, expression, legend, size=(12, 8), **rest):
    options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "displayMode": "basic",
               "orientation": "horizontal", "showUnfilled": True}
    return panel("bargauge", title, [target(expression, legend)], size, options=options, **rest)


def table(title, expression, size=(12, 8), hide=(), **rest):
    hidden = {name: True for name in ("Time", "__name__", "instance", "job", "Value", *hide)}
    made = panel("table", title, [target(expression, table=True)], size, options={"showHeader": True}, **rest)
    return made | {"transformations": [{"id": "organize", "options": {"excludeByName": hidden}}]}


def layers_map(title, expression, size=(24, 10), **rest):
    """Depth over time: one row a layer, one column a moment. The value is shown as a colour that the colour-blind can read."""
    # Rows stand in the order of their names, so layers get three digits.
    rows = f'max by (layer) (label_replace(label_replace({expression}, "layer", "00$1", "layer", "(.)"), "layer", "0$1", "layer", "(..)"))'
    options = {"calculate": False, "cellGap": 0, "color": {"mode": "scheme", "scheme": "Viridis", "scale": "linear", "steps": 64,
                                                           "reverse": False, "fill": "dark-blue", "exponent": 0.5},
               "rowsFrame": {"layout": "auto"}, "showValue": "never", "legend": {"show": True},
               "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": True},
               "yAxis": {"axisPlacement": "left", "axisLabel": "layer", "reverse": False}, "exemplars": {"color": "red"},
               "filterValues": {"le": -1e9}}
    return panel("heatmap", title, [target(rows, "{{layer}}")], size, options=options, **rest)


def row(title):
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"w": WIDTH, "h": 1, "x": 0, "y": 0}}


def variable(name, query, label, multi=False):
    made = {"name": name, "label": label, "type": "query", "datasource": DATASOURCE, "query": query, "refresh": 2, "sort": 3,
            "multi": multi, "includeAll": multi, "hide": 0, "regex": "", "skipUrlSync": False}
    return made | ({"current": {"text": "All", "value": "$__all", "selected": True}} if multi else {})


def place(panels):
    """Sets the panels from left to right, and below each other where a line is full."""
    x = y = height = 0
    for number_, entry in enumerate(panels, 1):
        position = entry["gridPos"]
        if x + position["w"] > WIDTH:
            x, y, height = 0, y + height, 0
        position["x"], position["y"] = x, y
        x, height = x + position["w"], max(height, position["h"])
        entry["id"] = number_
    return panels


def dashboard(uid, title, description, panels, variables=()):
    others = [{"title": "Strata", "type": "dashboards", "tags": ["strata"], "asDropdown": True, "icon": "external link",
               "includeVars": True, "keepTime": True, "targetBlank": False, "tooltip": "", "url": ""}]
    return {"uid": uid, "title": title, "description": description, "tags": ["strata"], "timezone": "browser", "editable": False,
            "graphTooltip": 1, "schemaVersion": 39, "refresh": "30s", "time": {"from": "now-3h", "to": "now"},
            "timepicker": {}, "fiscalYearStartMonth": 0, "annotations": {"list": []}, "links": others,
            "templating": {"list": list(variables)}, "panels": place(panels)}


def fleet():
    return dashboard("strata-fleet", "Strata: fleet", "Workers, slots, queue, disks and GPUs of the cluster.", [
        number("Workers ready", 'strata_workers{state="READY"}'),
        number("Workers lost", 'strata_workers{state="LOST"}', steps=[(1, "red")]),
        number("Slots", "strata_slots"),
        number("Slots busy", "strata:slots_busy:ratio", unit="percentunit"),
        number("Jobs that wait for room", "strata_queue_eligible_jobs"),
        number("Longest wait", "strata_queue_longest_wait_seconds", unit="s", steps=[(600, "orange")]),
        lines("Slots", [target("strata_slots", "all"), target("strata_slots_busy", "busy")], min=0),
        lines("Jobs that are not done", [target('strata_jobs{state=~"QUEUED|PENDING|RUNNING|CANCELLING"}', "{{state}}")], stacked=True,
              min=0),
        lines("Attempts that ended, by outcome", [target("increase(strata_attempts_total[5m])", "{{outcome}}")],
              description="In the five minutes before.", min=0),
        lines("Failures, by cause", [target("increase(strata_attempt_failures_total[5m])", "{{cause}}")],
              description="In the five minutes before. docs/RUNBOOK.md says what to do about each.", min=0),
        table("Alerts", 'ALERTS{alertname=~"Strata.*",alertstate="firing"}', hide=["alertstate"],
              description="Empty when all is well."),
        table("Workers that are lost", "strata_worker_up == 0", description="Empty when all is well."),
        row("Workers"),
        lines("Slots busy", [target("strata_agent_slots_busy / strata_agent_slots", "{{worker}}")], unit="percentunit", min=0, max=1),
        lines("Events that the coordinator has not acknowledged", [target("strata_agent_spool_lag_events", "{{worker}}")], min=0),
        lines("Uploads", [target("rate(strata_agent_uploaded_bytes_total[5m])", "{{worker}}")], unit="Bps", min=0),
        lines("Free disk", [target("strata:disk_free:ratio", "{{disk}} {{instance}}")], unit="percentunit", min=0, max=1),
        row("GPUs"),
        lines("GPUs busy", [target("strata_worker_gpu_utilisation_ratio", "{{worker}} {{gpu}}")], unit="percentunit", min=0, max=1),
        lines("GPU memory", [target("strata_worker_gpu_memory_used_bytes / strata_worker_gpu_memory_total_bytes", "{{worker}} {{gpu}}")],
              unit="percentunit", min=0, max=1),
        lines("GPU temperature", [target("strata_worker_gpu_temperature_celsius", "{{worker}} {{gpu}}")], unit="celsius"),
        lines("GPU power", [target("strata_worker_gpu_power_watts", "{{worker}} {{gpu}}")], unit="watt", min=0),
    ])


def experiment():
    chosen = 'experiment="$experiment"'
    return dashboard("strata-experiment", "Strata: experiment", "All trials of an experiment that train, or ended less than five minutes ago.", [
        number("Trials", f"count(strata_trial_info{{{chosen}}})"),
        number("Diverged", f"sum(strata_trial_diverged{{{chosen}}})", steps=[(1, "orange")]),
        number("Progress", f"avg(strata:trial_progress:ratio{{{chosen}}})", unit="percentunit"),
        number("Longest time left", f"max(strata:trial_remaining:seconds{{{chosen}}})", unit="s",
               description="Of the trials that train now."),
        number("Throughput", f"sum(strata_trial_tokens_per_second{{{chosen}}})", description="Target tokens a second."),
        number("Best validation", f"min(strata_trial_valid_nll{{{chosen}}})", description="NLL, nats a target token."),
        lines("Training loss", [target(f"strata_trial_loss{{{chosen}}} {WHAT}", NAMED)], (12, 10),
              description="Label-smoothed, nats a target token."),
        lines("Validation NLL", [target(f"strata_trial_valid_nll{{{chosen}}} {WHAT}", NAMED)], (12, 10),
              description="Nats a target token."),
        bars("Progress", f"strata:trial_progress:ratio{{{chosen}}} {WHAT}", NAMED, (12, 10), unit="percentunit", min=0, max=1),
        table("Trials", f"strata_trial_info{{{chosen}}}", (12, 10), hide=["experiment"]),
        lines("Smallest over largest gradient of a stack", [
            target(f"strata:trial_gradient_norm:min_over_max{{{chosen}}} {WHAT}", "{{stack}} of " + NAMED)], (24, 10), log=True,
            description="Below 1e-4 gradients vanish."),
        lines("Learning rate", [target(f"strata_trial_learning_rate{{{chosen}}} {WHAT}", NAMED)]),
        lines("Throughput", [target(f"strata_trial_tokens_per_second{{{chosen}}} {WHAT}", NAMED)], min=0,
              description="Target tokens a second."),
    ], [variable("experiment", "label_values(strata_trial_info, experiment)", "Experiment")])


def trial():
    norms = f'strata_trial_gradient_norm{{{TRIAL},stack=~"$stack"}}'
    gradients = layers_map("Gradient norm by layer: $stack", f"log10(clamp_min({norms}, 1e-12))", decimals=1,
                           description="log10 of the L2 norm of the loss's gradient at each layer's output; layer 1 is the lowest. "
                           "Where it darkens towards layer 1, gradients vanish.")
    gradients |= {"repeat": "stack", "repeatDirection": "v"}
    return dashboard("strata-trial", "Strata: trial", "One training: loss, gradients by layer, learning rate, throughput.", [
        table("What it is", f"strata_trial_info{{{TRIAL}}}", (16, 4)),
        number("Diverged", f"strata_trial_diverged{{{TRIAL}}}", steps=[(1, "red")]),
        number("Silent for", f"strata_trial_silence_seconds{{{TRIAL}}}", unit="s", steps=[(60, "orange"), (900, "red")]),
        number("Progress", f"strata:trial_progress:ratio{{{TRIAL}}}", (6, 4), unit="percentunit"),
        number("Time left", f"strata:trial_remaining:seconds{{{TRIAL}}}", (6, 4), unit="s"),
        number("Updates a second", f"strata:trial_updates:rate5m{{{TRIAL}}}", (6, 4), decimals=2),
        number("Updates not stored yet", f"strata_trial_updates_done{{{TRIAL}}} - strata_trial_checkpoint_stored_update{{{TRIAL}}}",
               (6, 4), description="Since the last checkpoint that the coordinator holds: what is lost if the worker is."),
        lines("Loss", [target(f"strata_trial_loss{{{TRIAL}}}", "training, label-smoothed"),
                       target(f"strata_trial_valid_nll{{{TRIAL}}}", "validation NLL")], description="Nats a target token."),
        lines("Learning rate", [target(f"strata_trial_learning_rate{{{TRIAL}}}", "learning rate")]),
        gradients,
        lines("Gradient norm of the layers", [target(norms, "{{stack}} {{layer}}")], log=True),
        lines("Throughput", [target(f"strata_trial_tokens_per_second{{{TRIAL}}}", "target tokens a second")], min=0),
        lines("Updates", [target(f"strata_trial_updates_done{{{TRIAL}}}", "done"),
                          target(f"strata_trial_checkpoint_written_update{{{TRIAL}}}", "checkpoint written"),
                          target(f"strata_trial_checkpoint_stored_update{{{TRIAL}}}", "checkpoint stored"),
                          target(f"strata_trial_updates{{{TRIAL}}}", "of")]),
        lines("Silence", [target(f"strata_trial_silence_seconds{{{TRIAL}}}", "since the last progress")], unit="s", min=0),
    ], [variable("experiment", "label_values(strata_trial_info, experiment)", "Experiment"),
        variable("trial", 'label_values(strata_trial_info{experiment="$experiment"}, trial)', "Trial"),
        variable("stack", f"label_values(strata_trial_gradient_norm{{{TRIAL}}}, stack)", "Stack", multi=True)])


def coordinator():
    scraped = 'job="strata-coordinator"'
    return dashboard("strata-coordinator", "Strata: coordinator", "Calls, commits, disk and scrapes of the coordinator.", [
        number("Up", f"up{{{scraped}}}"),
        number("Calls a second", "sum(rate(strata_rpc_total[5m]))", decimals=1),
        number("Commits, 99 % within", "strata:store_commit_seconds:p99_5m", unit="s", steps=[(1, "red")]),
        number("Disk free", 'strata:disk_free:ratio{disk="coordinator"}', unit="percentunit"),
        number("A scrape takes", f"scrape_duration_seconds{{{scraped}}}", unit="s", steps=[(0.2, "orange")]),
        number("Trainings not shown", "strata_trials_left_out", steps=[(1, "orange")]),
        lines("Calls by method", [target("sum by (method) (rate(strata_rpc_total[5m]))", "{{method}}")], stacked=True, unit="reqps", min=0),
        lines("Calls that were refused, by code", [target('sum by (code) (rate(strata_rpc_total{code!="OK"}[5m]))', "{{code}}")],
              unit="reqps", min=0, description="A retry that is refused as stale is in order; a steady rate of others is not."),
        lines("99 % of the calls end within", [target("strata:rpc_seconds:p99_5m", "{{method}}")], unit="s", log=True,
              description="Synchronize and the watches wait on purpose."),
        lines("Commits: half and 99 % within", [
            target("histogram_quantile(0.5, sum by (le) (rate(strata_store_commit_seconds_bucket[5m])))", "half"),
            target("strata:store_commit_seconds:p99_5m", "99 %")], unit="s", log=True),
        lines("Commits a second", [target("rate(strata_store_commit_seconds_count[5m])", "commits")], min=0),
        lines("Measurements a second", [target("rate(strata_measurement_rows_total[5m])", "{{shape}} rows")], min=0),
        lines("Disk", [target("strata_disk_free_bytes", "free"), target("strata_disk_size_bytes", "size")], unit="bytes", min=0),
        lines("Attempts fenced with a lost worker", [target("increase(strata_leases_lost_total[5m])", "fenced")], min=0,
              description="In the five minutes before."),
        lines("Scrape", [target(f"scrape_duration_seconds{{{scraped}}}", "seconds")], unit="s", min=0),
        lines("Samples of a scrape", [target(f"scrape_samples_scraped{{{scraped}}}", "samples")], min=0),
    ])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent / "dashboards")
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    for make in (fleet, experiment, trial, coordinator):
        text = json.dumps(make(), indent=1, ensure_ascii=False) + "\n"
        (output / f"{make.__name__}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
