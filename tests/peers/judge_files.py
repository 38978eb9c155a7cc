"""Sends files to the judges of their format and prints what they object to; see judge.sh."""

import json
import pathlib
import subprocess
import sys

REFUSALS = ("error", "fatal")
HERE = pathlib.Path(__file__).parent


def judges(built):
    """By format: the names of the judges and how they are started."""
    def java(name, *command):
        classes = f"{built}/{name}/classes:{built}/{name}/dependency/*"
        return ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", classes, *command]

    return {
        "fhir": {
            "hapi-fhir": java("java-fhir", "FhirJudge"),
            "npm-fhir": ["env", f"NODE_PATH={built}/node/node_modules", "node", HERE / "node/judge.js"],
        },
        "hl7v2": {
            "hapi": java("java", "Peer", "issues"),
            "hl7apy": [f"{built}/python/bin/python", HERE / "python/judge.py"],
        },
    }


def documents(name):
    """The documents of a file, each with its format."""
    text = (sys.stdin.buffer.read() if name == "-" else pathlib.Path(name).read_bytes()).decode("utf-8-sig")
    if not text.lstrip().startswith("{"):
        return [(name, "hl7v2", text)]
    try:
        document = json.loads(text)
    except ValueError:
        return [(name, "fhir", text)]
    if "mappings" not in document or "resourceType" in document:
        return [(name, "fhir", text)]
    found = []
    for mapping in document["mappings"]:
        if mapping["failure"]:
            print(f"{name}: {mapping['mapping']} makes nothing: {mapping['failure']}")
        for output in mapping["outputs"]:
            if "body" not in output:
                raise SystemExit(f"{name}: no outputs; hub explain shows them with --reveal")
            body = output["body"]
            where = f"{name}: {mapping['mapping']} {output['output']}"
            found.append((where, "fhir" if body.lstrip().startswith("{") else "hl7v2", body))
    return found


def ask(judge, command, asked):
    lines = "".join(json.dumps({"name": name, "document": text}) + "\n" for name, text in asked)
    answers = subprocess.run(command, input=lines.encode(), stdout=subprocess.PIPE, check=True).stdout.decode()
    answered = [json.loads(line) for line in answers.splitlines()]
    if sorted(answer["name"] for answer in answered) != sorted(name for name, _ in asked):
        raise SystemExit(f"{judge} did not answer for every document")
    return answered


def main():
    built, *names = sys.argv[1:]
    show_all = "--all" in names
    names = [name for name in names if name != "--all"]
    if not names:
        raise SystemExit("which files? see the head of judge.sh")
    every = [document for name in names for document in documents(name)]
    refused = 0
    for form, by_name in judges(built).items():
        asked = [(name, text) for name, of, text in every if of == form]
        for judge, command in by_name.items() if asked else ():
            for answer in ask(judge, command, asked):
                for issue in answer["issues"]:
                    refuses = issue["severity"] in REFUSALS and "tolerated" not in issue
                    refused += refuses
                    if refuses or show_all:
                        told = f"tolerated ({issue['tolerated']})" if "tolerated" in issue else issue["severity"]
                        print(f"{answer['name']}: {judge}: {told}: {issue['location']}: {issue['message']}")
    print(f"{len(every)} documents, {refused} objections")
    sys.exit(1 if refused or not every else 0)


if __name__ == "__main__":
    main()
