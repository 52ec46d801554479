"""Azure's unmodified Event Hubs reader for Python: amqp_events.py VERB JSON-ARGUMENTS; one JSON line per event.
Over WebSocket when WEBSOCKET is set.

describe            what $management says
read {count, from}  all partitions, from a position as azure-eventhub has it ("-1", "@latest", a number)
"""
import json
import os
import sys
import threading

from azure.eventhub import EventHubConsumerClient, TransportType


def say(**what):
    print(json.dumps(what, default=str), flush=True)


def client():
    options = {}
    if os.environ.get("EVENT_HUB_CA"):
        options["connection_verify"] = os.environ["EVENT_HUB_CA"]
    if "WEBSOCKET" in os.environ:
        options["transport_type"] = TransportType.AmqpOverWebsocket
    return EventHubConsumerClient.from_connection_string(os.environ["EVENT_HUB_CONNECTION_STRING"],
                                                         consumer_group="$Default", **options)


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def describe():
    with client() as reader:
        hub = reader.get_eventhub_properties()
        say(event="described", hub=hub, partitions=[reader.get_partition_properties(p) for p in hub["partition_ids"]])


def read(count, **arguments):
    done = threading.Event()
    seen = []

    def on_event(partition, event):
        say(event="event", partition=partition.partition_id, sequence=event.sequence_number, offset=event.offset,
            enqueued=event.enqueued_time, body=event.body_as_str(), properties={text(k): text(v) for k, v in (event.properties or {}).items()},
            system={text(k): text(v) for k, v in event.system_properties.items()})
        seen.append(event)
        if len(seen) >= count:
            done.set()

    reader = client()
    worker = threading.Thread(target=reader.receive, kwargs=dict(
        on_event=on_event, starting_position=arguments.get("from", "-1"), track_last_enqueued_event_properties=True,
        on_error=lambda partition, error: say(event="error", message=str(error))), daemon=True)
    worker.start()
    finished = done.wait(60)
    reader.close()
    worker.join(20)
    if not finished:
        raise TimeoutError(f"{len(seen)} of {count} events in 60 s")


if __name__ == "__main__":
    {"describe": describe, "read": read}[sys.argv[1]](**json.loads(sys.argv[2] if len(sys.argv) > 2 else "{}"))
    say(event="done")
