#!/usr/bin/env python3
"""What a back end sees beside telemetry, with Azure's own SDKs and tools, unmodified, against iothub-fake: file
notifications; twin changes, lives and connections in the event endpoint; the redirect to that endpoint, which
azure-event-hubs (the first generation of the reader for Node) and az iot hub monitor-events follow. And rhea, an AMQP
library of nobody's: as a reader of our hub, and as a server to our client.

  tests/sdks/run_sources.py [--bin build/bin] [--sdks .sdks] [--only FLOW]

Folders as for run_amqp.py, and old/node_modules with azure-event-hubs, rhea/node_modules with rhea. az runs where it is there with its extension
azure-iot. Needs the ports 5671 and 5672. Ends with a line "N passed, M failed".
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading

from run_amqp import TIMEOUT, Failure, World, expect

SOURCES = "telemetry,twin,lifecycle,connection"
FIXTURE = {"devices": [{"deviceId": "uploader"}], "fileNotifications": [
    {"deviceId": "uploader", "blobName": f"uploader/{n}.txt", "blobUri": f"https://x/c/uploader/{n}.txt", "blobSizeInBytes": 6 + n}
    for n in (1, 2)]}


def old(world):
    return {"NODE_PATH": str(world.sdks / "old/node_modules")}


def rhea(world):
    return {"NODE_PATH": str(world.sdks / "rhea/node_modules")}


def files_flow(world):
    seen = world.run("amqp_service.js", "files", {"count": 2})
    files = [each for each in seen if each.get("event") == "file"]
    expect([each["file"]["blobName"] for each in files] == ["uploader/1.txt", "uploader/2.txt"], str(seen))
    expect(all(each["contentType"] == "application/vnd.microsoft.iothub.filenotification.json" for each in files), str(files))
    expect(files[0]["file"]["deviceId"] == "uploader" and files[0]["file"]["blobSizeInBytes"] == 7, str(files))


def sources_flow(world):
    device = world.device("amqp-sources")
    try:
        device.event("ready")
    finally:
        device.stop()
    wanted = [("deviceLifecycleEvents", "createDeviceIdentity"), ("deviceConnectionStateEvents", "deviceConnected"),
              ("Telemetry", None), ("twinChangeEvents", "updateTwin"), ("deviceConnectionStateEvents", "deviceDisconnected")]
    for script, environment in (("amqp_events.js", {}), ("amqp_events.py", {}), ("amqp_events_old.js", old(world))):
        # The fixture's device was born, too.
        events = [each for each in world.run(script, "read", {"count": len(wanted) + 1}, **environment)
                  if each.get("event") == "event" and each["system"]["iothub-connection-device-id"] == "amqp-sources"]
        got = [(each["system"]["iothub-message-source"], (each["properties"] or {}).get("opType")) for each in events]
        expect(got == wanted, f"{script}: {got}")
        expect(events[3]["properties"]["hubName"] == "localhost", str(events[3]))
        twin = events[3]["body"]
        twin = json.loads(twin) if isinstance(twin, str) else twin
        expect(twin["properties"]["reported"]["firmware"] == "1.2", str(twin))


def az_flow(world):
    """az prints an object over several lines for each event; it never ends by itself."""
    az = subprocess.Popen(["az", "iot", "hub", "monitor-events", "--login", world.service, "--timeout", "60", "--properties", "all",
                           "--yes", "--enqueued-time", "1", "--output", "json"], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env=dict(world.environment, AZURE_CORE_COLLECT_TELEMETRY="no"))
    timer = threading.Timer(TIMEOUT, az.kill)
    timer.start()
    lines = []
    try:
        for line in az.stdout:
            lines.append(line)
            found = [json.loads("{" + each.strip().rstrip(",") + "}")["opType"] for each in lines if '"opType"' in each]
            if found.count("deviceDisconnected") == 1 and found.count("updateTwin") == 1 and found.count("createDeviceIdentity") == 2:
                return
        raise Failure("az iot hub monitor-events: " + "".join(lines[-40:]))
    finally:
        timer.cancel()
        az.kill()
        az.wait()


def rhea_flow(world):
    """Reads what sources_flow made; then serves amqp_talker, which says what it heard."""
    seen = world.run("rhea_peers.js", "read", {"port": world.ports["amqp"], "key": world.parts["SharedAccessKey"],
                                              "entity": world.ports["hub"], "count": 6}, **rhea(world))
    events = [each for each in seen if each.get("event") == "event"]
    expect(len(events) == 6 and {"event": "done"} in seen, str(seen))
    telemetry = [each for each in events if each["annotations"]["iothub-message-source"] == "Telemetry"]
    expect(len(telemetry) == 1 and telemetry[0]["properties"] == {"alert": "no"}, str(telemetry))

    server = world.start("rhea_peers.js", "serve", **rhea(world))
    try:
        port = server.event("listening")[0]["port"]
        talker = subprocess.run([world.bin / "amqp_talker", str(port)], stdout=subprocess.PIPE, text=True, timeout=TIMEOUT)
        lines = talker.stdout.splitlines()
        for wanted in ("outcome 0 accepted", "outcome 1 rejected rhea:no", "outcome 2 released",
                       "detached from outbox test:done that was all", "closed closed"):
            expect(wanted in lines, f"{wanted} is not in {lines}")
        heard = [line.split(" ", 2)[2] for line in lines if line.startswith("message ")]
        expect(heard[0] == 'id=1 A{x-opt-offset: "7"} P{"n": null, "on": true} first', str(heard))
        expect(heard[1].endswith('"a value"') and heard[2].endswith('{"k": [1, "two"]}') and heard[3].endswith("m" * 40), str(heard))
        first, second, third = server.event("message", 3)
        expect(first["id"] == "talker-0" and first["to"] == "somebody" and first["annotations"]["x-note"] == -5, str(first))
        expect(first["properties"]["text"] == "häßlich" and first["properties"]["long"] == 1 << 40 and first["body"] == "bytes", str(first))
        expect(second["size"] == 100000 and third["body"] == "just text", str((second["id"], third)))
        outcomes = [each["outcome"] for each in server.seen if each.get("event") == "outcome"]
        expect(outcomes[:2] == ["accepted", "rejected"] and set(outcomes[2:]) == {"modified", "released"}, str(outcomes))
    finally:
        server.stop()


def has_az():
    if not shutil.which("az"):
        return False
    return subprocess.run(["az", "extension", "show", "--name", "azure-iot"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/bin")
    parser.add_argument("--sdks", default=".sdks")
    parser.add_argument("--only", help="one of files, sources, and rhea and az, which need sources")
    options = parser.parse_args()
    flows = {"files": files_flow, "sources": sources_flow, "rhea": rhea_flow, "az": az_flow}
    if not has_az():
        print("note: az with its extension azure-iot is not here; az iot hub monitor-events does not run", flush=True)
        del flows["az"]
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="iothub-sources-") as folder:
        fixture = pathlib.Path(folder, "fixture.json")
        fixture.write_text(json.dumps(FIXTURE))
        options.serve = ["--events", SOURCES, "--fixture", str(fixture)]
        world = World(options, False)
        for name, flow in flows.items():
            if options.only not in (None, name) and not (options.only in ("rhea", "az") and name == "sources"):
                continue
            try:
                flow(world)
                passed += 1
                print(f"sources {name:8} ok", flush=True)
            except (Failure, subprocess.SubprocessError, KeyError, IndexError, OSError, ValueError) as failure:
                failed += 1
                print(f"sources {name:8} FAILED: {failure!r}", flush=True)
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
