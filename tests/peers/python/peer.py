"""A foreign HL7 v2 peer: framing and reading by `hl7`, building and strict judging by `hl7apy`.

    peer.py send   --port P [--scenario S] [--answers N] FILE...   send files, print each answer as a line of JSON
                   [--authority PEM [--certificate PEM --key PEM]] over TLS
    peer.py listen --dir D [--answer AA]                           take messages until stdin closes, store and answer them
    peer.py build  --out FILE --control-id ID --order NUMBER       write an RDE^O11 that hl7apy assembled
    peer.py judge  FILE...                                         parse and validate strictly, print a verdict a file

Scenarios: clean, lf, split, joined, junk, pipelined. Bytes that the library cannot be made to write
(split and joined packets, junk) go through the same socket unframed by it; answers are always read by the library.
"""

import argparse
import asyncio
import json
import pathlib
import ssl
import sys

import hl7
import hl7.mllp
from hl7.mllp.streams import CARRIAGE_RETURN, END_BLOCK, START_BLOCK
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.core import Message
from hl7apy.exceptions import HL7apyException
from hl7apy.parser import parse_message

HOST = "127.0.0.1"
ANSWER_SECONDS = 20
# Long enough for the receiver to read what came before, so that the pieces really arrive apart.
PIECE_SECONDS = 0.02
FRAME_BYTES_MAX = 16 * 1024 * 1024
JUNK = b"\r\n \x00\x00 GET / HTTP/1.0\r\n"


def say(**fields):
    print(json.dumps(fields, ensure_ascii=False), flush=True)


def unframed(path):
    """The message of a file, without byte order mark and final line ends."""
    return path.read_bytes().removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n") + b"\r"


def frame(body):
    return START_BLOCK + body + END_BLOCK + CARRIAGE_RETURN


def describe(answer):
    """What an acknowledgement says, as the library reads it."""
    codes = [str(err[3][0][0]) if len(err) > 3 else str(err[1]) for err in answer["ERR"]] if "ERR" in segment_names(answer) else []
    return {
        "code": str(answer["MSA"][0][1]),
        "acknowledges": str(answer["MSA"][0][2]),
        "type": str(answer["MSH"][0][9]),
        "version": str(answer["MSH"][0][12]),
        "errors": codes,
        "raw": str(answer),
    }


def segment_names(message):
    return [str(segment[0]) for segment in message]


def tls(arguments):
    """Python's own TLS, trusting one authority; with a certificate of ours if there is one."""
    if arguments.authority is None:
        return None
    context = ssl.create_default_context(cafile=arguments.authority)
    if arguments.certificate is not None:
        context.load_cert_chain(arguments.certificate, arguments.key)
    return context


async def read_answer(reader):
    answer = await asyncio.wait_for(reader.readmessage(), ANSWER_SECONDS)
    say(**describe(answer))


async def send(arguments):
    reader, writer = await hl7.mllp.open_hl7_connection(
        HOST, arguments.port, encoding="utf-8", limit=FRAME_BYTES_MAX, ssl=tls(arguments)
    )
    bodies = [unframed(path) for path in arguments.files]
    answers = len(bodies) if arguments.answers is None else arguments.answers
    if arguments.scenario in ("clean", "lf"):
        for body in bodies:
            if arguments.scenario == "clean":
                writer.writemessage(hl7.parse(body.decode("utf-8")))
            else:
                writer.writeblock(body.replace(b"\r", b"\n"))
            await writer.drain()
            await read_answer(reader)
    else:
        await write_unusual(arguments.scenario, writer, bodies)
        for _ in range(answers):
            await read_answer(reader)
    writer.close()
    await writer.wait_closed()


async def write_unusual(scenario, writer, bodies):
    """Writes what a well-behaved sender would not, or would not at once."""
    if scenario == "pipelined":
        for body in bodies:
            writer.writeblock(body)
            await writer.drain()
    elif scenario == "joined":
        writer.write(b"".join(frame(body) for body in bodies))
    elif scenario == "junk":
        for body in bodies:
            writer.write(JUNK)
            writer.writeblock(body)
        writer.write(JUNK)
    elif scenario == "split":
        for body in bodies:
            half = len(body) // 2
            for piece in (START_BLOCK, body[:half], body[half:], END_BLOCK, CARRIAGE_RETURN):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(PIECE_SECONDS)


async def listen(arguments):
    count = 0

    async def take(reader, writer):
        nonlocal count
        while True:
            try:
                block = await reader.readblock()
            except asyncio.IncompleteReadError:
                writer.close()
                return
            message = hl7.parse(block.decode("utf-8"))
            count += 1
            path = arguments.dir / f"{count:06}.hl7"
            path.write_bytes(block)
            say(file=str(path), control_id=str(message["MSH"][0][10]), type=str(message["MSH"][0][9]))
            writer.writemessage(message.create_ack(arguments.answer))
            await writer.drain()

    server = await hl7.mllp.start_hl7_server(take, HOST, 0, encoding="utf-8", limit=FRAME_BYTES_MAX)
    say(listening=server.sockets[0].getsockname()[1])
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


def build(arguments):
    """An RDE^O11 whose segments and groups hl7apy put together from its own tables."""
    message = Message("RDE_O11", version="2.5.1", validation_level=VALIDATION_LEVEL.TOLERANT)
    message.msh.msh_3 = "HIS"
    message.msh.msh_4 = "PEER_PYTHON"
    message.msh.msh_5 = "NDPHUB"
    message.msh.msh_6 = "HEALTHFLOW"
    message.msh.msh_7 = "20261105093015+0200"
    message.msh.msh_9 = "RDE^O11^RDE_O11"
    message.msh.msh_10 = arguments.control_id
    message.msh.msh_11 = "P"
    message.msh.msh_18 = "UNICODE UTF-8"
    patient = message.add_group("rde_o11_patient")
    patient.pid.pid_3 = "28001010100013^^^EGNID^NI"
    patient.pid.pid_5 = "السيد^محمد"
    order = message.add_group("rde_o11_order")
    order.orc.orc_1 = "NW"
    order.orc.orc_2 = f"{arguments.order}^HIS"
    order.orc.orc_12 = "12345^حسن"
    order.rxe.rxe_2 = "6221234567891^AUGMENTIN 1G TAB^GTIN"
    order.rxe.rxe_3 = "1"
    order.rxe.rxe_5 = "TAB^Tablet^HL70292"
    order.add_group("rde_o11_timing_encoded").tq1.tq1_3 = "BID"
    order.add_segment("RXR").rxr_1 = "PO^Oral^HL70162"
    arguments.out.write_bytes(message.to_er7().encode("utf-8"))


def judge(arguments):
    for path in arguments.files:
        try:
            message = parse_message(unframed(path).decode("utf-8"), validation_level=VALIDATION_LEVEL.STRICT)
            message.validate()
            say(file=str(path), valid=True, structure=message.name, why="")
        except HL7apyException as error:
            say(file=str(path), valid=False, structure="", why=f"{type(error).__name__}: {error}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    sender = commands.add_parser("send")
    sender.add_argument("--port", type=int, required=True)
    sender.add_argument("--scenario", default="clean", choices=["clean", "lf", "split", "joined", "junk", "pipelined"])
    sender.add_argument("--answers", type=int)
    sender.add_argument("--authority", type=pathlib.Path)
    sender.add_argument("--certificate", type=pathlib.Path)
    sender.add_argument("--key", type=pathlib.Path)
    sender.add_argument("files", type=pathlib.Path, nargs="+")
    listener = commands.add_parser("listen")
    listener.add_argument("--dir", type=pathlib.Path, required=True)
    listener.add_argument("--answer", default="AA")
    builder = commands.add_parser("build")
    builder.add_argument("--out", type=pathlib.Path, required=True)
    builder.add_argument("--control-id", required=True)
    builder.add_argument("--order", required=True)
    judging = commands.add_parser("judge")
    judging.add_argument("files", type=pathlib.Path, nargs="+")
    arguments = parser.parse_args()
    if arguments.command == "send":
        asyncio.run(send(arguments))
    elif arguments.command == "listen":
        asyncio.run(listen(arguments))
    elif arguments.command == "build":
        build(arguments)
    else:
        judge(arguments)


if __name__ == "__main__":
    main()
