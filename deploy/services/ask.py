"""Asks the servers of deploy/services.sh a real question, and says who holds a port.

    ask.py kafka PORT NODE        metadata: does the broker know itself as a member of its cluster?
    ask.py rabbitmq PORT USER VHOST   a login as AMQP 0-9-1 wants it; the password is in the variable ASK_PASSWORD
    ask.py holders PORT...        who listens on these ports, as far as this user may know; a line for each that is taken

Ends with 0 if the answer was good. Only what Python itself brings, since a test machine may have nothing else yet.
"""

import glob
import os
import socket
import struct
import sys

ANSWER_WITHIN_S = 5.0
FRAME_END = b"\xce"


def exactly(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ConnectionError("the connection was closed before the answer was whole")
        data += more
    return data


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=ANSWER_WITHIN_S)


# === Kafka: https://kafka.apache.org/protocol, Metadata version 1


def kafka(port, node):
    client = b"services.sh"
    no_topics = struct.pack(">i", 0)
    request = struct.pack(">hhih", 3, 1, 1, len(client)) + client + no_topics
    with connect(port) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", exactly(connection, 4))
        answer = exactly(connection, size)
    _correlation, count = struct.unpack_from(">ii", answer)
    at = 8
    members = []
    for _ in range(count):
        identity, length = struct.unpack_from(">ih", answer, at)
        at += 6 + length + 4  # the host, and the port
        (rack,) = struct.unpack_from(">h", answer, at)
        at += 2 + max(rack, 0)
        members.append(identity)
    if node not in members:
        sys.exit(f"node {node} is not among the brokers that it knows: {members}")


# === RabbitMQ: AMQP 0-9-1, sections 1.4 and 2.3.5


def frame(payload):
    return struct.pack(">BHI", 1, 0, len(payload)) + payload + FRAME_END


def method_of(connection, expected):
    kind, _channel, size = struct.unpack(">BHI", exactly(connection, 7))
    payload = exactly(connection, size + 1)[:-1]
    if kind != 1 or size < 4:
        sys.exit("not a method where one must come")
    found = struct.unpack_from(">HH", payload)
    if found == (10, 50):  # connection.close: code, then the text
        code, length = struct.unpack_from(">HB", payload, 4)
        sys.exit(f"refused with {code}: {payload[7:7 + length].decode(errors='replace')}")
    if found != expected:
        sys.exit(f"method {found} where {expected} must come")
    return payload[4:]


def short(text):
    return struct.pack(">B", len(text)) + text.encode()


def rabbitmq(port, user, vhost):
    login = f"\0{user}\0{os.environ['ASK_PASSWORD']}".encode()
    with connect(port) as connection:
        connection.sendall(b"AMQP\x00\x00\x09\x01")
        method_of(connection, (10, 10))
        start_ok = struct.pack(">HHI", 10, 11, 0) + short("PLAIN")
        start_ok += struct.pack(">I", len(login)) + login + short("en_US")
        connection.sendall(frame(start_ok))
        tune = method_of(connection, (10, 30))[:8]
        connection.sendall(frame(struct.pack(">HH", 10, 31) + tune))
        connection.sendall(frame(struct.pack(">HH", 10, 40) + short(vhost) + short("") + b"\0"))
        method_of(connection, (10, 41))
        close = struct.pack(">HHHBHH", 10, 50, 200, 0, 0, 0)
        connection.sendall(frame(close))
        method_of(connection, (10, 51))


# === Ports: /proc/net/tcp


def listening(ports):
    """The port of each socket that listens, by its inode."""
    found = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = open(table, encoding="ascii").readlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            port = int(fields[1].rsplit(":", 1)[1], 16)
            if fields[3] == "0A" and port in ports:
                found[f"socket:[{fields[9]}]"] = port
    return found


def holders(ports):
    sockets = listening(ports)
    known = {}
    for link in glob.glob("/proc/[0-9]*/fd/*") if sockets else []:
        try:
            port = sockets.get(os.readlink(link))
            if port:
                pid = link.split("/")[2]
                words = open(f"/proc/{pid}/cmdline", "rb").read().replace(b"\0", b" ").decode(errors="replace")
                known[port] = f"pid {pid}, {words.strip()[:100]}"
        except OSError:
            continue  # it ended meanwhile, or belongs to another user
    for port in sorted(set(sockets.values())):
        print(f"port {port} is taken by {known.get(port, 'a process of another user')}")


def main(arguments):
    match arguments:
        case ["kafka", port, node]:
            kafka(int(port), int(node))
        case ["rabbitmq", port, user, vhost]:
            rabbitmq(int(port), user, vhost)
        case ["holders", *ports]:
            holders({int(port) for port in ports})
        case _:
            sys.exit(__doc__)


try:
    main(sys.argv[1:])
except OSError as error:
    sys.exit(f"no answer: {error}")
