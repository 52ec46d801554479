#!/usr/bin/env python3
"""Runs the benchmarks and prints one table: each figure beside its rival of the same run, and the ratio.

Times are CPU time, medians of repetitions that are mixed with the rivals'. Only ratios carry over to another machine.
"""
import argparse
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

# Per binary a title and rows: what, our benchmark, its rivals, and optionally the nanoseconds that it may take at most. A
# rival is a name, its benchmark, and what ours / its may be at most; None where it is there for comparison only.
MICRO = {
    "sas_topic_bench": ("SAS tokens and topics", [
        ("SAS token made", "sas_append_token_ours", [("one-shot OpenSSL", "sas_sign_one_shot_openssl", 1 / 3)]),
        ("SAS token checked", "sas_check_ours", [("one-shot OpenSSL", "sas_check_one_shot_openssl", 1 / 3)]),
        ("telemetry topic, 5 properties", "topic_build_ours",
         [("std::string", "topic_build_naive", 1), ("limit: memcpy", "topic_build_limit_memcpy", None)]),
        ("inbound topic classified and parsed", "topic_classify_ours", [("std::string", "topic_classify_naive", 1)]),
    ]),
    "mqtt_codec_bench": ("MQTT PUBLISH at QoS 1, topic of 43 bytes", [
        (f"{what} {size} B", f"{what}_iothub/{size}",
         [("owning codec", f"{what}_owning/{size}", 1)] +
         ([("limit with checked text", f"decode_limit_text_checked/{size}", None)] if what == "decode" else []) +
         [("limit", f"{what}_limit/{size}", None)])
        for what in ("encode", "decode") for size in (100, 1000)
    ]),
    "amqp_bench": ("An event of the built-in endpoint over AMQP 1.0", [
        (what, f"{name}_iothub", [("Qpid Proton C", f"{name}_qpid", 1)])
        for what, name in [("encode", "encode"), ("decode", "decode"), ("carried, both ends", "carry")]
    ]),
    "json_bench": ("Twin documents in JSON", [
        (f"{what}, {size} KB", f"{name}<ours>/{size}",
         [("nlohmann", f"{name}<with_nlohmann>/{size}", 0.25 if name == "twin_round" else 1),
          ("RapidJSON", f"{name}<with_rapidjson>/{size}", 1), ("Boost.JSON", f"{name}<with_boost>/{size}", 1)] +
         ([("Boost.JSON monotonic", f"{name}<with_boost_monotonic>/{size}", 1)] if name == "twin_round" else []))
        for what, name in [("parse + merge + print", "twin_round"), ("parse", "parse"), ("print", "print"),
                           ("patch on a resident one", "resident")]
        for size in (4, 32)
    ]),
    "loop_bench": ("The loop and its timers", [
        ("timer set and fired, 100,000 pending", "hold_timer_wheel/100000",
         [("std::priority_queue", "hold_priority_queue/100000", None), ("std::multimap", "hold_multimap/100000", None)]),
        ("turn of the loop, 100,000 idle", "turn/100000", [("nobody idle", "turn/0", 1.5)]),
    ]),
    "hub_bench": ("The hub's core alone", [
        ("telemetry into the event log", "append_telemetry", []),
        ("token of a known device checked", "check_token_of_known_device", []),
        ("patch parsed and applied, twin of 32 KB", "patch_resident_twin/32700",
         [("the same at 4 KB", "patch_resident_twin/4300", 1.2)]),
    ]),
    "in_process_bench": ("In process, direct wiring, client and hub together", [
        ("telemetry, blocking", "telemetry_blocking/0", []),
        ("telemetry, blocking, 3 properties", "telemetry_blocking/1", []),
        ("telemetry, 100 at once, per message", "telemetry_async/0", []),
        ("method round trip, the quickstart's", "method_round_trip", [], 5000),
        ("method round trip, object as payload", "method_round_trip_object", [], 5000),
        ("loop turn beside 100,000 devices", "turn_beside_idle_devices/100000",
         [("beside none", "turn_beside_idle_devices/0", 1.5)]),
        ("telemetry beside 100,000 devices", "telemetry_beside_idle_devices/100000",
         [("beside none", "telemetry_beside_idle_devices/0", 1.5)]),
    ]),
}
# Allocations and sizes: what, binary, benchmark, counter, the most it may be.
COUNTS = [
    ("allocations: SAS token", "sas_topic_bench", "sas_append_token_ours", "allocs", 0),
    ("allocations: telemetry topic", "sas_topic_bench", "topic_build_ours", "allocs", 0),
    ("allocations: inbound topic", "sas_topic_bench", "topic_classify_ours", "allocs", 0),
    ("allocations: PUBLISH encode", "mqtt_codec_bench", "encode_iothub/100", "allocs", 0),
    ("allocations: PUBLISH decode", "mqtt_codec_bench", "decode_iothub/100", "allocs", 0),
    ("allocations: telemetry, blocking", "in_process_bench", "telemetry_blocking/0", "allocs", None),
    ("allocations: method, the quickstart's", "in_process_bench", "method_round_trip", "allocs", 10),
    ("allocations: method, object as payload", "in_process_bench", "method_round_trip_object", "allocs", 10),
    ("bytes of an idle device, of 1,000", "in_process_bench", "idle_device/1000/iterations:1", "bytes_per_device", 4096),
    ("bytes of an idle device, of 100,000", "in_process_bench", "idle_device/100000/iterations:1", "bytes_per_device", 4096),
    ("bytes beside body and properties, of a million retained events", "hub_bench", "retained_events/iterations:1",
     "overhead_per_event", 200),
]
# Messages per operation, where a benchmark does several.
BATCH = {"telemetry_async/0": 100, "telemetry_async/1": 100}
CLIENTS = ["ours", "mosquitto", "paho", "limit"]
CLIENT_NAMES = {"mosquitto": "libmosquitto", "paho": "paho MQTTAsync", "limit": "by hand"}
INSTRUCTION_ROWS = [("publish_encode", 10_000, ["limit"]), ("publish_decode", 10_000, []), ("topic_build", 10_000, []),
                    ("topic_classify", 10_000, []), ("sas_token", 2_000, ["openssl"]),
                    ("twin_round", 50, ["nlohmann", "rapidjson"]), ("resident_patch", 1_000, ["nlohmann"])]


def say(text):
    print(text, file=sys.stderr, flush=True)


class Table:
    def __init__(self):
        self.rows, self.missed = [], []

    def heading(self, text):
        self.rows.append((text,))

    def add(self, what, ours, rival="", theirs="", ratio=None, aim="", met=None):
        self.rows.append((what, ours, rival, theirs, "" if ratio is None else f"{ratio:.2f}", aim,
                          "" if met is None else "yes" if met else "NO"))
        if met is False:
            self.missed.append(what)

    def print(self, markdown):
        heads = ("", "ours", "rival", "its figure", "ours/rival", "aim", "met")
        if markdown:
            for row in self.rows:
                if len(row) == 1:
                    print(f"\n### {row[0]}\n\n| " + " | ".join(heads) + " |\n|---|--:|---|--:|--:|---|---|")
                else:
                    print("| " + " | ".join(row) + " |")
            return
        widths = [max(len(r[i]) for r in self.rows + [heads] if len(r) > 1) for i in range(len(heads))]
        right = (False, True, False, True, True, False, False)

        def line(cells):
            return "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(cells, widths, right)).rstrip()
        print(line(heads))
        for row in self.rows:
            print(f"\n{row[0]}" if len(row) == 1 else line(row))


def nanoseconds(value):
    return f"{value:.1f} ns" if value < 100 else f"{value:.0f} ns" if value < 10_000 else f"{value / 1000:.1f} us"


# --- Google Benchmark -------------------------------------------------------------------------------------------------

def run_google_benchmark(path, arguments):
    say(f"{os.path.basename(path)} ...")
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        subprocess.run([path, f"--benchmark_repetitions={arguments.repetitions}",
                        f"--benchmark_min_time={arguments.min_time}",
                        "--benchmark_enable_random_interleaving=true", f"--benchmark_out={out.name}",
                        "--benchmark_out_format=json"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        found = {}
        for run in json.load(open(out.name))["benchmarks"]:
            if run.get("error_occurred"):
                sys.exit(f"{run['name']} in {os.path.basename(path)} failed: {run.get('error_message')}")
            if run.get("run_type") == "iteration":
                found.setdefault(run["run_name"], []).append(run)
    return found


def median_time(found, name):
    scale = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}
    return statistics.median(r["cpu_time"] * scale[r["time_unit"]] for r in found[name]) / BATCH.get(name, 1)


def add_micro(table, binaries, arguments):
    results = {binary: run_google_benchmark(os.path.join(binaries, binary), arguments) for binary in MICRO}
    for binary, (title, rows) in MICRO.items():
        table.heading(title)
        for what, name, rivals, *at_most in rows:
            ours = median_time(results[binary], name)
            if at_most:
                table.add(what, nanoseconds(ours), aim=f"<= {nanoseconds(at_most[0])}", met=ours <= at_most[0])
            elif not rivals:
                table.add(what, nanoseconds(ours))
            for i, (rival, its_name, aim) in enumerate(rivals):
                theirs = median_time(results[binary], its_name)
                table.add(what if i == 0 else "", nanoseconds(ours), rival, nanoseconds(theirs), ours / theirs,
                          "" if aim is None else f"<= {aim:.2f}", None if aim is None else ours / theirs <= aim)
    table.heading("Allocations and memory")
    for what, binary, name, counter, aim in COUNTS:
        # Rounded: what grew once, in hundred thousands of rounds, is not of each.
        value = round(statistics.median(r[counter] for r in results[binary][name]), 2)
        table.add(what, f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.2f}",
                  aim="" if aim is None else f"<= {aim}", met=None if aim is None else value <= aim)


# --- publish over loopback TLS ----------------------------------------------------------------------------------------

def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Mosquitto:
    name = "mosquitto"

    def __init__(self, folder):
        self.ca, key, self.port = f"{folder}/ca.pem", f"{folder}/key.pem", free_port()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-keyout", key, "-out", self.ca, "-days", "2", "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
        with open(f"{folder}/conf", "w") as conf:
            conf.write(f"listener {self.port} 127.0.0.1\nallow_anonymous true\ncertfile {self.ca}\nkeyfile {key}\n"
                       "set_tcp_nodelay true\nmax_inflight_messages 0\nmax_queued_messages 0\nlog_type error\n" +
                       ("user root\n" if os.getuid() == 0 else ""))
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self.process = subprocess.Popen([program, "-c", f"{folder}/conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            except OSError:
                time.sleep(0.05)
        self.arguments = []


class ServedHub:
    name = "iothub-fake"

    def __init__(self, folder, binaries):
        program, ports = os.path.join(binaries, "iothub-fake"), f"{folder}/ports.json"
        self.process = subprocess.Popen([program, "serve", "--https", "0", "--mqtt", "0", "--amqps", "off", "--amqp", "off",
                                         "--ca", f"{folder}/ca", "--ports-file", ports],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        ready = self.process.stdout.readline()
        if not ready.startswith("iothub-fake ready"):
            sys.exit("iothub-fake does not serve")
        said = dict(word.split("=", 1) for word in ready.split() if "=" in word)
        self.ca, self.port = said["ca"], said["mqtt"].rpartition(":")[2]
        made = subprocess.run([program, "connstr", "--device", "thermostat-0000001", "--create", "--ports-file", ports],
                              check=True, capture_output=True, text=True).stdout.strip()
        self.arguments = ["--connection-string", made]


def publish(binaries, broker, client, window, count):
    before = cpu_seconds(broker.process.pid)
    ran = subprocess.run([os.path.join(binaries, "publish_bench"), "--client", client, "--port", str(broker.port),
                          "--ca", broker.ca, "--window", str(window), "--count", str(count), *broker.arguments],
                         capture_output=True, text=True, timeout=300)
    if ran.returncode != 0:
        sys.exit(f"publish_bench --client {client} against {broker.name}: {ran.stderr.strip()}")
    figures = json.loads(ran.stdout)
    figures["broker"] = (cpu_seconds(broker.process.pid) - before) / (count + 2000) * 1e6
    return figures


def add_publish(table, binaries, arguments):
    for make in (Mosquitto, lambda f: ServedHub(f, binaries)):
        with tempfile.TemporaryDirectory() as folder:
            broker = make(folder)
            try:
                hub_side = {}
                table.heading(f"QoS 1 publish over loopback TLS to {broker.name}: client CPU seconds per million messages")
                for window in (1, 20, 100):
                    count = arguments.messages if window != 1 else arguments.messages // 4
                    say(f"publish to {broker.name}, window {window} ...")
                    runs = {c: [] for c in CLIENTS}
                    for _ in range(arguments.rounds):
                        for c in CLIENTS:
                            runs[c].append(publish(binaries, broker, c, window, count))
                    cost = {c: statistics.median(r["cpu_seconds_per_million"] for r in runs[c]) for c in CLIENTS}
                    rate = {c: statistics.median(r["messages_per_second"] for r in runs[c]) for c in CLIENTS}
                    hub_side[window] = statistics.median(r["broker"] for r in runs["ours"]), rate["ours"]
                    for i, c in enumerate(CLIENTS[1:]):
                        shown = {who: f"{cost[who]:.2f} ({rate[who] / 1000:.0f}k/s)" for who in ("ours", c)}
                        table.add(f"window {window}" if i == 0 else "", shown["ours"], CLIENT_NAMES[c], shown[c],
                                  cost["ours"] / cost[c], "" if c == "limit" else "<= 1.00",
                                  None if c == "limit" else cost["ours"] <= cost[c])
                table.heading(f"What {broker.name} itself spends then, CPU seconds per million messages of our client")
                for window, (seconds, _) in hub_side.items():
                    table.add(f"window {window}", f"{seconds:.2f}")
            finally:
                broker.process.terminate()
                broker.process.wait()


# --- events from a server to one reader ---------------------------------------------------------------------------------

PROTON_EXAMPLES = "/usr/share/proton/examples/c"  # of Debian's libqpid-proton11-dev-examples
PROTON_LIBRARIES = ["-l:libqpid-proton-proactor.so.1", "-l:libqpid-proton-core.so.10", "-lpthread"]


def event_stream(binaries, verb, count, *arguments):
    ran = subprocess.run([os.path.join(binaries, "event_stream_bench"), verb, "--count", str(count), *map(str, arguments)],
                         capture_output=True, text=True, timeout=300)
    if ran.returncode != 0:
        sys.exit(f"event_stream_bench {verb}: {ran.stderr.strip()}")
    return json.loads(ran.stdout)


def measured(pid, count, read):
    """(server's, reader's) CPU seconds per million events."""
    before = cpu_seconds(pid)
    reader = read()
    return (cpu_seconds(pid) - before) / count * 1e6, reader


class EventHub:
    """iothub-fake with one partition that holds the events; they can be read again and again."""

    def __init__(self, folder, binaries, count):
        program, ports = os.path.join(binaries, "iothub-fake"), f"{folder}/ports.json"
        self.process = subprocess.Popen([program, "serve", "--https", "0", "--mqtt", "0", "--amqps", "0", "--amqp", "0",
                                         "--partitions", "1", "--retain-bytes", "1G", "--ca", f"{folder}/ca", "--ports-file", ports],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if not self.process.stdout.readline().startswith("iothub-fake ready"):
            sys.exit("iothub-fake does not serve")
        self.binaries, self.count, self.ports = binaries, count, json.load(open(ports))

        def connection_string(*words):
            return subprocess.run([program, "connstr", *words, "--ports-file", ports], check=True, capture_output=True,
                                  text=True).stdout.strip()
        self.key = connection_string("--service").rpartition("SharedAccessKey=")[2]
        event_stream(binaries, "fill", count, "--port", self.ports["amqp"], "--connection-string",
                     connection_string("--device", "reader-of-events", "--create"))

    def read(self, tls):
        arguments = ["--port", self.ports["amqps"], "--ca", self.ports["ca"]] if tls else ["--port", self.ports["amqp"]]
        return measured(self.process.pid, self.count, lambda: event_stream(
            self.binaries, "read", self.count, "--key", self.key, *arguments)["cpu_seconds_per_million"])


class ProtonBroker:
    """Proton's example broker, built from Debian's sources; a queue of it is filled for each reading. Queues are short: what
    one event costs that broker grows with the length of the queue."""
    BATCH = 10_000

    def __init__(self, folder, binaries, count):
        for name in ("broker", "receive"):
            subprocess.run(["cc", "-O2", f"{PROTON_EXAMPLES}/{name}.c", "-o", f"{folder}/{name}", *PROTON_LIBRARIES], check=True)
        shutil.copytree(f"{PROTON_EXAMPLES}/ssl-certs", f"{folder}/ssl-certs")
        self.folder, self.binaries, self.count, self.port = folder, binaries, count, free_port()
        self.process = subprocess.Popen(["./broker", "127.0.0.1", str(self.port)], cwd=folder, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            except OSError:
                time.sleep(0.05)

    def read_batches(self, annotated, read):
        spent = []
        for _ in range(max(1, self.count // self.BATCH)):
            event_stream(self.binaries, "proton-fill", self.BATCH, "--port", self.port, *(["--annotated"] if annotated else []))
            spent.append(measured(self.process.pid, self.BATCH, read))
        return [statistics.mean(part) for part in zip(*spent)]

    def read(self, tls, annotated=True):
        return self.read_batches(annotated, lambda: event_stream(
            self.binaries, "proton-read", self.BATCH, "--port", self.port, *(["--tls"] if tls else []))["cpu_seconds_per_million"])

    def read_with_its_own(self):
        def read():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([f"{self.folder}/receive", "127.0.0.1", str(self.port), "examples", str(self.BATCH)], check=True,
                           stdout=subprocess.DEVNULL, timeout=300)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / self.BATCH * 1e6
        return self.read_batches(False, read)


def add_events(table, binaries, arguments):
    count = arguments.messages * 2
    with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as theirs:
        hub, broker = EventHub(ours, binaries, count), ProtonBroker(theirs, binaries, count)
        ways = {("plain", "ours"): lambda: hub.read(False), ("TLS", "ours"): lambda: hub.read(True),
                ("plain", "Proton, the same bytes"): lambda: broker.read(False),
                ("plain", "Proton, the body alone"): lambda: broker.read(False, False),
                ("plain", "Proton's receive.c, the body alone"): broker.read_with_its_own,
                ("TLS", "Proton, the same bytes"): lambda: broker.read(True),
                ("TLS", "Proton, the body alone"): lambda: broker.read(True, False)}
        try:
            runs = {way: [] for way in ways}
            for _ in range(arguments.rounds):
                for way, read in ways.items():
                    say(f"{count} events, {' '.join(way)} ...")
                    runs[way].append(read())
            cost = {way: [statistics.median(part) for part in zip(*each)] for way, each in runs.items()}
        finally:
            for server in (hub, broker):
                server.process.terminate()
                server.process.wait()
    table.heading("Events of 256 bytes from a server to one reader over loopback, AMQP 1.0: CPU seconds per million, server + reader")
    for transport in ("plain", "TLS"):
        ours = cost[transport, "ours"]
        for i, (way, theirs) in enumerate((w, c) for w, c in cost.items() if w[0] == transport and w[1] != "ours"):
            ratio = sum(ours) / sum(theirs)
            table.add(transport if i == 0 else "", f"{ours[0]:.2f} + {ours[1]:.2f}", way[1], f"{theirs[0]:.2f} + {theirs[1]:.2f}",
                      ratio, "<= 1.00", ratio <= 1)


# --- instructions -----------------------------------------------------------------------------------------------------

def instructions(binaries, name, count):
    program = os.path.join(binaries, "codec_instructions")
    ran = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, name, str(count)],
                         capture_output=True, text=True, check=True)
    return int(ran.stderr.rpartition("Collected : ")[2].split()[0])


def slope(binaries, name, count):
    return (instructions(binaries, name, count * 2) - instructions(binaries, name, count)) / count


def add_instructions(table, binaries):
    table.heading("Instructions per operation (callgrind, difference of two runs; crypto without the CPU's SHA extensions)")
    for name, count, rivals in INSTRUCTION_ROWS:
        say(f"instructions of {name} ...")
        ours = slope(binaries, f"{name}/ours", count)
        if not rivals:
            table.add(name, f"{ours:.0f}")
        for i, rival in enumerate(rivals):
            theirs = slope(binaries, f"{name}/{rival}", count)
            table.add(name if i == 0 else "", f"{ours:.0f}", rival, f"{theirs:.0f}", ours / theirs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--bin", required=True, help="folder of the built benchmarks and of iothub-fake")
    parser.add_argument("--only", choices=["micro", "publish", "events", "instructions"], help="one part")
    parser.add_argument("--quick", action="store_true", help="one repetition of everything, for a first look")
    parser.add_argument("--markdown", action="store_true", help="the table as in benchmarks/README.md")
    arguments = parser.parse_args()
    arguments.repetitions, arguments.min_time = (1, 0.05) if arguments.quick else (7, 0.1)
    arguments.rounds, arguments.messages = (1, 20_000) if arguments.quick else (5, 100_000)
    table = Table()
    if arguments.only in (None, "micro"):
        add_micro(table, arguments.bin, arguments)
    if arguments.only in (None, "publish"):
        add_publish(table, arguments.bin, arguments)
    if arguments.only in (None, "events"):
        add_events(table, arguments.bin, arguments)
    if arguments.only in (None, "instructions"):
        add_instructions(table, arguments.bin)
    table.print(arguments.markdown)
    print(f"\nAims missed: {'; '.join(table.missed) or 'none'}")


if __name__ == "__main__":
    main()
