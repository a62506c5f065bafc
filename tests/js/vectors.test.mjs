// drag_core and the editor compute the same: tests/golden/*_vectors.json is written by tools/vectors.py.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { lacks, parse, plain, rescaled, serialize } from '../../web/lib/document.js'
import { applyTo, matrixOf, minAreaRect, motionOf, rescale, stops, turnAngle } from '../../web/lib/geometry.js'
import { adaptiveMask, centroidOf, hullOf, rasterize, together } from '../../web/lib/raster.js'

const golden = (name) => JSON.parse(readFileSync(new URL(`../golden/${name}_vectors.json`, import.meta.url), 'utf8'))

/** Equal in shape, numbers to 1e-9. */
function same(a, b, where = '') {
  if (typeof b === 'number') return assert.ok(Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(b)), `${where}: ${a} is not ${b}`)
  if (b === null || typeof b !== 'object') return assert.equal(a, b, where)
  assert.equal(Array.isArray(a), Array.isArray(b), where)
  assert.deepEqual(Object.keys(a).sort(), Object.keys(b).sort(), where)
  for (const key of Object.keys(b)) same(a[key], b[key], `${where}.${key}`)
}

const geometry = golden('geometry'), documents = golden('instruction')

test('motions and their matrices at every progress', () => {
  assert.ok(geometry.motions.length >= 20)
  for (const { region, centroid, motion, stops: places, progress, matrices } of geometry.motions) {
    const found = motionOf(region, centroid), where = JSON.stringify(region)
    for (const key of ['shift', 'angle', 'scale', 'path']) same(found[key], motion[key], `${where}.${key}`)
    same(stops(found), places, where)
    progress.forEach((s, i) => same(matrixOf(found, s), matrices[i], `${where} at ${s}`))
  }
})

test('turns', () => {
  for (const { start, target, anchor, angle } of geometry.turns) {
    same(turnAngle(start, target, anchor), angle, JSON.stringify([start, target, anchor]))
  }
})

test('motions on a picture of another size', () => {
  for (const { motion, from, to, matrix } of geometry.rescales) {
    same(rescale(matrixOf(motion), from, to), matrix, JSON.stringify(motion))
  }
})

const { width, height, cases } = golden('mask')

/** One byte a pixel, from the lengths of runs. @param {number[]} runs */
const pixelsOf = (runs) => runs.flatMap((n, i) => Array(n).fill(i % 2))

/** A mask as one byte a pixel of the picture. */
function spread(mask) {
  const out = Array(width * height).fill(0)
  mask.data.forEach((v, i) => { out[(mask.y + Math.floor(i / mask.w)) * width + mask.x + i % mask.w] = v })
  return out
}

for (const { region, pixels, centroid, rectangle, adaptive } of cases) {
  const brushed = Boolean(region.strokes), name = JSON.stringify(region).slice(0, 90)
  const mask = rasterize(region, width, height), middle = centroidOf(region, width, height)

  test(`pixels and centroid of ${name}`, () => {
    const want = pixelsOf(pixels), differing = spread(mask).filter((v, i) => v !== want[i]).length
    assert.ok(differing <= (brushed ? 5 : 0), `${differing} pixels differ`)
    same(middle.map((v, i) => (brushed && Math.abs(v - centroid[i]) < 0.05 ? centroid[i] : v)), centroid)
  })

  test(`adaptive mask of ${name}`, () => {
    const motion = motionOf(region, middle)
    const boxes = adaptiveMask([{ shape: region, motion }], width, height)
    const found = spread(together(boxes.map((p) => rasterize({ polygons: [p] }, width, height)))), want = pixelsOf(adaptive)
    // within two pixels of the edge of Python's mask, to which the picture's border belongs; the hull of a hollow region
    // that leaves the picture holds more than the part inside, so there a little more may change
    const near = (i) => {
      const x = i % width, y = Math.floor(i / width), seen = new Set()
      for (let v = y - 2; v <= y + 2; v++) {
        for (let u = x - 2; u <= x + 2; u++) seen.add(u < 0 || v < 0 || u >= width || v >= height ? 0 : want[v * width + u])
      }
      return seen.size === 2
    }
    const far = found.flatMap((v, i) => (v !== want[i] && !near(i) ? [[i % width, Math.floor(i / width), v]] : []))
    const ends = hullOf(region, width, height).map((p) => applyTo(matrixOf(motion), p))
    const leaves = ends.some(([x, y]) => x < 0 || y < 0 || x > width - 1 || y > height - 1)
    assert.deepEqual(far.filter(([, , v]) => !(leaves && v)), [])
    assert.ok(far.length < 0.03 * found.reduce((n, v) => n + v), `${far.length}`)
  })

  test(`least rectangle of ${name}`, () => {
    const motion = motionOf(region, middle), points = []
    const at = (x, y) => (x >= 0 && y >= 0 && x < width && y < height ? spreadMask[y * width + x] : 0)
    const spreadMask = spread(mask), backs = stops(motion).map((s) => matrixOf(motion, s))
    for (let i = 0; i < width * height; i++) {
      const x = i % width, y = Math.floor(i / width)
      const covered = at(x, y) || backs.some((m) => nearest(m, [x, y], at))
      if (covered) points.push([x, y])
    }
    const rect = minAreaRect(points), side = (i) => Math.hypot(rect[i][0] - rect[i + 1][0], rect[i][1] - rect[i + 1][1])
    const [found, want] = [side(0) * side(1), rectangle[0] * rectangle[1]]
    assert.ok(Math.abs(found - want) < 0.02 * want, `${found} is not ${want}`)
  })
}

/** The source pixel of a moved one. */
function nearest(m, p, at) {
  const [a, b, c, d, e, f] = m, det = a * d - b * c
  const [u, v] = applyTo([d / det, -b / det, -c / det, a / det, (c * f - d * e) / det, (b * e - a * f) / det], p)
  return at(Math.round(u), Math.round(v))
}

test('documents are read to the same, and the same ones are refused', () => {
  assert.ok(documents.some((d) => d.error && !d.draft_error) && documents.some((d) => d.draft_error) && documents.some((d) => !d.error))
  for (const { text, error, draft_error, document, at_32x64: scaled } of documents) {
    if (!text) continue // the editor's empty document; for Python it is no JSON
    assert.equal(Boolean(parse(text, { finished: true }).error), Boolean(error), `${text.slice(0, 200)}: ${error}`)
    const draft = parse(text)
    assert.equal(Boolean(draft.error), Boolean(draft_error), `${text.slice(0, 200)}: ${draft.error}`)
    if (draft_error) continue
    same(plain(draft.doc), document, text)
    if (scaled) same(plain(rescaled(draft.doc, 32, 64)), scaled, text)
    if (error) assert.ok(draft.doc.regions.some(lacks) || draft.doc.editable.mode === 'painted', text)
    const stored = serialize(draft.doc) // rounds to 2 decimals, as these documents are
    if (stored) same(plain(parse(stored).doc), document, text)
  }
})
