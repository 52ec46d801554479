"""Looks for secrets in what programs print. Every test runs behind this (CMakeLists.txt, meson.build).

  scan.py run COMMAND...   runs it, passes its output on without the secrets, and fails when there was one. What programs
                           that the test starts in turn print is found too: harnesses put it into $IOTHUB_TRANSCRIPTS.
  scan.py file NAME...     reads files, such as logs; folders are read whole.

A secret is whatever has the form of one (a signature, the key of a connection string, 32 or 64 bytes of base64 as keys
are, a private key) and the fixed keys of the tests in any other form. So keys that a hub made from a seed need not be
known. A finding is told by its kind and place, never by itself.
"""
import base64
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# Base64 of 32 and 64 bytes, whatever stands before it. What has no digit, capital and small letter is a word or a path.
DIGEST = rb"(?=[A-Za-z0-9+/]{0,%d}[0-9])(?=[A-Za-z0-9+/]*[A-Z])(?=[A-Za-z0-9+/]*[a-z])[A-Za-z0-9+/]{%d}%s(?![A-Za-z0-9+/=])"
KINDS = [
    ("signature", re.compile(rb"\bsig=(?:[A-Za-z0-9+/=_-]|%[0-9A-Fa-f]{2}|\\u00[0-9a-f]{2}){20,}", re.I)),
    ("key of a connection string", re.compile(rb"SharedAccessKey=[A-Za-z0-9+/=]{8,}", re.I)),
    ("token", re.compile(rb"SharedAccessSignature s[a-z]{1,2}=[^\s\"]{20,}", re.I)),
    ("32 bytes of base64", re.compile(DIGEST % (42, 43, b"="))),
    ("64 bytes of base64", re.compile(DIGEST % (85, 86, b"=="))),
    ("private key", re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")),
    ("password", re.compile(rb"\bpassword[\"']?\s*[:=]\s*[\"']?[^\s\"',;]{6,}", re.I)),
]

# What a program is for is no leak: these lines, of the programs that the first line of their transcript names. Whatever else
# they say is read, their logs too.
MEANT = [
    # Microsoft's tutorial of this name shows the new identity whole, keys included.
    (re.compile(rb"^\S*create_device_identity\b"), re.compile(rb"(primary|secondary) key +[A-Za-z0-9+/]{43}=")),
    # The command exists to print a connection string.
    (re.compile(rb"^\S*iothub-fake connstr\b"),
     re.compile(rb"HostName=[^;\s]+(;[A-Za-z]+=[^;\s]+)*;SharedAccessKey=[A-Za-z0-9+/=]+(;[A-Za-z]+=[^;\s]+)*")),
    # The example of a token made by hand shows it.
    (re.compile(rb"^\S*standalone_sas_signer\b"), re.compile(rb"alone +SharedAccessSignature sr=\S+")),
]

FIXED_KEY = re.compile(rb"[\"'=]([A-Za-z0-9+/]{11,}={1,2})[\"';\\]")


def fixed_keys():
    """The keys that tests have in their text, and the same bytes in hexadecimal."""
    found = set()
    for folder in (ROOT / "tests", ROOT / "tools" / "iothub-fake"):
        for path in folder.rglob("*"):
            if path.suffix not in (".cpp", ".hpp", ".py", ".js") or not path.is_file() or HERE in path.parents:
                continue
            found.update(FIXED_KEY.findall(path.read_bytes()))
    secrets = set()
    for text in found:
        try:
            key = base64.b64decode(text, validate=True)
        except ValueError:
            continue
        if len(key) >= 16:
            secrets.update((text, key.hex().encode(), key.hex().upper().encode()))
    return secrets


class Scanner:
    def __init__(self):
        keys = sorted(fixed_keys(), key=len, reverse=True)
        known = [("fixed key of the tests", re.compile(b"|".join(re.escape(k) for k in keys)))] if keys else []
        self.kinds = KINDS + known
        self.findings = []

    def line(self, text, where):
        """The line without its secrets."""
        for kind, pattern in self.kinds:
            if pattern.search(text):
                self.findings.append(f"{where}: {kind}")
                text = pattern.sub(b"[secret]", text)
        return text

    def file(self, path):
        with open(path, "rb") as lines:
            where, meant = path.name, []
            if path.name.startswith("transcript-"):
                command = lines.readline()  # not printed, and may hold a key that it was given
                meant = [line for program, line in MEANT if program.search(command)]
                where = b" ".join(command.split()[:4]).decode(errors="replace")
            for number, text in enumerate(lines, 1):
                if not any(each.fullmatch(text.rstrip()) for each in meant):
                    self.line(text, f"{where}: line {number}")

    def folder(self, path):
        for each in sorted(pathlib.Path(path).rglob("*")):
            if each.is_file():
                self.file(each)

    def verdict(self):
        for each in self.findings[:20]:
            print(f"SECRET PRINTED  {each}", flush=True)
        return 1 if self.findings else 0


def run(command):
    scanner = Scanner()
    with tempfile.TemporaryDirectory(prefix="iothub-transcripts-") as transcripts:
        environment = dict(os.environ, IOTHUB_TRANSCRIPTS=transcripts)
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
            for number, text in enumerate(child.stdout, 1):
                sys.stdout.buffer.write(scanner.line(text, f"output, line {number}"))
                sys.stdout.buffer.flush()
        scanner.folder(transcripts)
    leaked = scanner.verdict()
    if child.returncode < 0:  # die the same way, so that whoever runs the tests tells a crash from a failure
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(-child.returncode, signal.SIG_DFL)
        os.kill(os.getpid(), -child.returncode)
    return child.returncode or leaked


def main(arguments):
    if len(arguments) >= 2 and arguments[0] == "run":
        return run(arguments[1:])
    if len(arguments) >= 2 and arguments[0] == "file":
        scanner = Scanner()
        for name in arguments[1:]:
            path = pathlib.Path(name)
            scanner.folder(path) if path.is_dir() else scanner.file(path)
        return scanner.verdict()
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
