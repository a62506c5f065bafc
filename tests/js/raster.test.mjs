// Shapes as pixels, by hand and as properties; tests/js/vectors.test.mjs compares them with drag_core's.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  adaptiveMask, areaOf, centroidOf, combine, contours, countOf, hullOf, rasterize, simplify, simplifyTo, together, touch
} from '../../web/lib/raster.js'
import { stillMotion } from '../../web/lib/geometry.js'

const box = (x0, y0, x1, y1) => [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]

/** Rows of 0 and 1. */
function rows(mask, width, height) {
  const out = []
  for (let y = 0; y < height; y++) {
    let row = ''
    for (let x = 0; x < width; x++) {
      const inside = x >= mask.x && y >= mask.y && x < mask.x + mask.w && y < mask.y + mask.h
      row += inside ? mask.data[(y - mask.y) * mask.w + x - mask.x] : 0
    }
    out.push(row)
  }
  return out
}

const maskOf = (lines) => ({
  x: 0, y: 0, w: lines[0].length, h: lines.length, data: Uint8Array.from([...lines.join('')].map(Number))
})

test('an outline includes its edges; a hole takes its edges away', () => {
  const shape = { polygons: [box(0.4, 0.6, 4.4, 4.4)], holes: [box(2, 2, 3, 3)] }
  assert.deepEqual(rows(rasterize(shape, 6, 5), 6, 5), ['000000', '111110', '110010', '110010', '111110'])
  const { x, y, w, h } = rasterize(shape, 6, 5)
  assert.deepEqual([x, y, w, h], [0, 1, 5, 4])
})

test('an outline that crosses itself is empty where it winds twice; two outlines unite', () => {
  const star = { polygons: [[[0, 0], [8, 0], [8, 8], [2, 8], [2, 2], [6, 2], [6, 6], [0, 6]]] }
  assert.equal(rasterize(star, 9, 9).data[4 * 9 + 4], 0)
  assert.equal(areaOf({ polygons: [box(0, 0, 4, 4), box(2, 2, 6, 6)] }, 9, 9), 41)
})

test('a stroke is a line of discs', () => {
  assert.deepEqual(rows(rasterize({ strokes: [{ points: [[2, 2]], radius: 2 }] }, 5, 5), 5, 5), ['00100', '01110', '11111', '01110', '00100'])
  assert.deepEqual(rows(rasterize({ strokes: [{ points: [[1, 1], [4, 1]], radius: 0.1 }] }, 6, 3), 6, 3), ['011110', '111111', '011110'])
})

test('what lies outside the picture is not drawn', () => {
  assert.equal(areaOf({ polygons: [box(-10, -10, 1, 1)] }, 5, 5), 4)
  for (const shape of [{}, { polygons: [box(9, 9, 12, 12)] }, { strokes: [{ points: [[1e9, -1e9]], radius: 4096 }] }]) {
    assert.equal(areaOf(shape, 5, 5), 0)
    assert.equal(centroidOf(shape, 5, 5), null)
    assert.deepEqual(hullOf(shape, 5, 5), [])
    assert.deepEqual(contours(rasterize(shape, 5, 5)), { polygons: [], holes: [] })
    assert.deepEqual(combine(shape, shape, 'add', 5, 5), { polygons: [], holes: [] })
  }
})

test('the centroid is the mean of the pixels', () => {
  assert.deepEqual(centroidOf({ polygons: [box(2, 3, 5, 3)] }, 9, 9), [3.5, 3])
  assert.deepEqual(centroidOf({ polygons: [box(0, 0, 2, 2)], holes: [box(2, 2, 2, 2), box(2, 1, 2, 1)] }, 9, 9), [5 / 7, 6 / 7])
})

const PICTURES = {
  pixel: ['0'.repeat(3), '010', '000'],
  ring: ['11111', '10001', '10001', '11111'],
  'a dot in the hole of a ring': ['1111111', '1000001', '1000001', '1001001', '1000001', '1000001', '1111111'],
  'a hole closed by corners': ['00100', '01010', '00100'],
  'a ring in a ring in a ring': [
    '111111111', '100000001', '101111101', '101000101', '101010101', '101000101', '101111101', '100000001', '111111111'],
  checkers: ['10101', '01010', '10101', '01010'],
  full: ['11', '11'],
  nothing: ['00', '00']
}
for (const [name, lines] of Object.entries(PICTURES)) {
  test(`outlines draw exactly what they go around: ${name}`, () => {
    const mask = maskOf(lines), shape = contours(mask)
    assert.deepEqual(rows(rasterize(shape, mask.w, mask.h), mask.w, mask.h), lines)
    for (const p of [...shape.polygons, ...shape.holes]) assert.ok(p.length >= 3)
  })
}

let seed = 3
const random = () => (seed = seed * 16807 % 2147483647) / 2147483647
const noise = (w, h, share) => ({ x: 0, y: 0, w, h, data: Uint8Array.from({ length: w * h }, () => (random() < share ? 1 : 0)) })

test('outlines draw exactly 2000 random masks', () => {
  for (let k = 0; k < 2000; k++) {
    const mask = noise(1 + Math.floor(random() * 14), 1 + Math.floor(random() * 14), 0.2 + 0.7 * random())
    assert.deepEqual(rows(rasterize(contours(mask), mask.w, mask.h), mask.w, mask.h), rows(mask, mask.w, mask.h))
  }
})

test('a mask keeps its place', () => {
  const shape = contours({ ...maskOf(PICTURES.ring), x: 10, y: 20 })
  assert.deepEqual(shape.polygons, [[[10, 20], [14, 20], [14, 23], [10, 23]]])
  assert.deepEqual(shape.holes, [[[11, 21], [13, 21], [13, 22], [11, 22]]])
})

test('adding and taking away are those of sets', () => {
  for (let k = 0; k < 200; k++) {
    const [a, b] = [0, 1].map(() => ({ ...noise(1 + Math.floor(random() * 9), 1 + Math.floor(random() * 9), 0.6), x: Math.floor(random() * 9), y: Math.floor(random() * 9) }))
    const [sa, sb] = [contours(a), contours(b)], flat = (m) => rows(m, 20, 20).join('')
    const pairs = [...flat(a)].map((v, i) => [v, flat(b)[i]])
    assert.equal(flat(rasterize(combine(sa, sb, 'add', 20, 20), 20, 20)), pairs.map(([u, v]) => (u === '1' || v === '1' ? 1 : 0)).join(''))
    assert.equal(flat(rasterize(combine(sa, sb, 'subtract', 20, 20), 20, 20)), pairs.map(([u, v]) => (u === '1' && v === '0' ? 1 : 0)).join(''))
    assert.equal(countOf(together([a, b])), pairs.filter((p) => p.includes('1')).length)
  }
})

test('masks touch at corners, not across a free pixel', () => {
  const at = (x, y) => rasterize({ polygons: [box(x, y, x + 2, y + 2)] }, 50, 50)
  assert.ok(touch(at(10, 10), at(13, 13)) && touch(at(13, 13), at(10, 10)) && touch(at(10, 10), at(11, 11)))
  assert.ok(!touch(at(10, 10), at(14, 10)) && !touch(at(10, 10), at(0, 40)))
})

test('simplified outlines stay within the tolerance', () => {
  const circle = Array.from({ length: 720 }, (_, i) => [100 + 80 * Math.cos(i * Math.PI / 360), 100 + 80 * Math.sin(i * Math.PI / 360)])
  const few = simplify(circle, 1)
  assert.ok(few.length < 40 && few.length > 10, `${few.length}`)
  for (let i = 0; i < few.length; i++) {
    const [p, q] = [few[i], few[(i + 1) % few.length]]
    assert.ok(Math.hypot((p[0] + q[0]) / 2 - 100, (p[1] + q[1]) / 2 - 100) > 79 - 1e-9)
  }
  assert.deepEqual(simplify([[0, 0], [5, 0.1], [10, 0], [10, 10], [0, 10]], 0.5), box(0, 0, 10, 10))
  assert.deepEqual(simplify([[0, 0], [5, 0.1], [10, 0]], 0.5, false), [[0, 0], [10, 0]])
  assert.equal(simplify([[0, 0], [1, 0], [1, 1], [0, 1]], 50).length, 3)
  assert.equal(simplify([[3, 3], [3, 3], [3, 3], [3, 3]], 1).length, 3)
  assert.equal(simplifyTo(circle, 50).length, 50)
  assert.equal(simplifyTo(circle, 720), circle)
  const started = performance.now()
  assert.equal(simplifyTo(Array.from({ length: 100_000 }, () => [random() * 1e4, random() * 1e4]), 400).length, 400)
  assert.ok(performance.now() - started < 5000)
})

test('the adaptive mask of a shift holds both places and a rim', () => {
  const shape = { polygons: [box(20, 20, 40, 30)] }, motion = { ...stillMotion(), shift: [100, 0] }
  const [polygon] = adaptiveMask([{ shape, motion }], 200, 100)
  const by = (k) => polygon.map((p) => p[k]), rim = 7 // 4.5 % of 150 is 6.75
  const ends = [Math.min(...by(0)), Math.max(...by(0)), Math.min(...by(1)), Math.max(...by(1))]
  ends.forEach((v, i) => assert.ok(Math.abs(v - [20 - rim, 140 + rim, 20 - rim, 30 + rim][i]) < 1e-9, `${ends}`))
  assert.deepEqual(adaptiveMask([{ hull: hullOf(shape, 200, 100), motion }], 200, 100), [polygon])
})

test('the adaptive mask holds the places of a path, and ends at the border', () => {
  const shape = { polygons: [box(20, 20, 30, 30)] }
  const motion = { ...stillMotion(), shift: [40, 0], path: [[20, 50]] }
  const ys = (m) => adaptiveMask([{ shape, motion: m }], 100, 100)[0].map((p) => p[1])
  assert.ok(Math.max(...ys(motion)) >= 80 && Math.max(...ys({ ...motion, path: [] })) < 40)
  const [polygon] = adaptiveMask([{ shape, motion: { ...stillMotion(), shift: [1000, -15] } }], 100, 100)
  for (const [x, y] of polygon) assert.ok(x >= 0 && y >= 0 && x <= 99 && y <= 99)
  assert.deepEqual(adaptiveMask([{ shape: {}, motion }], 100, 100), [])
})

test('a large picture takes little time', (t) => {
  const big = { polygons: [Array.from({ length: 400 }, (_, i) => [1024 + (700 + 300 * (i % 2)) * Math.cos(i * Math.PI / 200), 1024 + 900 * Math.sin(i * Math.PI / 200)])] }
  const clock = (name, run) => {
    run()
    const started = performance.now()
    const out = run()
    t.diagnostic(`${name}: ${(performance.now() - started).toFixed(1)} ms at 2048x2048`)
    assert.ok(performance.now() - started < 3000)
    return out
  }
  const mask = clock('rasterize', () => rasterize(big, 2048, 2048))
  clock('centroid', () => centroidOf(big, 2048, 2048))
  clock('hull', () => hullOf(big, 2048, 2048))
  clock('contours', () => contours(mask))
  clock('combine', () => combine(big, { polygons: [box(900, 900, 1100, 1100)] }, 'subtract', 2048, 2048))
  const known = hullOf(big, 2048, 2048)
  const ten = Array.from({ length: 10 }, (_, i) => ({ hull: known, motion: { ...stillMotion([9, 9]), angle: i / 9 } }))
  clock('adaptive mask of ten hulls', () => adaptiveMask(ten, 2048, 2048))
})
