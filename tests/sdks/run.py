"""Runs the quickstart's flows against iothub-fake with every pair of device and service side: Azure's Node SDK, Azure's
Python SDK, this library. The flows are those of the quickstart: register, telemetry and SetTelemetryInterval, the
three failures of a call, reboot with a reported property and a query, desired and reported properties.

  run.py --bin build/bin --sdks .sdks [--only node:python]

A device side may have "-ws" behind its name: then it speaks MQTT over WebSocket, to port 443.

Ends with a line "N passed, M failed". The hub listens on 443 and 8883, since most SDKs have these built in.
"""
import argparse
import json
import os
import pathlib
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
TIMEOUT = 60  # seconds; a bound on hanging, no expectation


class Failure(Exception):
    pass


def expect(condition, text):
    if not condition:
        raise Failure(text)


class Lines:
    """The JSON lines of a running program."""

    def __init__(self, command, environment):
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.events, self.seen = queue.Queue(), []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.events.put(line.rstrip("\n"))
        self.events.put(None)

    def wait(self, what, matches):
        """The first coming event that matches; other events are kept for messages only."""
        limit = time.monotonic() + TIMEOUT
        while True:
            try:
                line = self.events.get(timeout=max(0.1, limit - time.monotonic()))
            except queue.Empty:
                raise Failure(f"waited {TIMEOUT} s for {what}; last lines: {self.seen[-8:]}") from None
            if line is None:
                raise Failure(f"the device program ended while waiting for {what}; last lines: {self.seen[-8:]}")
            self.seen.append(line)
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if event.get("event") == "failed":
                raise Failure(f"device program: {event['error']}")
            if matches(event):
                return event

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failure("the device program did not end on SIGTERM") from None


def keep_for_scan(log):
    """The hub's log goes to tests/security/scan.py, which looks for secrets in it."""
    if "IOTHUB_TRANSCRIPTS" in os.environ:
        shutil.copy(log, tempfile.mkstemp(dir=os.environ["IOTHUB_TRANSCRIPTS"], prefix="log-")[1])


class World:
    """A running hub, and how to start each side against it."""

    def __init__(self, options):
        self.bin, self.sdks = pathlib.Path(options.bin).resolve(), pathlib.Path(options.sdks).resolve()
        self.folder = tempfile.TemporaryDirectory(prefix="iothub-sdks-")
        self.log = open(pathlib.Path(self.folder.name) / "hub.log", "w+")
        self.hub = subprocess.Popen([self.bin / "iothub-fake", "serve", "--ca", self.folder.name + "/ca"],
                                    stdout=subprocess.PIPE, stderr=self.log, text=True)
        ready = self.hub.stdout.readline()
        if not ready.startswith("iothub-fake ready"):
            self.log.seek(0)
            raise Failure(f"the hub did not get ready on 443 and 8883: {ready}{self.log.read()}")
        print(ready.strip())
        self.ca = dict(word.split("=", 1) for word in ready.split()[2:])["ca"]
        self.service_string = self.fake("connstr", "--service")
        self.environment = dict(os.environ, SSL_CERT_FILE=self.ca, NODE_EXTRA_CA_CERTS=self.ca, REQUESTS_CA_BUNDLE=self.ca,
                                IOTHUB_SERVICE_CONNECTION_STRING=self.service_string, REBOOT_SECONDS="1",
                                NODE_PATH=str(self.sdks / "node/node_modules"), NODE_NO_WARNINGS="1")

    def fake(self, *arguments):
        command = [self.bin / "iothub-fake", *arguments]
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=TIMEOUT,
                              env=dict(os.environ, SSL_CERT_FILE=getattr(self, "ca", ""))).stdout.strip()

    def program(self, sdk, role):
        sdk = sdk.removesuffix("-ws")
        return {"node": ["node", HERE / f"node_{role}.js"], "python": [self.sdks / "python/bin/python", HERE / f"python_{role}.py"],
                "ours": [self.bin / f"sdk_{role}"]}[sdk]

    def device(self, sdk, connection_string):
        environment = dict(self.environment, IOTHUB_DEVICE_CONNECTION_STRING=connection_string)
        if sdk.endswith("-ws"):
            environment["WEBSOCKET"] = "1"
        return Lines(self.program(sdk, "device"), environment)

    def service(self, sdk, verb, **arguments):
        done = subprocess.run([*self.program(sdk, "service"), verb, json.dumps(arguments)], env=self.environment,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=TIMEOUT)
        try:
            return json.loads(done.stdout.strip().splitlines()[-1])
        except (ValueError, IndexError):
            raise Failure(f"{sdk} service {verb}: {done.stdout}{done.stderr}"[:2000]) from None

    def value(self, sdk, verb, **arguments):
        answer = self.service(sdk, verb, **arguments)
        expect(answer["ok"], f"{sdk} service {verb} failed: {answer}")
        return answer["value"]

    def error(self, sdk, verb, wanted, **arguments):
        answer = self.service(sdk, verb, **arguments)
        expect(not answer["ok"] and answer["error"] == wanted, f"{sdk} service {verb}: wanted {wanted}, got {answer}")

    def close(self):
        self.hub.terminate()
        status = self.hub.wait(20)
        keep_for_scan(self.log.name)
        self.folder.cleanup()
        expect(status == 0, f"the hub ended with {status}")


def connection_string(world, identity):
    key = identity["authentication"]["symmetricKey"]["primaryKey"]
    return f"HostName=localhost;DeviceId={identity['deviceId']};SharedAccessKey={key}"


def register(world, sdk, device_id):
    identity = world.value(sdk, "create", id=device_id)
    for field in ("deviceId", "generationId", "etag", "connectionState", "status", "authentication"):
        expect(identity.get(field), f"identity without {field}: {identity}")
    world.error(sdk, "create", "already_exists", id=device_id)
    return identity


def telemetry_and_interval(world, sdk, device, device_id):
    device.wait("telemetry", lambda e: e.get("event") == "sent" and e.get("error") is None)
    answer = world.value(sdk, "method", id=device_id, name="SetTelemetryInterval", payload=2)
    expect(answer == {"status": 200, "payload": {"Response": "Executed direct method SetTelemetryInterval"}}, str(answer))
    device.wait("the call", lambda e: e.get("event") == "method" and e.get("payload") == 2)
    answer = world.value(sdk, "method", id=device_id, name="SetTelemetryInterval", payload="soon")
    expect(answer == {"status": 400, "payload": {"Response": "Invalid parameter"}}, str(answer))
    device.wait("telemetry afterwards", lambda e: e.get("event") == "sent" and e.get("error") is None)


def three_failures(world, sdk, device_id):
    world.error(sdk, "method", "device_not_found", id=device_id + "-nobody", name="SetTelemetryInterval", payload=1)
    world.value(sdk, "create", id=device_id + "-away")
    world.error(sdk, "method", "device_offline", id=device_id + "-away", name="SetTelemetryInterval", payload=1)
    world.error(sdk, "method", "device_timeout", id=device_id, name="noAnswer", payload=1, timeout=5)


def reboot(world, sdk, device, device_id):
    answer = world.value(sdk, "method", id=device_id, name="rebootDevice", payload='{"method_number":"42"}')
    expect(answer == {"status": 200, "payload": {"Response": "This is the response from the device"}}, str(answer))
    device.wait("the payload as a string", lambda e: e.get("event") == "method" and e.get("payload") == '{"method_number":"42"}')
    reported = world.value(sdk, "twin", id=device_id)["properties"]["reported"]
    expect("rebootTime" in reported, f"no rebootTime in {reported}")
    text = f"SELECT deviceId FROM devices WHERE properties.reported.rebootTime > '2020-01-01' AND deviceId = '{device_id}'"
    rows = world.value(sdk, "query", text=text)
    expect([row["deviceId"] for row in rows] == [device_id], f"query answered {rows}")


def twin(world, sdk, device, device_id):
    before = world.value(sdk, "twin", id=device_id)
    after = world.value(sdk, "patch", id=device_id, patch={"tags": {"plant": "Redmond43"},
                                                           "properties": {"desired": {"rate": {"value": 7}, "unit": "s"}}})
    version = after["properties"]["desired"]["$version"]
    expect(version == before["properties"]["desired"]["$version"] + 1, f"version went to {version}")
    expect(after["tags"] == {"plant": "Redmond43"}, f"tags are {after['tags']}")
    event = device.wait("the desired change", lambda e: e.get("event") == "desired" and e["patch"].get("$version") == version)
    expect(event["patch"]["rate"] == {"value": 7}, str(event))
    world.error(sdk, "patch", "precondition_failed", id=device_id, etag="AAAAAAAA//8=",
                patch={"properties": {"desired": {"unit": "ms"}}})
    world.value(sdk, "patch", id=device_id, patch={"properties": {"desired": {"unit": None}}})
    event = device.wait("the deletion", lambda e: e.get("event") == "desired" and e["patch"].get("$version") == version + 1)
    expect(event["patch"]["unit"] is None, str(event))
    now = world.value(sdk, "twin", id=device_id)["properties"]["desired"]
    expect("unit" not in now and now["$version"] == version + 1, f"desired is {now}")


def desired_while_away(world, sdk, device_sdk, text, device_id):
    world.value(sdk, "patch", id=device_id, patch={"properties": {"desired": {"whileAway": 1}}})
    device = world.device(device_sdk, text)
    try:
        if device_sdk.startswith("node"):  # its getTwin reads the whole section and emits it once
            device.wait("what was set while away", lambda e: e.get("event") == "desired" and e["patch"].get("whileAway") == 1)
        elif device_sdk.startswith("ours"):
            device.wait("what was set while away", lambda e: e.get("event") == "desired" and e["patch"].get("whileAway") == 1)
        else:
            device.wait("ready", lambda e: e.get("event") == "ready")
    finally:
        device.stop()


def pair(world, device_sdk, service_sdk):
    device_id = f"{device_sdk}-{service_sdk}"
    identity = register(world, service_sdk, device_id)
    text = connection_string(world, identity)
    device = world.device(device_sdk, text)
    try:
        device.wait("ready", lambda e: e.get("event") == "ready")
        telemetry_and_interval(world, service_sdk, device, device_id)
        three_failures(world, service_sdk, device_id)
        reboot(world, service_sdk, device, device_id)
        twin(world, service_sdk, device, device_id)
    finally:
        device.stop()
    desired_while_away(world, service_sdk, device_sdk, text, device_id)
    world.value(service_sdk, "remove", id=device_id)
    world.error(service_sdk, "get", "device_not_found", id=device_id)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/bin")
    parser.add_argument("--sdks", default=".sdks")
    parser.add_argument("--only", help="one pair, as DEVICE:SERVICE of node, python, ours, and node-ws, python-ws, ours-ws for DEVICE")
    options = parser.parse_args()
    sides = ["node", "python", "ours"]
    pairs = [tuple(options.only.split(":"))] if options.only else [(d, s) for d in sides for s in sides]
    if not options.only:
        pairs += [(f"{side}-ws", side) for side in sides]
    passed = failed = 0
    world = World(options)
    for device_sdk, service_sdk in pairs:
        try:
            pair(world, device_sdk, service_sdk)
            passed += 1
            print(f"device {device_sdk:9} service {service_sdk:6} ok", flush=True)
        except (Failure, subprocess.TimeoutExpired, KeyError) as failure:
            failed += 1
            print(f"device {device_sdk:9} service {service_sdk:6} FAILED: {failure!r}", flush=True)
    if failed:
        world.log.seek(0)
        print("the hub's log ends:\n" + "".join(world.log.readlines()[-40:]))
    try:
        world.close()
    except Failure as failure:
        failed += 1
        print(failure)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
