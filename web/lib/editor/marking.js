// A finished shape becomes a new region, or is added to or taken from a region or the area that may change.
import { MAX_REGIONS } from '../document.js'
import { combine, simplifyTo } from '../raster.js'
import { adaptivePolygons } from './render_mask.js'
import { segmentQuietly } from './pieces.js'
import { addRegion, movedMotion, remove, withRegion } from './ops.js'
/** @import { Editor, Keys, Mode, Point, Shape, Stroke } from './types.js' */

const CORNERS = 400 // as the stored document: what is on the screen is what is stored

/** Shift adds, Alt takes away, else what the bar says. @param {Editor} ed @param {Keys} e @returns {Mode} */
export function modeOf(ed, e) {
  if (e.altKey) return 'subtract'
  if (e.shiftKey) return 'add'
  return ed.combine
}

/** @param {Point[][]} outlines @returns {Point[][]} */
const tidy = (outlines) => outlines.map((line) => simplifyTo(line, CORNERS).map(([x, y]) => [Math.round(x * 100) / 100, Math.round(y * 100) / 100]))

/** @param {{polygons: Point[][], holes: Point[][]}} shape */
const tidied = ({ polygons, holes }) => ({ polygons: tidy(polygons), holes: tidy(holes), strokes: /** @type {Stroke[]} */ ([]) })

/** Polygons for strokes and for what lies partly outside the picture. @param {Editor} ed @param {Shape} shape */
function polygonal(ed, shape) {
  if (!shape.strokes?.length && !shape.holes?.length && shape.polygons?.length === 1) return { polygons: tidy(shape.polygons), holes: [], strokes: [] }
  return tidied(combine({}, shape, 'add', ed.size.width, ed.size.height))
}

/** Takes a shape in. False if it marks nothing. @param {Editor} ed @param {Shape} shape @param {Mode} mode */
export function finishShape(ed, shape, mode) {
  if (ed.paintMask) return paintEditable(ed, shape, mode)
  const i = ed.regionIndex
  if (mode === 'subtract' || (mode === 'add' && i >= 0)) return reshape(ed, i >= 0 ? i : topmost(ed, shape), shape, mode)
  const marked = polygonal(ed, shape)
  if (!marked.polygons.length || ed.outline(marked).area < 4) {
    ed.say('That marks nothing: draw a larger area inside the picture')
    ed.revert()
    return false
  }
  if (ed.doc.regions.length >= MAX_REGIONS) return ed.say(`${MAX_REGIONS} regions are the most that a drag holds`), false
  ed.edit(addRegion(ed.doc, marked))
  ed.sel = { kind: 'region', index: ed.doc.regions.length - 1 }
  ed.commit('mark a region')
  setTimeout(() => segmentQuietly(ed), 300)
  return true
}

/** The region on top that a shape meets: its first point decides. @param {Editor} ed @param {Shape} shape */
function topmost(ed, shape) {
  const p = shape.strokes?.[0]?.points[0] ?? shape.polygons?.[0]?.[0]
  const hit = p ? ed.regionAt(p) : -1
  return hit >= 0 ? hit : ed.doc.regions.length - 1
}

/** @param {Editor} ed @param {number} i @param {Shape} shape @param {'add' | 'subtract'} mode */
function reshape(ed, i, shape, mode) {
  const region = ed.doc.regions[i]
  if (!region) return ed.say('There is no region to take from: mark one first'), false
  if (region.locked) return ed.say(`Region ${i + 1} is locked`), false
  const before = ed.outline(region).centroid
  const now = tidied(combine(region, shape, mode, ed.size.width, ed.size.height))
  if (!now.polygons.length) {
    ed.edit(remove(ed.doc, { kind: 'region', index: i }))
    ed.sel = null
    ed.commit('erase a region')
    ed.say(`Region ${i + 1} is gone: nothing of it was left`)
    return true
  }
  const after = ed.outline(now).centroid
  const keeps = region.task === 'relocation' || region.task === 'deformation'
  const motion = keeps && region.target ? movedMotion(region, [after[0] - before[0], after[1] - before[1]]) : {}
  ed.edit(withRegion(ed.doc, i, { ...now, ...motion })) // the motion stays the same while the middle moves
  ed.sel = { kind: 'region', index: i }
  ed.commit(mode === 'add' ? 'add to a region' : 'take from a region')
  return true
}

/** Paints the area that may change; the first stroke starts from the adaptive one. @param {Editor} ed @param {Shape} shape @param {string} mode */
function paintEditable(ed, shape, mode) {
  const { editable } = ed.doc
  const { width, height } = ed.size
  /** @type {Shape} */
  let base = editable
  if (editable.mode !== 'painted') base = { polygons: editable.mode === 'adaptive' ? adaptivePolygons(ed) : [], holes: [], strokes: [] }
  const now = tidied(combine(base, shape, mode === 'subtract' ? 'subtract' : 'add', width, height))
  ed.edit({ ...ed.doc, editable: { ...editable, ...now, mode: 'painted' } })
  ed.commit('paint what may change')
  return true
}
