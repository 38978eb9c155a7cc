"""A foreign consumer of Kafka, by librdkafka's own Python client: prints each message as a line of JSON.

    consume_kafka.py --bootstrap HOST:PORT[,...] --topic T --count N --timeout SECONDS
                     [--ca PEM [--certificate PEM --key PEM]] [--user NAME [--mechanism SCRAM-SHA-256]]

All partitions are read from their beginning, in no consumer group, so nothing of the reader stays behind. The password
of --user is in the variable PEER_PASSWORD. Ends with 0 when N messages came, with 1 when they did not in time.
"""

import argparse
import base64
import json
import os
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

POLL_SECONDS = 0.2


def text_of(data):
    """The text of some bytes, or None if they are none."""
    try:
        return None if data is None else data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def described(message):
    headers = message.headers() or []
    names = [name for name, _ in headers]
    key, body = message.key(), message.value()
    return {
        "binding": "kafka",
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp_ms": message.timestamp()[1],
        "key": text_of(key),
        "key_hex": None if key is None else key.hex(),
        "headers": {name: text_of(value) for name, value in headers},
        "repeated": sorted({name for name in names if names.count(name) > 1}),
        "body": text_of(body),
        "body_base64": None if body is None else base64.b64encode(body).decode(),
    }


def settings(options):
    given = {
        "bootstrap.servers": options.bootstrap,
        "group.id": "peer",
        "enable.auto.commit": False,
        "enable.partition.eof": False,
    }
    if options.ca:
        given |= {"security.protocol": "SSL", "ssl.ca.location": options.ca}
    if options.certificate:
        given |= {"ssl.certificate.location": options.certificate, "ssl.key.location": options.key}
    if options.user:
        given |= {
            "security.protocol": "SASL_SSL" if options.ca else "SASL_PLAINTEXT",
            "sasl.mechanism": options.mechanism,
            "sasl.username": options.user,
            "sasl.password": os.environ["PEER_PASSWORD"],
        }
    return given


def assign(consumer, topic, seconds):
    found = consumer.list_topics(topic, timeout=seconds).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in found.partitions])


def consume(options):
    until = time.monotonic() + options.timeout
    consumer = Consumer(settings(options))
    came = 0
    try:
        assign(consumer, options.topic, options.timeout)
        while came < options.count and time.monotonic() < until:
            message = consumer.poll(POLL_SECONDS)
            if message is None:
                continue
            if message.error() is not None:
                raise KafkaException(message.error())
            print(json.dumps(described(message), ensure_ascii=False), flush=True)
            came += 1
    finally:
        consumer.close()
    if came < options.count:
        sys.exit(f"{came} of {options.count} messages came within {options.timeout} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--timeout", type=float, required=True)
    parser.add_argument("--ca")
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--user")
    parser.add_argument("--mechanism", default="SCRAM-SHA-256")
    try:
        consume(parser.parse_args())
    except KafkaException as error:
        sys.exit(f"Kafka refuses: {error}")


main()
