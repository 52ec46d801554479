"""The example programs against each other through the served hub, and what they say to bad input."""
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from served_hub import BIN, Running, ServedHub, main, run  # noqa: E402

FIELDS = ["deviceId", "primary key", "secondary key", "generationId", "etag", "connectionState", "connectionStateUpdatedTime",
          "status", "statusReason", "statusUpdatedTime", "lastActivityTime", "cloudToDeviceMessageCount", "authentication type",
          "capabilities"]


def the_quickstart_ends_with_ok():
    assert run([BIN / "quickstart"], os.environ).stdout.splitlines()[-1] == "quickstart: OK"


def a_new_identity_is_shown_whole_and_a_second_is_a_conflict():
    with ServedHub() as hub:
        lines = run([BIN / "create_device_identity"], hub.environment).stdout.splitlines()
        shown = {line[:29].strip(): line[29:] for line in lines}
        assert list(shown) == FIELDS, shown
        assert shown["deviceId"] == "MyCppDevice" and len(shown["primary key"]) == 44, shown
        again = run([BIN / "create_device_identity"], hub.environment, status=1)
        assert "already exists" in again.stderr and not again.stdout, again


def the_back_end_changes_the_interval_and_hears_three_kinds_of_failure():
    with ServedHub() as hub:
        device = Running([BIN / "simulated_device"], hub.for_device("MyCppDevice"))
        device.wait_for("confirmed")
        said = run([BIN / "back_end_application", "MyCppDevice"], hub.environment).stdout
        assert said == 'status 200, payload {"Response":"Executed direct method SetTelemetryInterval"}\n', said
        device.wait_for("telemetry interval is now 10 s")
        said = run([BIN / "back_end_application", "MyCppDevice", "SetTelemetryInterval", '"x"'], hub.environment).stdout
        assert said == 'status 400, payload {"Response":"Invalid parameter"}\n', said
        said = run([BIN / "back_end_application", "MyCppDevice", "Dance"], hub.environment).stdout
        assert said == 'status 404, payload {"Response":"Direct method Dance not defined"}\n', said
        device.stop()
        assert "not online" in run([BIN / "back_end_application", "MyCppDevice"], hub.environment, status=1).stderr
        assert "no such device" in run([BIN / "back_end_application", "Nobody"], hub.environment, status=1).stderr


def each_message_is_confirmed_once():
    with ServedHub() as hub:
        said = run([BIN / "confirmed_telemetry", "3"], hub.for_device("talker")).stdout.splitlines()
        assert [line.split(",")[0] for line in said] == [
            "message_1 correlation_1 Property=PropMsg_1 (text): confirmed",
            "message_2 correlation_2 Property=PropMsg_2 (bytes): confirmed",
            "message_3 correlation_3 Property=PropMsg_3 (text): confirmed"], said
        assert said[-1].endswith("3 so far, idle"), said


def a_reboot_is_reported_and_found_by_a_query():
    with ServedHub() as hub:
        device = Running([BIN / "dm_device", "1"], hub.for_device("MyCppDevice"))
        device.wait_for("waiting for rebootDevice")
        said = run([BIN / "dm_service"], hub.environment).stdout
        assert 'status 200, payload {"Response":"This is the response from the device"}' in said, said
        assert "rebootTime 20" in said and "rebooted since 20" in said, said
        device.wait_for("reported")
        device.stop()


def bad_connection_strings_get_one_sentence_and_status_2():
    for program, variable in [("simulated_device", "DEVICE"), ("dm_device", "DEVICE"), ("confirmed_telemetry", "DEVICE"),
                              ("create_device_identity", "SERVICE"), ("back_end_application", "SERVICE"), ("dm_service", "SERVICE")]:
        name = f"IOTHUB_{variable}_CONNECTION_STRING"
        bare = {key: value for key, value in os.environ.items() if not key.startswith("IOTHUB_")}
        for environment in (bare, dict(bare, **{name: "HostName=h;nonsense"}), dict(bare, **{name: "HostName=h;SharedAccessKey=%%%"})):
            done = run([BIN / program], environment, status=2)
            assert len(done.stderr.strip().splitlines()) == 1 and not done.stdout, (program, done)
            assert "%%%" not in done.stderr, done


def an_unreachable_hub_is_named_and_a_wrong_key_is_not_retried_for_ever():
    with ServedHub() as hub:
        environment = hub.for_device("d")
        environment["IOTHUB_DEVICE_CONNECTION_STRING"] = "HostName=localhost;DeviceId=d;SharedAccessKey=" + "A" * 43 + "="
        said = run([BIN / "confirmed_telemetry", "1"], environment, status=1).stderr
        assert "unauthorized" in said, said
        assert "wrong key" in hub.log(), hub.log()
        assert "A" * 43 not in hub.log()


def components_alone_need_no_hub_and_work_with_a_served_one():
    programs = ["standalone_method_dispatcher", "standalone_twin_patch_builder", "standalone_sas_signer"]
    bare = {key: value for key, value in os.environ.items() if not key.startswith("IOTHUB_")}
    for program in programs:
        said = run([BIN / program], bare).stdout
        assert "alone" in said and "fake hub" in said and "real hub" not in said, (program, said)
    with ServedHub() as hub:
        environment = hub.for_device("calculator")
        assert "real hub  version" in run([BIN / "standalone_twin_patch_builder"], environment).stdout
        assert "real hub  knows 1 device" in run([BIN / "standalone_sas_signer"], hub.environment).stdout
        device = Running([BIN / "standalone_method_dispatcher"], environment)
        device.wait_for("Ctrl-C ends")
        said = run([BIN / "back_end_application", "calculator", "add", '{"a":1,"b":2}'], hub.environment).stdout
        assert said == "status 200, payload 3\n", said
        device.stop()


main(the_quickstart_ends_with_ok, a_new_identity_is_shown_whole_and_a_second_is_a_conflict,
     the_back_end_changes_the_interval_and_hears_three_kinds_of_failure, each_message_is_confirmed_once,
     a_reboot_is_reported_and_found_by_a_query, bad_connection_strings_get_one_sentence_and_status_2,
     an_unreachable_hub_is_named_and_a_wrong_key_is_not_retried_for_ever,
     components_alone_need_no_hub_and_work_with_a_served_one)
