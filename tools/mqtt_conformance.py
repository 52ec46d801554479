"""Keeps docs/mqtt-conformance.md: a row for each normative statement of MQTT 3.1.1, made from the tests named after it.

A statement of tests/data/mqtt311_normative.json, MQTT-3.1.2-1, has the test MqttConformance.MQTT_3_1_2_1 in
tests/conformance/, and the comment right above that begins with "Kept." or "Not offered." Fails when a statement has no
test, a test no statement or no verdict, something is not offered and no source says why, or the page is not current;
--write makes the page.
"""
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "mqtt-conformance.md"
TESTS = ROOT / "tests" / "conformance"
STATEMENTS = ROOT / "tests" / "data" / "mqtt311_normative.json"
SUITE = "MqttConformance"
TEST = re.compile(r"((?:^//[^\n]*\n)*)^TEST(?:_F|_P)?\((\w+), *(\w+)\)", re.M)
VERDICT = re.compile(r"(Kept|Not offered)\. +(\S.*)")
SOURCE = re.compile(r"\((Microsoft docs: [\w-]+|azure-[\w-]+, [\w./]+)\)")

HEAD = """\
# MQTT 3.1.1, statement by statement

Appendix B of the standard lists {total} normative statements. Each has a test of its own that drives our client, our
server or the whole hub with bytes typed in by hand: {kept} are kept, {missing} are not offered, because Azure IoT Hub
has nothing of the kind; there the test shows what happens instead. Statements are told in our own words; the standard's at
[docs.oasis-open.org](https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/os/mqtt-v3.1.1-os.html).

`mqtt_conformance` is the test program; the test of MQTT-3.1.2-1 is `{suite}.MQTT_3_1_2_1`. This page is made from the
tests by `tools/mqtt_conformance.py --write`, and the suite fails when it is not current. Whom a statement binds: the
client, the server, both, or (packet) whoever writes the bytes, with the other side to check them.

| statement | binds | it says | verdict | here | test |
|---|---|---|---|---|---|
"""


def name_of(statement):
    return statement["id"].replace("-", "_").replace(".", "_")


def read_tests(offences):
    found = {}
    for path in sorted(TESTS.glob("*.cpp")):
        text = path.read_text()
        for match in TEST.finditer(text):
            comment, suite, name = match.groups()
            where = f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, match.start(2)) + 1}"
            if suite != SUITE:
                offences.append(f"{where}: {suite}.{name} is not a test of {SUITE}")
                continue
            said = " ".join(line[2:].strip() for line in comment.splitlines())
            verdict = VERDICT.fullmatch(said)
            if not verdict:
                offences.append(f'{where}: above {name} there is no comment that begins with "Kept." or "Not offered."')
            elif verdict[1] == "Not offered" and not SOURCE.search(said):
                offences.append(f"{where}: {name} names no source for what is not offered")
            elif name in found:
                offences.append(f"{where}: {name} is there twice")
            else:
                found[name] = (path, verdict[1].lower(), verdict[2])
    return found


def page(statements, found):
    cell = lambda text: text.replace("|", "\\|")
    rows = []
    for statement in statements:
        name = name_of(statement)
        path, verdict, said = found[name]
        test = f"[{name}](../{path.relative_to(ROOT).as_posix()})"
        cells = [statement["id"], statement["binds"], cell(statement["text"]), verdict, cell(said), test]
        rows.append(f"| {' | '.join(cells)} |\n")
    kept = sum(found[name_of(s)][1] == "kept" for s in statements)
    return HEAD.format(total=len(statements), kept=kept, missing=len(statements) - kept, suite=SUITE) + "".join(rows)


def main():
    offences = []
    statements = json.loads(STATEMENTS.read_text())["statements"]
    found = read_tests(offences)
    names = {name_of(s) for s in statements}
    offences += [f"{s['id']} has no test {SUITE}.{name_of(s)}" for s in statements if name_of(s) not in found]
    offences += [f"{found[name][0].relative_to(ROOT)}: {name} is no statement" for name in sorted(found.keys() - names)]
    if not offences:
        made = page(statements, found)
        if "--write" in sys.argv[1:]:
            PAGE.write_text(made)
        elif not PAGE.exists() or PAGE.read_text() != made:
            offences.append(f"{PAGE.relative_to(ROOT)} is not current: run tools/mqtt_conformance.py --write")
    for offence in offences:
        print(offence)
    if not offences:
        print(f"{len(statements)} statements, each with its test")
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
