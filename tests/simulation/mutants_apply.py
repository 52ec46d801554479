"""Every patch of tests/simulation/mutants still fits the library, breaks a promise that there is, and says which.

scripts/mutants builds and runs them, which takes long; that one of them no longer applies is seen here, in seconds.
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROMISES = {f"I{n}" for n in range(1, 21)} | {"crash"}


def problem(patch, library):
    text = patch.read_text()
    head = text.split("\n--- ", 1)[0].splitlines()
    if len(head) < 2 or not head[0].endswith("."):
        return "its first line does not say in a sentence what it does"
    named = re.findall(r"\bI\d+\b|\bcrash\b", " ".join(head[1:]))
    if not named or not set(named) <= PROMISES:
        return "it does not say which promise it breaks"
    for name in re.findall(r"^--- a/(\S+)", text, re.M):
        if not name.startswith("include/"):
            return f"it changes {name}, which is no header of the library"
    tool = ["patch", "-s", "-p1", "--dry-run", "-i"] if shutil.which("patch") else ["git", "apply", "--check"]
    done = subprocess.run([*tool, str(patch)], cwd=library, capture_output=True, text=True)
    return "" if done.returncode == 0 else (done.stdout + done.stderr).strip()


def main():
    patches = sorted((ROOT / "tests/simulation/mutants").glob("*.patch"))
    failed = 0
    with tempfile.TemporaryDirectory(prefix="iothub-mutants-") as folder:
        shutil.copytree(ROOT / "include", pathlib.Path(folder) / "include")
        for patch in patches:
            if why := problem(patch, folder):
                failed += 1
                print(f"{patch.relative_to(ROOT)}: {why}")
    if len(patches) < 20:
        print(f"{len(patches)} patches; there were twenty and more")
        failed += 1
    print(f"{len(patches) - failed} of {len(patches)} mutants apply")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
