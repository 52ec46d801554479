"""Programs that must not compile, and the sentence that the compiler must say about each.

The first line of a case is `// expect: TEXT`; the compiler ($CXX, c++ unless set) has to fail and to print TEXT. Each case
also has to compile when FIXED is defined, so that it fails for its own reason and no other.
"""
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
INCLUDE = HERE.parent.parent / "include"


def compile_case(case, *flags):
    command = [os.environ.get("CXX", "c++"), "-std=c++20", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
               f"-I{INCLUDE}", *flags, str(case)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def problem(case):
    first = case.read_text().splitlines()[0]
    if not first.startswith("// expect: "):
        return "its first line is not `// expect: TEXT`"
    expected = first.removeprefix("// expect: ")
    broken = compile_case(case)
    if broken.returncode == 0:
        return "it compiles"
    if expected not in broken.stderr:
        return f"the compiler does not say: {expected}\n{broken.stderr[:3000]}"
    fixed = compile_case(case, "-DFIXED")
    if fixed.returncode != 0:
        return f"it does not compile with FIXED either\n{fixed.stderr[:3000]}"
    return None


def main():
    cases = sorted(HERE.glob("*.cpp"))
    failed = 0
    for case in cases:
        why = problem(case)
        print(f"{'ok  ' if why is None else 'FAIL'} {case.name}" + ("" if why is None else f": {why}"))
        failed += why is not None
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
