"""Azure's unmodified service SDK for Python: amqp_service.py send JSON-ARGUMENTS; sends a cloud-to-device message."""
import json
import os
import sys

from azure.iot.hub import IoTHubRegistryManager


def send(id, body, properties=None):
    manager = IoTHubRegistryManager.from_connection_string(os.environ["IOTHUB_SERVICE_CONNECTION_STRING"])
    manager.send_c2d_message(id, body, properties or {})
    print(json.dumps({"event": "sent"}), flush=True)


if __name__ == "__main__":
    {"send": send}[sys.argv[1]](**json.loads(sys.argv[2]))
    os._exit(0)  # its threads of uAMQP may outlive it
