"""A foreign judge of HL7 v2: `hl7apy`, strict.

In comes a line {"name": ..., "document": TEXT} for each message; out goes a line {"name": ..., "issues": [...]} for each.
hl7apy warns of a value that its table does not have. That is an error if the table is HL7's own, which the data type ID
says (HL7 v2.5.1 section 2.A.35), and stays a warning if sites may define it (IS, CWE).
"""

import json
import re
import sys
import tempfile

from hl7apy import load_reference
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.exceptions import ChildNotFound, HL7apyException
from hl7apy.parser import parse_message

# What hl7apy says wrongly, and why.
TOLERATED = {
    "Missing required child RDE_O11_ORDER.RDE_O11_TIMING_ENCODED": "it takes a TQ1 after RXE for one of TIMING, before it",
}

# Tables of ID to which everybody adds: identifier types, character sets, coding systems.
OPEN_TABLES = ("HL70203", "HL70211", "HL70396")
OUTSIDE = re.compile(r"^Value .* not in table (\S+) in element [^ .]+\.([^ .]+)$", re.DOTALL)


def severity_of_warning(text, version):
    outside = OUTSIDE.match(text)
    if outside is None or outside[1] in OPEN_TABLES:
        return "warning"
    for kind in ("Field", "Component"):
        try:
            return "error" if load_reference(outside[2], kind, version)[2] == "ID" else "warning"
        except ChildNotFound:
            continue
    return "warning"


def issue(severity, message):
    found = {"severity": severity, "location": "", "message": message}
    if message in TOLERATED:
        found["tolerated"] = TOLERATED[message]
    return found


def validate(message):
    """All that it objects to: it raises only the first, and reports every one."""
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as report:
        try:
            message.validate(report_file=report.name)
        except HL7apyException:
            pass
        issues = []
        for line in report:
            kind, _, text = line.rstrip("\n").partition(": ")
            severity = severity_of_warning(text, message.version) if kind == "Warning" else "error"
            issues.append(issue(severity, text))
        return issues


def judge(text):
    segments = text.removeprefix("\ufeff").replace("\r\n", "\r").replace("\n", "\r")
    try:
        message = parse_message(segments, validation_level=VALIDATION_LEVEL.STRICT)
    except (HL7apyException, ValueError) as error:
        return [issue("error", f"{type(error).__name__}: {error}")]
    return validate(message)


for line in sys.stdin:
    request = json.loads(line)
    answer = {"name": request["name"], "issues": judge(request["document"])}
    print(json.dumps(answer, ensure_ascii=False), flush=True)
