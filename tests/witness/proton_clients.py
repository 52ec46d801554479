"""Apache Qpid Proton's Python client against the AMQP faces of the served hub: it decodes by itself what the hub answers.
Debian's package python3-qpid-proton belongs to Debian's Python, so the script goes on with that where another began."""
import base64
import hashlib
import hmac
import json
import os
import pathlib
import sys
import time
import urllib.parse
import uuid

try:
    import proton
except ImportError:
    if os.path.realpath(sys.executable) == os.path.realpath("/usr/bin/python3"):
        raise
    os.execv("/usr/bin/python3", ["/usr/bin/python3", *sys.argv])
from proton import ConnectionException, Delivery, Message, SSLDomain, int32, symbol, timestamp, ulong
from proton.reactor import Filter, LinkOption
from proton.utils import BlockingConnection, LinkDetached, SendException

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from served_hub import ServedHub, main  # noqa: E402


def fields_of(connection_string):
    return dict(field.split("=", 1) for field in connection_string.split(";"))


def token(key, resource, policy=None):
    """By Python's own HMAC."""
    resource, expiry = urllib.parse.quote(resource, safe=""), str(int(time.time()) + 3600)
    signature = base64.b64encode(hmac.new(base64.b64decode(key), f"{resource}\n{expiry}".encode(), hashlib.sha256).digest())
    text = f"SharedAccessSignature sr={resource}&sig={urllib.parse.quote(signature, safe='')}&se={expiry}"
    return text + (f"&skn={policy}" if policy else "")


class World(ServedHub):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.owner = fields_of(self.environment["IOTHUB_SERVICE_CONNECTION_STRING"])

    def connect(self, user=None, password=None, mechanism="PLAIN", tls=True):
        domain = None
        if tls:
            domain = SSLDomain(SSLDomain.MODE_CLIENT)
            domain.set_trusted_ca_db(self.words["ca"])
            domain.set_peer_authentication(SSLDomain.VERIFY_PEER_NAME)
        where = f"amqps://localhost:{self.words['amqps']}" if tls else f"amqp://localhost:{self.words['amqp']}"
        return BlockingConnection(where, timeout=30, ssl_domain=domain, user=user, password=password,
                                  allowed_mechs=mechanism, allow_insecure_mechs=True)

    def key_of(self, device):
        return fields_of(self.for_device(device)["IOTHUB_DEVICE_CONNECTION_STRING"])["SharedAccessKey"]

    def device(self, name):
        return self.connect(f"{name}@sas.localhost", token(self.key_of(name), f"localhost/devices/{name}"))

    def back_end(self):
        return self.connect("iothubowner@sas.root.localhost", token(self.owner["SharedAccessKey"], "localhost", "iothubowner"))

    def reader(self):
        """The way of Event Hubs: the policy and its key, without TLS."""
        return self.connect("iothubowner", self.owner["SharedAccessKey"], tls=False)


def from_start(text="amqp.annotation.x-opt-offset > '-1'"):
    return Filter({symbol("apache.org:selector-filter:string"): proton.Described(symbol("apache.org:selector-filter:string"), text)})


class Property(LinkOption):
    def __init__(self, name, value):
        self.properties = {symbol(name): value}

    def apply(self, link):
        link.properties = proton.PropertyDict(self.properties)


def all_events(connection, count):
    """(partition, message) of every partition, `count` in all."""
    receivers = [connection.create_receiver(f"localhost/ConsumerGroups/$Default/Partitions/{n}", credit=100, options=from_start())
                 for n in range(4)]
    found, end = [], time.monotonic() + 30
    while len(found) < count:
        assert time.monotonic() < end, f"{len(found)} of {count} events in 30 s"
        for number, receiver in enumerate(receivers):
            try:
                found.append((number, receiver.receive(timeout=0.05)))
            except proton.Timeout:
                pass
    return found


def telemetry_is_read_back_with_the_types_of_the_documentation():
    with World() as hub:
        device = hub.device("proton")
        sender = device.create_sender("/devices/proton/messages/events")
        for n in range(3):
            message = Message(id=f"m{n}", body=f'{{"n":{n}}}'.encode(), inferred=True, content_type="application/json",
                              content_encoding="utf-8", properties={"colour": "red"})
            delivery = sender.send(message)
            assert delivery.remote_state == Delivery.ACCEPTED, delivery.remote_state
        found = all_events(hub.reader(), 3)
        assert len({partition for partition, _ in found}) == 1, found
        for n, (_, message) in enumerate(found):
            a = message.annotations
            assert all(type(name) is symbol for name in a), a
            assert type(a["x-opt-sequence-number"]) is int and a["x-opt-sequence-number"] == n, a
            assert type(a["x-opt-offset"]) is str and type(a["x-opt-enqueued-time"]) is timestamp, a
            assert type(a["iothub-enqueuedtime"]) is timestamp and a["iothub-connection-device-id"] == "proton", a
            assert json.loads(a["iothub-connection-auth-method"])["scope"] == "device", a
            assert a["iothub-message-source"] == "Telemetry", a
            assert message.id == f"m{n}" and message.content_type == "application/json", message
            assert message.properties == {"colour": "red"} and bytes(message.body) == f'{{"n":{n}}}'.encode(), message
        assert hub.stop() == 0


def messages_of_many_frames_come_through_and_those_above_the_limit_are_rejected():
    with World() as hub:
        sender = hub.device("large").create_sender("/devices/large/messages/events")
        body = bytes(range(256)) * 960
        sender.send(Message(body=body, inferred=True))
        [(_, message)] = all_events(hub.reader(), 1)
        assert bytes(message.body) == body
        try:
            sender.send(Message(body=b"x" * 300_000, inferred=True))
            raise AssertionError("a message of 300,000 bytes was taken")
        except SendException as refused:
            assert refused.state == Delivery.REJECTED, refused.state


def a_put_token_is_answered_with_the_id_in_its_own_type():
    with World() as hub:
        connection = hub.connect(mechanism="ANONYMOUS")
        receiver, sender = connection.create_receiver("$cbs", credit=10), connection.create_sender("$cbs")
        good = token(hub.owner["SharedAccessKey"], "localhost", "iothubowner")
        for identity, what, status in (("text", good, 200), (uuid.uuid4(), good, 200), (ulong(7), good, 200),
                                       ("no", "SharedAccessSignature nonsense", 401)):
            sender.send(Message(id=identity, body=what, reply_to="cbs", properties={
                "operation": "put-token", "type": "servicebus.windows.net:sastoken", "name": "localhost"}))
            answer = receiver.receive()
            # An unsigned number comes out of Proton as Python's own.
            assert answer.correlation_id == identity and isinstance(identity, type(answer.correlation_id)), answer
            assert type(answer.properties["status-code"]) is int32 and answer.properties["status-code"] == status, answer
            assert type(answer.properties["status-description"]) is str, answer


def management_describes_the_hub_and_its_partitions():
    with World("--partitions", "3") as hub:
        connection = hub.reader()
        receiver, sender = connection.create_receiver("$management", credit=10), connection.create_sender("$management")

        def read(**properties):
            sender.send(Message(id=uuid.uuid4(), body=b"[]", inferred=True, reply_to="$management",
                                properties=dict(operation="READ", name="localhost", **properties)))
            return receiver.receive()
        answer = read(type="com.microsoft:eventhub")
        assert answer.properties["status-code"] == 200, answer
        assert answer.body["partition_count"] == 3 and list(answer.body["partition_ids"].elements) == ["0", "1", "2"], answer.body
        assert type(answer.body["created_at"]) is timestamp, answer.body
        answer = read(type="com.microsoft:partition", partition="2")
        assert answer.body["is_partition_empty"] is True and answer.body["last_enqueued_sequence_number"] == -1, answer.body
        assert type(answer.body["last_enqueued_time_utc"]) is timestamp and answer.body["last_enqueued_offset"] == "-1", answer.body
        assert read(type="com.microsoft:partition", partition="3").properties["status-code"] == 404


def the_name_at_the_iot_hub_is_a_redirect():
    with World() as hub:
        connection = hub.back_end()
        for address, rest in (("/messages/events/", ""), ("/messages/events/$management", "$management")):
            try:
                connection.create_receiver(address)
                raise AssertionError(f"{address} was attached")
            except LinkDetached as gone:
                assert gone.condition == "amqp:link:redirect", gone
                info = gone.link.remote_condition.info
                assert all(type(name) is symbol for name in info), info
                assert info["hostname"] == "localhost" and info["port"] == int(hub.words["amqps"]), info
                assert info["address"] == f"amqps://localhost:{hub.words['amqps']}/localhost/{rest}", info
                assert gone.link.remote_source.address is None, gone.link.remote_source.address


def a_message_to_a_device_is_rejected_by_it_and_the_feedback_says_so():
    with World() as hub:
        device, back_end = hub.device("listener"), hub.back_end()
        inbox = device.create_receiver("/devices/listener/messages/devicebound", credit=10)
        feedback = back_end.create_receiver("/messages/serviceBound/feedback", credit=10)
        outbox = back_end.create_sender("/messages/devicebound")
        outbox.send(Message(id="c2d-1", address="/devices/listener/messages/devicebound", body=b"hello", inferred=True,
                            properties={"iothub-ack": "full", "k": "v"}))
        message = inbox.receive()
        assert message.id == "c2d-1" and bytes(message.body) == b"hello" and message.properties["k"] == "v", message
        inbox.reject()
        try:  # which says so when it is asked for more
            raise AssertionError(f"rejected, and here again: {inbox.receive(timeout=1)}")
        except proton.Timeout:
            pass
        batch = feedback.receive()
        feedback.accept()
        assert batch.content_type == "application/vnd.microsoft.iothub.feedback.json", batch
        assert bytes(batch.user_id) == b"localhost" and type(batch.annotations["iothub-enqueuedtime"]) is timestamp, batch
        [record] = json.loads(bytes(batch.body))
        assert record["originalMessageId"] == "c2d-1" and record["statusCode"] == "Rejected", record
        try:
            outbox.send(Message(address="/devices/nobody/messages/devicebound", body=b"x", inferred=True))
            raise AssertionError("a message to nobody was taken")
        except SendException as refused:
            assert refused.state == Delivery.REJECTED, refused.state


def an_unknown_device_and_a_wrong_key_look_alike():
    with World() as hub:
        hub.key_of("known")
        wrong = base64.b64encode(b"thirty-two bytes that are no key").decode()

        def refusal(name):
            try:
                hub.connect(f"{name}@sas.localhost", token(wrong, f"localhost/devices/{name}"))
            except ConnectionException as refused:
                return str(refused).replace(name, "NAME")
            raise AssertionError(f"{name} was let in")
        assert refusal("known") == refusal("never-made")
        log = hub.log()
        assert "wrong key" in log and "never-made" in log, log


def a_higher_epoch_takes_the_receiver_away():
    with World() as hub:
        address = "localhost/ConsumerGroups/$Default/Partitions/0"
        first, second = hub.reader(), hub.reader()
        first.create_receiver(address, options=[from_start(), Property("com.microsoft:epoch", 1)])
        second.create_receiver(address, name="second", options=[from_start(), Property("com.microsoft:epoch", 2)])
        try:
            first.wait(lambda: False, timeout=30)
            raise AssertionError("the first receiver stayed")
        except LinkDetached as gone:
            assert gone.condition == "amqp:link:stolen", gone


main(telemetry_is_read_back_with_the_types_of_the_documentation,
     messages_of_many_frames_come_through_and_those_above_the_limit_are_rejected,
     a_put_token_is_answered_with_the_id_in_its_own_type, management_describes_the_hub_and_its_partitions,
     the_name_at_the_iot_hub_is_a_redirect, a_message_to_a_device_is_rejected_by_it_and_the_feedback_says_so,
     an_unknown_device_and_a_wrong_key_look_alike, a_higher_epoch_takes_the_receiver_away)
