/**
 * The drag document: drag instruction version 1, as drag_core/motion/instruction.py reads and writes it. Its text is the
 * only value that the editor stores; "" is the empty document. Pure: no DOM.
 *
 * A document in memory has every list (polygons, holes, strokes, path), and optional keys only where they say
 * something. Unknown keys stay where they stood. A region that has no target yet is a draft: read here, refused by
 * Python when it runs.
 *
 * @typedef {[number, number]} Point
 * @typedef {{points: Point[], radius: number}} Stroke
 * @typedef {{polygons: Point[][], holes: Point[][], strokes: Stroke[], mask?: string}} Shape
 * @typedef {'relocation' | 'deformation' | 'rotation' | 'scale'} Task
 * @typedef {Shape & {label: string, task: Task, path: Point[], target?: Point, anchor?: Point, angle?: number,
 *   scale?: Point, weight?: number, auto?: boolean, color?: string, hidden?: boolean, locked?: boolean, id?: unknown}}
 *   Region from `auto` on: the editor's own, read as they come
 * @typedef {{start: Point, target: Point}} Pair
 * @typedef {'adaptive' | 'painted' | 'none'} Editing
 * @typedef {{version: 1, image: {width?: number, height?: number}, regions: Region[], points: Pair[], editable: Shape &
 *   {mode: Editing}, prompts: {source: string, target: string}}} Doc every object may hold unknown keys too
 */
import {
  Refused, at, list, loadJson, number, object, optional, outline, point, pointList, say, short, side, text
} from './reading.js'
import { simplifyTo } from './simplify.js'

/** @type {Task[]} */
export const TASKS = ['relocation', 'deformation', 'rotation', 'scale']
/** @type {Editing[]} */
export const EDITABLE = ['adaptive', 'painted', 'none']
export const MAX_REGIONS = 256, MAX_POINTS = 1024, MAX_PATH = 64
const MAX_VERTICES = 100_000, MAX_OUTLINES = 4096
const MASK_NAME = /^[^./\\:\x00-\x1f][^/\\:\x00-\x1f]{0,199}$/
const MOST_CORNERS = 400, MOST_TEXT = 200_000

/** @param {number} [width] @param {number} [height] @returns {Doc} */
export function emptyDocument(width, height) {
  const image = width && height ? { width, height } : {}
  const editable = { mode: /** @type {Editing} */ ('adaptive'), ...noShape() }
  return { version: 1, image, regions: [], points: [], editable, prompts: { source: '', target: '' } }
}

/** @returns {Shape} */
const noShape = () => ({ polygons: [], holes: [], strokes: [] })

/** A copy that shares nothing. @param {Doc} doc @returns {Doc} */
export const clone = (doc) => structuredClone(doc)

/**
 * The document in a text, or an empty one and one sentence about what is wrong. Never throws.
 * @param {string} source "" is the empty document
 * @param {{finished?: boolean}} [options] finished: also refuse drafts, as Python does
 * @returns {{doc: Doc, error: string | null}}
 */
export function parse(source, { finished = false } = {}) {
  try {
    if (typeof source !== 'string') say(`the drag document is ${short(source)}; it must be text`)
    if (!source.trim()) return { doc: emptyDocument(), error: null }
    return { doc: fromData(loadJson(source), finished), error: null }
  } catch (e) {
    const known = e instanceof Refused ? e.message : `the drag document can't be read: ${short(String(e))}`
    return { doc: emptyDocument(), error: known.replace(/\s+/g, ' ').slice(0, 300) }
  }
}

/** @param {unknown} data @param {boolean} finished @returns {Doc} */
function fromData(data, finished) {
  const whole = object(data, 'the document')
  const { version = 1, image = {}, regions = [], points = [], editable = {}, prompts = {}, ...extra } = whole
  if (version !== 1) say(`the drag instruction has version ${short(version)}; this release reads version 1`)
  const { width, height, ...more } = object(image, 'image')
  const { mode = 'adaptive', ...painted } = object(editable, 'editable')
  const { source = '', target = '', ...said } = object(prompts, 'prompts')
  const areas = list(regions, 'regions', MAX_REGIONS), pairs = list(points, 'points', MAX_POINTS)
  if (!isOneOf(EDITABLE, mode)) say(`editable.mode is ${short(mode)}; use one of ${EDITABLE.join(', ')}`)
  return {
    ...extra,
    version: 1,
    image: { ...more, ...optional({ width, height }, 'image', side) },
    regions: areas.map((r, i) => region(r, `regions[${i}]`, finished)),
    points: pairs.map((p, i) => pair(p, `points[${i}]`)),
    editable: { ...shape(painted, 'editable', mode === 'painted' && finished), mode },
    prompts: { ...said, source: text(source, 'prompts.source'), target: text(target, 'prompts.target') }
  }
}

/** @template T @param {T[]} all @param {unknown} value @returns {value is T} */
const isOneOf = (all, value) => all.includes(/** @type {T} */ (value))

/** @param {unknown} data @param {string} where @param {boolean} finished @returns {Region} */
function region(data, where, finished) {
  const fields = object(data, where)
  const { task: named = 'relocation', target, anchor, angle, scale, weight, path = [], label = '', ...rest } = fields
  const task = named === 'transformation' ? 'relocation' : named // DragFlow's code says transformation
  if (!isOneOf(TASKS, task)) say(`${where}.task is ${short(task)}; use one of ${TASKS.join(', ')}`)
  const said = { ...optional({ target, anchor, scale }, where, point), ...optional({ angle, weight }, where, number) }
  if (task === 'scale' && said.scale && Math.min(...said.scale) <= 0) {
    say(`${where}.scale is [${said.scale}]; a scale needs two factors above 0, as [1.5, 1.5]`)
  }
  if (said.weight !== undefined && said.weight <= 0) say(`${where}.weight is ${short(weight)}; it must be above 0`)
  const out = {
    ...shape(rest, where, finished), ...said, task,
    path: pointList(path, `${where}.path`, MAX_PATH), label: text(label, `${where}.label`)
  }
  const missing = finished && lacks(out)
  return missing ? say(`${where} ${missing}`) : out
}

/**
 * What a draft has yet to say before it can move, as the end of a sentence about it, or null.
 * @param {Region} region @returns {string | null}
 */
export function lacks({ task, target, angle, scale, polygons, strokes, mask }) {
  if (!(polygons?.length || strokes?.length || mask)) return 'marks nothing: give it polygons, strokes or a mask'
  if (task === 'scale') {
    return scale ? null : 'is a scale without factors: set scale to two factors above 0, as [1.5, 1.5]'
  }
  if (target) return null
  if (task !== 'rotation') return `is a ${task} without a target: set target to [x, y]`
  return angle != null ? null : 'is a rotation without angle or target: set angle in degrees, or target to [x, y]'
}

/** @param {Record<string, unknown>} data @param {string} where @param {boolean} needed @returns {Shape} */
function shape(data, where, needed) {
  const { polygons = [], holes = [], strokes = [], mask, ...rest } = data
  const filled = list(polygons, `${where}.polygons`, MAX_OUTLINES)
  const brushed = list(strokes, `${where}.strokes`, MAX_OUTLINES)
  const cut = list(holes, `${where}.holes`, MAX_OUTLINES)
  if (mask != null && !(typeof mask === 'string' && MASK_NAME.test(mask))) {
    say(`${where}.mask is ${short(mask)}; it must be the plain name of a picture beside the document`)
  }
  if (needed && !(filled.length || brushed.length || mask)) {
    say(`${where} marks nothing: give it polygons, strokes or a mask`)
  }
  return {
    ...rest,
    polygons: filled.map((p, i) => outline(p, at(where, 'polygons', i), MAX_VERTICES)),
    holes: cut.map((p, i) => outline(p, at(where, 'holes', i), MAX_VERTICES)),
    strokes: brushed.map((s, i) => stroke(s, at(where, 'strokes', i))),
    ...(mask == null ? {} : { mask: /** @type {string} */ (mask) })
  }
}

/** @param {unknown} data @param {string} where @returns {Stroke} */
function stroke(data, where) {
  const { points = [], radius = 8 } = object(data, where)
  const corners = pointList(points, where, MAX_VERTICES)
  const r = number(radius, `${where}.radius`)
  if (!corners.length || !(r > 0 && r <= 4096)) {
    say(`${where} has ${corners.length} points and radius ${r}; it needs points and a radius in (0, 4096]`)
  }
  return { points: corners, radius: r }
}

/** @param {unknown} data @param {string} where @returns {Pair} */
function pair(data, where) {
  const { start, target, ...rest } = object(data, where)
  return { ...rest, start: point(start, `${where}.start`), target: point(target, `${where}.target`) }
}

/**
 * The document as plain data, empty and unset keys left out: what drag_core's to_dict gives.
 * @param {Doc} doc @param {(p: Point) => Point} [put] every point goes through it
 * @param {(line: Point[], closed: boolean) => Point[]} [thin] every outline and stroke goes through it @returns {object}
 */
export function plain(doc, put = (p) => [p[0], p[1]], thin = (line) => line) {
  const lines = (/** @type {Point[][]} */ all) => all.map((line) => thin(line, true).map(put))
  const brushed = (/** @type {Stroke} */ { points, radius }) => ({ points: thin(points, false).map(put), radius })
  const shaped = (/** @type {Shape} */ { polygons, holes, strokes, mask, ...rest }) => ({
    ...rest,
    ...(polygons?.length ? { polygons: lines(polygons) } : {}),
    ...(holes?.length ? { holes: lines(holes) } : {}),
    ...(strokes?.length ? { strokes: strokes.map(brushed) } : {}),
    ...(mask ? { mask } : {})
  })
  const moved = (/** @type {Region} */ { label, task, target, anchor, scale, angle, weight, path, ...rest }) => ({
    label, task, ...shaped(rest), // what a reader looks for first stands first
    ...(target ? { target: put(target) } : {}),
    ...(anchor ? { anchor: put(anchor) } : {}),
    ...(path?.length ? { path: path.map(put) } : {}),
    ...(angle == null ? {} : { angle }), ...(scale ? { scale: [...scale] } : {}), ...(weight == null ? {} : { weight })
  })
  const { version, image, regions, points, editable, prompts, ...extra } = doc
  const pairs = points.map((p) => ({ ...p, start: put(p.start), target: put(p.target) }))
  const drawn = { regions: regions.map(moved), points: pairs, editable: shaped(editable) }
  return { version: 1, image, ...drawn, prompts, ...extra }
}

const rounded = (/** @type {number} */ v) => Math.round(v * 100) / 100

/** Nothing marked, nothing said, no unknown key. @param {Doc} doc */
export function isEmpty(doc) {
  const { version, image, regions, points, editable, prompts, ...extra } = doc
  const { mode, polygons, holes, strokes, mask, ...shown } = editable
  const { width, height, ...more } = image
  const { source, target, ...said } = prompts
  if (regions.length || points.length || source || target || mask || mode !== 'adaptive') return false
  return ![polygons, holes, strokes, ...[extra, shown, more, said].map(Object.keys)].some((x) => x.length)
}

/**
 * The text to store: coordinates with 2 decimals, at most 400 corners an outline, fewer where the text would pass 200
 * kB; "" for an empty document. serialize(parse(text).doc) === text for a text from here.
 * @param {Doc} doc @returns {string}
 */
export function serialize(doc) {
  if (isEmpty(doc)) return ''
  let out = ''
  for (let most = MOST_CORNERS; most >= 12; most /= 2) {
    const corners = Math.floor(most)
    const thin = (/** @type {Point[]} */ line, /** @type {boolean} */ closed) => simplifyTo(line, corners, closed)
    out = JSON.stringify(plain(doc, (p) => [rounded(p[0]), rounded(p[1])], thin))
    if (out.length <= MOST_TEXT) break
  }
  return out
}

/**
 * A point in a picture `kx` and `ky` times as large.
 * @param {Point} p @param {number} kx @param {number} ky @returns {Point}
 */
export const scaledPoint = (p, kx, ky) => [(p[0] + 0.5) * kx - 0.5, (p[1] + 0.5) * ky - 0.5]

/** @param {Shape} shape @param {number} kx @param {number} ky @returns {Shape} */
export function scaledShape({ polygons, holes, strokes }, kx, ky) {
  const lines = (/** @type {Point[][]} */ all) => all.map((line) => line.map((p) => scaledPoint(p, kx, ky)))
  const brushed = (/** @type {Stroke} */ { points, radius }) => ({ points: lines([points])[0], radius: radius * (kx + ky) / 2 })
  return { polygons: lines(polygons), holes: lines(holes), strokes: strokes.map(brushed) }
}

/**
 * The same drag on a picture of another size (pixel centres kept; radii by the mean factor). @param {Doc} doc
 * @param {number} width @param {number} height @returns {Doc}
 */
export function rescaled(doc, width, height) {
  const was = doc.image, kx = width / (was.width || width), ky = height / (was.height || height)
  const out = clone(doc)
  out.image = { ...out.image, width, height }
  if (kx === 1 && ky === 1) return out
  const put = (/** @type {Point} */ p) => scaledPoint(p, kx, ky)
  for (const s of [...out.regions, out.editable]) Object.assign(s, scaledShape(s, kx, ky))
  for (const r of out.regions) {
    if (r.target) r.target = put(r.target)
    if (r.anchor) r.anchor = put(r.anchor)
    r.path = (r.path ?? []).map(put)
  }
  for (const p of out.points) [p.start, p.target] = [put(p.start), put(p.target)]
  return out
}
