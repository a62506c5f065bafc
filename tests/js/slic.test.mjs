// Super-pixels and the task that a drag is likely to be.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { autoTask } from '../../web/lib/autotask.js'
import { stillMotion } from '../../web/lib/geometry.js'
import { areaOf, rasterize } from '../../web/lib/raster.js'
import { labOf, labelAt, regionAt, shapeOf, slic } from '../../web/lib/slic.js'
import '../../web/lib/slic_worker.js' // does nothing outside a worker

/** RGBA bytes of colour(x, y). */
function picture(width, height, colour) {
  const out = new Uint8ClampedArray(4 * width * height)
  for (let i = 0; i < width * height; i++) out.set([...colour(i % width, Math.floor(i / width)), 255], 4 * i)
  return out
}

const box = (x0, y0, x1, y1) => ({ polygons: [[[x0, y0], [x1, y0], [x1, y1], [x0, y1]]] })

let seed = 5
const random = () => (seed = seed * 16807 % 2147483647) / 2147483647

test('CIELAB of known colours', () => {
  const lab = labOf([255, 255, 255, 255, 0, 0, 0, 255, 255, 0, 0, 255, 119, 119, 119, 255], 4)
  const want = [100, 0, 0, 0, 0, 0, 53.24, 80.09, 67.2, 50.03, 0, 0]
  want.forEach((v, i) => assert.ok(Math.abs(lab[i] - v) < 0.3, `${i}: ${lab[i]} is not ${v}`))
})

test('no super-pixel crosses a clear edge', () => {
  const disc = (x, y) => Math.hypot(x - 60, y - 50) < 30
  const { labels, count } = slic(picture(120, 100, (x, y) => (disc(x, y) ? [220, 40, 40] : [40, 80, 200])), 120, 100, 100)
  assert.ok(count > 60 && count < 160, `${count}`)
  const inside = new Float64Array(count), all = new Float64Array(count)
  labels.forEach((label, i) => {
    assert.ok(label >= 0 && label < count)
    all[label]++
    if (disc(i % 120, Math.floor(i / 120))) inside[label]++
  })
  all.forEach((n, i) => assert.ok(n > 0 && (inside[i] === 0 || inside[i] === n), `${i}: ${inside[i]} of ${n}`))
  const chosen = new Set(labels.filter((label) => inside[label]))
  const shape = shapeOf(labels, 120, 100, chosen)
  assert.equal(areaOf(shape, 120, 100), inside.reduce((a, b) => a + b))
})

test('every super-pixel is one part, of noise too', () => {
  const { labels, count } = slic(picture(70, 60, () => [random() * 255, random() * 255, random() * 255]), 70, 60, 40)
  for (let label = 0; label < count; label++) assert.equal(shapeOf(labels, 70, 60, [label]).polygons.length, 1)
})

test('a grainy picture has about as many super-pixels as asked', () => {
  const grains = [() => [random() * 255, random() * 255, random() * 255], (x, y) => [x + 60 * random(), y + 60 * random(), 90]]
  for (const grain of grains) {
    const { count } = slic(picture(160, 160, grain), 160, 160, 200)
    assert.ok(count > 120 && count < 300, `${count}`)
  }
})

test('the region at a point is its super-pixel and those chosen before', () => {
  const { labels } = slic(picture(40, 40, (x) => (x < 20 ? [255, 0, 0] : [0, 0, 255])), 40, 40, 4)
  const one = regionAt(labels, 40, 40, 5, 5), at = rasterize(one, 40, 40)
  assert.equal(at.data[(5 - at.y) * at.w + 5 - at.x], 1)
  const both = regionAt(labels, 40, 40, 35, 35, [labelAt(labels, 40, 40, 5, 5)])
  assert.equal(areaOf(both, 40, 40), areaOf(one, 40, 40) + areaOf(regionAt(labels, 40, 40, 35, 35), 40, 40))
  assert.deepEqual(regionAt(labels, 40, 40, -3, 5), { polygons: [], holes: [] })
})

test('pictures of any size', () => {
  for (const [w, h] of [[1, 1], [1, 50], [50, 1], [2, 3], [7, 7]]) {
    const { labels, count } = slic(picture(w, h, () => [9, 9, 9]), w, h)
    assert.ok(labels.length === w * h && count >= 1 && labels.every((v) => v >= 0 && v < count))
  }
  assert.equal(slic([], 0, 0).count, 0)
})

for (const side of [512, 1024]) {
  test(`time at ${side}x${side}`, (t) => {
    const rgba = picture(side, side, (x, y) => [128 + 100 * Math.sin(x / 40), 128 + 100 * Math.cos(y / 33), (x ^ y) & 255])
    const times = [0, 1, 2].map(() => {
      const started = performance.now()
      slic(rgba, side, side)
      return performance.now() - started
    })
    t.diagnostic(`best of 3: ${Math.min(...times).toFixed(0)} ms`)
    assert.ok(Math.min(...times) < 8000)
  })
}

test('turns, anchors and factors say the task', () => {
  const still = stillMotion(), region = box(2, 2, 9, 9)
  assert.equal(autoTask(region, { ...still, angle: 0.06 }), 'rotation')
  assert.equal(autoTask(region, { ...still, angle: 0.05, shift: [9, 0] }), 'relocation')
  assert.equal(autoTask({ ...region, anchor: [0, 0] }, { ...still, shift: [9, 0] }), 'rotation')
  assert.equal(autoTask(region, { ...still, scale: [1.2, 1] }), 'scale')
  assert.equal(autoTask(region, { ...still, shift: [9, 0] }), 'relocation')
})

test('a part of an object is deformed, a whole one and a piece of background relocated', () => {
  const object = (x, y) => x >= 60 && x < 140 && y >= 40 && y < 100
  const segments = slic(picture(200, 150, (x, y) => (object(x, y) ? [200, 60, 40] : [40, 120, 60])), 200, 150, 150)
  const motion = { ...stillMotion(), shift: [20, 5] }
  assert.equal(autoTask(box(120, 45, 139, 70), motion, segments), 'deformation')
  assert.equal(autoTask(box(130, 45, 133, 48), motion, segments), 'deformation')
  assert.equal(autoTask(box(58, 38, 141, 101), motion, segments), 'relocation')
  assert.equal(autoTask(box(5, 5, 25, 25), motion, segments), 'relocation')
  assert.equal(autoTask({}, motion, segments), 'relocation')
  assert.equal(autoTask(box(120, 45, 139, 70), stillMotion(), segments), 'relocation')
})
