// A foreign judge of FHIR R4: npm `fhir`. It knows less than HAPI, and reads references to wrong types, which HAPI does not.
//
// In comes a line {"name": ..., "document": TEXT} for each resource; out goes a line {"name": ..., "issues": [...]} for each.
'use strict'

const readline = require('node:readline')
const { Fhir } = require('fhir')

const fhir = new Fhir()

function judge (text) {
  let resource
  try {
    resource = JSON.parse(text)
  } catch (error) {
    return [{ severity: 'fatal', location: '', message: error.message }]
  }
  const { messages } = fhir.validate(resource, { errorOnUnexpected: true })
  return messages.map((message) => issue(resource, message))
}

function issue (resource, { severity, location, message }) {
  const found = { severity: severity === 'info' ? 'information' : severity, location, message }
  const choice = message === 'Missing property' && /([A-Za-z]+)\[x\]$/.exec(location)
  if (choice && holdsFalse(resource, choice[1])) found.tolerated = 'it takes a choice that is false or 0 for absent'
  return found
}

// Whether a choice of this name stands somewhere with a value that JavaScript takes for nothing.
function holdsFalse (value, choice) {
  if (value === null || typeof value !== 'object') return false
  return Object.entries(value).some(([name, inner]) =>
    (name.startsWith(choice) && /^[A-Z]/.test(name.slice(choice.length)) && (inner === false || inner === 0)) ||
    holdsFalse(inner, choice))
}

const lines = readline.createInterface({ input: process.stdin, crlfDelay: Infinity })
lines.on('line', (line) => {
  const { name, document } = JSON.parse(line)
  process.stdout.write(JSON.stringify({ name, issues: judge(document) }) + '\n')
})
