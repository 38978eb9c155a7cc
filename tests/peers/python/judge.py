"""A foreign judge of HL7 v2: `hl7apy`, strict.

In comes a line {"name": ..., "document": TEXT} for each message; out goes a line {"name": ..., "issues": [...]} for each.
hl7apy stops at the first thing that it objects to.
"""

import json
import sys

from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.exceptions import HL7apyException
from hl7apy.parser import parse_message


def judge(text):
    try:
        message = parse_message(text.removeprefix("\ufeff").replace("\r\n", "\r").replace("\n", "\r"), validation_level=VALIDATION_LEVEL.STRICT)
        message.validate()
        return []
    except (HL7apyException, ValueError) as error:
        return [{"severity": "error", "location": "", "message": f"{type(error).__name__}: {error}"}]


for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps({"name": request["name"], "issues": judge(request["document"])}, ensure_ascii=False), flush=True)
