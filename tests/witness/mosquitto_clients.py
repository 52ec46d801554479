"""libmosquitto's mosquitto_pub and mosquitto_sub against the MQTT face of the served hub."""
import base64
import hashlib
import hmac
import pathlib
import sys
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from served_hub import BIN, Running, ServedHub, main, run  # noqa: E402


def credentials(hub, device_id, key=None):
    """As Microsoft documents them for any MQTT client; the token is made here, by Python's own HMAC."""
    fields = dict(field.split("=", 1) for field in hub.for_device(device_id)["IOTHUB_DEVICE_CONNECTION_STRING"].split(";"))
    resource = urllib.parse.quote(f"{fields['HostName']}/devices/{device_id}", safe="")
    expiry = str(int(time.time()) + 3600)
    signature = hmac.new(base64.b64decode(key or fields["SharedAccessKey"]), f"{resource}\n{expiry}".encode(), hashlib.sha256).digest()
    token = f"SharedAccessSignature sr={resource}&sig={urllib.parse.quote(base64.b64encode(signature), safe='')}&se={expiry}"
    return ["-h", "localhost", "-p", hub.words["mqtt"], "--cafile", hub.words["ca"], "-i", device_id, "-V", "mqttv311",
            "-u", f"{fields['HostName']}/{device_id}/?api-version=2021-04-12", "-P", token]


def telemetry_of_mosquitto_pub_is_acknowledged():
    with ServedHub() as hub:
        for qos in ("0", "1"):
            run(["mosquitto_pub", *credentials(hub, "mosquitto"), "-q", qos, "-t", "devices/mosquitto/messages/events/a=b",
                 "-m", '{"t":1}'], hub.environment)


def a_wrong_key_is_refused_with_code_5():
    with ServedHub() as hub:
        done = run(["mosquitto_pub", *credentials(hub, "mosquitto", key="A" * 43 + "="), "-q", "1",
                    "-t", "devices/mosquitto/messages/events/", "-m", "x"], hub.environment, status=None)
        assert done.returncode != 0 and "not authorised" in done.stderr, done


def mosquitto_sub_hears_a_direct_method():
    with ServedHub() as hub:
        device = Running(["mosquitto_sub", *credentials(hub, "mosquitto"), "-d", "-q", "1", "-v", "-t", "$iothub/methods/POST/#"],
                         hub.environment)
        device.wait_for("Subscribed")
        caller = Running([BIN / "back_end_application", "mosquitto", "SetTelemetryInterval", "7"], hub.environment)
        line = device.wait_for("SetTelemetryInterval/?$rid=")
        while "PUBLISH" in line:  # -d logs the packet before -v prints it
            line = device.wait_for("SetTelemetryInterval/?$rid=")
        assert line.endswith(" 7"), line
        caller.process.kill()
        caller.process.wait()
        device.process.kill()
        device.process.wait()


main(telemetry_of_mosquitto_pub_is_acknowledged, a_wrong_key_is_refused_with_code_5, mosquitto_sub_hears_a_direct_method)
