# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
"""Python's side of the Avro suite: confluent-kafka's serializers, and fastavro. avro_suite.py tells what there is to ask."""

import io
import json
import sys
import uuid

import fastavro
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.schema_registry import (Schema, SchemaReference, SchemaRegistryClient, header_schema_id_serializer,
                                             record_subject_name_strategy, topic_record_subject_name_strategy,
                                             topic_subject_name_strategy)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from avro_values import Values

ENVELOPE = [("ce_specversion", b"1.0"), ("ce_source", b"/python"), ("ce_type", b"interop.order.v1")]
SUBJECTS = {"topic": topic_subject_name_strategy, "record": record_subject_name_strategy,
            "topic_record": topic_record_subject_name_strategy}
JSON_SCHEMA = json.dumps({"title": "Order", "type": "object", "properties": {"id": {"type": "string"}}})


def or_error(do, value):
    try:
        return do(value)
    except Exception as error:  # whatever it is: it is what a user would get
        return f"!{type(error).__name__}: {error}"


def serializer(request):
    registry = SchemaRegistryClient({"url": request["registry"]})
    options = {"auto.register.schemas": not request.get("finds"), "subject.name.strategy": SUBJECTS[request.get("subjects", "topic")]}
    if request["wire"] == "json":
        return JSONSerializer(JSON_SCHEMA, registry, conf=options)
    if request["wire"] == "header":
        options["schema.id.serializer"] = header_schema_id_serializer
    references = []
    for name, text in request.get("references", {}).items():
        registry.register_schema(request["topic"] + name, Schema(text, "AVRO"))
        references.append(SchemaReference(name, request["topic"] + name, 1))
    return AvroSerializer(registry, Schema(request["schema"], "AVRO", references), conf=options)


def produce(request):
    """.values, JSON of .schema, to .topic; with .envelope as CloudEvents, else as records with nothing beside the value."""
    serialize, producer = serializer(request), Producer({"bootstrap.servers": BOOTSTRAP})
    values = Values(request.get("values_schema", request["schema"]))
    envelope = request.get("envelope")

    def send(text):
        headers, value = [], json.loads(text)
        if envelope:
            headers = ENVELOPE + [("ce_id", str(uuid.uuid4()).encode()), ("content-type", envelope.encode())]
        value = value if request["wire"] == "json" else values.native(value)
        data = serialize(value, SerializationContext(request["topic"], MessageField.VALUE, headers))
        producer.produce(request["topic"], data, headers=headers)
        return "sent"

    said = [or_error(send, text) for text in request["values"]]
    if producer.flush(60) > 0:
        sys.exit("avro_peer.py: not all were delivered")
    return said


def consume(request):
    """The first .count records of .topic, with the reader's schema .reader, else the writer's."""
    reader = request.get("reader")
    deserialize = AvroDeserializer(SchemaRegistryClient({"url": request["registry"]}), reader)
    values = Values(reader or request["schema"])
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": str(uuid.uuid4())})
    consumer.assign([TopicPartition(request["topic"], 0, 0)])
    said = []

    def read(message):
        context = SerializationContext(request["topic"], MessageField.VALUE, message.headers())
        return json.dumps(values.json(deserialize(message.value(), context)))

    while len(said) < request["count"]:
        message = consumer.poll(60)
        if message is None:
            sys.exit("avro_peer.py: no record came")
        if message.error() is None:
            said.append(or_error(read, message))
    consumer.close()
    return said


def encode(request):
    schema, values = fastavro.parse_schema(json.loads(request["schema"])), Values(request["schema"])

    def one(text):
        data = io.BytesIO()
        fastavro.schemaless_writer(data, schema, values.native(json.loads(text)))
        return data.getvalue().hex()

    return [or_error(one, text) for text in request["values"]]


def decode(request):
    schema, values = fastavro.parse_schema(json.loads(request["schema"])), Values(request["schema"])

    def one(digits):
        data = io.BytesIO(bytes.fromhex(digits))
        value = fastavro.schemaless_reader(data, schema, None)
        if data.read():
            raise ValueError("bytes behind the end")
        return json.dumps(values.json(value))

    return [or_error(one, digits) for digits in request["values"]]


def forms(request):
    def one(text):
        form = fastavro.schema.to_parsing_canonical_form(json.loads(text))
        digits = fastavro.schema.fingerprint(form, "CRC-64-AVRO")
        return f"{int.from_bytes(bytes.fromhex(digits), 'little'):016x} {form}"

    return [or_error(one, text) for text in request["values"]]


ACTS = {"produce": produce, "consume": consume, "encode": encode, "decode": decode, "forms": forms}
BOOTSTRAP = sys.argv[1]
for line in sys.stdin:
    request = json.loads(line)
    said = or_error(ACTS[request["act"]], request)
    if isinstance(said, str):  # nothing could be done, such as with a schema that it does not read
        said = [said] * len(request.get("values", [None]))
    print(json.dumps({"values": said}), flush=True)
