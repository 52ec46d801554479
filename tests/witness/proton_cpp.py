"""Apache Qpid Proton in C++ (proton_cpp.cpp, which this compiles) as client of the served hub and as server to our client
(amqp_talker). Tokens are made with Python's own HMAC."""
import base64
import hashlib
import hmac
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
from served_hub import BIN, TIMEOUT, ServedHub, main, run  # noqa: E402

CXX = os.environ.get("CXX", "g++")
FOLDER = tempfile.TemporaryDirectory(prefix="iothub-proton-cpp-")
PROGRAM = pathlib.Path(FOLDER.name) / "proton_cpp"


def build():
    done = subprocess.run([CXX, "-std=c++20", "-Wall", "-Wextra", str(HERE / "proton_cpp.cpp"), "-o", str(PROGRAM),
                           "-lqpid-proton-cpp"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"proton_cpp.cpp did not compile (Debian: libqpid-proton-cpp12-dev):\n{done.stdout[-4000:]}")


def fields_of(connection_string):
    return dict(field.split("=", 1) for field in connection_string.split(";"))


def token(key, resource, policy=None):
    resource, expiry = urllib.parse.quote(resource, safe=""), str(int(time.time()) + 3600)
    signature = base64.b64encode(hmac.new(base64.b64decode(key), f"{resource}\n{expiry}".encode(), hashlib.sha256).digest())
    text = f"SharedAccessSignature sr={resource}&sig={urllib.parse.quote(signature, safe='')}&se={expiry}"
    return text + (f"&skn={policy}" if policy else "")


class World(ServedHub):
    def __init__(self):
        super().__init__("--partitions", "2")
        self.tls = f"amqps://localhost:{self.words['amqps']}"
        self.plain = f"amqp://localhost:{self.words['amqp']}"
        self.owner = fields_of(self.environment["IOTHUB_SERVICE_CONNECTION_STRING"])["SharedAccessKey"]

    def proton(self, *words, status=0, **settings):
        """The lines that the program said; settings: CA, USER, PASSWORD, TOKEN, AUDIENCE."""
        surroundings = dict(os.environ, **{f"PROTON_{name}": value for name, value in settings.items()})
        return run([PROGRAM, *words], surroundings, status).stdout.splitlines()

    def device(self, name):
        key = fields_of(self.for_device(name)["IOTHUB_DEVICE_CONNECTION_STRING"])["SharedAccessKey"]
        return dict(CA=self.words["ca"], USER=f"{name}@sas.localhost", PASSWORD=token(key, f"localhost/devices/{name}"))

    def back_end(self):
        return dict(CA=self.words["ca"], USER="iothubowner@sas.root.localhost",
                    PASSWORD=token(self.owner, "localhost", "iothubowner"))

    def by_token(self):
        """SASL ANONYMOUS and a put-token to $cbs, without TLS."""
        return dict(TOKEN=token(self.owner, "localhost", "iothubowner"), AUDIENCE="localhost")

    def partition_of(self, device):
        """Where the hub's own program says that the events of the device are."""
        events = self.fake("events", "--from-beginning", "--count", "1", "--device", device, "--json")
        return json.loads(events.splitlines()[0])["partition"]


def messages_of(lines):
    return [dict(field.split("=", 1) for field in line.split("\t")[1:]) for line in lines if line.startswith("message\t")]


def numbers_of(events):
    return [event["a.x-opt-sequence-number"] for event in events]


def telemetry_is_accepted_and_read_back_behind_a_selector():
    with World() as hub:
        said = hub.proton("send", hub.tls, "/devices/pump-7/messages/events", "-",
                          *(f'{{"n":{n}}}' for n in range(4)), **hub.device("pump-7"))
        assert said == [f"outcome {n} accepted" for n in range(4)], said
        address = f"localhost/ConsumerGroups/$Default/Partitions/{hub.partition_of('pump-7')}"

        said = hub.proton("receive", hub.plain, address, 4, "amqp.annotation.x-opt-offset > '-1'", **hub.by_token())
        assert said[0] == "put-token string:the token 200", said
        events = messages_of(said)
        assert numbers_of(events) == [f"long:{n}" for n in range(4)], events
        for n, event in enumerate(events):
            assert event["id"] == f"string:proton-{n}" and event["content-type"] == "application/json", event
            assert event["p.colour"] == "string:red" and event["body"] == f'binary:7:{{"n":{n}}}', event
            assert event["a.x-opt-offset"].startswith("string:"), event
            assert event["a.x-opt-enqueued-time"].startswith("timestamp:"), event
            assert event["a.iothub-enqueuedtime"].startswith("timestamp:"), event
            assert event["a.iothub-connection-device-id"] == "string:pump-7", event
            assert event["a.iothub-message-source"] == "string:Telemetry", event

        for selector in ("amqp.annotation.x-opt-sequence-number > '1'",
                         "amqp.annotation.x-opt-offset > '" + events[1]["a.x-opt-offset"].removeprefix("string:") + "'"):
            rest = messages_of(hub.proton("receive", hub.plain, address, 2, selector, **hub.by_token()))
            assert numbers_of(rest) == ["long:2", "long:3"], (selector, rest)
        assert hub.stop() == 0


def a_message_to_a_device_is_accepted_and_the_feedback_says_success():
    with World() as hub:
        device, to = hub.device("listener"), "/devices/listener/messages/devicebound"
        said = hub.proton("send", hub.tls, "/messages/devicebound", to, "hello", **hub.back_end())
        assert said == ["outcome 0 accepted"], said
        [message] = messages_of(hub.proton("receive", hub.tls, to, 1, **device))
        assert message["id"] == "string:proton-0" and message["to"] == to and message["body"] == "binary:5:hello", message
        assert message["p.colour"] == "string:red", message
        [batch] = messages_of(hub.proton("receive", hub.tls, "/messages/serviceBound/feedback", 1, **hub.back_end()))
        assert batch["content-type"] == "application/vnd.microsoft.iothub.feedback.json", batch
        [record] = json.loads(batch["body"].split(":", 2)[2])
        assert record["originalMessageId"] == "proton-0" and record["statusCode"] == "Success", record


def what_the_hub_refuses_is_refused_to_proton():
    with World() as hub:
        to = "/devices/nobody/messages/devicebound"
        said = hub.proton("send", hub.tls, "/messages/devicebound", to, "hello", **hub.back_end())
        assert said == ["outcome 0 rejected"], said
        wrong = token(base64.b64encode(b"no key of this hub").decode(), "localhost", "iothubowner")
        said = hub.proton("receive", hub.plain, "localhost/ConsumerGroups/$Default/Partitions/0", 1, TOKEN=wrong,
                          AUDIENCE="localhost")
        assert said == ["put-token string:the token 401"], said
        said = hub.proton("send", hub.tls, "/messages/devicebound", to, "hello", status=1, **dict(hub.back_end(), PASSWORD=wrong))
        assert said[0].startswith("error amqp:unauthorized-access: "), said


def check_server(max_frame_size):
    server = subprocess.Popen([str(PROGRAM), "serve", str(max_frame_size)], stdout=subprocess.PIPE, text=True)
    try:
        port = server.stdout.readline().removeprefix("listening ").strip()
        talker = run([BIN / "amqp_talker", port], dict(os.environ)).stdout.splitlines()
        status = server.wait(TIMEOUT)
        said = server.stdout.read().splitlines()
        assert status == 0, said
    finally:
        server.kill()
        server.wait()
    assert said[0] == "open talker ANONYMOUS", said
    first, second, third = messages_of(said)
    wanted = {"id": "string:talker-0", "to": "somebody", "content-type": "text/plain", "durable": "1",
              "a.x-note": "long:-5", "a.x-when": "timestamp:1000", "p.text": "string:häßlich", "p.yes": "boolean:true",
              "p.int": "int:-7", "p.long": f"long:{1 << 40}", "p.double": "double:1.5", "p.nothing": "null:",
              "body": "binary:5:bytes"}
    assert first == wanted, first
    assert second["id"] == "string:talker-1" and second["body"] == "binary:100000:" + "L" * 400, second
    assert third["id"] == "string:talker-2" and third["body"] == "string:just text", third
    outcomes = [line for line in said if line.startswith("outcome ")]
    assert outcomes == ["outcome 0 accepted", "outcome 1 rejected", "outcome 2 released", "outcome 3 modified"], outcomes

    for wanted in ("open proton-cpp", "attached to inbox", "attached from outbox", "outcome 0 accepted", "outcome 1 rejected ",
                   "outcome 2 released", "detached from outbox test:done that was all", "closed closed"):
        assert wanted in talker, (wanted, talker)
    heard = [line.split(" ", 2)[2] for line in talker if line.startswith("message ")]
    assert heard[0] == 'id=1 A{x-opt-offset: "7"} P{"b": 2, "n": null, "t": @5} first', heard
    assert heard[1].endswith('"a value"') and heard[2].endswith('{"k": [1, 2, "three"]}'), heard
    assert heard[3].endswith("m" * 40), heard


def each_decodes_what_the_other_sent():
    check_server(65_536)


def small_frames_carry_large_messages():
    check_server(512)


build()
main(telemetry_is_accepted_and_read_back_behind_a_selector, a_message_to_a_device_is_accepted_and_the_feedback_says_success,
     what_the_hub_refuses_is_refused_to_proton, each_decodes_what_the_other_sent, small_frames_carry_large_messages)
