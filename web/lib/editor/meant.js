/**
 * A drag as a model's candidate means it: its task for the regions, its prompts for the picture. Pure; the same as
 * drag_core/mllm/chosen.py (tests/golden/intent_vectors.json holds both to it), but that locked regions stay.
 */
import { movedCentroid, patch } from './ops.js'
/** @import { Candidate, Doc, Intent, MarkedShape, Point, Region, Task } from './types.js' */

/** @typedef {{centroid: Point, hull: Point[]}} Area of a region's set pixels */

const LEAST = 1 // px: nearer than this to its centre neither a target nor an anchor says anything
const MOST = 10, LONGEST = 4000

/**
 * What a run says that the drag may mean, as far as it has the form of it; null where there is no candidate.
 * @param {unknown} data @returns {Intent | null}
 */
export function readIntent(data) {
  const { background, motion, candidates } = /** @type {Record<string, unknown>} */ (data ?? {})
  const text = (/** @type {unknown} */ x) => (typeof x === 'string' ? x.slice(0, LONGEST) : '')
  const read = (Array.isArray(candidates) ? candidates : []).slice(0, MOST).map((c) => ({
    prompt: text(c?.prompt),
    task: ['relocation', 'deformation', 'rotation'].includes(c?.task) ? /** @type {Task} */ (c.task) : null
  })).filter((c) => c.prompt)
  return read.length ? { background: text(background), motion: text(motion), candidates: read } : null
}

/**
 * The drag that a candidate means. @param {Doc} doc @param {Intent} intent @param {Candidate} candidate
 * @param {(shape: MarkedShape) => Area} areaOf @returns {Doc}
 */
export function meant(doc, { background }, { prompt, task }, areaOf) {
  const source = background || doc.prompts.source
  const prompts = { ...doc.prompts, source, target: source ? `${source} ${prompt}` : prompt }
  if (!task) return { ...doc, prompts }
  const regions = doc.regions.map((r) => {
    const other = r.locked ? null : asMeant(r, task, areaOf(r))
    return other ? patch(other, { auto: undefined }) : r
  })
  return { ...doc, regions, prompts }
}

/**
 * The region under another task: its centroid still goes, or points, to its target. Null where its motion does not say
 * the other: a turn in place, a way of no length, a scale.
 * @param {Region} region @param {Task} task @param {Area} area @returns {Region | null}
 */
export function asMeant(region, task, { centroid, hull }) {
  if (region.task === task) return region
  if (region.task === 'scale') return null
  if (task === 'rotation') {
    const anchor = region.target ? pivot(centroid, hull, region.target) : null
    return anchor && patch(region, { task, anchor, angle: undefined, path: [] })
  }
  if (region.task !== 'rotation') return patch(region, { task })
  const target = region.angle == null ? region.target : movedCentroid(region, centroid)
  if (!target || Math.hypot(target[0] - centroid[0], target[1] - centroid[1]) < LEAST) return null
  return patch(region, { task, target, anchor: undefined, angle: undefined })
}

/**
 * A guess of the point that a region turns about where its centroid is led to `target`: of its two ends across the way the
 * lower one; where both lie as low the farther; then the one on the right of the way.
 * @param {Point} centroid @param {Point[]} hull @param {Point} target @returns {Point | null}
 */
export function pivot([cx, cy], hull, target) {
  const dx = target[0] - cx, dy = target[1] - cy, way = Math.hypot(dx, dy)
  if (way < LEAST || !hull.length) return null
  const nx = -dy / way, ny = dx / way
  const across = hull.map(([x, y]) => (x - cx) * nx + (y - cy) * ny)
  const right = Math.max(...across), left = Math.min(...across), lower = (left - right) * ny
  const far = lower > 1 || (Math.abs(lower) <= 1 && -left > right + 1e-6) ? left : right
  return Math.abs(far) < LEAST ? null : [cx + far * nx, cy + far * ny]
}
