#!/usr/bin/env python3
"""Telemetry observed and messages answered, in every combination, through the served fake hub: devices of this library
and of Azure's SDKs (Node over AMQP, Python over MQTT), readers of this library, @azure/event-hubs and azure-eventhub.

  run_events.py [--bin build/bin] [--sdks .sdks]

Needs the ports 5671, 5672 and 8883."""
import argparse
import json
import subprocess
import sys

from run_amqp import TIMEOUT, Failure, World, expect


def program(world, *words, device=None, status=0):
    environment = dict(world.environment, IOTHUB_AMQPS_PORT=str(world.ports["amqps"]),
                       IOTHUB_MQTT_PORT=str(world.ports["mqtt"]), IOTHUB_HTTPS_PORT=str(world.ports["https"]))
    if device:
        environment["IOTHUB_DEVICE_CONNECTION_STRING"] = connection_string(world, device)
    done = subprocess.run([world.bin / words[0], *words[1:]], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=TIMEOUT)
    if status is not None:
        expect(done.returncode == status, f"{words} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done


def connection_string(world, device):
    return world.fake("connstr", "--device", device, "--create", "--ports-file", world.ports_file)


def talk(world):
    """One event at least of each device."""
    program(world, "confirmed_telemetry", "2", device="ours")
    node = world.device("node")
    node.event("ready")
    node.stop()
    python = world.start("python_device.py", IOTHUB_DEVICE_CONNECTION_STRING=connection_string(world, "python"))
    python.event("sent")
    python.process.terminate()
    python.process.wait(20)
    return ("ours", "node", "python")


def observe(world, devices):
    described = world.run("amqp_events.js", "describe")
    total = sum(each["lastEnqueuedSequenceNumber"] + 1 for each in described[0]["partitions"])
    ours = [json.loads(line) for line in
            program(world, "read_events", "--from-beginning", "--json", "--count", str(total)).stdout.splitlines()]
    seen = {"ours": {(each["partition"], each["sequenceNumber"]): each["deviceId"] for each in ours}}
    for name, script in (("@azure/event-hubs", "amqp_events.js"), ("azure-eventhub", "amqp_events.py")):
        events = [each for each in world.run(script, "read", {"count": total}) if each.get("event") == "event"]
        seen[name] = {(each["partition"], each["sequence"]): each["system"]["iothub-connection-device-id"] for each in events}
    for name, events in seen.items():
        for device in devices:
            expect(device in events.values(), f"{name} did not see {device}: {events}")
        expect(events == seen["ours"], f"{name} saw {events}, ours {seen['ours']}")
        print(f"events  {name:18} read {len(events)} of {', '.join(devices)}", flush=True)


def endpoint_string(world):
    """Our reader with the Event Hubs-compatible string, with TLS and without."""
    for text in (world.events, world.events + ";UseDevelopmentEmulator=true"):
        said = subprocess.run([world.bin / "read_events", "--from-beginning", "--json", "--count", "1"], stdout=subprocess.PIPE,
                              env=dict(world.environment, IOTHUB_SERVICE_CONNECTION_STRING=text), text=True, timeout=TIMEOUT)
        expect(said.returncode == 0 and json.loads(said.stdout)["messageSource"] == "Telemetry", said.stdout)
    print("events  both strings of the endpoint", flush=True)


def answers(world):
    """Our sender, Azure's device: completed and rejected."""
    for how, status, word in (("complete", 0, "Success"), ("reject", 3, "Rejected")):
        device = world.device("settler-" + how, SETTLE=how)
        try:
            device.event("ready")
            said = program(world, "send_c2d", "settler-" + how, "hello", "--property", "k=v", "--id", how, status=status)
            expect(f"{how}: {word} (settler-{how})" in said.stdout, said.stdout)
            message = device.event("message")[0]
            expect(message["body"] == "hello" and message["messageId"] == how and
                   {"key": "k", "value": "v"} in message["properties"], str(message))
        finally:
            device.stop()
        print(f"c2d     Azure's device: {how}, our sender is told {word}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/bin")
    parser.add_argument("--sdks", default=".sdks")
    options = parser.parse_args()
    options.mqtt = "8883"  # which the Python SDK has built in
    world = World(options, websocket=False)
    failed = 0
    try:
        observe(world, talk(world))
        endpoint_string(world)
        answers(world)
    except (Failure, subprocess.SubprocessError, KeyError, IndexError, OSError, ValueError) as failure:
        failed = 1
        world.log.seek(0)
        print(f"FAILED: {failure!r}\nthe hub's log ends:\n" + "".join(world.log.readlines()[-40:]))
    try:
        world.close()
    except Failure as failure:
        failed = 1
        print(failure)
    print("failed" if failed else "passed")
    return failed


if __name__ == "__main__":
    sys.exit(main())
