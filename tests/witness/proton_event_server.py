"""Apache Qpid Proton in the place of the event endpoint: what our reader says on the wire is taken by an AMQP server that
shares no line with this library, and its tokens are checked with Python's own HMAC. Debian's package python3-qpid-proton
belongs to Debian's Python, so the script goes on with that where another began."""
import base64
import hashlib
import hmac
import json
import os
import pathlib
import socket
import sys
import threading
import urllib.parse

try:
    import proton  # noqa: F401
except ImportError:
    if os.path.realpath(sys.executable) == os.path.realpath("/usr/bin/python3"):
        raise
    os.execv("/usr/bin/python3", ["/usr/bin/python3", *sys.argv])
from proton import UNDESCRIBED, Array, Condition, Data, Message, int32, symbol, timestamp
from proton.handlers import MessagingHandler
from proton.reactor import Container

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from served_hub import BIN, main, run  # noqa: E402

KEY = base64.b64encode(b"a key of this test alone").decode()
EVENTS = 10  # in each of two partitions


class EventEndpoint(MessagingHandler):
    """Two partitions; breaks the first connection after a few events."""

    def __init__(self, port, break_after):
        super().__init__(auto_accept=True, prefetch=100)
        self.port, self.break_after = port, break_after
        self.senders, self.next, self.selectors, self.problems, self.tokens = {}, {}, [], [], 0
        self.sent = 0
        self.listening = threading.Event()

    def on_start(self, event):
        self.acceptor = event.container.listen(f"localhost:{self.port}")
        self.listening.set()

    def on_link_opening(self, event):
        link = event.link
        link.source.copy(link.remote_source)
        link.target.copy(link.remote_target)
        if not link.is_sender:
            return
        address = link.remote_source.address
        name = address if address == "$cbs" else link.remote_target.address if address == "$management" else address
        self.senders[name] = link
        if "/Partitions/" not in address:
            return
        group, partition = address.split("/")[2], address.split("/")[-1]
        if not address.startswith("hub1/ConsumerGroups/") or group != "$Default" or partition not in "01":
            self.problems.append(f"address {address}")
        filters = link.remote_source.filter
        filters.rewind()
        filters.next()
        selector = filters.get_object()[symbol("apache.org:selector-filter:string")].value
        self.selectors.append(selector)
        name, position = selector.split(" > ")
        if name != "amqp.annotation.x-opt-offset":
            self.problems.append(f"selector {selector}")
        self.next[link.name] = int(position.strip("'")) // 100 + 1 if position != "'-1'" else 0

    def on_message(self, event):
        message = event.message
        if event.receiver.target.address == "$cbs":
            self.check_token(message)
            answer = Message(correlation_id=message.id, body=None,
                             properties={"status-code": int32(200), "status-description": "OK"})
            self.senders["$cbs"].send(answer)
        else:
            wanted = {"operation": "READ", "name": "hub1", "type": "com.microsoft:eventhub"}
            if message.properties != wanted:
                self.problems.append(f"request {message.properties}")
            answer = Message(correlation_id=message.id, properties={"status-code": int32(200)},
                             body={"name": "hub1", "partition_ids": Array(UNDESCRIBED, Data.STRING, "0", "1")})
            self.senders[message.reply_to].send(answer)

    def check_token(self, message):
        self.tokens += 1
        fields = dict(field.split("=", 1) for field in message.body.removeprefix("SharedAccessSignature ").split("&"))
        expected = hmac.new(KEY.encode(), f"{fields['sr']}\n{fields['se']}".encode(), hashlib.sha256).digest()
        if urllib.parse.unquote(fields["sig"]) != base64.b64encode(expected).decode():
            self.problems.append("the signature")
        if urllib.parse.unquote(fields["sr"]) != "sb://localhost/hub1" or fields["skn"] != "service":
            self.problems.append(f"the token is for {fields['sr']}")
        if message.properties["operation"] != "put-token" or message.properties["name"] != "sb://localhost/hub1":
            self.problems.append(f"put-token {message.properties}")

    def on_sendable(self, event):
        link = event.link
        while link.name in self.next and link.credit > 0 and self.next[link.name] < EVENTS:
            number = self.next[link.name]
            self.next[link.name] += 1
            link.send(Message(body=json.dumps({"n": number}).encode(), inferred=number % 2 == 0, properties={"n": number},
                              annotations={symbol("x-opt-sequence-number"): number, symbol("x-opt-offset"): str(number * 100),
                                           symbol("x-opt-enqueued-time"): timestamp(1704067200000 + number),
                                           symbol("iothub-connection-device-id"): "pump-7"}))
            self.sent += 1
            if self.sent == self.break_after:
                event.connection.condition = Condition("amqp:connection:forced", "maintenance")
                event.connection.close()
                return


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def read(break_after, count):
    endpoint = EventEndpoint(free_port(), break_after)
    container = Container(endpoint)
    thread = threading.Thread(target=container.run, daemon=True)
    thread.start()
    endpoint.listening.wait(20)
    text = (f"Endpoint=sb://localhost:{endpoint.port}/;SharedAccessKeyName=service;SharedAccessKey={KEY};EntityPath=hub1;"
            "UseDevelopmentEmulator=true")
    try:
        said = run([BIN / "read_events", "--from-beginning", "--json", "--count", count],
                   dict(os.environ, IOTHUB_SERVICE_CONNECTION_STRING=text))
    finally:
        container.stop()
        thread.join(20)
    assert not endpoint.problems, endpoint.problems
    return endpoint, [json.loads(line) for line in said.stdout.splitlines()]


def every_event_comes_once_and_in_order(events):
    for partition in "01":
        numbers = [each["sequenceNumber"] for each in events if each["partition"] == partition]
        assert numbers == list(range(EVENTS)), (partition, numbers)


def our_reader_reads_from_proton():
    endpoint, events = read(break_after=None, count=2 * EVENTS)
    every_event_comes_once_and_in_order(events)
    assert endpoint.selectors == ["amqp.annotation.x-opt-offset > '-1'"] * 2, endpoint.selectors
    first = next(each for each in events if each["sequenceNumber"] == 3)
    assert first["body"] == {"n": 3} and first["properties"] == {"n": "3"} and first["deviceId"] == "pump-7", first
    assert first["enqueuedTime"] == "2024-01-01T00:00:00.003Z" and first["offset"] == "300", first


def our_reader_goes_on_where_proton_broke_off():
    endpoint, events = read(break_after=13, count=2 * EVENTS)
    every_event_comes_once_and_in_order(events)
    assert endpoint.tokens == 2 and len(endpoint.selectors) == 4, (endpoint.tokens, endpoint.selectors)


main(our_reader_reads_from_proton, our_reader_goes_on_where_proton_broke_off)
