"""Checks the room graph of docs/architecture.md: who may include whom, what portable rooms never include, how long lines are.

Run from anywhere; prints each offence as file:line and exits 1 when there is one.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = ROOT / "include" / "iothub"

# A room may include itself and these.
ROOMS = {
    "base": set(),
    "json": {"base"},
    "io": {"base"},
    "mqtt": {"base"},
    "http": {"base"},
    "ws": {"base", "http"},
    "amqp": {"base"},
    "crypto": {"base"},
    "wire": {"base", "json", "http", "crypto", "policy"},
    "policy": {"base", "io", "mqtt", "http", "ws", "amqp", "crypto"},
    "device": {"base", "json", "mqtt", "http", "amqp", "wire", "io", "policy"},
    "service": {"base", "json", "http", "amqp", "wire", "io", "policy"},
    "hub": {"base", "json", "mqtt", "http", "ws", "amqp", "wire", "crypto"},
    "memory": {"base", "io", "policy", "mqtt", "http", "ws", "amqp"},
    "net": {"base", "io", "policy", "mqtt", "http", "ws", "amqp", "crypto"},
    "simulation": {"base", "io", "policy", "memory", "net"},
    "testing": {"base", "json", "io", "mqtt", "http", "crypto", "wire", "policy", "device", "service", "simulation", "top"},
}
PORTABLE = {"base", "json", "io", "mqtt", "http", "ws", "amqp", "crypto", "wire", "policy", "device", "service", "hub"}
BANNED_STD = {"thread", "mutex", "iostream", "regex", "random", "future", "condition_variable", "ranges", "sstream",
              "fstream", "format", "variant", "functional"}
SYSTEM = re.compile(r"^(sys/|netinet/|arpa/|unistd|fcntl|poll|netdb|signal|openssl/|curl/|pthread)")
OPENSSL_ALLOWED = {"crypto/openssl.hpp"}
DECLARED_VIRTUAL = re.compile(r"^  \S[^{=]*\boverride;|^  (\[\[nodiscard\]\] )?virtual [^{=]*;")
CLOCK_CALL = re.compile(r"(steady_clock|system_clock|high_resolution_clock)::now\s*\(|\btime\s*\(\s*(nullptr|NULL|0)\s*\)|\bgetenv\b")


def offences(path):
    name = path.relative_to(INCLUDE).as_posix()
    room = name.split("/")[0] if "/" in name else "top"
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if len(line) > 120:
            yield number, "longer than the 120 columns of .clang-format"
        included = re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line)
        if included:
            target = included.group(1)
            if target.startswith("iothub/"):
                parts = target.split("/")
                if room == "top":
                    continue
                other = parts[1] if len(parts) > 2 else "top"
                if other == "top" and parts[1] in ("version.hpp", "fwd.hpp"):
                    continue
                if other != room and other not in ROOMS[room]:
                    yield number, f"{room}/ must not include {other}/ ({target})"
            elif room in PORTABLE:
                if target in BANNED_STD:
                    yield number, f"<{target}> is banned in portable rooms"
                if SYSTEM.match(target) and name not in OPENSSL_ALLOWED:
                    yield number, f"<{target}> is not for {room}/"
        elif DECLARED_VIRTUAL.search(line) and "inline " not in line:
            yield number, "say inline here: else every file that includes this emits the vtable and all it reaches"
        elif room in PORTABLE and CLOCK_CALL.search(line.split("//")[0]):
            yield number, "a portable room reads the time or the environment"
    text = path.read_text()
    if "#pragma once" not in text:
        yield 1, "no #pragma once"


def listed_sources():
    listed = set((ROOT / "targets.list").read_text().split())
    for folder in ("tests/unit", "tests/flows", "tests/golden", "tests/fuzz", "tests/simulation", "examples", "benchmarks"):
        for source in sorted((ROOT / folder).glob("*.cpp")):
            if source.relative_to(ROOT).as_posix() not in listed:
                yield source, 1, "is in no line of targets.list, so nothing builds it"


def table():
    """The table of docs/architecture.md says the same as ROOMS."""
    page = ROOT / "docs/architecture.md"
    rows = {}
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if match := re.match(r"\| `(\w+)/` \| ([\w ]*)\|", line):
            rows[match.group(1)] = (number, set(match.group(2).split()))
    for room, may in ROOMS.items():
        number, told = rows.get(room, (1, None))
        if told != may:
            yield page, number, f"the row of {room}/ does not say what {pathlib.Path(__file__).name} checks"


def main():
    found = [(path, *offence) for path in sorted(INCLUDE.rglob("*.hpp")) for offence in offences(path)]
    found += listed_sources()
    found += table()
    for path, number, text in found:
        print(f"{path.relative_to(ROOT)}:{number}: {text}")
    print(f"{len(found)} offences in {len(list(INCLUDE.rglob('*.hpp')))} headers")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
