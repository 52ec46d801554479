"""Each public header compiles alone, and twice in one file. Uses $CXX (default g++), two at a time."""
import concurrent.futures
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = ROOT / "include"
CXX = os.environ.get("CXX", "g++")


def compile_alone(header):
    name = header.relative_to(INCLUDE).as_posix()
    source = f"#include <{name}>\n#include <{name}>\nint main() {{}}\n"
    command = [CXX, "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{INCLUDE}", "-xc++", "-"]
    done = subprocess.run(command, input=source, text=True, capture_output=True)
    return name, done.returncode, done.stderr


def main():
    headers = sorted((INCLUDE / "iothub").rglob("*.hpp"))
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for name, status, text in pool.map(compile_alone, headers):
            if status:
                bad += 1
                print(f"{name} does not compile alone:\n{text[:2000]}")
    print(f"{len(headers) - bad} of {len(headers)} headers compile alone and twice")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
