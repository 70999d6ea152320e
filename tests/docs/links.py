#!/usr/bin/env python3
"""What our Markdown points at must be there: files and headings behind relative links, pages named in the text, and paths of the tree in
backquotes. docs/README.md must name every page of docs/.

    python3 tests/docs/links.py [ROOT]      prints each violation as FILE:LINE: what is wrong; status 1 if there is any
"""

import pathlib
import re
import sys

TOP_FOLDERS = ("client", "cmake", "deploy", "docker", "docs", "model", "proto", "server", "tests", "worker")
LINK = re.compile(r"(?<!`)\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(rf"(?:{'|'.join(TOP_FOLDERS)})/[\w./-]*\w/?")


def pages(root):
    yield from (path for path in (root / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")) if path.exists())
    for folder in TOP_FOLDERS:
        yield from (path for path in sorted((root / folder).rglob("*.md")) if "node_modules" not in path.parts)


def text_lines(path):
    """(number, line) outside of fenced blocks."""
    fenced = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield number, line


def anchors(path):
    """The anchors that a page's headings get on GitHub."""
    found = {}
    for _, line in text_lines(path):
        if match := re.match(r"#+ +(.*)", line):
            slug = re.sub(r"[^\w\- ]", "", match[1].strip().lower()).replace(" ", "-")
            found[slug] = found.get(slug, -1) + 1
            if found[slug]:
                found[f"{slug}-{found[slug]}"] = 0
    return set(found)


def _link(page, target):
    """What is wrong with a link, or None."""
    if re.match(r"[a-z]+:", target):
        return None
    name, _, anchor = target.partition("#")
    file = (page.parent / name).resolve() if name else page
    if not file.exists():
        return f"links to {target}: there is no such file"
    if anchor and file.suffix == ".md" and anchor not in anchors(file):
        return f"links to {target}: there is no such heading"
    return None


def _quoted(root, page, text):
    """What is wrong with a word in backquotes that looks like a path of the tree or a page's name, or None."""
    if re.fullmatch(r"[\w/]*\w\.md", text) and not any((folder / text).exists() for folder in (root, root / "docs", page.parent)):
        return f"names {text}: there is no such page"
    placeholder = "NAME" in text or text.startswith("docker/secrets")  # those that `docker/make-secrets` makes
    if PATH.fullmatch(text) and not placeholder and not any((folder / text).exists() for folder in (root, page.parent)):
        return f"names {text}: there is no such file"
    return None


def violations(root):
    for page in pages(root):
        tells_what_was = page.name == "CHANGELOG.md"
        for number, line in text_lines(page):
            for target in LINK.findall(line):
                if wrong := _link(page, target):
                    yield f"{page.relative_to(root)}:{number}: {wrong}"
            plain = LINK.sub("", line)
            named = [] if tells_what_was else re.findall(r"`([^`]+)`", plain)
            named += re.findall(r"(?<![\w`/.(\[])([A-Z][A-Z_]+\.md)\b", plain)
            for text in named:
                if wrong := _quoted(root, page, text):
                    yield f"{page.relative_to(root)}:{number}: {wrong}"
    index = root / "docs" / "README.md"
    if index.exists():
        linked = {(index.parent / target.partition("#")[0]).resolve() for target in LINK.findall(index.read_text())}
        for page in sorted((root / "docs").rglob("*.md")):
            if page != index and page.resolve() not in linked:
                yield f"docs/README.md: names no {page.relative_to(root / 'docs')}: give it a line"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[2]).resolve()
    found = list(violations(root))
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
