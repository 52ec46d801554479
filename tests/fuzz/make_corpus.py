"""Writes tests/fuzz/corpus/: for each fuzz target a few inputs from which it finds its way, made from this repository's own
vectors (tests/data) and from what is written here. Run it after a change of an input's layout, and commit what it wrote.

    python3 tests/fuzz/make_corpus.py [TARGET ...]
"""
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, "../data")
MEMBER_LIMIT = 4096  # bytes: libFuzzer's own limit of an input it makes up


def data(name):
    return json.load(open(os.path.join(DATA, name + ".json"), encoding="utf-8"))


def bytes_of(case):
    """A row's bytes: hex, or parts, a list of [hex, repeat count]."""
    return b"".join(bytes.fromhex(part) * count for part, count in case.get("parts", [[case.get("hex", ""), 1]]))


def packets(name, state=None):
    rows = [(re.sub("[^a-z0-9]+", "_", row["name"].lower())[:60], bytes_of(row)) for row in data(name)["cases"]
            if state is None or row["state"] == state]
    return [(name, text) for name, text in rows if 0 < len(text) <= MEMBER_LIMIT]


CONNECT = b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02d1"
SUBSCRIBE = b"\x82\x08\x00\x01\x00\x03a/#\x01"
PUBLISH = b"\x32\x0b\x00\x01t\x00\x05hello!"


def frame(type_, body, channel=0):
    return (len(body) + 8).to_bytes(4, "big") + bytes([2, type_]) + channel.to_bytes(2, "big") + body


def described(code, *fields):
    inner = b"".join(fields)
    return b"\x00\x53" + bytes([code]) + (b"\x45" if not fields else b"\xc0" + bytes([len(inner) + 1, len(fields)]) + inner)


def string(text):
    return b"\xa1" + bytes([len(text)]) + text.encode()


def symbol(text):
    return b"\xa3" + bytes([len(text)]) + text.encode()


NULL, YES, NO = b"\x40", b"\x41", b"\x42"


def uint(n):
    return b"\x43" if n == 0 else b"\x52" + bytes([n]) if n < 256 else b"\x70" + n.to_bytes(4, "big")


OPEN = frame(0, described(0x10, string("c"), NULL, uint(65536), b"\x60\x00\xff"))
BEGIN = frame(0, described(0x11, NULL, uint(0), uint(100), uint(100)))


def attach(name, handle, receiver, address):
    source = described(0x28, string(address))
    target = described(0x29, string(address))
    return frame(0, described(0x12, string(name), uint(handle), YES if receiver else NO, NULL, NULL, source, target, NULL, NULL,
                              uint(0)))


def flow(handle, credit):
    return frame(0, described(0x13, uint(0), uint(100), uint(0), uint(100), uint(handle), uint(0), uint(credit)))


def transfer(handle, id_, payload, more=False):
    return frame(0, described(0x14, uint(handle), uint(id_), b"\xa0\x01" + bytes([id_]), uint(0), NO, YES if more else NO) + payload)


def disposition(id_, code=0x24):
    return frame(0, described(0x15, YES, uint(id_), NULL, YES, described(code)))


BODY = b"\x00\x53\x75\xa0\x05hello"
MESSAGE = described(0x73, string("m1")) + b"\x00\x53\x74\xc1\x07\x02" + string("a") + string("b") + BODY
DETACH = frame(0, described(0x16, uint(0), YES))
END = frame(0, described(0x17))
CLOSE = frame(0, described(0x18, described(0x1d, symbol("amqp:connection:forced"), string("later"))))
AMQP = b"AMQP\x00\x01\x00\x00"
SASL = b"AMQP\x03\x01\x00\x00"


def http(method, target, headers="", body=""):
    length = "Content-Length: %d\r\n" % len(body) if body else ""
    return ("%s %s HTTP/1.1\r\nHost: h\r\n%s%s\r\n%s" % (method, target, headers, length, body)).encode()


def ws_frame(opcode, payload, masked, fin=True):
    head = bytes([(0x80 if fin else 0) | opcode])
    size = len(payload)
    mask = b"abcd" if masked else b""
    bit = 0x80 if masked else 0
    head += bytes([bit | size]) if size < 126 else bytes([bit | 126]) + size.to_bytes(2, "big")
    body = bytes(b ^ mask[i % 4] for i, b in enumerate(payload)) if masked else payload
    return head + mask + body


UPGRADE = ("GET /$iothub/websocket HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n")

QUERIES = ["SELECT * FROM devices", "SELECT deviceId, reported.a AS x FROM devices WHERE reported.c.e >= 2.5 AND tags.a = 1",
           "SELECT * FROM devices WHERE deviceId IN ['d1', 'd2'] OR NOT is_defined(reported.q)",
           "SELECT COUNT() AS n, reported.a FROM devices GROUP BY reported.a",
           "SELECT TOP 2 deviceId FROM devices ORDER BY deviceId DESC",
           "SELECT * FROM devices WHERE STARTS_WITH(deviceId, 'd') AND reported.b != null",
           "SELECT * FROM devices.modules WHERE ((reported.a)) <> 1", "SELECT SUM(reported.a), AVG(reported.a) FROM devices"]

# hub_sim: ten bytes of configuration, then five for each step: pause, what, device, amount, how long (hub_sim_fuzz.cpp).
VERBS = "telemetry report read_twin desired tags method c2d ask_fault connect look flap".split()


def faults():
    text = open(os.path.join(HERE, "../../include/iothub/simulation/fault.hpp"), encoding="utf-8").read()
    names = text[text.index("names{"):]
    return [word.strip().strip('"') for word in names[6:names.index("};")].replace("\n", " ").split(",") if word.strip()]


def simulation(*steps, head=bytes(10)):
    known = VERBS + faults()
    return head + b"".join(bytes([pause, known.index(what), who, amount, lasting]) for pause, what, who, amount, lasting in steps)


def simulations():
    work = [(200, "telemetry", 0, 9, 0), (130, "report", 0, 0, 0), (129, "method", 0, 0, 30), (129, "c2d", 0, 0, 0),
            (129, "desired", 0, 0, 0), (129, "read_twin", 0, 0, 0), (128, "tags", 0, 0, 0), (128, "look", 0, 0, 0)]
    found = [("work", simulation(*work, *work)), ("flap", simulation((130, "flap", 0, 20, 0), *work))]
    groups = {"tcp": faults()[:18], "names": faults()[27:32], "mqtt": faults()[32:51], "hub": faults()[51:67],
              "http": faults()[67:78], "clock": faults()[78:84], "process": faults()[84:]}
    for name, kinds in groups.items():
        steps = []
        for at, kind in enumerate(kinds):
            steps += [work[at % len(work)], (140, kind, 0, at * 17 % 256, 30)]
        found.append((name, simulation(*steps[:100])))
    found.append(("four_devices_in_pieces", simulation(*[(pause, what, who, amount, lasting) for who in range(4)
                                                         for pause, what, _, amount, lasting in work],
                                                       head=bytes([1, 3, 3, 2, 1, 1, 1, 0, 1, 1]))))
    back_ends = [(pause, what, 192 + at * 5, amount, 3) for at, (pause, what, _, amount, _) in enumerate(work)]
    for name, there in (("over_amqp", 7), ("over_values", 9), ("readers", 17), ("shared_readers_and_messenger", 0xF5)):
        found.append((name, simulation(*[step for pair in zip(work, back_ends) for step in pair], *work,
                                       head=bytes([4, there]) + bytes(8))))
    return found


def pem():
    run = lambda *words: subprocess.run(["openssl", *words], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    key = run("ecparam", "-name", "prime256v1", "-genkey", "-noout")
    made = subprocess.run(["openssl", "req", "-x509", "-key", "/dev/stdin", "-subj", "/CN=localhost", "-days", "36500"], input=key,
                          check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    locked = subprocess.run(["openssl", "ec", "-aes128", "-passout", "pass:x"], input=key, check=True, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL).stdout
    return [("certificate", made), ("key", key), ("both", made + key), ("locked_key", made + locked),
            ("cut", made[:len(made) // 2]), ("two", made + b"junk\n" + made), ("empty_block",
            b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"),
            ("list", b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n")]


def numbered(texts):
    return [("%02d" % at, text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")) for at, text in enumerate(texts)]


def small(texts):
    return [text for text in texts if len(text) <= MEMBER_LIMIT]


def hostile(kind):
    """The texts of a group: a string, {"s": it}, or [it, why]."""
    rows = data("hostile_strings")[kind]
    rows = [row for part in rows.values() if isinstance(part, list) for row in part] if isinstance(rows, dict) else rows
    texts = [row.get("s") if isinstance(row, dict) else row[0] if isinstance(row, list) else row for row in rows]
    return small([text for text in texts if isinstance(text, str)])


def h1_seeds():
    return numbered([http("GET", "/devices/d1?api-version=2021-04-12"), http("PUT", "/devices/d1", "If-Match: \"a\"\r\n", "{}"),
                     http("POST", "/x", "Transfer-Encoding: chunked\r\n") + b"3\r\nabc\r\n1;e=1\r\nd\r\n0\r\nT: 1\r\n\r\n",
                     http("POST", "/x", "Expect: 100-continue\r\n", "hello"), http("GET", "/a") + http("GET", "/b"),
                     b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n",
                     http("POST", "/x", "Content-Length: 3\r\nContent-Length: 3\r\n") + b"abc"])


def targets():
    rest = ["/devices/d1", "/devices/d1/modules/m1", "/twins/d1", "/twins/d1/methods", "/twins/d1/properties/desired", "/devices/query",
            "/devices/a%2Fb", "/devices/", "/statistics/devices", "/devices/d1/messages/events", "/devices?top=3", "//", "/devices/%",
            "/messages/serviceBound/feedback", "/devices/..", "\"AAAA\"", "*"]
    versioned = [r + ("&" if "?" in r else "?") + "api-version=2021-04-12" for r in rest]
    documents = ["null", "[1,-0,2.5e-3,1e400]", '{"a":{"b":[true,false,null,"\\u00e9\\ud83d\\ude00\\n"]},"a":1}',
                 "9223372036854775807", "9223372036854775808", "[[[[[[[[[[]]]]]]]]]]", '"\\ud800"', "{\"a\":1,}", "\"\u20ac\u007f\"", " [ ] "]
    patches = [json.dumps(row["patch"]) + "\n" + json.dumps(row["target"]) for row in data("rfc7396_merge_patch")["cases"]]
    answers = numbered([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"
                        b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nto the end",
                        b"HTTP/1.0 503 \r\nRetry-After: 3\r\nConnection: close\r\n\r\n"])

    def publish(topic, payload=b"", qos=0, id_=1):
        body = len(topic).to_bytes(2, "big") + topic.encode() + (id_.to_bytes(2, "big") if qos else b"") + payload
        return bytes([0x30 | qos << 1, len(body)]) + body

    def subscribe(filter_, qos=1):
        body = b"\x00\x07" + len(filter_).to_bytes(2, "big") + filter_.encode() + bytes([qos])
        return bytes([0x82, len(body)]) + body
    hub_packets = [subscribe("$iothub/twin/res/#", 0) + publish("$iothub/twin/GET/?$rid=1"),
                   subscribe("$iothub/methods/POST/#", 0), subscribe("devices/d1/messages/devicebound/#"),
                   publish("devices/d1/messages/events/a=b&%24.mid=1", b"hello", 1),
                   publish("$iothub/twin/PATCH/properties/reported/?$rid=2", b'{"a":1}'), publish("$iothub/methods/res/200/?$rid=1", b"{}"),
                   b"\xc0\x00\xe0\x00"]
    wanted = {
        "fuzz_amqp_connection": [(n, bytes(head) + text) for n, head, text in [
            ("server_whole", (0, 7), AMQP + OPEN + BEGIN + attach("out", 0, False, "a") + transfer(0, 0, MESSAGE) + CLOSE),
            ("server_frames", (0, 9), BEGIN + attach("in", 0, True, "a") + flow(0, 10) + disposition(0) + DETACH + END),
            ("server_sasl", (2, 3), SASL + frame(1, described(0x41, symbol("ANONYMOUS"))) + AMQP + OPEN),
            ("server_in_parts", (4, 50), BEGIN + attach("o", 0, False, "a") + transfer(0, 0, MESSAGE[:9], True) + transfer(0, 0, MESSAGE[9:])),
            ("server_cbs", (0, 50), BEGIN + attach("cbs", 0, False, "$cbs") + attach("answer", 1, True, "$cbs") + flow(1, 10)),
            ("client_whole", (1, 5), AMQP + OPEN + frame(0, described(0x11, b"\x60\x00\x00", uint(0), uint(10), uint(10)))),
            ("client_sasl", (3, 8), SASL + frame(1, described(0x40, symbol("PLAIN"))) + frame(1, described(0x44, b"\x50\x00")) + AMQP + OPEN)]],
        "fuzz_amqp_performative": numbered([OPEN, BEGIN, attach("a", 0, True, "b"), flow(0, 1), transfer(0, 0, BODY), disposition(0),
                                            disposition(0, 0x25), DETACH, END, CLOSE, frame(0, b"")]),
        "fuzz_amqp_value": numbered([MESSAGE, BODY, b"\x00\x53\x77" + string("x"), b"\x83" + bytes(8), b"\x98" + bytes(16),
                                     b"\xe0\x05\x02\xa1\x01a\x01b", b"\xc1\x05\x02" + symbol("a") + b"\x41", b"\xf0" + bytes([0, 0, 0, 9, 0, 0, 0, 1, 0x70, 0, 0, 0, 1]),
                                     b"\x82" + bytes(8), b"\x00\xa3\x01a\x40",
                                     b"\x00\x53\x73\xc0\x07\x04\x40\x40\x40\xa3\x01\xff"]),  # found by fuzzing: a subject, a symbol
        "fuzz_back_end_messages": numbered([MESSAGE, '[{"originalMessageId":"a","description":"Success","deviceGenerationId":"1","deviceId":"d1",'
                                            '"enqueuedTimeUtc":"2024-01-01T00:00:00.1Z","statusCode":"Success"}]',
                                            '{"deviceId":"d","blobUri":"u","blobName":"b","lastUpdatedTime":"2024-01-01T00:00:00Z","blobSizeInBytes":3,'
                                            '"enqueuedTimeUtc":"2024-01-01T00:00:00Z"}',
                                            "Endpoint=sb://h.servicebus.windows.net/;SharedAccessKeyName=n;SharedAccessKey=AAEC;EntityPath=e"]),
        "fuzz_base64_percent": numbered(small([row["text"] for row in data("rfc4648_base64")["ok"]])[:8] +
                                        [row["encoded"] for row in data("percent_encoding")["encode"]][:20] +
                                        ["2024-02-29T23:59:59.1234567Z", "2024-01-01T00:00:00+05:30", "Zg=", "%G0"]),
        "fuzz_connection_string": numbered(hostile("connection_strings")[:24]),
        "fuzz_etag": numbered(['"AAAA"', "*", '"*"', '""', "", "bare", ' "a" ', '"a"b"', 'W/"a"', '"']),
        "fuzz_h1_request": h1_seeds(),
        "fuzz_h1_response": answers,
        "fuzz_hub_amqp_face": numbered([b"\x00" + attach("t", 1, False, "/devices/d1/messages/events") + transfer(1, 1, MESSAGE),
                                        b"\x00" + attach("r", 1, True, "/devices/d1/messages/devicebound") + flow(1, 5),
                                        b"\x00" + attach("e", 1, True, "messages/events/ConsumerGroups/$Default/Partitions/0") + flow(1, 5),
                                        b"\x00" + attach("m", 1, False, "$management") + transfer(1, 1, MESSAGE),
                                        b"\x01" + AMQP + OPEN + BEGIN + attach("cbs", 0, False, "$cbs") + transfer(0, 0, MESSAGE)]),
        "fuzz_hub_http_face": numbered([b"PUT /devices/d9?api-version=2021-04-12\n\n{\"deviceId\":\"d9\"}",
                                        b"GET /devices/d1?api-version=2021-04-12\n\n", b"DELETE /devices/d1?api-version=2021-04-12\n*\n",
                                        b"PATCH /twins/d1?api-version=2021-04-12\n\"x\"\n{\"tags\":{\"a\":1}}",
                                        b"POST /twins/d1/methods?api-version=2021-04-12\n\n{\"methodName\":\"m\",\"responseTimeoutInSeconds\":5}",
                                        b"POST /devices/query?api-version=2021-04-12\n\n{\"query\":\"SELECT * FROM devices\"}"]),
        "fuzz_hub_mqtt_face": numbered(hub_packets),
        "fuzz_hub_sim": simulations(),
        "fuzz_json": numbered(documents + hostile("json")[:20]),
        "fuzz_merge_patch": numbered(patches),
        "fuzz_mqtt_client_session": numbered([b"\x00\x04\x20\x02\x00\x00\x00\x04\x40\x02\x00\x01", b"\x01\x04\x20\x02\x00\x00\x02\x05\x90\x03\x00\x01\x01",
                                              b"\x00\x04\x20\x02\x01\x00\x07" + bytes([len(PUBLISH)]) + PUBLISH + b"\x47\x02\xd0\x00",
                                              b"\x00\x04\x20\x02\x00\x05", b"\x00\x04\x20\x02\x00\x00\x03\x04\xb0\x02\x00\x01\x06\x00"]),
        "fuzz_mqtt_decoder": [("c_" + n, b"\x03" + t) for n, t in packets("mqtt_client_to_server")[::3]][:40] +
                             [("s_" + n, b"\x05" + t) for n, t in packets("mqtt_server_to_client")[::3]][:24] +
                             [("nobody", b"\x03\x10\x10\x00\x04MQTT\x04\xc0\x00\x3c" + bytes(6))],  # found by fuzzing
        "fuzz_mqtt_server_session": [("whole", b"\x07" + CONNECT + SUBSCRIBE + PUBLISH + b"\xc0\x00\xe0\x00")] +
                                    [(n, b"\x01" + CONNECT + t) for n, t in packets("mqtt_client_to_server", "connected")[::3]][:24],
        "fuzz_property_bag": numbered(["a=b&c=d", "%24.mid=1&%24.ct=application%2Fjson&%24.ce=utf-8", "%24.to=%2Fdevices%2Fd1%2Fmessages%2FdeviceBound&iothub-ack=full",
                                       "a&b=&=c", "%24.exp=2024-01-01T00%3A00%3A00Z&%24.cid=%C3%A9", "a=%zz", "a=1&a=2", ""]),
        "fuzz_query": numbered(QUERIES + hostile("queries")[:20]),
        "fuzz_rest_route": numbered(versioned + rest[-2:]),
        "fuzz_sas_token": numbered([row["token"] for row in data("sas_tokens")["ok"]] +
                                   [row["token"] for row in data("sas_tokens")["refuse"] if len(row.get("token", "")) < MEMBER_LIMIT][:16]),
        "fuzz_tls_pem": pem,
        "fuzz_topic": numbered(["$iothub/twin/res/200/?$rid=1&$version=2", "$iothub/twin/PATCH/properties/desired/?$version=3", "$iothub/methods/POST/reboot/?$rid=4",
                                "devices/d1/messages/devicebound/%24.mid=1", "devices/d1/modules/m1/messages/events/", "$iothub/methods/res/200/?$rid=1",
                                "h.azure-devices.net/d1/?api-version=2021-04-12&DeviceClientType=x", "twin/GET/?$rid=1"] + hostile("topics")[:16]),
        "fuzz_url": numbered(["https://h.azure-devices.net:443/devices/a%20b?x=1&y", "https://[::1]/", "http://h", "https://h:99999/", "https://u@h/", "/a//b/../c?a=b#f"]),
        "fuzz_ws_connection": numbered([b"\x00" + ws_frame(2, b"hello", False) + ws_frame(9, b"p", False) + ws_frame(8, b"\x03\xe8bye", False),
                                        b"\x01" + ws_frame(2, b"hel", True, False) + ws_frame(9, b"", True) + ws_frame(0, b"lo", True),
                                        b"\x01" + ws_frame(2, bytes(200), True), b"\x01" + ws_frame(1, b"text", True), b"\x01" + ws_frame(2, b"x", False),
                                        b"\x00" + ws_frame(8, b"\x03", False)]),
        "fuzz_ws_handshake": numbered([UPGRADE % "Sec-WebSocket-Protocol: mqtt\r\n", UPGRADE % "Sec-WebSocket-Protocol: a, AMQPWSB10\r\n", UPGRADE % "",
                                       "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                                       "Sec-WebSocket-Protocol: mqtt\r\n\r\n", "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"]) +
                             [("frames", ws_frame(2, b"hello", False) + ws_frame(8, b"", False))],
    }
    return wanted


def main():
    for name, seeds in targets().items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        folder = os.path.join(HERE, "corpus", name)
        os.makedirs(folder, exist_ok=True)
        if callable(seeds):  # made of random keys: kept as they are
            if os.listdir(folder):
                continue
            seeds = seeds()
        written = set()
        for seed, content in seeds:
            if content in written:
                continue
            written.add(content)
            with open(os.path.join(folder, seed.replace("/", "_")), "wb") as out:
                out.write(content)
        print("%-26s %3d seeds, %d bytes" % (name, len(written), sum(map(len, written))))


if __name__ == "__main__":
    main()
