// A foreign HL7 v2 peer: `node-hl7-client` sends, reads and builds, `node-hl7-server` takes.
//
//     peer.js send   --port P [--scenario S] [--answers N] FILE...   send files, print each answer as a line of JSON
//     peer.js listen --dir D [--answer AA]                           take messages until stdin closes, store and answer them
//     peer.js build  --out FILE --control-id ID --order NUMBER       write an RDE^O11 that the library assembled
//
// The server never forgets the first message of a connection: it answers the second with the first one's control id.
// That is left as it is, since such peers exist; a sender has to notice, and ask again on a fresh connection.
//
// Scenarios: clean, lf, split, joined, junk, pipelined. Bytes that the library cannot be made to write go through
// a socket of our own; the library's codec still reads the answers, one frame at a time.
'use strict'

const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const { parseArgs } = require('node:util')
const { setTimeout: pause } = require('node:timers/promises')
const { Client, Message, MLLPCodec } = require('node-hl7-client')
const { HL7_2_5_1 } = require('node-hl7-client/hl7')
const { Server } = require('node-hl7-server')

const HOST = '127.0.0.1'
const ANSWER_MS = 20_000
// Long enough for the receiver to read what came before, so that the pieces really arrive apart.
const PIECE_MS = 20
const START = Buffer.from([0x0b])
const END = Buffer.from([0x1c])
const RETURN = Buffer.from([0x0d])
const JUNK = Buffer.from('\r\n \0\0 GET / HTTP/1.0\r\n')

const say = (fields) => process.stdout.write(JSON.stringify(fields) + '\n')

// The message of a file, without byte order mark and final line ends.
const unframed = (file) => fs.readFileSync(file, 'utf8').replace(/^\uFEFF/, '').replace(/[\r\n]+$/, '') + '\r'

const frame = (text) => Buffer.concat([START, Buffer.from(text, 'utf8'), END, RETURN])

// What an acknowledgement says, as the library reads it.
function describe (answer) {
  const errors = []
  for (const segment of answer.toString().split(/[\r\n]+/)) {
    if (segment.startsWith('ERR')) errors.push((segment.split('|')[3] ?? '').split('^')[0])
  }
  return {
    code: answer.get('MSA.1').toString(),
    acknowledges: answer.get('MSA.2').toString(),
    type: answer.get('MSH.9').toRaw(),
    version: answer.get('MSH.12').toString(),
    errors,
    raw: answer.toString()
  }
}

function deadline (promise, what) {
  let timer
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${ANSWER_MS} ms`)), ANSWER_MS)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

// Through the library's own client: one connection, one message in flight.
async function sendByClient (port, texts) {
  let answered
  const client = new Client({ host: HOST })
  const connection = client.createConnection({ port }, (inbound) => answered(inbound.getMessage()))
  await deadline(new Promise((resolve) => connection.once('connect', resolve)), 'connection')
  for (const text of texts) {
    const answer = new Promise((resolve) => { answered = resolve })
    await connection.sendMessage(new Message({ text }))
    say(describe(await deadline(answer, 'answer')))
  }
  await connection.close()
}

// Frames from a byte stream; each frame's text is read by the library's codec.
class Answers {
  constructor (socket) {
    this.buffer = Buffer.alloc(0)
    this.ready = []
    this.waiting = []
    socket.on('data', (data) => this.take(data))
  }

  take (data) {
    this.buffer = Buffer.concat([this.buffer, data])
    for (let end = this.buffer.indexOf(0x1c); end >= 0 && end + 1 < this.buffer.length; end = this.buffer.indexOf(0x1c)) {
      const codec = new MLLPCodec('utf-8')
      if (!codec.receiveData(this.buffer.subarray(0, end + 2))) throw new Error('the codec found no message')
      this.buffer = this.buffer.subarray(end + 2)
      const message = new Message({ text: codec.getLastMessage() })
      const waiting = this.waiting.shift()
      if (waiting) waiting(message)
      else this.ready.push(message)
    }
  }

  next () {
    if (this.ready.length > 0) return Promise.resolve(this.ready.shift())
    return deadline(new Promise((resolve) => this.waiting.push(resolve)), 'answer')
  }
}

const write = (socket, bytes) => new Promise((resolve) => socket.write(bytes, resolve))

// Writes what a well-behaved sender would not, or would not at once.
async function writeUnusual (scenario, socket, texts) {
  if (scenario === 'joined') {
    await write(socket, Buffer.concat(texts.map(frame)))
    return
  }
  for (const text of texts) {
    const body = Buffer.from(text, 'utf8')
    const half = body.length >> 1
    switch (scenario) {
      case 'lf':
        await write(socket, frame(text.replaceAll('\r', '\n')))
        break
      case 'junk':
        await write(socket, Buffer.concat([JUNK, frame(text), JUNK]))
        break
      case 'split':
        for (const piece of [START, body.subarray(0, half), body.subarray(half), END, RETURN]) {
          await write(socket, piece)
          await pause(PIECE_MS)
        }
        break
      default:
        await write(socket, frame(text))
    }
  }
}

async function send (port, scenario, answers, files) {
  const texts = files.map(unframed)
  if (scenario === 'clean') return sendByClient(port, texts)
  const socket = net.connect({ host: HOST, port, noDelay: true })
  await deadline(new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject)), 'connection')
  const received = new Answers(socket)
  await writeUnusual(scenario, socket, texts)
  for (let count = answers ?? texts.length; count > 0; count -= 1) say(describe(await received.next()))
  socket.destroy()
}

function listen (directory, code) {
  // The server ignores its bind address and would listen on every one.
  const everyAddress = net.Server.prototype.listen
  net.Server.prototype.listen = function (options, ready) {
    return everyAddress.call(this, { port: options.port, host: HOST }, function () {
      say({ listening: this.address().port })
      ready()
    })
  }
  let count = 0
  new Server({ bindAddress: HOST }).createInbound({ port: 0 }, async (request, response) => {
    const message = request.getMessage()
    count += 1
    const file = path.join(directory, `${String(count).padStart(6, '0')}.hl7`)
    fs.writeFileSync(file, message.toString())
    say({ file, control_id: message.get('MSH.10').toString(), type: message.get('MSH.9').toRaw() })
    await response.sendResponse(code)
  })
  process.stdin.resume().on('end', () => process.exit(0))
}

// An RDE^O11 that the library assembled field by field.
function build (out, controlId, order) {
  const message = new Message({
    specification: new HL7_2_5_1(),
    messageHeader: { msh_9_1: 'RDE', msh_9_2: 'O11', msh_9_3: 'RDE_O11', msh_10: controlId, msh_11_1: 'P' }
  })
  const fields = {
    'MSH.3': 'HIS', 'MSH.4': 'PEER_NODE', 'MSH.5': 'NDPHUB', 'MSH.6': 'HEALTHFLOW', 'MSH.18': 'UNICODE UTF-8'
  }
  for (const [field, value] of Object.entries(fields)) message.set(field, value)
  const pid = message.addSegment('PID')
  pid.set('3.1', '28001010100013')
  pid.set('3.4', 'EGNID')
  pid.set('3.5', 'NI')
  pid.set('5.1', 'السيد')
  pid.set('5.2', 'محمد')
  const orc = message.addSegment('ORC')
  orc.set('1', 'NW')
  orc.set('2.1', order)
  orc.set('2.2', 'HIS')
  orc.set('12.1', '12345')
  orc.set('12.2', 'حسن')
  const rxe = message.addSegment('RXE')
  rxe.set('2.1', '6221234567891')
  rxe.set('2.2', 'AUGMENTIN 1G TAB')
  rxe.set('2.3', 'GTIN')
  rxe.set('3', '1')
  rxe.set('5.1', 'TAB')
  rxe.set('5.2', 'Tablet')
  rxe.set('5.3', 'HL70292')
  message.addSegment('TQ1').set('3', 'BID')
  const rxr = message.addSegment('RXR')
  rxr.set('1.1', 'PO')
  rxr.set('1.2', 'Oral')
  rxr.set('1.3', 'HL70162')
  fs.writeFileSync(out, message.toString())
}

async function main () {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      port: { type: 'string' },
      scenario: { type: 'string', default: 'clean' },
      answers: { type: 'string' },
      dir: { type: 'string' },
      answer: { type: 'string', default: 'AA' },
      out: { type: 'string' },
      'control-id': { type: 'string' },
      order: { type: 'string' }
    }
  })
  const [command, ...files] = positionals
  switch (command) {
    case 'send':
      return send(Number(values.port), values.scenario, values.answers && Number(values.answers), files)
    case 'listen':
      return listen(values.dir, values.answer)
    case 'build':
      return build(values.out, values['control-id'], values.order)
    default:
      throw new Error(`unknown command: ${command}`)
  }
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`)
  process.exit(1)
})
