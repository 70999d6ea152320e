"""deploy/grafana and deploy/prometheus as files: dashboards by Grafana's schema, rules by promtool, and each by the other. What
the queries return is tests/integration/alerts_test.py's."""

import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
GRAFANA = ROOT / "deploy" / "grafana"
PROMETHEUS = ROOT / "deploy" / "prometheus"
FILES = sorted((GRAFANA / "dashboards").glob("*.json"))
LOCK = pathlib.Path(__file__).with_name("requirements-grafana.txt")


def dashboards():
    return {path.stem: json.loads(path.read_text()) for path in FILES}


def environment():
    made = subprocess.run([ROOT / "tests" / "python_environment", "grafana", "--require-hashes", "--no-deps", f"--requirement={LOCK}"],
                          text=True, capture_output=True)
    if made.returncode == 77:
        raise unittest.SkipTest(made.stderr.strip())
    assert made.returncode == 0, made.stderr
    return pathlib.Path(made.stdout.strip())


def alerts():
    """The text of each alert rule, by name."""
    text = (PROMETHEUS / "rules" / "alerts.yml").read_text()
    return {block.split("\n", 1)[0].strip(): block for block in text.split("- alert:")[1:]}


def anchor(heading):
    """As hosts of Markdown make them."""
    return re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")


class DashboardsTest(unittest.TestCase):
    def test_follow_grafanas_schema(self):
        python = environment() / "bin" / "python"
        judge = pathlib.Path(__file__).with_name("dashboard_schema.py")
        judged = subprocess.run([python, judge, *FILES], text=True, capture_output=True)
        self.assertEqual((judged.returncode, judged.stdout + judged.stderr), (0, ""))
        # It does find faults.
        with tempfile.TemporaryDirectory() as folder:
            for keys, value in [(("graphToltip",), 1), (("panels", 0, "title"), 5), (("panels", 0, "type"), "timeserie"),
                                (("panels", 0, "options", "colourMode"), "value"), (("refresh",), [])]:
                document = json.loads(FILES[0].read_text())
                at = document
                for key in keys[:-1]:
                    at = at[key]
                at[keys[-1]] = value
                path = pathlib.Path(folder) / "bad.json"
                path.write_text(json.dumps(document))
                judged = subprocess.run([python, judge, path], text=True, capture_output=True)
                self.assertEqual(judged.returncode, 1, (keys, judged.stdout, judged.stderr))

    def test_are_what_the_script_makes(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([GRAFANA / "make_dashboards.py", "--output", folder], check=True)
            made = {path.name: path.read_text() for path in pathlib.Path(folder).iterdir()}
        self.assertEqual(made, {path.name: path.read_text() for path in FILES}, "run deploy/grafana/make_dashboards.py")

    def test_ask_the_data_source_that_is_provisioned(self):
        provisioned = re.search(r"uid: (\S+)", (GRAFANA / "provisioning" / "datasources" / "strata.yaml").read_text()).group(1)
        for name, document in dashboards().items():
            for panel in document["panels"]:
                for target in panel.get("targets", []):
                    self.assertEqual(target["datasource"]["uid"], provisioned, (name, panel["title"]))

    def test_panels_neither_overlap_nor_leave_the_grid(self):
        for name, document in dashboards().items():
            taken = {}
            for panel in document["panels"]:
                at = panel["gridPos"]
                self.assertLessEqual(at["x"] + at["w"], 24, (name, panel["title"]))
                for x in range(at["x"], at["x"] + at["w"]):
                    for y in range(at["y"], at["y"] + at["h"]):
                        self.assertNotIn((x, y), taken, (name, panel["title"]))
                        taken[x, y] = panel["title"]


class RulesTest(unittest.TestCase):
    def tool(self, *command):
        if not shutil.which(command[0]):
            self.skipTest(f"{command[0]} is not installed (deploy/setup --test)")
        done = subprocess.run(command, text=True, capture_output=True, cwd=PROMETHEUS)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_configuration_and_rules_are_valid(self):
        self.tool("promtool", "check", "config", "prometheus.yml")
        self.tool("promtool", "check", "rules", *sorted((PROMETHEUS / "rules").glob("*.yml")))
        self.tool("amtool", "check-config", "alertmanager.yml")

    def test_rules_do_what_their_cases_say(self):
        self.tool("promtool", "test", "rules", *sorted((PROMETHEUS / "tests").glob("*.yml")))

    def test_each_alert_has_a_case_that_fires_and_one_that_does_not(self):
        cases = "\n".join(path.read_text() for path in (PROMETHEUS / "tests").glob("*.yml"))
        for name in alerts():
            blocks = re.findall(rf"alertname: {name},? ?\n?[^\n]*\n?[^\n]*exp_alerts:([^\n]*)", cases)
            self.assertTrue(any("[]" not in block for block in blocks), f"{name} has no case that fires")
            self.assertTrue(any("[]" in block for block in blocks), f"{name} has no case that does not fire")

    def test_each_alert_says_how_bad_what_and_what_to_do(self):
        headings = {anchor(line.lstrip("# ")) for line in (ROOT / "docs" / "RUNBOOK.md").read_text().splitlines() if line.startswith("#")}
        for name, block in alerts().items():
            self.assertRegex(block, r"severity: (critical|warning|info)", name)
            for key in ("summary", "description"):
                self.assertRegex(block, rf"\b{key}: \S", name)
            link = re.search(r"runbook_url: docs/RUNBOOK.md#(\S+)", block)
            self.assertTrue(link, name)
            self.assertEqual(link.group(1), name.lower())
            self.assertIn(link.group(1), headings, f"docs/RUNBOOK.md has no section on {name}")


if __name__ == "__main__":
    unittest.main()
