"""Adds up the JUnit files that ctest wrote: summary.py FOLDER. What failed and what was skipped (with the reason) is listed.

FOLDER/SUITE.xml are ctest's results, FOLDER/STEP.failed the words of a step that failed and is no test (a build).
The last line is the total: N passed, N failed, N skipped. Exit status: 0 nothing failed, 1 something did.
"""

import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree


def reason(output, message):
    """Why a test skipped itself: GoogleTest's words after 'Skipped', else its last line that speaks of skipping."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for number, line in enumerate(lines):
        if re.search(r"(^|: )Skipped$", line) and number + 1 < len(lines):
            return lines[number + 1]
    spoken = [line for line in lines if "skip" in line.lower()] or lines
    return spoken[-1] if spoken else message or "no reason given"


def read(path):
    """(passed, [failed names], [(skipped name, reason)]) of one JUnit file."""
    passed, failed, skipped = 0, [], []
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name, status = case.get("name"), case.get("status")
        mark = case.find("skipped")
        message = mark.get("message", "") if mark is not None else ""
        output = case.findtext("system-out") or ""
        if status == "run":
            passed += 1
        elif status == "disabled":
            skipped.append((name, "disabled"))
        elif status == "notrun" and "SKIP_" in message:
            skipped.append((name, reason(output, message)))
        else:
            failed.append(f"{name}{' (' + message + ')' if status == 'notrun' and message else ''}")
    return passed, failed, skipped


def main():
    folder = pathlib.Path(sys.argv[1])
    passed, failed, skipped = 0, [], []
    for path in sorted(folder.glob("*.failed")):
        failed.append(f"{path.stem}: {path.read_text().strip()}")
    for path in sorted(folder.glob("*.xml")):
        try:
            some_passed, some_failed, some_skipped = read(path)
        except ElementTree.ParseError as error:
            failed.append(f"{path.stem}: its results cannot be read ({error})")
            continue
        print(f"{path.stem}: {some_passed} passed, {len(some_failed)} failed, {len(some_skipped)} skipped")
        passed += some_passed
        failed += [f"{path.stem}: {name}" for name in some_failed]
        skipped += [(f"{path.stem}: {name}", why) for name, why in some_skipped]
    if passed + len(failed) + len(skipped) == 0:
        failed.append("no test ran at all")
    for name, why in skipped:
        print(f"skipped  {name}: {why}")
    for name in failed:
        print(f"FAILED   {name}")
    print(f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
