// Drags of other tools: what is written is read back within a pixel; tests/test_js.py has drag_core read it too.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inflateSync } from 'node:zlib'
import { parse } from '../../web/lib/document.js'
import { bytesOf, crc32, pngOf, zipOf } from '../../web/lib/files.js'
import { exportFiles, importDrag100, importDragNext, importFiles, importRed, KINDS } from '../../web/lib/formats.js'
import { centroidOf, rasterize } from '../../web/lib/raster.js'
import { DOCUMENT, PICTURE } from './drag.mjs'

const { width, height } = PICTURE
const doc = parse(JSON.stringify(DOCUMENT)).doc
const round = (v) => structuredClone(v)

/** Both within a pixel, number for number. */
function close(a, b, where = '') {
  if (typeof b === 'number') return assert.ok(Math.abs(a - b) <= 1, `${where}: ${a} is not ${b}`)
  assert.equal(a?.length, b.length, where)
  b.forEach((v, i) => close(a[i], v, `${where}[${i}]`))
}

function sent(kind, of = doc) {
  const { files, notes, error } = exportFiles(of, kind, PICTURE)
  assert.equal(error, null)
  const found = importFiles(round(files))
  assert.equal(found.error, null)
  return { files, notes, doc: found.doc, picture: found.picture }
}

function pixelsOf(r) {
  const mask = rasterize(r, width, height)
  return [...mask.data.keys()].filter((i) => mask.data[i]).map((i) => (mask.y + Math.floor(i / mask.w)) * width + mask.x + i % mask.w)
}

test('ReD: regions, turns, points and prompts come back', () => {
  const { files, doc: back, picture } = sent('red')
  assert.equal(picture, 'original_image.png')
  assert.equal(back.regions.length, 3)
  back.regions.forEach((r, i) => {
    const was = doc.regions[i]
    assert.equal(r.task, was.task)
    assert.deepEqual(pixelsOf(r), pixelsOf(was))
    if (was.task !== 'rotation') close(r.target, was.target)
    else close(r.anchor, was.anchor)
  })
  const [, turned] = doc.regions, c = centroidOf(turned, width, height), a = 40 * Math.PI / 180
  const [x, y] = [c[0] - turned.anchor[0], c[1] - turned.anchor[1]]
  close(back.regions[1].target, [turned.anchor[0] + x * Math.cos(a) - y * Math.sin(a), turned.anchor[1] + x * Math.sin(a) + y * Math.cos(a)])
  close(back.points.map((p) => [p.start, p.target]), doc.points.map((p) => [p.start, p.target]))
  assert.deepEqual(back.prompts, doc.prompts)
  assert.deepEqual(back.image, { width, height })
  const told = JSON.parse(files['instruction.json'])
  assert.deepEqual(Object.keys(told.region_operations), ['0', '1', '2'])
  assert.deepEqual(Object.values(told.region_operations).map((o) => o.task), ['transformation', 'rotation', 'deformation'])
  assert.equal(told.region_operations['0'].anchors, null)
  for (const o of Object.values(told.region_operations)) {
    const [u, v] = o.centroids[0]
    assert.equal(files['operation.png'].data[v * width + u], 255)
  }
})

test('ReD: what comes back is written to the same', () => {
  const first = sent('red'), second = sent('red', first.doc)
  close(second.doc.regions.map((r) => r.target), first.doc.regions.map((r) => r.target))
  assert.deepEqual([...second.files['operation.png'].data], [...first.files['operation.png'].data])
})

const region = (more) => ({ label: '', task: 'relocation', polygons: [], holes: [], strokes: [], path: [], target: [30, 30], ...more })
const box = (x0, y0, x1, y1) => [[[x0, y0], [x1, y0], [x1, y1], [x0, y1]]]
const only = (...regions) => ({ ...parse('{}').doc, image: { width, height }, regions })

test('ReD: regions that touch are cut back, parts become operations', () => {
  const two = only(region({ polygons: box(10, 10, 20, 20) }), region({ polygons: [...box(18, 10, 30, 20), ...box(50, 50, 60, 60)] }))
  const { notes, doc: back } = sent('red', two)
  assert.ok(notes.some((n) => /cut back/.test(n)))
  assert.deepEqual(back.regions.map((r) => centroidOf(r, width, height)), [[15, 15], [26, 15], [55, 55]])
})

test('what a format can not say is refused or noted', () => {
  const at = { polygons: box(10, 10, 20, 20) }
  const says = (kind, d) => exportFiles(d, kind, PICTURE).error
  const scaled = only(region({ ...at, task: 'scale', scale: [2, 2] }))
  assert.match(says('red', scaled), /region 1 is scaled, which DragFlow/)
  assert.match(says('dragnext', scaled), /region 1 is scaled, which DragNeXt/)
  assert.match(says('red', only(region(at), region(at))), /covered/)
  assert.match(says('dragnext', only(region(at), region(at))), /touch/)
  assert.match(says('red', only(region({ ...at, task: 'rotation', angle: 30 }))), /own centre/)
  assert.match(says('red', only(region({ ...at, target: undefined }))), /no target/)
  assert.match(says('drag100', only(region({ ...at, target: [500, 3] }))), /outside/)
  assert.match(says('red', only()), /moves nothing/)
  assert.match(says('dragnext', { ...only(), points: doc.points }), /points only/)
  assert.ok(sent('red', only(region({ ...at, path: [[40, 20]] }))).notes.some((n) => /paths/.test(n)))
  const far = region({ ...at, task: 'rotation', angle: 300, anchor: [30, 30] })
  for (const kind of ['red', 'dragnext']) assert.ok(sent(kind, only(far)).notes.some((n) => /half a turn/.test(n)))
})

test('a drag on a picture of another size is scaled', () => {
  const small = { ...only(region({ polygons: box(5, 5, 10, 10), target: [15, 15] })), image: { width: width / 2, height: height / 2 } }
  close(centroidOf(sent('red', small).doc.regions[0], width, height), [15.5, 15.5])
})

test('Drag100: points, or a handle for every region', () => {
  const { doc: back, files } = sent('drag100')
  close(back.points.map((p) => [p.start, p.target]), doc.points.map((p) => [p.start, p.target]))
  assert.equal(back.editable.mode, 'painted')
  assert.deepEqual(pixelsOf(back.editable), pixelsOf(doc.editable))
  assert.ok(JSON.parse(files['points.json']).points.flat().every(Number.isInteger))
  const handles = sent('drag100', { ...doc, points: [] })
  assert.equal(handles.doc.points.length, 3)
  const [first] = handles.doc.points, c = centroidOf(doc.regions[0], width, height)
  close(first.start, c)
  close(first.target, doc.regions[0].target)
  assert.ok(handles.notes.some((n) => /points only/.test(n)))
  assert.equal(sent('drag100', { ...doc, editable: { ...doc.editable, mode: 'none' } }).doc.editable.mode, 'painted')
  assert.equal(importDrag100({ 'points.json': '{"points":[[1,2],[3,4]]}' }).doc.editable.mode, 'none')
})

test('DragNeXt: moves and turns', () => {
  const { doc: back } = sent('dragnext')
  assert.deepEqual(back.regions.map((r) => r.task), ['relocation', 'relocation', 'rotation']) // turns come last; deformations move
  const [moved, deformed, turned] = back.regions
  close(moved.target, doc.regions[0].target)
  close(deformed.target, doc.regions[2].target)
  close(turned.anchor, doc.regions[1].anchor)
  assert.ok(Math.abs(turned.angle - 40) < 0.1)
  assert.deepEqual(pixelsOf(turned), pixelsOf(doc.regions[1]))
  assert.equal(back.points.length, 3)
  const again = sent('dragnext', back)
  close(again.doc.regions.map((r) => r.target ?? r.anchor), back.regions.map((r) => r.target ?? r.anchor))
})

test('our own JSON comes back whole, drafts too', () => {
  const { doc: back } = sent('json')
  assert.deepEqual(back, doc)
  const draft = importFiles({ 'my drag.json': JSON.stringify({ regions: [{ polygons: box(1, 1, 5, 5) }] }) })
  assert.equal(draft.error, null)
  assert.equal(draft.doc.regions.length, 1)
  assert.deepEqual(Object.keys(KINDS), ['json', 'red', 'drag100', 'dragnext'])
})

test('broken files give one sentence', () => {
  const grey = (n) => ({ width: 4, height: 4, data: new Uint8Array(16 * n) })
  const bad = [
    {}, { 'a.png': grey(1) }, { 'instruction.json': '{' }, { 'instruction.json': '[]' }, { 'x.json': '{"version": 3}' },
    { 'instruction.json': '{"region_operations": {"0": {"centroids": [[1, 1], [2, 2]]}}}' },
    { 'instruction.json': '{"region_operations": {"0": {"centroids": [[1, 1], [2, 2]]}}}', 'operation.png': grey(4) },
    { 'instruction.json': '{"region_operations": {"0": null}}', 'operation.png': grey(1) },
    { 'instruction.json': '{"region_operations": {"0": {"centroids": 5}}}', 'operation.png': grey(1) },
    { 'instruction.json': '{"region_operations": [1]}' },
    { 'instruction.json': '{"point_operations": {"begin_points": [[1, 1]], "target_points": []}}' },
    { 'instruction.json': '{"point_operations": {"begin_points": [[1, 1]], "target_points": [["a", 1]]}}' },
    { 'points.json': '{"points": []}' }, { 'points.json': '{"points": [[1, 2]]}' }, { 'points.json': '{"points": "x"}' },
    { 'points.json': '{"points": [[1, 2], null]}' },
    { 'points.json': '{"points": [[1, 2], [3, 4]], "rotation": [false]}' },
    { 'points.json': '{"points": [[1, 2], [3, 4]], "rotation": [false, false]}' },
    { 'points.json': '{"points": [[1, 2], [3, 4]], "rotation": [true, true]}', 'handle_region_mask.png': grey(1) },
    { 'points.json': '{"points": [[1, 2], [3, 4]], "rotation": [0, 1]}', 'handle_region_mask.png': grey(1) },
    { 'points.json': '{"points": [[1, 2], [1, 2], [3, 4]], "rotation": [true, true, true]}', 'handle_region_mask.png': grey(1) }
  ]
  for (const files of bad) {
    const { doc: found, error } = importFiles(files)
    assert.ok(typeof error === 'string' && error.length > 10 && error.length <= 300 && !/\n/.test(error), JSON.stringify(files))
    assert.ok(!/Cannot |TypeError|not a function|not iterable|\bundefined\b/.test(error), error)
    assert.equal(found.regions.length, 0)
  }
  assert.ok(importRed({}).error && importDragNext({}).error)
})

test('masks of any kind of picture: transparency is unset, ones count where nothing is brighter', () => {
  const at = (bytes, n) => {
    const data = new Uint8Array(16 * n)
    data.set(bytes, 5 * n)
    return { width: 4, height: 4, data }
  }
  for (const picture of [at([255], 1), at([1], 1), at([0, 9, 0], 3), at([255, 255, 255, 255], 4)]) {
    const files = { 'points.json': '{"points": [[1, 1], [3, 3]], "rotation": []}', 'handle_region_mask.png': picture }
    const { doc: found, error } = importFiles(files)
    assert.equal(error, null)
    assert.deepEqual(centroidOf(found.regions[0], 4, 4), [1, 1])
  }
  const clear = { 'points.json': '{"points": [[1, 1], [3, 3]], "rotation": []}', 'handle_region_mask.png': at([255, 255, 255, 0], 4) }
  assert.match(importFiles(clear).error, /empty/)
})

test('PNG and ZIP are what other programs read', () => {
  assert.equal(crc32(new TextEncoder().encode('123456789')), 0xcbf43926)
  for (const channels of [1, 3, 4]) {
    const data = Uint8Array.from({ length: 300 * 120 * channels }, (_, i) => i * 7)
    const png = Buffer.from(pngOf({ width: 300, height: 120, data }))
    const at = png.indexOf('IDAT'), raw = inflateSync(png.subarray(at + 4, at + 4 + png.readUInt32BE(at - 4)))
    const row = 300 * channels + 1
    assert.deepEqual(Buffer.concat(Array.from({ length: 120 }, (_, y) => raw.subarray(y * row + 1, (y + 1) * row))), Buffer.from(data))
  }
  const zip = Buffer.from(zipOf({ 'a.json': '{"ü": 1}', 'b.png': { width: 1, height: 1, data: [7] } }))
  assert.equal(zip.readUInt32LE(0), 0x04034b50)
  assert.equal(zip.readUInt16LE(zip.length - 12), 2)
  assert.equal(zip.readUInt32LE(zip.readUInt32LE(zip.length - 6)), 0x02014b50)
  assert.deepEqual(bytesOf('é'), new Uint8Array([195, 169]))
})
