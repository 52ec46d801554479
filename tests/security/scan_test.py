"""Proves tests/security/scan.py: a leak that is planted is found, whatever its form and way out, and what is none passes."""
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

SCAN = pathlib.Path(__file__).resolve().parent / "scan.py"
KEY = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA="  # made for this test
FIXED = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="  # of the tests
SIGNATURE = "sig=q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA%3D"

LEAKS = {
    "a key alone": KEY,
    "a key among words": f"the key is '{KEY}', keep it",
    "a key of 64 bytes": "q83v" * 21 + "Ew==",
    "a connection string": "HostName=h;DeviceId=d;SharedAccessKey=c2VjcmV0c2VjcmV0",
    "a token": f"SharedAccessSignature sr=h%2Fdevices%2Fd&{SIGNATURE}&se=1",
    "a signature alone": f"https://h/c/b?se=1&{SIGNATURE}",
    "a signature in capitals": SIGNATURE.replace("sig=", "SIG="),
    "a signature in JSON": '{"uri":"x?sig\\u003dq83v","y":"' + SIGNATURE.replace("%3D", "\\u003d") + '"}',
    "a fixed key in hexadecimal": "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    "a private key": "-----BEGIN PRIVATE KEY-----",
    "a password": "MQTT CONNECT user=h/d password=hunter22",
    "behind bytes that are no text": "\\xff\\xfe" + KEY,
    "at the end without a line feed": "no newline " + KEY,
}
HARMLESS = [
    "[ RUN      ] Secret.WipesItsBytesWhenItGoes",
    "/src/include/iothub/service/event_reader_core.hpp:12: error",
    "SharedAccessKey=... is missing", "sig= is empty", "sr=h&sig=***&se=1",
    "DigestOfASentenceWithLettersAlone/And/A/Path=",
    "etag AAAAAAAAAAE= version 12", "-----BEGIN CERTIFICATE-----",
    "Sec-WebSocket-Accept: fHGIlqkMyJWjTyN3bHMYIYQkVFY=",
]


def run(program, *more):
    return subprocess.run([sys.executable, SCAN, "run", sys.executable, "-c", program, *more], capture_output=True)


def found(done, secret):
    assert done.returncode == 1, (done.returncode, done.stdout)
    assert b"SECRET PRINTED" in done.stdout, done.stdout
    assert secret.encode() not in done.stdout, "it was passed on"


def planted_leaks_are_found():
    for name, text in LEAKS.items():
        end = "" if "without a line feed" in name else "\\n"
        for stream in ("stdout", "stderr"):
            done = run(f"import sys; sys.{stream}.write(r'''{text}''' + '{end}')")
            found(done, text)


def harmless_lines_pass():
    for text in HARMLESS:
        done = run(f"print(r'''{text}''')")
        assert done.returncode == 0 and done.stdout.decode() == text + "\n", (text, done.stdout)


def parts_that_are_written_apart_are_put_together():
    done = run(f"import sys, time\nfor c in r'''{KEY}''': sys.stdout.write(c); sys.stdout.flush()")
    found(done, KEY)


def exit_statuses_pass():
    assert run("raise SystemExit(7)").returncode == 7
    assert run("import os; os.kill(os.getpid(), 11)").returncode == -signal.SIGSEGV
    done = run(f"print('{KEY}'); raise SystemExit(7)")
    assert done.returncode == 7 and b"SECRET PRINTED" in done.stdout, done


def transcripts_are_read():
    write = "import os, sys; open(os.environ['IOTHUB_TRANSCRIPTS'] + '/transcript-1', 'w').write(sys.argv[1])"
    found(run(write, f"bin/iothub-fake serve\nready\n2024 info refused reason=\"{KEY}\"\n"), KEY)
    found(run(write, f"standard error of bin/iothub-fake connstr\n{KEY}\n"), KEY)
    assert run(write, f"bin/iothub-fake serve --owner-key {KEY}\nready\n").returncode == 0
    # What a program is for passes; all else that it says is read.
    service = f"HostName=localhost:1;SharedAccessKeyName=iothubowner;SharedAccessKey={KEY}"
    device = f"HostName=localhost;DeviceId=d;SharedAccessKey={KEY};GatewayHostName=g"
    token = f"SharedAccessSignature sr=h%2Fdevices%2Fd1&{SIGNATURE}&se=1"
    for command, line in (("build/bin/iothub-fake connstr --service", service), ("bin/iothub-fake connstr --device d", device),
                          ("bin/create_device_identity", f"primary key                  {KEY}"),
                          ("bin/create_device_identity x", f"secondary key                {KEY}"),
                          ("bin/standalone_sas_signer", f"alone     {token}")):
        assert run(write, f"{command}\nready\n{line}\nthat was it\n").returncode == 0, command
        found(run(write, f"{command}\n{line}\n2024 info refused reason=\"{KEY}\"\n"), KEY)
        found(run(write, f"{command}\n2024 debug request {line}\n"), KEY if KEY in line else SIGNATURE)
        found(run(write, f"{command}\n{line} {KEY}\n"), KEY)
        found(run(write, f"bin/other\n{line}\n"), KEY if KEY in line else SIGNATURE)


def files_and_folders_are_read():
    with tempfile.TemporaryDirectory() as folder:
        name = pathlib.Path(folder) / "a.log"
        for text, status in (("nothing\n", 0), (f"nothing\n{FIXED}\n", 1)):
            name.write_text(text)
            for what in (name, folder):
                assert subprocess.run([sys.executable, SCAN, "file", what], capture_output=True).returncode == status


def no_test_runs_unscanned():
    root = pathlib.Path(__file__).resolve().parent.parent.parent
    cmake, meson = (root / "CMakeLists.txt").read_text(), (root / "meson.build").read_text()
    assert re.findall(r"(?<!_)add_test\((?!NAME \$\{name\} COMMAND \$\{iothub_scan\} ).*", cmake) == []
    tests = [line for line in meson.splitlines() if line.lstrip().startswith("test(")]
    assert tests and all("'tests/security/scan.py'), 'run', executable(" in line for line in tests), tests


def main():
    tests = [planted_leaks_are_found, harmless_lines_pass, parts_that_are_written_apart_are_put_together, exit_statuses_pass,
             transcripts_are_read, files_and_folders_are_read, no_test_runs_unscanned]
    for test in tests:
        test()
        print(f"ok      {test.__name__}", flush=True)


if __name__ == "__main__":
    os.environ.pop("IOTHUB_TRANSCRIPTS", None)
    main()
