"""A foreign judge of CloudEvents 1.0: the CloudEvents project's own library for Python.

In comes what consume_kafka.py or consume_rabbitmq.py printed, a line for each message; out goes for each a line
{"id", "attributes", "issues": [...]}. Only binary mode is taken. Ends with 1 if there is an issue with one of them, or
no message at all.

The library itself makes up an id, a time and a version where there is none, so whether they are there is looked at
before it is asked.
"""

import base64
import json
import re
import sys

from cloudevents.core.bindings import amqp, kafka, rabbitmq
from cloudevents.core.exceptions import BaseCloudEventException

REQUIRED = ("id", "source", "specversion", "type")
# Before an attribute's name, by binding; `ce-` is what RabbitMQ's own binding for AMQP 0-9-1 says.
PREFIXES = {"kafka": ("ce_",), "amqp": ("cloudEvents_", "cloudEvents:", "ce-")}
JSON_TYPE = re.compile(r"^(application|text)/([a-zA-Z0-9\-.]+\+)?json(\s*;.*)?$")


def names_of(message):
    """The names of the attributes that the message carries, as they are written."""
    prefixes = PREFIXES[message["binding"]]
    for header in message["headers"]:
        for prefix in prefixes:
            if header.startswith(prefix):
                yield header.removeprefix(prefix)


def event_of(message):
    """What the library makes of the message."""
    body = base64.b64decode(message["body_base64"] or "")
    headers = message["headers"]
    if message["binding"] == "kafka":
        key = message["key"] if message["key"] is not None else message["key_hex"]
        found = {name: (value or "").encode() for name, value in headers.items()}
        return kafka.from_binary_event(kafka.KafkaMessage(headers=found, key=key, value=body))
    content_type = message["properties"].get("content_type")
    if any(name.startswith("ce-") for name in headers):
        return rabbitmq.from_binary_event(rabbitmq.RabbitMQMessage(headers, content_type, body))
    properties = {} if content_type is None else {"content-type": content_type}
    return amqp.from_binary_event(amqp.AMQPMessage(properties, headers, body))


def before_asking(message):
    names = list(names_of(message))
    for name in REQUIRED:
        if name not in names:
            yield f"the attribute {name} is missing"
    for name in names:
        # The library reads names in any case; the specification has only lower case (section 3.1).
        if name != name.lower():
            yield f"the attribute {name} is not in lower case"
        if names.count(name) > 1:
            yield f"the attribute {name} is there more than once"
    for name in message.get("repeated", []):
        yield f"the header {name} is there more than once"


def after_asking(event):
    if JSON_TYPE.match(event.get_datacontenttype() or "") and isinstance(event.get_data(), (bytes, str)):
        yield "the content type says JSON, and the body is none"


def judged(message):
    issues = list(before_asking(message))
    attributes = {}
    try:
        event = event_of(message)
        attributes = {name: str(value) for name, value in event.get_attributes().items()}
        issues += after_asking(event)
    except (BaseCloudEventException, ValueError, TypeError) as error:
        issues.append(f"{type(error).__name__}: {error}")
    return {"id": attributes.get("id"), "attributes": attributes, "issues": issues}


def main():
    verdicts = [judged(json.loads(line)) for line in sys.stdin if line.strip()]
    for verdict in verdicts:
        print(json.dumps(verdict, ensure_ascii=False), flush=True)
    if not verdicts:
        sys.exit("there is no message to judge")
    sys.exit(any(verdict["issues"] for verdict in verdicts))


main()
