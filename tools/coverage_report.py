"""Reads what the counters of a coverage build saw, and prints lines and branches by room. scripts/coverage calls it.

    coverage_report.py --build DIR --profile FILE [--lines 97] [--branches 93] [--gaps [ROOM ...]] --objects FILE ...

A line ran when any instantiation of it ran. A branch is one outcome of one condition of the source (`a && b` has two
conditions, four branches; clang's own region for the whole of `a && b` beside them is left out), and ran when any
instantiation took it, since an inline function or a template exists once in the source. Not counted, for nothing can take
them:
  - conditions inside IOTHUB_ASSERT: one that fails is a defect of the library and ends the program;
  - conditions that the compiler decides: `if constexpr`, `while (true)`;
  - what the compiler makes of `= default`;
  - what is left for a switch that has no `default`: each enumerator has its case, or -Wswitch is an error.
Unwinding by an exception is no branch of the source. Allocation failure is tested apart (tests/adversity).
"""
import argparse
import json
import os
import re
import subprocess
import sys

ROOMS = "base json io mqtt http ws amqp crypto wire policy device service hub".split()
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def spans_of(text, word):
    """(first, last) offsets of the parentheses behind each `word(`."""
    spans = []
    for found in re.finditer(re.escape(word) + r"\s*\(", text):
        depth, at = 1, found.end()
        while depth and at < len(text):
            depth += {"(": 1, ")": -1}.get(text[at], 0)
            at += 1
        spans.append((found.start(), at))
    return spans


SWITCH = re.compile(r"\bswitch \($")


def is_compound(text):
    """Whether it is `a && b` or `a || b`, whose parts are counted."""
    text = text.strip()
    while text.startswith("!") or (text.startswith("(") and spans_of("x" + text, "x")[0][1] == len(text) + 1):
        text = (text[1:] if text[0] == "!" else text[1:-1]).strip()
    depth = 0
    for at, c in enumerate(text):
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(c, 0)
        if depth == 0 and text[at:at + 4] in (" && ", " || "):
            return True
    return False


class source:
    def __init__(self, path):
        self.text = open(path, encoding="utf-8").read()
        self.lines = self.text.split("\n")
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line) + 1)
        self.uncounted = spans_of(self.text, "IOTHUB_ASSERT") + spans_of(self.text, "if constexpr")

    def at(self, line, column):
        return self.starts[line - 1] + column - 1

    def counts(self, first, last):
        if self.text[first:last].strip() in ("true", "false"):
            return False
        if self.text[first - 8:last] == "= default":
            return False
        if SWITCH.search(self.text, max(0, first - 12), first) or is_compound(self.text[first:last]):
            return False
        return not any(a <= first < b for a, b in self.uncounted)


def measure(objects, profile):
    """{path: ({line: ran}, {(offset, end, outcome): ran})} of the headers of the rooms."""
    folders = [os.path.join(ROOT, "include/iothub", room) for room in ROOMS]
    common = ["-instr-profile=" + profile, objects[0]] + [a for o in objects[1:] for a in ("-object", o)]
    common += folders

    def run(form):
        done = subprocess.run(["llvm-cov-14", "export", "-skip-functions", "-format=" + form] + common,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        # What is inline and not called in one file has no counters there, and is said to mismatch what others counted.
        said = [line for line in done.stderr.splitlines() if not line.endswith("functions have mismatched data")]
        if done.returncode or said:
            sys.exit("llvm-cov-14: " + "\n".join(said))
        return done.stdout

    files, path = {}, None
    for line in run("lcov").splitlines():
        if line.startswith("SF:"):
            path = os.path.relpath(line[3:], ROOT)
            files[path] = ({}, {})
        elif line.startswith("DA:"):
            number, count = line[3:].split(",")[:2]
            files[path][0][int(number)] = int(count) > 0
    for entry in json.loads(run("text"))["data"][0]["files"]:
        path = os.path.relpath(entry["filename"], ROOT)
        code, branches = source(entry["filename"]), files[path][1]
        for a, b, c, d, taken, passed, *_ in entry.get("branches", []):
            first, last = code.at(a, b), code.at(c, d)
            if not code.counts(first, last):
                continue
            for outcome, ran in ((True, taken > 0), (False, passed > 0)):
                key = (first, last, outcome)
                branches[key] = branches.get(key, False) or ran
    return files


def gaps(files, wanted):
    for path in sorted(files):
        if wanted and not any("/" + w in path for w in wanted):
            continue
        lines, branches = files[path]
        code = source(os.path.join(ROOT, path))
        missing = sorted(n for n, ran in lines.items() if not ran)
        odd = {}
        for (first, last, outcome), ran in branches.items():
            number = code.text.count("\n", 0, first) + 1
            if not ran and lines.get(number, True):
                odd.setdefault((number, first, last), []).append("true" if outcome else "false")
        if not missing and not odd:
            continue
        print("\n%s: %d lines, %d branches" % (path, len(missing), sum(not ran for ran in branches.values())))
        for number in missing:
            print("  %4d  never ran      %s" % (number, code.lines[number - 1].strip()))
        for (number, first, last), outcomes in sorted(odd.items()):
            print("  %4d  never %-7s  %s" % (number, "/".join(outcomes), " ".join(code.text[first:last].split())))


def main():
    wanted = argparse.ArgumentParser()
    wanted.add_argument("--build", required=True)
    wanted.add_argument("--profile", required=True)
    wanted.add_argument("--lines", type=float, default=97)
    wanted.add_argument("--branches", type=float, default=93)
    wanted.add_argument("--gaps", nargs="*")
    wanted.add_argument("--objects", nargs="+", required=True)
    said = wanted.parse_args()
    files = measure(said.objects, said.profile)
    if said.gaps is not None:
        gaps(files, said.gaps)
        print()
    unseen = [os.path.join("include/iothub", room, name) for room in ROOMS
              for name in sorted(os.listdir(os.path.join(ROOT, "include/iothub", room)))
              if os.path.join("include/iothub", room, name) not in files]
    print("%-10s %8s %8s %9s   %8s %8s %9s" % ("room", "lines", "ran", "", "branches", "taken", ""))
    total = [0, 0, 0, 0]
    percent = lambda part, whole: 100.0 * part / whole if whole else 100.0
    def row(name, n):
        print("%-10s %8d %8d %8.2f%%   %8d %8d %8.2f%%" % (name, n[0], n[1], percent(n[1], n[0]), n[2], n[3], percent(n[3], n[2])))
    for room in ROOMS:
        n = [0, 0, 0, 0]
        for path, (lines, branches) in files.items():
            if path.startswith("include/iothub/%s/" % room):
                n = [n[0] + len(lines), n[1] + sum(lines.values()), n[2] + len(branches), n[3] + sum(branches.values())]
        row(room, n)
        total = [a + b for a, b in zip(total, n)]
    row("all", total)
    if unseen:
        print("nothing to count in: " + " ".join(p[len("include/iothub/"):] for p in unseen))
    print("Not counted: conditions inside IOTHUB_ASSERT, those that the compiler decides, the missing default of a switch over")
    print("an enumeration, comparisons that are defaulted; unwinding is no branch.")
    print("Each line, with its branches: %s/html/index.html" % said.build)
    lines, branches = percent(total[1], total[0]), percent(total[3], total[2])
    if lines < said.lines or branches < said.branches:
        print("below the aim of %g %% of lines and %g %% of branches" % (said.lines, said.branches))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
