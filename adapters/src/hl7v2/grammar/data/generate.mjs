// Writes messages.txt, segments.txt, types.txt and codes.txt beside this file: the grammar of HL7 v2 as facts.
//
//     node adapters/src/hl7v2/grammar/data/generate.mjs
//
// Needs node, npm, mvn and java, and the network. Two sources are fetched into a temporary folder:
//   - npm hl7-dictionary (MIT): usage, components and their texts, tables and their codes;
//   - the structure classes of Java HAPI (facts only, read by HapiFacts.java): messages, fields, types, repetitions.
// Up to 2.5.1 they agree in nearly everything. Where they do not, HAPI counts, which is tried on real traffic;
// the dictionary has no 2.8, types the fields that 2.7 withdraws as ST, and groups 2.6 carelessly. Exceptions
// from this rule are listed here, each with its reason. The result is reviewed as a diff, then committed.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const DICTIONARY = 'hl7-dictionary@1.0.1'
const THANKS = [
  '# Written by generate.mjs from npm hl7-dictionary 1.0.1 (MIT License, Copyright 2015 Fernando Serrano) and facts',
  '# of the structure classes of Java HAPI.',
]
const HAPI = '2.6.0'
const VERSIONS = ['2.3', '2.3.1', '2.4', '2.5', '2.5.1', '2.6', '2.7', '2.8']
const HERE = dirname(fileURLToPath(import.meta.url))

// HAPI's groups of 2.3.1 are named by their segments (PIDPD1NTEPV1PV2); nobody else calls them so.
const GROUPS_OF_DICTIONARY = '2.3.1'
// HAPI puts the insurance into the transaction in 2.4, and forgets the NTE after RXE in 2.5.1.
const MESSAGES_OF_DICTIONARY = ['2.4 DFT_P03', '2.4 DFT_P11', '2.5.1 RRE_O12']
// Names that stand for several messages (QBP_Qnn), or that somebody mistyped (OMG_019, ROR_R0R).
const NO_MESSAGE = /nn$|_0\d\d$|^(ROR_R0R|QRV_Q17|REF_T12|RRI_T12|ORU|QRY)$/
// Queries whose segments the version does not have yet, or no longer.
const NOT_OF_VERSION = ['2.3.1 QBP_Q22', '2.3.1 RSP_K22', '2.8 RDR_RDR', '2.8 UDM_Q05']
// 2.6 withdraws these types; HAPI gives their components no types, and older senders still use them.
const TYPES_OF_DICTIONARY = ['CE', 'TS', 'NA', 'MA']
// HAPI has this segment in structures of 2.8, and no fields for it.
const AS_IN_2_7 = ['CON']
// Types without components that the dictionary does not describe.
const SIMPLE_TYPES = {
  SNM: { since: '2.7', text: 'String of Telephone Number Digits' },
  varies: { since: '2.7', text: 'Variable Datatype' },
}
// How HL7 v2.7 and the dictionary count usage.
const USAGE = { 1: 'O', 2: 'R', 3: 'C', 4: 'W' }

// === Sources

function fetchDictionary(place) {
  execFileSync('npm', ['install', '--silent', '--no-save', '--prefix', place, DICTIONARY])
  return createRequire(join(place, 'package.json'))('hl7-dictionary')
}

function fetchHapi(place) {
  const short = (version) => version.replaceAll('.', '')
  const artifact = (version) => `hapi-structures-v${short(version)}`
  const dependency = (name) =>
    `<dependency><groupId>ca.uhn.hapi</groupId><artifactId>${name}</artifactId><version>${HAPI}</version></dependency>`
  const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
    <groupId>facts</groupId><artifactId>facts</artifactId><version>1</version>
    <dependencies>${['hapi-base', ...VERSIONS.map(artifact)].map(dependency).join('')}</dependencies></project>`
  writeFileSync(join(place, 'pom.xml'), pom)
  const copy = ['dependency:copy-dependencies', `-DoutputDirectory=${place}/jars`]
  execFileSync('mvn', ['-q', '-f', join(place, 'pom.xml'), ...copy], { stdio: 'ignore' })
  const jars = readdirSync(join(place, 'jars'))
  const jarOf = (version) => join(place, 'jars', jars.find((jar) => jar.startsWith(`${artifact(version)}-`)))
  const program = ['-cp', join(place, 'jars', '*'), join(HERE, 'HapiFacts.java')]
  const given = VERSIONS.map((version) => `${version}=${jarOf(version)}`)
  const options = { encoding: 'utf8', maxBuffer: 1 << 26, stdio: ['ignore', 'pipe', 'ignore'] }
  const lines = execFileSync('java', [...program, ...given], options).trimEnd().split('\n')
  const rows = lines.map((line) => line.split('\t'))
  return (kind, version) => rows.filter((row) => row[0] === kind && row[1] === version).map((row) => row.slice(2))
}

// === Messages

// Rows of a body or of another name, with the versions in which they hold.
function messages(dictionary, hapi) {
  const rows = new Rows()
  for (const version of VERSIONS) {
    const described = dictionary.definitions[version]?.messages ?? {}
    const events = Object.fromEntries(hapi('event', version))
    const bodies = Object.fromEntries(hapi('message', version))
    for (const [name, { segments: body }] of Object.entries(described)) {
      const fromDictionary = version === GROUPS_OF_DICTIONARY || MESSAGES_OF_DICTIONARY.includes(`${version} ${name}`)
      if (fromDictionary || !(name in bodies)) bodies[name] = membersOf(body.segments)
    }
    const isMessage = (name) => !NO_MESSAGE.test(name) && !NOT_OF_VERSION.includes(`${version} ${name}`)
    Object.keys(bodies).forEach((name) => isMessage(name) || delete bodies[name])
    const others = Object.keys(events).filter((event) => isMessage(event) && events[event] in bodies)
    for (const name of new Set([...Object.keys(bodies), ...others])) {
      const other = events[name]
      rows.add(name, version, other !== name && other in bodies ? `> ${other}` : `= ${bodies[name]}`)
    }
  }
  const head = [
    '# Message structures: name, versions, and = members, or > the structure that an event has.',
    '# [optional] {repeating} <one|of|these> (GROUP: members).',
  ]
  const lines = [...rows].flatMap(([name, facts]) => facts.map(({ versions, fact }) => `${name} ${versions} ${fact}`))
  return [...head, ...lines]
}

function membersOf(members) {
  return members
    .map((member) => {
      const names = member.name.split(',').filter(Boolean)
      if (!member.children && names.some((name) => !/^[A-Z][A-Z\d]{2}$/.test(name))) return ''
      // The dictionary lets a choice be left out and repeat, which no chapter of the standard says.
      if (!member.children && names.length !== 1) return names.length ? `<${names.join('|')}>` : ''
      const inner = member.children ? `(${member.name.toUpperCase()}: ${membersOf(member.children)})` : names[0]
      const repeated = member.max === 1 ? inner : `{${inner}}`
      return member.min > 0 ? repeated : `[${repeated}]`
    })
    .filter(Boolean)
    .join(' ')
}

// === Segments and types

// By name: versions, text, and the facts of each field by its number.
function segments(dictionary, hapi) {
  const known = new Map()
  for (const version of VERSIONS) {
    const newest = dictionary.definitions['2.7'].segments
    const described = dictionary.definitions[version]?.segments ?? only(newest, AS_IN_2_7)
    const seen = grouped(hapi('segment', version).filter(([name]) => /^[A-Y][A-Z\d]{2}$/.test(name)))
    for (const name of sortedKeys(described, seen)) {
      const entry = entryOf(known, name, version, described[name]?.desc)
      const [texts, facts] = [described[name]?.fields ?? [], seen[name] ?? []]
      // Of fields that only the dictionary has, 2.7's OBR-54 and 2.3's QCK are invented.
      const count = facts.length || texts.length
      for (let number = 1; number <= count; number++) {
        const earlier = entry.elements.get(number)?.last
        entry.elementOf(number).add(version, fieldOf(texts[number - 1], facts[number - 1], earlier, version))
      }
    }
  }
  return known
}

function fieldOf(described, seen, earlier, version) {
  if (!seen) return elementOf(described)
  const [, , type, required, repetitions, length, table, text] = seen
  const own = described ? elementOf(described) : {}
  const usage = required === 'R' ? 'R' : own.usage === 'R' || !own.usage ? 'O' : own.usage
  // 2.8 is known to HAPI only, which does not tell the conditional from the optional.
  const inherited = version === '2.8' && earlier?.type === typeName(type) ? earlier : {}
  return withdrawnOr({
    type: typeName(type),
    usage: required !== 'R' && inherited.usage === 'C' ? 'C' : usage,
    repetitions: repetitions === '0' ? '*' : repetitions,
    length: length === '0' ? (own.length ?? '-') : length,
    table: table === '0' ? (own.table ?? inherited.table ?? '-') : tableName(table),
    // The dictionary cuts texts at their first bracket.
    text: clean(text || own.text),
  })
}

function types(dictionary, hapi) {
  const known = new Map()
  for (const version of VERSIONS) {
    const described = dictionary.definitions[version]?.fields ?? simple(dictionary.definitions['2.7'].fields)
    const seen = Object.fromEntries(
      Object.entries(grouped(hapi('type', version))).map(([name, rows]) => [typeName(name), rows]),
    )
    for (const name of sortedKeys(described, seen)) {
      const entry = entryOf(known, typeName(name), version, described[name]?.desc)
      const texts = described[name]?.subfields ?? []
      const facts = TYPES_OF_DICTIONARY.includes(name) && texts.length ? [] : (seen[name] ?? [])
      const count = facts.length || texts.length
      for (let number = 1; number <= count; number++) {
        const earlier = entry.elements.get(number)?.last
        entry.elementOf(number).add(version, componentOf(texts[number - 1], facts[number - 1], earlier))
      }
    }
    for (const [name, { since, text }] of Object.entries(SIMPLE_TYPES)) {
      if (VERSIONS.indexOf(version) >= VERSIONS.indexOf(since)) entryOf(known, name, version, text)
    }
  }
  return known
}

function componentOf(described, seen, earlier) {
  const own = described ? elementOf(described) : undefined
  if (!seen) return own
  const [, , type, table, getter] = seen
  // HAPI types some components in 2.8 again that 2.7 has withdrawn.
  if (!own && earlier?.usage === 'W') return earlier
  const known = own ?? (earlier?.type === typeName(type) ? earlier : undefined)
  return withdrawnOr({
    // The first component of TS has a type of its own in HAPI, which the standard calls ST or DTM.
    type: /^TSComponent/.test(type) ? (own?.type ?? 'ST') : typeName(type),
    usage: known?.usage ?? 'O',
    repetitions: '1',
    length: own?.length ?? '-',
    table: table === '0' ? (known?.table ?? '-') : tableName(table),
    text: known?.text ?? earlier?.text ?? getter.replace(/([a-z\d])([A-Z])/g, '$1 $2'),
  })
}

function elementOf({ datatype, opt, rep, len, table, desc }) {
  // A repetition of 125 is OBX-2's table in the wrong column.
  const repetitions = rep === 0 ? '*' : rep === table ? '1' : `${rep}`
  return withdrawnOr({
    type: opt === 4 ? '-' : typeName(datatype),
    usage: USAGE[opt],
    repetitions,
    length: len ? `${len}` : '-',
    table: table ? tableName(table) : '-',
    text: clean(desc),
  })
}

function withdrawnOr(element) {
  return element.type === '-' ? { ...element, usage: 'W', length: '-', table: '-' } : element
}

function typeName(type) {
  if (/^varies$/i.test(type)) return 'varies'
  return type === 'NULLDT' ? '-' : type.toUpperCase()
}

function tableName(table) {
  return `${table}`.padStart(4, '0')
}

function clean(text) {
  // A dash and apostrophes that were lost on the way into the dictionary.
  return text.replaceAll('вЂ“', '-').replaceAll('’', "'").replace(/(\w) s /g, "$1's ").replace(/\s+/g, ' ').trim()
}

// === Tables

function codes(dictionary) {
  const head = ['# Tables: number and text, then the codes, each with a tab before and after it.']
  const rows = Object.entries(dictionary.tables).flatMap(([table, { desc, values }]) => [
    `${tableName(table)} ${clean(desc)}`,
    ...Object.entries(values).map(([code, text]) => `\t${clean(code)}\t${clean(text)}`),
  ])
  return [...head, ...rows]
}

// === Writing

// Facts by name, each with the versions in which it holds.
class Rows extends Map {
  add(name, version, fact) {
    if (!this.has(name)) this.set(name, new Facts())
    this.get(name).add(version, fact)
  }
  *[Symbol.iterator]() {
    for (const name of [...this.keys()].sort()) yield [name, this.get(name).rows()]
  }
}

class Facts {
  #facts = new Map()
  last
  add(version, fact) {
    const key = JSON.stringify(fact)
    if (!this.#facts.has(key)) this.#facts.set(key, { fact, versions: [] })
    this.#facts.get(key).versions.push(version)
    this.last = fact
  }
  rows() {
    return [...this.#facts.values()].map(({ fact, versions }) => ({ fact, versions: ranges(versions) }))
  }
}

// `2.3-2.4,2.6`
function ranges(versions) {
  const parts = []
  for (const place of versions.map((version) => VERSIONS.indexOf(version))) {
    const last = parts.at(-1)
    if (last && last.to + 1 === place) last.to = place
    else parts.push({ from: place, to: place })
  }
  return parts.map(({ from, to }) => (from === to ? VERSIONS[from] : `${VERSIONS[from]}-${VERSIONS[to]}`)).join(',')
}

function entryOf(known, name, version, text) {
  if (!known.has(name)) {
    const elements = new Map()
    const elementOf = (number) => elements.get(number) ?? elements.set(number, new Facts()).get(number)
    known.set(name, { versions: [], text: '', elements, elementOf })
  }
  const entry = known.get(name)
  entry.versions.push(version)
  if (text) entry.text = clean(text)
  return entry
}

function definitions(known) {
  const lines = [
    '# Name, versions, text; under it its fields or components: number, versions, data type, usage (R required,',
    '# O optional, C conditional, W withdrawn), repetitions (* is any number), length, table, text (" is as above).',
  ]
  for (const [name, { versions, text, elements }] of [...known].sort(([one], [other]) => (one < other ? -1 : 1))) {
    lines.push(`${name} ${ranges(versions)} ${text || name}`)
    for (const [number, facts] of [...elements].sort(([one], [other]) => one - other)) {
      let above
      for (const { fact, versions } of facts.rows()) {
        const written = fact.text === above ? '"' : fact.text
        above = fact.text
        const { type, usage, repetitions, length, table } = fact
        lines.push([` ${number}`, versions, type, usage, repetitions, length, table, written].join(' '))
      }
    }
  }
  return lines
}

function grouped(rows) {
  const groups = {}
  for (const row of rows) (groups[row[0]] ??= [])[Number(row[1]) - 1] = row
  return groups
}

function only(table, names) {
  return Object.fromEntries(names.map((name) => [name, table[name]]))
}

// Types without components are the same in every version.
function simple(types) {
  return Object.fromEntries(Object.entries(types).filter(([, type]) => !type.subfields.length))
}

function sortedKeys(...tables) {
  return [...new Set(tables.flatMap(Object.keys))].sort()
}

function write(name, lines) {
  writeFileSync(join(HERE, name), [...THANKS, ...lines].join('\n') + '\n')
}

// === All of it

const place = mkdtempSync(join(tmpdir(), 'hl7v2-grammar-'))
try {
  const dictionary = fetchDictionary(place)
  const hapi = fetchHapi(place)
  write('messages.txt', messages(dictionary, hapi))
  write('segments.txt', definitions(segments(dictionary, hapi)))
  write('types.txt', definitions(types(dictionary, hapi)))
  write('codes.txt', codes(dictionary))
} finally {
  rmSync(place, { recursive: true })
}
