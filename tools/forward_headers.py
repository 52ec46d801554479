"""Makes a folder of headers that lead to single_include/, so that the tests run against the generated headers.

  forward_headers.py OUTPUT

A header that the generated ones hold becomes one line that includes them; any other one (the served hub, the mocks) is
copied as it is.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = ROOT / "include"


def main():
    output = pathlib.Path(sys.argv[1])
    inside = {}
    for name in ("fake_hub.hpp", "amqp.hpp", "iothub.hpp"):
        text = (ROOT / "single_include/iothub" / name).read_text()
        for held in re.findall(r"^// ---- (iothub/\S+)$", text, re.M):
            inside[held] = name
    for header in INCLUDE.rglob("*.hpp"):
        name = header.relative_to(INCLUDE).as_posix()
        target = output / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if name in inside:
            text = f'#pragma once\n#include "{ROOT}/single_include/iothub/{inside[name]}"\n'
        else:
            text = header.read_text()
        if not target.exists() or target.read_text() != text:
            target.write_text(text)


if __name__ == "__main__":
    main()
