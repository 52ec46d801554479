"""A running iothub-fake on free ports, for tests of programs. $IOTHUB_BIN_DIR says where the programs are."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

BIN = pathlib.Path(os.environ.get("IOTHUB_BIN_DIR", "build/bin")).resolve()
TIMEOUT = 60  # seconds; a bound on hanging, no expectation


class ServedHub:
    def __init__(self, *arguments):
        self.folder = tempfile.TemporaryDirectory(prefix="iothub-test-")
        self.ports_file = self.folder.name + "/ports.json"
        self.log_path = self.folder.name + "/hub.log"
        command = [BIN / "iothub-fake", "serve", "--https", "0", "--mqtt", "0", "--amqps", "0", "--amqp", "0",
                   "--ca", self.folder.name + "/ca", "--ports-file", self.ports_file, *arguments]
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        self.ready = self.process.stdout.readline().strip()
        if not self.ready.startswith("iothub-fake ready "):
            sys.exit(f"the hub did not get ready: {self.ready}{self.log()}")
        self.words = dict(word.split("=", 1) for word in self.ready.split()[2:])
        self.environment = dict(os.environ, SSL_CERT_FILE=self.words["ca"], IOTHUB_HTTPS_PORT=self.words["https"],
                                IOTHUB_MQTT_PORT=self.words["mqtt"])
        self.environment["IOTHUB_SERVICE_CONNECTION_STRING"] = self.fake("connstr", "--service")

    def log(self):
        return pathlib.Path(self.log_path).read_text()

    def fake(self, *arguments):
        return run([BIN / "iothub-fake", *arguments, "--ports-file", self.ports_file], self.environment).stdout.strip()

    def for_device(self, device_id):
        """The environment of a device, which is registered."""
        string = self.fake("connstr", "--device", device_id, "--create")
        return dict(self.environment, IOTHUB_DEVICE_CONNECTION_STRING=string)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(TIMEOUT)
        add_transcript(["iothub-fake serve"], f"{self.ready}\n{self.log()}")
        self.folder.cleanup()
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            add_transcript(["iothub-fake serve"], f"{self.ready}\n{self.log()}")
        self.folder.cleanup()


def add_transcript(command, text):
    """For tests/security/scan.py, which reads what programs printed: the command on the first line, then the text."""
    folder = os.environ.get("IOTHUB_TRANSCRIPTS")
    if folder and text:
        with tempfile.NamedTemporaryFile("w", dir=folder, prefix="transcript-", delete=False) as out:
            out.write(" ".join(str(word) for word in command) + "\n" + text)


def run(command, environment, status=0):
    """Runs to the end; the output when the exit status is the wanted one."""
    done = subprocess.run([str(word) for word in command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=TIMEOUT)
    add_transcript(command, done.stdout)
    add_transcript(["standard error of", *command], done.stderr)
    if status is not None and done.returncode != status:
        raise AssertionError(f"{command} ended with {done.returncode}, not {status}:\n{done.stdout}{done.stderr}")
    return done


class Running:
    """A program that runs until it is told to stop."""

    def __init__(self, command, environment):
        self.command = [str(word) for word in command]
        # Unbuffered lines: the programs are C stdio behind a pipe.
        self.process = subprocess.Popen(["stdbuf", "-oL", *self.command], env=environment, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)
        self.lines = []

    def wait_for(self, text):
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if text in line:
                return line.rstrip()
        raise AssertionError(f"{self.command} ended without saying {text!r}: {self.lines[-10:]}")

    def stop(self, with_signal=signal.SIGINT, status=0):
        self.process.send_signal(with_signal)
        rest = self.process.stdout.read()
        ended = self.process.wait(TIMEOUT)
        add_transcript(self.command, "\n".join([*self.lines, rest]))
        if ended != status:
            raise AssertionError(f"{self.command} ended with {ended}, not {status}: {self.lines[-5:]}{rest}")


def main(*tests):
    """Runs functions named as sentences, says which held, and gives the exit status."""
    failed = 0
    for test in tests:
        try:
            test()
            print(f"ok      {test.__name__}", flush=True)
        except (AssertionError, subprocess.TimeoutExpired, KeyError, ValueError) as problem:
            failed += 1
            print(f"FAILED  {test.__name__}: {problem!r}", flush=True)
    print(f"{len(tests) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


__all__ = ["BIN", "ServedHub", "Running", "run", "main", "json"]
