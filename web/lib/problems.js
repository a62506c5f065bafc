/**
 * What will hardly work, or not at all, when the drag runs: the rules of drag_core.motion.task.build_task, said in time.
 *
 * @typedef {import('./document.js').Doc} Doc
 * @typedef {import('./document.js').Region} Region
 * @typedef {import('./geometry.js').Point} Point
 * @typedef {'draft' | 'empty' | 'outside' | 'gone' | 'leaves' | 'small' | 'touch' | 'mask' | 'painted'} Kind draft,
 *   empty, outside, gone and painted stop the run
 * @typedef {{kind: Kind, text: string, region?: number, other?: number, point?: number, fix?: (doc: Doc) => Doc,
 *   hint?: string}} Problem `fix` gives a repaired copy, `hint` says in a few words what it does
 */
import { clone, lacks } from './document.js'
import { applyTo, matrixOf, motionOf } from './geometry.js'
import { countOf, hullOfMask, middleOf, rasterize, touch } from './raster.js'

const LEAST_TRAVEL = 2 // px

/**
 * Everything odd about a document, regions first.
 * @param {Doc} doc @param {{width: number, height: number}} [size] of the picture; left out: what the document says
 * @returns {Problem[]}
 */
export function problems(doc, size) {
  const { width, height } = size ?? doc.image
  if (!(width && height)) return []
  const masks = doc.regions.map((r) => rasterize(r, width, height))
  const out = doc.regions.flatMap((r, i) => ofRegion(r, i, masks[i], width, height))
  for (let i = 0; i < masks.length; i++) {
    for (let j = i + 1; j < masks.length; j++) {
      if (!touch(masks[i], masks[j])) continue
      const text = `${nameOf(doc.regions[i], i)} and ${nameOf(doc.regions[j], j)} touch: what both mark follows both`
      out.push({ kind: 'touch', region: i, other: j, text })
    }
  }
  doc.points.forEach((p, i) => {
    for (const key of /** @type {const} */ (['start', 'target'])) {
      if (!outside(p[key], width, height)) continue
      const text = `${key === 'start' ? '' : 'the target of '}point ${i + 1} lies outside the picture`
      const fix = moved((d) => d.points[i], key, width, height)
      out.push({ kind: 'outside', point: i, text, fix, hint: 'Move it inside' })
    }
    const travel = Math.hypot(p.target[0] - p.start[0], p.target[1] - p.start[1])
    if (travel < LEAST_TRAVEL) out.push({ kind: 'small', point: i, text: barely(`point ${i + 1}`, travel) })
  })
  if (doc.editable.mode === 'painted' && !doc.editable.mask && !countOf(rasterize(doc.editable, width, height))) {
    /** @type {(d: Doc) => Doc} */
    const fix = (d) => ({ ...clone(d), editable: { ...clone(d).editable, mode: 'adaptive' } })
    const text = 'the editable mask is empty, so that nothing may change: paint it, or let it adapt'
    out.push({ kind: 'painted', text, fix, hint: 'Let it adapt' })
  }
  return out
}

/** What a sentence calls a region. @param {{label: string}} r @param {number} i */
export function nameOf({ label }, i) {
  const name = label.trim().replace(/\s+/g, ' ')
  return name.length > 40 ? `${name.slice(0, 39)}\u2026` : name || `region ${i + 1}`
}

/** @param {string} name @param {number} travel */
const barely = (name, travel) => `${name} moves by ${travel.toFixed(1)} px; under 2 px the result will hardly differ`

/**
 * @param {Region} r @param {number} i @param {import('./fill.js').Mask} mask
 * @param {number} width @param {number} height @returns {Problem[]}
 */
function ofRegion(r, i, mask, width, height) {
  const name = nameOf(r, i), out = /** @type {Problem[]} */ ([])
  /** @param {Kind} kind @param {string} text @param {{fix?: (doc: Doc) => Doc, hint?: string}} [repair] */
  const add = (kind, text, repair = {}) => out.push({ kind, region: i, text, ...repair })
  const without = (/** @type {Doc} */ doc) => ({ ...clone(doc), regions: clone(doc).regions.filter((_, k) => k !== i) })
  if (r.mask) add('mask', `${name} has the mask picture ${JSON.stringify(r.mask)}, which can't be shown here`)
  const centre = middleOf(mask)
  if (!centre) {
    const text = `${name} is empty: nothing of it lies inside the ${width}x${height} picture`
    if (!r.mask) add('empty', text, { fix: without, hint: 'Delete it' })
    return out
  }
  const missing = lacks(r)
  if (missing) {
    add('draft', `${name} ${r.task === 'scale' ? 'has no factors yet: scale it' : 'has no target yet: drag it'}`)
    return out
  }
  if (r.task === 'relocation' || r.task === 'deformation') {
    const inside = (/** @type {(doc: Doc) => Doc} */ fix) => ({ fix, hint: 'Move it inside' })
    if (outside(/** @type {Point} */ (r.target), width, height)) {
      const fix = moved((d) => d.regions[i], 'target', width, height)
      add('outside', `the target of ${name} lies outside the picture`, inside(fix))
    }
    r.path.forEach((p, k) => {
      if (outside(p, width, height)) {
        const fix = moved((d) => d.regions[i].path, k, width, height)
        add('outside', `a place on the path of ${name} lies outside the picture`, inside(fix))
      }
    })
    if (out.some((p) => p.kind === 'outside')) return out
  }
  const motion = motionOf(r, centre)
  if (r.task === 'rotation' && r.angle == null) {
    const target = /** @type {Point} */ (r.target), { anchor } = motion
    if (Math.hypot(centre[0] - anchor[0], centre[1] - anchor[1]) < 1) {
      add('draft', `${name} turns about its own centre, where a target shows no turn: give it an angle`)
    } else if (Math.hypot(target[0] - anchor[0], target[1] - anchor[1]) < 1) {
      add('draft', `the target of ${name} lies on its anchor, where it shows no turn: move it away`)
    }
    if (out.some((p) => p.kind === 'draft')) return out
  }
  const m = matrixOf(motion), corners = hullOfMask(mask), ends = corners.map((p) => applyTo(m, p))
  // the way that a point goes is a convex function of the point: the longest starts at a corner of the hull
  const travel = Math.max(...corners.map((p, k) => Math.hypot(ends[k][0] - p[0], ends[k][1] - p[1])))
  const left = ends.some((p) => outside(p, width, height)) ? shareInside(mask, m, width, height) : 1
  const hint = r.task === 'scale' ? 'larger factors' : 'a nearer target or a smaller turn'
  if (!left) add('gone', `nothing of ${name} would be left in the picture: choose ${hint}`)
  else if (left < 0.9 && r.task !== 'scale') {
    add('leaves', `${name} is moved partly off the picture: what leaves it is not drawn`)
  }
  if (travel < LEAST_TRAVEL) add('small', barely(name, travel))
  return out
}

/**
 * Share of the set pixels that `m` leaves in the picture.
 * @param {import('./fill.js').Mask} mask @param {import('./geometry.js').Matrix} m
 * @param {number} width @param {number} height
 */
function shareInside({ data, x, y, w, h }, [a, b, c, d, e, f], width, height) {
  let count = 0, left = 0
  for (let row = 0, k = 0; row < h; row++) {
    for (let column = 0; column < w; column++, k++) {
      if (!data[k]) continue
      count++
      const u = a * (x + column) + c * (y + row) + e, v = b * (x + column) + d * (y + row) + f
      if (u >= -0.5 && v >= -0.5 && u <= width - 0.5 && v <= height - 0.5) left++
    }
  }
  return left / count
}

/** @param {Point} p @param {number} width @param {number} height */
const outside = ([x, y], width, height) => !(x >= -0.5 && y >= -0.5 && x <= width - 0.5 && y <= height - 0.5)

/**
 * A fix that brings one point inside.
 * @template {string | number} K
 * @param {(doc: Doc) => {[key in K]?: Point}} get @param {K} key @param {number} width @param {number} height
 * @returns {(doc: Doc) => Doc}
 */
const moved = (get, key, width, height) => (doc) => {
  const copy = clone(doc), [x, y] = /** @type {Point} */ (get(copy)[key])
  get(copy)[key] = [Math.min(Math.max(x, 0), width - 1), Math.min(Math.max(y, 0), height - 1)]
  return copy
}
