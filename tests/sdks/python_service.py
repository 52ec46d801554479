"""One back-end operation on Azure's unmodified Python SDK: python_service.py VERB JSON-ARGUMENTS; prints one JSON line."""
import json
import os
import sys

from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import CloudToDeviceMethod, QuerySpecification, Twin, TwinProperties

manager = IoTHubRegistryManager.from_connection_string(os.environ["IOTHUB_SERVICE_CONNECTION_STRING"])


def query(text, page=100):
    rows, token = [], None
    while True:
        result = manager.query_iot_hub(QuerySpecification(query=text), token, page)
        rows += [item.serialize() if hasattr(item, "serialize") else item for item in result.items]
        token = result.continuation_token
        if not token:
            return rows


def patch_twin(id, patch, etag=None):
    twin = Twin(tags=patch.get("tags"), properties=TwinProperties(desired=patch.get("properties", {}).get("desired")))
    return manager.update_twin(id, twin, etag or "*").serialize(keep_readonly=True)


VERBS = {
    "create": lambda id: manager.create_device_with_sas(id, "", "", "enabled").serialize(keep_readonly=True),
    "get": lambda id: manager.get_device(id).serialize(keep_readonly=True),
    "remove": lambda id: manager.delete_device(id),
    "list": lambda: [device.device_id for device in manager.get_devices()],
    "twin": lambda id: manager.get_twin(id).serialize(keep_readonly=True),
    "patch": patch_twin,
    "method": lambda id, name, payload, timeout=30: manager.invoke_device_method(
        id, CloudToDeviceMethod(method_name=name, payload=payload, response_timeout_in_seconds=timeout,
                                connect_timeout_in_seconds=0)).as_dict(),
    "query": query,
}


def classify(error):
    response = getattr(error, "response", None)
    body = response.text if response is not None else str(error)
    status = response.status_code if response is not None else 0
    if "404103" in body:
        return "device_offline"
    if status == 404:
        return "device_not_found"
    # msrest tries a 504 again by itself and then gives up with an error of its own
    if status == 504 or "too many 504 error responses" in str(error):
        return "device_timeout"
    return {401: "unauthorized", 409: "already_exists", 412: "precondition_failed"}.get(status, type(error).__name__)


try:
    print(json.dumps({"ok": True, "value": VERBS[sys.argv[1]](**json.loads(sys.argv[2]))}))
except Exception as error:
    print(json.dumps({"ok": False, "error": classify(error), "text": str(error)}))
