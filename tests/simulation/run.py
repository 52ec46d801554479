"""Runs as many seeds of the simulation as a change has to pass: SIM_SEEDS of them, 2,000 unless told otherwise.

Every kind of fault has to be reached. A failure ends with the command that plays it again.
"""
import os
import pathlib
import subprocess
import sys

program = pathlib.Path(os.environ.get("IOTHUB_BIN_DIR", "build/bin")) / "sim"
seeds = os.environ.get("SIM_SEEDS", "2000")
jobs = os.environ.get("SIM_JOBS", str(os.cpu_count() or 1))
sys.exit(subprocess.run([str(program), "--seeds", seeds, "--jobs", jobs], check=False).returncode)
