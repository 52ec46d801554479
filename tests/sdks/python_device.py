"""A device on Azure's unmodified Python SDK, over WebSocket when WEBSOCKET is set. Speaks the line protocol of run.py: one
JSON object per line on stdout."""
import datetime
import json
import os
import random
import signal
import sys
import threading
import time

from azure.iot.device import IoTHubDeviceClient, Message, MethodResponse

REBOOT_SECONDS = float(os.environ.get("REBOOT_SECONDS", "20"))
interval = 1
lock = threading.Lock()


def say(**event):
    with lock:
        print(json.dumps(event), flush=True)


def main():
    client = IoTHubDeviceClient.create_from_connection_string(os.environ["IOTHUB_DEVICE_CONNECTION_STRING"],
                                                                websockets="WEBSOCKET" in os.environ)

    def on_method(request):
        global interval
        if request.name == "noAnswer":
            say(event="method", name=request.name)
            return
        say(event="method", name=request.name, payload=request.payload)
        if request.name == "SetTelemetryInterval":
            good = isinstance(request.payload, int) and not isinstance(request.payload, bool) and request.payload >= 1
            if good:
                interval = request.payload
            text = "Executed direct method SetTelemetryInterval" if good else "Invalid parameter"
            answer = MethodResponse.create_from_method_request(request, 200 if good else 400, {"Response": text})
        elif request.name == "rebootDevice":
            time.sleep(REBOOT_SECONDS)
            now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            client.patch_twin_reported_properties({"rebootTime": now})
            say(event="reported", error=None)
            answer = MethodResponse.create_from_method_request(
                request, 200, {"Response": "This is the response from the device"})
        else:
            text = f"Direct method {request.name} not defined"
            answer = MethodResponse.create_from_method_request(request, 404, {"Response": text})
        client.send_method_response(answer)

    client.on_method_request_received = on_method
    client.on_twin_desired_properties_patch_received = lambda patch: say(event="desired", patch=patch)
    client.on_message_received = lambda message: say(event="c2d", body=message.data.decode(), id=message.message_id)
    client.connect()
    client.get_twin()
    say(event="ready")
    while True:
        temperature = 20 + random.random() * 15
        message = Message(json.dumps({"temperature": temperature, "humidity": 60 + random.random() * 20}))
        message.custom_properties["temperatureAlert"] = "true" if temperature > 30 else "false"
        try:
            client.send_message(message)
            say(event="sent", error=None)
        except Exception as error:  # the runner decides what a failure means
            say(event="sent", error=str(error))
        time.sleep(interval)


signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
try:
    main()
except Exception as error:
    say(event="failed", error=repr(error))
    sys.exit(1)
