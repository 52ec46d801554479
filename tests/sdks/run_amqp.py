#!/usr/bin/env python3
"""Azure's own SDKs over AMQP against iothub-fake: devices, cloud-to-device messages, feedback, the event endpoint.

  tests/sdks/run_amqp.py --bin build/bin --sdks .sdks [--only FLOW]

First over AMQP with TLS, with Azure's device and then with ours (sdk_amqp_device), then over WebSockets, against a hub that has no other port for AMQP. The folder has node/node_modules with azure-iothub, azure-iot-device, azure-iot-device-amqp and @azure/event-hubs, and
python/ with azure-eventhub, azure-iot-hub and websocket-client. The hub listens on 5671 and 5672, or on 443, which the SDKs
have built in.
Ends with a line "N passed, M failed".
"""
import argparse
import base64
import hashlib
import hmac
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
import ssl

HERE = pathlib.Path(__file__).resolve().parent
TIMEOUT = 60


class Failure(Exception):
    pass


def expect(condition, text):
    if not condition:
        raise Failure(text)


class Lines:
    """A program whose lines of JSON are waited for."""

    def __init__(self, command, environment):
        self.process = subprocess.Popen([str(c) for c in command], env=environment, text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.seen, self.texts = [], []
        self.changed = threading.Condition()
        threading.Thread(target=self.collect, daemon=True).start()

    def collect(self):
        for line in self.process.stdout:
            with self.changed:
                self.texts.append(line.rstrip())
                if line.startswith("{"):
                    self.seen.append(json.loads(line))
                self.changed.notify_all()

    def wait(self, what, matches, count=1):
        end = time.monotonic() + TIMEOUT
        with self.changed:
            while True:
                found = [each for each in self.seen if matches(each)]
                if len(found) >= count:
                    return found
                if not self.changed.wait(max(0, end - time.monotonic())):
                    raise Failure(f"waited for {what}, saw " + "\n".join(self.texts[-20:]))

    def event(self, name, count=1):
        return self.wait(name, lambda each: each.get("event") == name, count)

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


def keep_for_scan(log):
    """The hub's log goes to tests/security/scan.py, which looks for secrets in it."""
    if "IOTHUB_TRANSCRIPTS" in os.environ:
        shutil.copy(log, tempfile.mkstemp(dir=os.environ["IOTHUB_TRANSCRIPTS"], prefix="log-")[1])


class World:
    def __init__(self, options, websocket, ours=False):
        self.websocket, self.ours = websocket, ours
        self.bin, self.sdks = pathlib.Path(options.bin).resolve(), pathlib.Path(options.sdks).resolve()
        self.folder = tempfile.TemporaryDirectory(prefix="iothub-amqp-")
        self.ports_file = self.folder.name + "/ports.json"
        self.log = open(self.folder.name + "/hub.log", "w+")
        ports = ["--https", "443", "--amqps", "off", "--amqp", "off"] if websocket else ["--https", "0"]
        self.hub = subprocess.Popen([self.bin / "iothub-fake", "serve", *ports, "--mqtt", getattr(options, "mqtt", "0"), "--ca", self.folder.name,
                                     "--ports-file", self.ports_file, *getattr(options, "serve", [])], stdout=subprocess.PIPE, stderr=self.log, text=True)
        ready = self.hub.stdout.readline()
        expect(ready.startswith("iothub-fake ready "), f"the hub did not get ready: {open(self.log.name).read()}")
        self.ports = json.load(open(self.ports_file))
        self.ca = self.ports["ca"]
        self.service = self.fake("connstr", "--service", "--ports-file", self.ports_file)
        self.parts = dict(part.split("=", 1) for part in self.service.split(";"))
        self.events = (f"Endpoint=sb://localhost/;SharedAccessKeyName={self.parts['SharedAccessKeyName']};"
                       f"SharedAccessKey={self.parts['SharedAccessKey']};EntityPath={self.ports['hub']}")
        self.environment = dict(os.environ, NODE_EXTRA_CA_CERTS=self.ca, IOTHUB_CA=self.ca, SSL_CERT_FILE=self.ca,
                                REQUESTS_CA_BUNDLE=self.ca, EVENT_HUB_CA=self.ca, EVENT_HUB_CONNECTION_STRING=self.events,
                                IOTHUB_SERVICE_CONNECTION_STRING=self.service, NODE_NO_WARNINGS="1",
                                NODE_PATH=str(self.sdks / "node/node_modules"))
        if websocket:
            self.environment["WEBSOCKET"] = "1"

    def fake(self, *arguments):
        return subprocess.run([self.bin / "iothub-fake", *arguments], stdout=subprocess.PIPE, text=True, check=True,
                              timeout=TIMEOUT, env=dict(os.environ, SSL_CERT_FILE=getattr(self, "ca", ""))).stdout.strip()

    def start(self, script, *arguments, **environment):
        interpreter = "node" if script.endswith(".js") else self.sdks / "python/bin/python"
        words = [each if isinstance(each, str) else json.dumps(each) for each in arguments]
        return Lines([interpreter, HERE / script, *words], dict(self.environment, **environment))

    def run(self, script, *arguments, **environment):
        """Everything that it printed, when it has ended."""
        program = self.start(script, *arguments, **environment)
        program.process.wait(TIMEOUT)
        time.sleep(0.1)
        return program.seen

    def device(self, name, **environment):
        text = self.fake("connstr", "--device", name, "--create", "--ports-file", self.ports_file)
        if self.ours:
            return Lines([self.bin / "sdk_amqp_device"], dict(self.environment, IOTHUB_DEVICE_CONNECTION_STRING=text, **environment))
        return self.start("amqp_device.js", IOTHUB_DEVICE_CONNECTION_STRING=text, **environment)

    def request(self, method, path, body):
        resource, expiry = urllib.parse.quote("localhost", safe=""), str(int(time.time()) + 3600)
        key = base64.b64decode(self.parts["SharedAccessKey"])
        signature = base64.b64encode(hmac.new(key, f"{resource}\n{expiry}".encode(), hashlib.sha256).digest())
        token = (f"SharedAccessSignature sr={resource}&sig={urllib.parse.quote(signature, safe='')}&se={expiry}"
                 f"&skn={self.parts['SharedAccessKeyName']}")
        request = urllib.request.Request(f"https://localhost:{self.ports['https']}{path}?api-version=2021-04-12", method=method,
                                         data=json.dumps(body).encode(),
                                         headers={"Authorization": token, "Content-Type": "application/json"})
        with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=self.ca), timeout=TIMEOUT) as answer:
            return json.load(answer)

    def close(self):
        self.hub.terminate()
        status = self.hub.wait(20)
        keep_for_scan(self.log.name)
        expect(status == 0, f"the hub ended with {status}")


def device_flow(world):
    device = world.device("amqp-device")
    try:
        device.event("ready")
        answer = world.request("POST", "/twins/amqp-device/methods",
                               {"methodName": "echo", "payload": {"a": 1}, "responseTimeoutInSeconds": 20})
        expect(answer == {"status": 200, "payload": {"echoed": {"a": 1}}}, str(answer))
        twin = world.request("PATCH", "/twins/amqp-device", {"properties": {"desired": {"rate": 7}}})
        expect(twin["properties"]["reported"]["firmware"] == "1.2", f"reported: {twin['properties']['reported']}")
        device.wait("the desired change", lambda each: each.get("event") == "desired" and each["patch"].get("rate") == 7)
    finally:
        device.stop()


def events_flow(world):
    """What the device of device_flow sent, with every reader."""
    def check(events):
        found = [each for each in events if each.get("event") == "event"]
        expect(len(found) == 1, f"{len(found)} events: {events}")
        event = found[0]
        expect(event["sequence"] == 0 and event["system"]["iothub-connection-device-id"] == "amqp-device", str(event))
        expect(event["properties"] == {"alert": "no"}, str(event))
        expect(event["system"]["iothub-message-source"] == "Telemetry", str(event))

    check(world.run("amqp_events.js", "read", {"count": 1}))
    check(world.run("amqp_events.py", "read", {"count": 1}))
    if not world.websocket:
        check(world.run("amqp_events.py", "read", {"count": 1},
                    EVENT_HUB_CONNECTION_STRING=world.events + ";UseDevelopmentEmulator=true"))
    for script in ("amqp_events.js", "amqp_events.py"):
        described = world.run(script, "describe")
        expect(described and described[0].get("event") == "described" and len(described[0]["partitions"]) == 4, str(described))
    latest = world.start("amqp_events.js", "read", {"count": 1, "from": "latest"})
    latest.event("reading", 4)
    time.sleep(1)
    second = world.device("amqp-second")
    try:
        second.event("ready")
        event = latest.event("event")[0]
        expect(event["system"]["iothub-connection-device-id"] == "amqp-second", str(event))
    finally:
        second.stop()
        latest.stop()


def epochs_flow(world):
    seen = world.run("amqp_events.js", "steal")
    expect(any(each.get("event") == "stolen" and each["code"] == "ReceiverDisconnectedError" for each in seen), str(seen))


def messages_flow(world):
    """Sent by both SDKs; completed, rejected and abandoned by the device; and what the feedback says."""
    feedback = world.start("amqp_service.js", "feedback", {"count": 2})
    feedback.event("listening")
    for how, status in (("complete", "Success"), ("reject", "Rejected")):
        device = world.device(f"amqp-{how}", SETTLE=how)
        try:
            device.event("ready")
            sent = world.run("amqp_service.js", "send", {"id": f"amqp-{how}", "body": "hello", "messageId": how, "ack": "full",
                                                        "properties": {"k": "v"}})
            expect(sent[0] == {"event": "sent"}, str(sent))
            message = device.event("message")[0]
            expect(message["body"] == "hello" and message["messageId"] == how and message["ack"] == "full" and
                   {"key": "k", "value": "v"} in message["properties"], str(message))
            device.event("settled")
        finally:
            device.stop()
    records = [record for each in feedback.wait("all of the feedback", lambda each: each.get("event") == "done") and
               feedback.event("feedback") for record in each["records"]]
    expect({(each["originalMessageId"], each["statusCode"]) for each in records} == {("complete", "Success"), ("reject", "Rejected")},
           str(records))
    if world.websocket:  # azure-iot-hub sends over AMQP with TLS only
        return
    device = world.device("amqp-abandon", SETTLE="abandon")
    try:
        device.event("ready")
        sent = world.run("amqp_service.py", "send", {"id": "amqp-abandon", "body": "again", "properties": {"messageId": "p1"}})
        expect(sent == [{"event": "sent"}], str(sent))
        device.event("message", 10)  # as often as a message is delivered
    finally:
        device.stop()


def refusals_flow(world):
    world.fake("connstr", "--device", "amqp-full", "--create", "--ports-file", world.ports_file)
    for verb, arguments, name in (("send", {"id": "nobody", "body": "x"}, "DeviceNotFoundError"),
                                  ("fill", {"id": "amqp-full", "count": 51}, "DeviceMaximumQueueDepthExceededError"),
                                  ("send", {"id": "amqp-full", "body": "x" * 70000}, "MessageTooLargeError")):
        seen = world.run("amqp_service.js", verb, arguments)
        expect(seen and seen[-1].get("name") == name, f"wanted {name}, got {seen}")
    wrong = world.service.replace("SharedAccessKey=", "SharedAccessKey=AAAA")
    seen = world.run("amqp_service.js", "send", {"id": "amqp-full", "body": "x"}, IOTHUB_SERVICE_CONNECTION_STRING=wrong)
    expect(seen and seen[-1].get("cause") == "UnauthorizedError", str(seen))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/bin")
    parser.add_argument("--sdks", default=".sdks")
    parser.add_argument("--only", help="one of device, events, epochs, messages, refusals")
    options = parser.parse_args()
    flows = {"device": device_flow, "events": events_flow, "epochs": epochs_flow, "messages": messages_flow,
             "refusals": refusals_flow}
    passed = failed = 0
    for websocket, ours in ((False, False), (False, True), (True, False)):
        wire = "AMQP over WebSocket" if websocket else "AMQP, our device" if ours else "AMQP"
        world = World(options, websocket, ours)
        failed_before = failed
        for name, flow in flows.items():
            if options.only and name != options.only and not (options.only == "events" and name == "device"):
                continue
            if ours and flow not in (device_flow, events_flow, messages_flow):  # the others have no device
                continue
            try:
                flow(world)
                passed += 1
                print(f"{wire:19} {name:9} ok", flush=True)
            except (Failure, subprocess.SubprocessError, KeyError, IndexError, OSError) as failure:
                failed += 1
                print(f"{wire:19} {name:9} FAILED: {failure!r}", flush=True)
        if failed != failed_before:
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
