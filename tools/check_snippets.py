"""Every piece of C++ in README.md and docs/ compiles. Uses $CXX (default g++).

All pieces become one file: their #include lines first, then each in a namespace of its own, so that what it says about names
has to be true. A piece without an #include may use std::chrono_literals; all may use matchers and the names declared
in `<!-- snippet: ... -->` before it, which is C++ too.
"""
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(?:<!-- snippet:(?P<given>.*?)-->\s*)?^```cpp\n(?P<code>.*?)^```$", re.S | re.M)
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wno-main", "-Wno-unused", "-Wno-return-type"]


def pieces():
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = page.read_text()
        for found in BLOCK.finditer(text):
            line = text.count("\n", 0, found.start("code")) + 1
            yield page.relative_to(ROOT).as_posix(), line, found["given"] or "", found["code"]


def is_statements(code):
    return not re.search(r"^(int main\(|TEST|class |struct |template|[a-z].*\) \{$)", code, re.M)


def main():
    includes, bodies = [], []
    found = list(pieces())
    for number, (page, line, given, code) in enumerate(found):
        own = re.findall(r"^#include.*$", given + code, re.M)
        given = re.sub(r"^#include.*$", "", given, flags=re.M)
        includes += [each for each in own if each not in includes]
        rest = re.sub(r"^#include.*$", "", code, flags=re.M)
        if is_statements(code):
            rest = f"void piece() {{\n#line {line} \"{page}\"\n{rest}\n}}"
        literals = "" if own else "using namespace std::chrono_literals;\n"  # a piece with an #include is pasted as it is
        bodies.append(f"namespace piece_{number} {{\n{literals}{given}\n"
                      f"#line {line} \"{page}\"\n{rest}\n}}\n")
    source = "#include <chrono>\n#include <gmock/gmock.h>\n" + "\n".join(includes) + "\n" + "".join(bodies)
    command = [os.environ.get("CXX", "g++"), "-std=c++20", "-fsyntax-only", *WARNINGS, f"-I{ROOT / 'include'}", "-xc++", "-"]
    done = subprocess.run(command, input=source, text=True, capture_output=True, check=False)
    if done.returncode:
        print(done.stderr[:4000])
    print(f"{len(found)} pieces of C++ in README.md and docs/ " + ("do not compile" if done.returncode else "compile"))
    return 1 if done.returncode or not found else 0


if __name__ == "__main__":
    sys.exit(main())
