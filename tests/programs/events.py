"""read_events, send_c2d and `iothub-fake events` against a served hub: what they print, how they end, what they say to bad
input."""
import json
import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from served_hub import BIN, Running, ServedHub, main, run  # noqa: E402


def surroundings(hub):
    return dict(hub.environment, IOTHUB_AMQPS_PORT=hub.words["amqps"])


def send(hub, device, count):
    run([BIN / "confirmed_telemetry", count], hub.for_device(device))


def documents(text):
    return [json.loads(line) for line in text.splitlines()]


def events_are_printed_as_lines_and_as_documents():
    with ServedHub() as hub:
        send(hub, "pump-7", 2)
        send(hub, "pump-8", 1)
        said = run([BIN / "read_events", "--from-beginning", "--count", "3", "--json"], surroundings(hub))
        events = documents(said.stdout)
        assert sorted(each["deviceId"] for each in events) == ["pump-7", "pump-7", "pump-8"], events
        assert [each["messageId"] for each in events if each["deviceId"] == "pump-7"] == ["message_1", "message_2"], events
        assert all(isinstance(each["body"], dict) for each in events), events
        assert events[0]["properties"]["Property"].startswith("PropMsg_"), events
        one = run([BIN / "read_events", "--from-beginning", "--count", "1", "--device", "pump-8"], surroundings(hub)).stdout
        assert " pump-8 {" in one and "Property=PropMsg_1" in one, one


def the_hubs_own_program_prints_them_too():
    with ServedHub() as hub:
        send(hub, "pump-7", 2)
        said = hub.fake("events", "--from-beginning", "--count", "2", "--json")
        assert [each["deviceId"] for each in documents(said)] == ["pump-7", "pump-7"], said
        reader = Running([BIN / "iothub-fake", "events", "--ports-file", hub.ports_file, "--from-beginning"], hub.environment)
        reader.wait_for("pump-7")
        reader.stop()
        refused = run([BIN / "iothub-fake", "events", "--owner-key", "A" * 43 + "=", "--ports-file", hub.ports_file],
                      hub.environment, status=6)
        assert "A" * 43 not in refused.stderr and len(refused.stderr.splitlines()) == 1, refused


def a_reader_that_is_interrupted_goes_on_behind_its_checkpoint():
    with ServedHub() as hub:
        file = hub.folder.name + "/checkpoints.json"
        command = [BIN / "read_events", "--from-beginning", "--checkpoints", file, "--json"]
        send(hub, "pump-7", 2)
        reader = Running(command, surroundings(hub))
        reader.wait_for("message_2")
        reader.stop(signal.SIGINT)
        send(hub, "pump-7", 3)
        said = documents(run([*command, "--count", "3"], surroundings(hub)).stdout)
        assert [each["sequenceNumber"] for each in said] == [2, 3, 4], said


def a_message_and_its_outcome():
    with ServedHub() as hub:
        there = surroundings(hub)
        hub.for_device("pump-7")
        said = run([BIN / "send_c2d", "pump-7", "hello", "--ack", "none", "--id", "m1"], there).stdout
        assert said == "m1: the hub has it\n", said
        missing = run([BIN / "send_c2d", "nobody"], there, status=1).stderr
        assert "there is no such device" in missing, missing
        late = run([BIN / "send_c2d", "pump-7", "hello", "--ttl", "1", "--id", "m2", "--timeout", "60"], there, status=3).stdout
        assert late.endswith("m2: Expired (pump-7)\n"), late
        silent = run([BIN / "send_c2d", "pump-7", "hello", "--id", "m3", "--timeout", "1"], there, status=4)
        assert silent.stderr == "m3: no outcome so far\n", silent


def wrong_usage_gets_one_sentence_and_status_2():
    bare = {key: value for key, value in os.environ.items() if not key.startswith("IOTHUB_")}
    string = dict(bare, IOTHUB_SERVICE_CONNECTION_STRING="HostName=localhost;SharedAccessKeyName=x;SharedAccessKey=eA==")
    for command in (["read_events"], ["read_events", "--nonsense"], ["read_events", "--count", "0"], ["read_events", "--device"],
                    ["read_events", "--since", "yesterday"], ["read_events", "--share"], ["send_c2d"], ["send_c2d", "d"],
                    ["send_c2d", "d", "b", "c"], ["send_c2d", "d", "--ack", "maybe"], ["send_c2d", "d", "--ttl", "0"],
                    ["iothub-fake", "events", "--nonsense"], ["iothub-fake", "events", "--count", "0"]):
        environment = bare if len(command) == 1 or command == ["send_c2d", "d"] else string
        done = run([BIN / command[0], *command[1:]], environment, status=2)
        assert len(done.stderr.strip().splitlines()) == 1 and not done.stdout, (command, done)
    for program in (["read_events", "--help"], ["send_c2d", "--help"], ["iothub-fake", "events", "--help"]):
        assert program[0] in run([BIN / program[0], *program[1:]], bare).stdout


def an_unusable_hub_is_named():
    with ServedHub() as hub:
        wrong = surroundings(hub)
        wrong["IOTHUB_SERVICE_CONNECTION_STRING"] = "HostName=localhost;SharedAccessKeyName=service;SharedAccessKey=" + "A" * 43 + "="
        for program in (["read_events"], ["send_c2d", "d"]):
            said = run([BIN / program[0], *program[1:]], wrong, status=1).stderr
            assert "unauthorized" in said and "A" * 43 not in said, said
        untrusted = dict(surroundings(hub), SSL_CERT_FILE="/etc/ssl/certs/ca-certificates.crt")
        if os.path.exists(untrusted["SSL_CERT_FILE"]):
            said = run([BIN / "read_events"], untrusted, status=1).stderr
            assert "certificate_rejected" in said, said


main(events_are_printed_as_lines_and_as_documents, the_hubs_own_program_prints_them_too,
     a_reader_that_is_interrupted_goes_on_behind_its_checkpoint, a_message_and_its_outcome,
     wrong_usage_gets_one_sentence_and_status_2, an_unusable_hub_is_named)
