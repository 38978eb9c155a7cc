"""A foreign consumer of RabbitMQ, by `pika`: prints each message as a line of JSON and acknowledges it.

    consume_rabbitmq.py --url amqp[s]://USER:PASSWORD@HOST:PORT/VHOST --queue Q --count N --timeout SECONDS
                        [--ca PEM [--certificate PEM --key PEM]] [--keep]

With --keep messages go back to their queue at the end. Ends with 0 when N messages came, with 1 when they did not in
time.
"""

import argparse
import base64
import json
import ssl
import sys
import time

import pika
import pika.exceptions

# The properties of AMQP 0-9-1 that a message has beside its headers.
PROPERTIES = (
    "content_type",
    "content_encoding",
    "delivery_mode",
    "priority",
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    "timestamp",
    "type",
    "user_id",
    "app_id",
)


def plain(value):
    """A header's value as JSON can say it."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case bytes():
            return value.hex()
        case list():
            return [plain(one) for one in value]
        case dict():
            return {name: plain(one) for name, one in value.items()}
        case _:
            return str(value)


def text_of(data):
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def described(method, properties, body):
    given = {name: getattr(properties, name) for name in PROPERTIES}
    return {
        "binding": "amqp",
        "exchange": method.exchange,
        "routing_key": method.routing_key,
        "redelivered": method.redelivered,
        "properties": {name: plain(value) for name, value in given.items() if value is not None},
        "headers": plain(properties.headers or {}),
        "body": text_of(body),
        "body_base64": base64.b64encode(body).decode(),
    }


def parameters(options):
    given = pika.URLParameters(options.url)
    given.socket_timeout = options.timeout
    given.blocked_connection_timeout = options.timeout
    given.connection_attempts = 1
    if options.ca:
        context = ssl.create_default_context(cafile=options.ca)
        if options.certificate:
            context.load_cert_chain(options.certificate, options.key)
        given.ssl_options = pika.SSLOptions(context, given.host)
    return given


def consume(options):
    until = time.monotonic() + options.timeout
    came = 0
    with pika.BlockingConnection(parameters(options)) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=max(1, min(options.count, 1000)))
        while came < options.count and (left := until - time.monotonic()) > 0:
            method, properties, body = next(channel.consume(options.queue, inactivity_timeout=left))
            if method is None:
                continue
            print(json.dumps(described(method, properties, body), ensure_ascii=False), flush=True)
            came += 1
            if not options.keep:
                channel.basic_ack(method.delivery_tag)
        # What was sent here and not read, or only kept, goes back.
        channel.cancel()
    if came < options.count:
        sys.exit(f"{came} of {options.count} messages came within {options.timeout} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--queue", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--timeout", type=float, required=True)
    parser.add_argument("--ca")
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--keep", action="store_true")
    try:
        consume(parser.parse_args())
    except (pika.exceptions.AMQPError, OSError) as error:
        sys.exit(f"RabbitMQ refuses: {error!r}")


main()
