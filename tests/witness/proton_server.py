"""Apache Qpid Proton's Python server, and our AMQP client (amqp_talker) that talks to it: each decodes what the other sent.
Debian's package python3-qpid-proton belongs to Debian's Python, so the script goes on with that where another began."""
import os
import pathlib
import subprocess
import sys
import threading

try:
    import proton
except ImportError:
    if os.path.realpath(sys.executable) == os.path.realpath("/usr/bin/python3"):
        raise
    os.execv("/usr/bin/python3", ["/usr/bin/python3", *sys.argv])
from proton import Delivery, Endpoint, Message, int32, symbol, timestamp, ubyte, ulong
from proton.handlers import MessagingHandler
from proton.reactor import Container

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from served_hub import BIN, TIMEOUT, main  # noqa: E402


class Server(MessagingHandler):
    def __init__(self, max_frame_size):
        super().__init__(prefetch=0, auto_accept=False, auto_settle=False)
        self.max_frame_size, self.got, self.outcomes, self.port = max_frame_size, [], {}, None
        self.listening = threading.Event()
        self.error = None

    def on_start(self, event):
        self.acceptor = event.container.listen("amqp://127.0.0.1:0")
        self.port = self.acceptor._selectable._delegate.getsockname()[1]
        self.listening.set()

    def on_connection_bound(self, event):
        event.transport.max_frame_size = self.max_frame_size
        event.transport.idle_timeout = 10

    def on_link_opening(self, event):
        event.link.source.copy(event.link.remote_source)
        event.link.target.copy(event.link.remote_target)
        if event.link.is_receiver:
            event.link.flow(3)

    def on_sendable(self, event):
        if self.outcomes or getattr(self, "sent", False):
            return
        self.sent = True
        for n, message in enumerate((
                Message(id=ulong(1), body=b"first", inferred=True, annotations={symbol("x-opt-offset"): "7"},
                        properties={"t": timestamp(5), "b": ubyte(2), "n": None}),
                Message(id="second", body="a value"), Message(id="third", body={"k": [1, 2, "three"]}),
                Message(id="fourth", body=b"m" * 70_000, inferred=True))):
            delivery = event.sender.send(message)
            self.outcomes[delivery.tag] = (n, None)

    def on_message(self, event):
        self.got.append(event.message)
        states = (Delivery.ACCEPTED, Delivery.REJECTED, Delivery.RELEASED)
        event.delivery.update(states[(len(self.got) - 1) % 3])
        event.delivery.settle()
        self.finish(event.connection)

    def on_delivery(self, event):
        delivery = event.delivery
        if event.link.is_sender and delivery.updated and delivery.remote_state:
            n = self.outcomes[delivery.tag][0]
            self.outcomes[delivery.tag] = (n, delivery.remote_state, delivery.remote.condition)
            delivery.settle()
            self.finish(event.connection)

    def finish(self, connection):
        if len(self.got) != 3 or any(each[1] is None for each in self.outcomes.values()) or not self.outcomes:
            return
        link = connection.session_head and connection.link_head(Endpoint.LOCAL_ACTIVE)
        while link and not link.is_sender:
            link = link.next(Endpoint.LOCAL_ACTIVE)
        if link:
            link.condition = proton.Condition("test:done", "that was all")
            link.close()

    def on_link_error(self, event):
        self.error = str(event.link.remote_condition)

    def on_transport_closed(self, event):
        self.acceptor.close()


def talk(max_frame_size):
    server = Server(max_frame_size)
    container = Container(server)
    worker = threading.Thread(target=container.run, daemon=True)
    worker.start()
    assert server.listening.wait(10)
    done = subprocess.run([BIN / "amqp_talker", str(server.port)], stdout=subprocess.PIPE, text=True, timeout=TIMEOUT)
    worker.join(20)
    assert done.returncode == 0, done.stdout
    return server, done.stdout.splitlines()


def check(max_frame_size):
    server, lines = talk(max_frame_size)
    first, second, third = server.got
    assert first.id == "talker-0" and first.durable and first.address == "somebody" and first.content_type == "text/plain", first
    assert first.annotations == {"x-note": -5, "x-when": timestamp(1000)}, first
    assert first.properties == {"text": "häßlich", "yes": True, "int": int32(-7), "long": 1 << 40, "double": 1.5, "nothing": None}
    assert type(first.properties["int"]) is int32 and bytes(first.body) == b"bytes", first
    assert second.id == "talker-1" and bytes(second.body) == b"L" * 100_000
    assert third.id == "talker-2" and third.body == "just text", third

    outcomes = dict((each[0], each[1:]) for each in server.outcomes.values())
    assert outcomes[0][0] == Delivery.ACCEPTED and outcomes[2][0] == Delivery.RELEASED and outcomes[3][0] == Delivery.MODIFIED
    assert outcomes[1][0] == Delivery.REJECTED and outcomes[1][1].name == "test:no", outcomes
    assert lines[0].startswith("open "), lines
    for wanted in ("attached to inbox", "attached from outbox", "outcome 0 accepted", "outcome 1 rejected ", "outcome 2 released",
                   "detached from outbox test:done that was all", "closed closed"):
        assert wanted in lines, (wanted, lines)
    heard = [line.split(" ", 2)[2] for line in lines if line.startswith("message ")]
    assert heard[0] == 'id=1 A{x-opt-offset: "7"} P{"t": @5, "b": 2, "n": null} first', heard
    assert heard[1].endswith('"a value"') and heard[2].endswith('{"k": [1, 2, "three"]}'), heard
    assert heard[3].endswith("m" * 40), heard


def each_decodes_what_the_other_sent():
    check(65_536)


def small_frames_carry_large_messages():
    check(512)


main(each_decodes_what_the_other_sent, small_frames_carry_large_messages)
