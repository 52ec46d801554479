"""Runs as many seeds of the simulation as a change has to pass: SIM_SEEDS of them, 2,000 unless told otherwise.

Every kind of fault has to be reached. A failure says which promise of the library broke, when, after which events, and
ends with the command that plays it again, to be pasted at the root of the repository.
"""
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def shown(program):
    """The program as one calls it from the root."""
    try:
        return "./" + program.relative_to(ROOT).as_posix() if program.parent == ROOT else program.relative_to(ROOT).as_posix()
    except ValueError:
        return str(program)


def commit():
    def git(*words):
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""
    name = git("rev-parse", "--short", "HEAD")
    return f"commit {name}{', with changes of your own' if git('status', '--porcelain', '-uno') else ''}" if name else "no commit"


def the_ten_lines_differ():
    """Whether the test of docs/simulation.md is another than the one that is compiled and run."""
    code = (ROOT / "docs/simulation.md").read_text().split("```cpp\n")[1].split("```")[0]
    return code not in (ROOT / "examples/bad_weather_test.cpp").read_text() or code.count("\n") != 10


def main():
    if len(sys.argv) > 1:
        print(__doc__ + "\nIt takes no arguments; IOTHUB_BIN_DIR says where `sim` is, SIM_SEEDS and SIM_JOBS how much it runs.")
        return 0 if sys.argv[1] in ("-h", "--help") else 2
    if the_ten_lines_differ():
        print("the ten lines of docs/simulation.md are not those of examples/bad_weather_test.cpp")
        return 1
    program = pathlib.Path(os.environ.get("IOTHUB_BIN_DIR", ROOT / "build" / "bin")).resolve() / "sim"
    if not program.exists():
        print(f"{program} is not there; build it: cmake --build build --target sim, or scripts/test sim_seeds")
        return 2
    seeds = os.environ.get("SIM_SEEDS", "2000")
    jobs = os.environ.get("SIM_JOBS", str(os.cpu_count() or 1))
    command = [shown(program), "--seeds", seeds, "--jobs", jobs]
    done = subprocess.run(command, cwd=ROOT, executable=str(program), check=False, capture_output=True, text=True)
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    if done.returncode == 1:
        print(f"""
A seed of the simulation broke a promise of the library, at {commit()}.
The report above has the promise, the moment and the last events. From the root of the repository, `replay` plays that
seed again in less than a second, with every event; `smaller` finds the few steps that matter, in some seconds.
docs/simulation.md says how to read it, and how to keep it as a test.""")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
