/**
 * DragFlow and ReD Bench folders: instruction.json, operation.png (all regions in one picture), original_image.png;
 * the rules of drag_core/bench/formats.py.
 *
 * @typedef {import('../document.js').Doc} Doc
 * @typedef {import('../fill.js').Mask} Mask
 * @typedef {import('./parts.js').Picture} Picture
 * @typedef {[number, number]} Point
 */
import { MAX_POINTS, MAX_REGIONS } from '../document.js'
import { applyTo, matrixOf, motionOf } from '../geometry.js'
import { nameOf } from '../problems.js'
import { middleOf, rasterize } from '../raster.js'
import { say } from '../reading.js'
import { NO_FIELDS, NO_LIST, Parts, field, innerPixel, maskOf, readPoint, shapeOf } from './parts.js'
import { painted, toPixel } from './points.js'

const hundredths = (/** @type {Point} */ p) => p.map((v) => Math.round(v * 100) / 100)

/**
 * Every connected part of a region becomes an operation of its own. DragFlow fills holes and has no weights; regions
 * that touch are cut back, for it would take them for one.
 * @param {Doc} doc a finished one @param {number} width @param {number} height
 * @param {'transformation' | 'relocation'} [taskName] how to call a relocation: DragFlow's code knows the first only,
 *   its paper says the second
 * @returns {{files: Record<string, string | Picture>, notes: string[]}}
 */
export function writeRed(doc, width, height, taskName = 'transformation') {
  const odd = doc.regions.find((r) => r.task === 'scale')
  if (odd) say(`${nameOf(odd, doc.regions.indexOf(odd))} is scaled, which DragFlow can't say: leave it out`)
  const notes = /** @type {string[]} */ ([]), operations = /** @type {object[]} */ ([])
  const taken = new Uint8Array(width * height)
  doc.regions.forEach((r, i) => {
    const name = nameOf(r, i), mask = rasterize(r, width, height)
    const motion = motionOf(r, /** @type {Point} */ (middleOf(mask)))
    const free = { ...mask, data: mask.data.map((v, k) => (v && !near(taken, mask, k, width, height) ? 1 : 0)) }
    if (!free.data.includes(1)) {
      say(`${name} is covered by those before it, but DragFlow's regions must not touch: move them apart`)
    }
    if (free.data.some((v, k) => v !== mask.data[k])) {
      notes.push(`${name} touches another region and was cut back: DragFlow would take them for one`)
    }
    if (Math.abs(motion.angle) > Math.PI) {
      notes.push(`${name} turns by more than half a turn: DragFlow turns the shorter way`)
    }
    if (motion.path.length) notes.push(`${name} goes straight: DragFlow knows no paths`)
    for (const part of new Parts(free).all()) {
      const centre = /** @type {Point} */ (middleOf(part))
      if (r.task === 'rotation' && Math.hypot(centre[0] - motion.anchor[0], centre[1] - motion.anchor[1]) < 1) {
        say(`${name} turns about its own centre, which DragFlow can't say: move the anchor`)
      }
      operations.push({
        task: r.task === 'relocation' ? taskName : r.task,
        centroids: [innerPixel(part), hundredths(applyTo(matrixOf(motion), centre))],
        anchors: r.task === 'rotation' ? hundredths(motion.anchor) : null // DragFlow's code needs the key
      })
      part.data.forEach((v, k) => {
        if (v) taken[(part.y + Math.floor(k / part.w)) * width + part.x + k % part.w] = 255
      })
    }
  })
  const { source, target } = doc.prompts
  if (target && !target.startsWith(source)) {
    notes.push('DragFlow puts the source prompt before the editing prompt: together they are the target prompt there')
  }
  const ends = (/** @type {'start' | 'target'} */ key) => doc.points.map((p) => toPixel(p[key], width, height))
  const document = {
    region_operations: Object.fromEntries(operations.map((o, i) => [String(i), o])),
    point_operations: { begin_points: ends('start'), target_points: ends('target') },
    background_prompt: source,
    editing_prompt: target.startsWith(source) ? target.slice(source.length) : target
  }
  const picture = { width, height, data: taken }
  return { files: { 'instruction.json': JSON.stringify(document, null, 1), 'operation.png': picture }, notes }
}

/**
 * Whether the pixel k of a mask, or a neighbour of it, is taken.
 * @param {Uint8Array} taken @param {Mask} mask @param {number} k @param {number} width @param {number} height
 */
function near(taken, mask, k, width, height) {
  const x = mask.x + k % mask.w, y = mask.y + Math.floor(k / mask.w)
  for (let v = Math.max(0, y - 1); v <= Math.min(height - 1, y + 1); v++) {
    for (let u = Math.max(0, x - 1); u <= Math.min(width - 1, x + 1); u++) if (taken[v * width + u]) return true
  }
  return false
}

/**
 * @param {Record<string, unknown>} data what instruction.json says
 * @param {Picture | undefined} operation @param {Picture} [mask] what may change; missing or empty: it follows from
 *   the regions
 * @returns {object} a document's data
 */
export function readRed(data, operation, mask) {
  const operations = Object.entries(field(data, 'region_operations', NO_FIELDS))
  const ends = field(data, 'point_operations', NO_FIELDS)
  const starts = field(ends, 'begin_points', NO_LIST), targets = field(ends, 'target_points', NO_LIST)
  if (operations.length > MAX_REGIONS || starts.length !== targets.length || starts.length > MAX_POINTS) {
    say(`it has ${operations.length} regions, ${starts.length} begin_points and ${targets.length} target_points; at ` +
      `most ${MAX_REGIONS} regions are read, and every begin point needs its target`)
  }
  if (operations.length && !operation) say('operation.png is missing: choose it together with instruction.json')
  const parts = operation && new Parts(maskOf(operation))
  const regions = operations.map(([key, operation]) => {
    const at = `region_operations.${key.slice(0, 40)}`
    const { centroids, task = 'relocation', anchors } = /** @type {Record<string, unknown>} */ (operation ?? {})
    if (!Array.isArray(centroids) || centroids.length !== 2) {
      say(`${at}.centroids must be [[x, y], [x, y]], begin and target`)
    }
    const part = /** @type {Parts} */ (parts).at(readPoint(centroids[0], `${at}.centroids`))
    return { ...shapeOf(part), task, target: centroids[1], ...(anchors == null ? {} : { anchor: anchors }) }
  })
  const source = field(data, 'background_prompt', ''), edit = field(data, 'editing_prompt', '')
  const { editable } = painted(mask)
  return {
    ...(editable.mode === 'painted' ? { editable } : {}),
    image: operation ? { width: operation.width, height: operation.height } : {},
    regions,
    points: starts.map((start, i) => ({ start, target: targets[i] })),
    prompts: { source, target: source + edit }
  }
}
