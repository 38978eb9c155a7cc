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
  return messages.map(({ severity, location, message }) => ({ severity: severity === 'info' ? 'information' : severity, location, message }))
}

const lines = readline.createInterface({ input: process.stdin, crlfDelay: Infinity })
lines.on('line', (line) => {
  const { name, document } = JSON.parse(line)
  process.stdout.write(JSON.stringify({ name, issues: judge(document) }) + '\n')
})
