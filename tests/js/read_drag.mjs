// Reads {name: text or {width, height, data}} as JSON from standard input, writes what the editor makes of it.
import { readFileSync } from 'node:fs'
import { plain } from '../../web/lib/document.js'
import { importFiles } from '../../web/lib/formats.js'

const { doc, error } = importFiles(JSON.parse(readFileSync(0, 'utf8')))
process.stdout.write(JSON.stringify({ error, document: plain(doc) }))
