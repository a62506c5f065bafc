// One drag that every format can say but for its particulars; run, it writes them all: node tests/js/drag.mjs FOLDER
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from '../../web/lib/document.js'
import { bytesOf, zipOf } from '../../web/lib/files.js'
import { KINDS, exportFiles } from '../../web/lib/formats.js'

const [width, height] = [120, 90]

export const PICTURE = { width, height, data: Uint8Array.from({ length: 4 * width * height }, (_, i) => (i % 4 === 3 ? 255 : i * 3)) }

export const DOCUMENT = {
  version: 1, image: { width, height },
  regions: [
    { label: 'box', task: 'relocation', polygons: [[[10, 10], [30.4, 10], [30, 25.6], [10, 26]]], target: [60.25, 40.75] },
    {
      label: 'ring', task: 'rotation', polygons: [[[70, 50], [95, 52], [90, 80], [66, 75]]],
      holes: [[[78, 60], [84, 60], [84, 66], [78, 66]]], anchor: [60, 70], angle: 40
    },
    { label: 'stroke', task: 'deformation', strokes: [{ points: [[20, 60], [40, 70]], radius: 5 }], target: [38, 58] }
  ],
  points: [{ start: [15.2, 15.7], target: [50, 40] }, { start: [80, 55], target: [70, 45.4] }],
  editable: { mode: 'painted', polygons: [[[5, 5], [110, 5], [110, 85], [5, 85]]], holes: [[[50, 10], [60, 10], [60, 20]]] },
  prompts: { source: 'a cat', target: 'a cat, sitting' }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const kind of Object.keys(KINDS)) {
    const folder = join(process.argv[2], kind), { files, error } = exportFiles(parse(JSON.stringify(DOCUMENT)).doc, kind, PICTURE)
    if (error) throw new Error(error)
    mkdirSync(folder, { recursive: true })
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), bytesOf(content))
    writeFileSync(join(process.argv[2], `${kind}.zip`), zipOf(files))
  }
}
