// Motions and matrices by hand; tests/js/vectors.test.mjs compares them with drag_core's.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  applyTo, hull, invert, matrixOf, minAreaRect, motionOf, multiply, pathPoint, polygonCentroid, rescale, stillMotion, stops, turnAngle
} from '../../web/lib/geometry.js'

function near(a, b, by = 1e-9) {
  assert.equal(a.length, b.length)
  a.forEach((v, i) => (Array.isArray(v) ? near(v, b[i], by) : assert.ok(Math.abs(v - b[i]) <= by, `${JSON.stringify(a)} is not ${JSON.stringify(b)}`)))
}

test('a quarter turn about (10, 10) is clockwise on the screen', () => {
  const m = matrixOf({ ...stillMotion([10, 10]), angle: Math.PI / 2 })
  near(applyTo(m, [15, 10]), [10, 15])
  near(applyTo(matrixOf({ ...stillMotion([10, 10]), angle: Math.PI / 2 }, 0.5), [12, 10]), [10 + Math.SQRT2, 10 + Math.SQRT2])
})

test('progress is the square root of a scale halfway', () => {
  near(matrixOf({ ...stillMotion([3, 5]), scale: [4, 9] }, 0.5), [2, 0, 0, 3, 3 - 6, 5 - 15])
})

test('regions of every task', () => {
  const c = [10, 20]
  near(matrixOf(motionOf({ task: 'relocation', target: [13, 24] }, c)), [1, 0, 0, 1, 3, 4])
  near(applyTo(matrixOf(motionOf({ task: 'rotation', anchor: [0, 20], target: [0, 33] }, c)), c), [0, 30])
  near(applyTo(matrixOf(motionOf({ task: 'rotation', angle: 450 }, c)), [11, 20]), [10, 21])
  near(applyTo(matrixOf(motionOf({ task: 'scale', scale: [2, 3] }, c)), [11, 21]), [12, 23])
  for (const draft of [{ task: 'relocation' }, { task: 'rotation' }, { task: 'scale' }, { task: 'rotation', target: [50, 50] },
    { task: 'rotation', anchor: [0, 0], target: [0.5, 0] }]) near(matrixOf(motionOf(draft, c)), [1, 0, 0, 1, 0, 0])
})

test('a path runs by length', () => {
  near(pathPoint([0, 0], [[30, 0]], [30, 10], 0.75), [30, 0])
  near(pathPoint([0, 0], [[30, 0]], [30, 10], 0.375), [15, 0])
  near(pathPoint([0, 0], [[30, 0]], [30, 10], 0.875), [30, 5])
  near(pathPoint([5, 5], [], [15, 25], 0.5), [10, 15])
  near(pathPoint([5, 5], [[5, 5]], [5, 5], 0.5), [5, 5])
  near(stops({ ...stillMotion(), shift: [30, 10], path: [[30, 0]] }), [0.75, 1])
  const region = { task: 'relocation', target: [40, 30], path: [[40, 20]] }
  near(applyTo(matrixOf(motionOf(region, [10, 20]), 0.75), [10, 20]), [40, 20])
})

test('invert and multiply', () => {
  const m = matrixOf({ shift: [3, -4], angle: 0.7, scale: [2, 0.5], anchor: [9, 1], path: [] })
  near(multiply(m, invert(m)), [1, 0, 0, 1, 0, 0])
  const n = [2, 0, 0, 2, 1, 1]
  near(applyTo(multiply(m, n), [5, 6]), applyTo(m, applyTo(n, [5, 6])))
  assert.equal(invert([1, 2, 2, 4, 0, 0]), null)
})

test('rescale keeps pixel centres', () => {
  near(rescale([1, 0, 0, 1, 3, 4], [10, 10], [20, 40]), [1, 0, 0, 1, 6, 16])
})

test('turns go the shorter way, half a turn is -pi', () => {
  near([turnAngle([1, 0], [0, 1], [0, 0])], [Math.PI / 2])
  near([turnAngle([-1, 0.001], [-1, -0.001], [0, 0])], [0.002], 1e-6)
  near([turnAngle([1, 0], [-1, 0], [0, 0])], [-Math.PI])
})

test('centroids of polygons', () => {
  near(polygonCentroid([[0, 0], [10, 0], [10, 4], [0, 4]]), [5, 2])
  near(polygonCentroid([[0, 0], [4, 0], [4, 2], [2, 2], [2, 4], [0, 4]]), [5 / 3, 5 / 3])
  near(polygonCentroid([[1, 1], [3, 3]]), [2, 2])
  near(polygonCentroid([]), [0, 0])
})

test('hulls', () => {
  const square = [[0, 0], [4, 0], [4, 4], [0, 4]]
  near(hull([...square, [2, 0], [2, 2], [1, 3], [0, 0]]), square)
  near(hull([[1, 1], [1, 1]]), [[1, 1]])
  near(hull([[1, 1]]), [[1, 1]])
  near(hull([[0, 0], [2, 2], [1, 1]]), [[0, 0], [2, 2]])
  assert.deepEqual(hull([]), [])
})

const area = (p) => Math.abs(p.reduce((s, [x, y], i) => s + x * p[(i + 1) % p.length][1] - p[(i + 1) % p.length][0] * y, 0)) / 2

test('the least rectangle around a turned one is that one', () => {
  for (const angle of [0, 0.1, 0.7, 1.5, 2.9]) {
    const m = matrixOf({ ...stillMotion([5, 5]), angle })
    const corners = [[0, 0], [20, 0], [20, 6], [0, 6]].map((p) => applyTo(m, p))
    const inner = [[3, 3], [10, 5], [19, 1]].map((p) => applyTo(m, p))
    const rect = minAreaRect([...inner, ...corners])
    near([area(rect)], [120])
    for (const c of corners) assert.ok(rect.some((r) => Math.hypot(r[0] - c[0], r[1] - c[1]) < 1e-9))
  }
})

test('no turned rectangle is smaller than the least one, and it holds every point', () => {
  let seed = 7
  const random = () => (seed = seed * 16807 % 2147483647) / 2147483647
  for (let k = 0; k < 300; k++) {
    const points = Array.from({ length: 1 + Math.floor(random() * 30) }, () => [Math.floor(random() * 20), Math.floor(random() * 20)])
    const rect = minAreaRect(points), size = area(rect)
    assert.equal(rect.length, 4)
    const spans = (a) => {
      const u = points.map(([x, y]) => x * Math.cos(a) + y * Math.sin(a)), v = points.map(([x, y]) => y * Math.cos(a) - x * Math.sin(a))
      return (Math.max(...u) - Math.min(...u)) * (Math.max(...v) - Math.min(...v))
    }
    for (let a = 0; a < Math.PI / 2; a += 0.01) assert.ok(spans(a) >= size - 1e-9)
    for (const p of points) {
      const sides = rect.map((r, i) => {
        const q = rect[(i + 1) % 4]
        return (q[0] - r[0]) * (p[1] - r[1]) - (q[1] - r[1]) * (p[0] - r[0])
      })
      assert.ok(sides.every((s) => s >= -1e-6) || sides.every((s) => s <= 1e-6))
    }
  }
})
