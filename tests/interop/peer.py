# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
"""Python's side of the interop suite: PyPI's cloudevents and confluent-kafka. interop.py tells what a line holds."""

import base64
import json
import sys
import uuid
from datetime import timezone

from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from confluent_kafka import Consumer, Producer
from dateutil.parser import isoparse

OWN = ["id", "source", "type", "subject", "dataschema", "datacontenttype"]


def bytes_of(text):
    return None if text is None else base64.b64decode(text)


def text_of(data):
    return None if data is None else base64.b64encode(data).decode()


def is_json(content_type):
    return content_type is None or content_type.split(";")[0].endswith("json")


def event_of(line):
    attributes = {name: line[name] for name in OWN if name in line}
    attributes.update(line.get("extensions", {}), specversion="1.0")
    if "time" in line:
        attributes["time"] = isoparse(line["time"])
    data = bytes_of(line.get("data"))
    if data and is_json(line.get("datacontenttype")):
        data = json.loads(data)
        if not isinstance(data, dict) and line["mode"] == "binary":
            data = json.dumps(data)  # the SDK takes only dicts to JSON, and writes others as Python prints them
    return CloudEvent(attributes, data)


def produce(bootstrap):
    # Where Java and Kurier put a key; the default of librdkafka, and so of confluent-kafka, is another place.
    producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random"})
    places = {}
    count = 0
    for line in map(json.loads, sys.stdin):
        key, value = bytes_of(line.get("key")), bytes_of(line.get("value"))
        headers = [(header["name"], bytes_of(header.get("value"))) for header in line.get("headers", [])]
        if line["mode"] != "plain":
            convert = to_structured_event if line["mode"] == "structured" else to_binary_event
            message = convert(event_of(line), key_mapper=lambda event: key)
            key, value = message.key, message.value
            headers += list(message.headers.items())

        def on_delivery(error, message, index=count):
            if error is not None:
                sys.exit("peer.py: " + str(error))
            places[index] = {"partition": message.partition(), "offset": message.offset()}

        while True:
            try:
                producer.produce(line["topic"], value, key, headers=headers, on_delivery=on_delivery)
                break
            except BufferError:
                producer.poll(1)
        count += 1
    producer.flush(60)
    for index in range(count):
        print(json.dumps(places[index]))


def line_of(message):
    line = {"topic": message.topic(), "headers": []}
    for name, value in [("key", message.key()), ("value", message.value())]:
        if value is not None:
            line[name] = text_of(value)
    for name, value in message.headers() or []:
        line["headers"].append({"name": name} if value is None else {"name": name, "value": text_of(value)})
    try:
        # As the SDK's own examples do it: headers by their name.
        event = from_kafka_event(KafkaMessage(dict(message.headers() or []), message.key(), message.value()))
        line["extensions"] = {}
        for name, value in event.get_attributes().items():
            if name == "time" and value is not None:
                line["time"] = value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
            elif name in OWN and value is not None:
                line[name] = value
            elif name not in OWN + ["time", "specversion"]:
                line["extensions"][name] = str(value)
        data = event.get_data()
        if data is not None and is_json(line.get("datacontenttype")) and not isinstance(data, bytes):
            data = json.dumps(data)
        if data is not None:
            line["data"] = text_of(data.encode() if isinstance(data, str) else data)
    except Exception as error:  # whatever it is: it is what a user would get
        line["error"] = type(error).__name__ + ": " + str(error)
    return line


def consume(bootstrap, topic, count):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": str(uuid.uuid4()), "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    while count > 0:
        message = consumer.poll(60)
        if message is None:
            sys.exit("peer.py: no record came")
        if message.error() is None:
            print(json.dumps(line_of(message)))
            count -= 1
    consumer.close()


if sys.argv[1] == "produce":
    produce(sys.argv[2])
else:
    consume(sys.argv[2], sys.argv[3], int(sys.argv[4]))
